import type { Server } from '../../../src/clouds/driver.js';
import type { Observation, Resolved } from '../../../src/reconcilers/virtual-machine/observation.js';
import type { VirtualMachine, VirtualMachineSpec, VirtualMachineStatus } from '../../../src/resources/virtual-machine.js';

export const NOW = new Date('2026-01-01T12:00:00Z');
export const at = (seconds: number) => new Date(NOW.getTime() + seconds * 1000);
export const UID = 'uid-1';
export const INSTALLATION = 'here';

export interface Given {
  readonly spec?: Partial<VirtualMachineSpec>;
  readonly status?: VirtualMachineStatus;
  readonly meta?: Partial<VirtualMachine['metadata']>;
}

export function vm({ spec = {}, status = {}, meta = {} }: Given): VirtualMachine {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: {
      name: 'web-1',
      namespace: 'default',
      uid: UID,
      resourceVersion: '1',
      generation: 1,
      creationTimestamp: '2026-01-01T00:00:00Z',
      finalizers: ['dispatcher.dev/server'],
      ...meta,
    },
    spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'tiny', ...spec },
    status,
  };
}

export function server(over: Partial<Server> = {}): Server {
  return {
    id: 's1',
    name: 'web-1',
    state: 'Running',
    owner: { installation: INSTALLATION, uid: UID, attempt: 'token-1' },
    imageId: 'image-1',
    flavorName: 'tiny',
    metadata: {},
    tags: [],
    ownerTagWhole: true,
    addresses: [],
    createdAt: '2026-01-01T00:00:00Z',
    ...over,
  };
}

export const ELSEWHERE = { installation: 'elsewhere', uid: 'uid-there', attempt: 'x' };
export const WATCHING = { adopt: { id: 's1' }, management: 'Observe' } as const;

export function withoutOwner(): Server {
  const { owner: _owner, ...rest } = server();
  return rest;
}

export const found = (id: string, name: string) => ({ kind: 'found', value: { id, name } }) as const;
export const RESOLVED: Resolved = {
  image: found('image-1', 'cirros'),
  flavor: found('1', 'tiny'),
  networks: { kind: 'found', value: undefined },
  keyName: { kind: 'found', value: undefined },
};

export function seen(
  over: Partial<Observation> = {},
  cloud: Partial<Extract<Observation['cloud'], { kind: 'usable' }>> = {},
): Observation {
  return {
    cloud: {
      kind: 'usable',
      completeAt: at(-1),
      settleMs: 30_000,
      buildTimeoutMs: 600_000,
      full: false,
      trouble: undefined,
      ...cloud,
    },
    installation: INSTALLATION,
    bound: { kind: 'none' },
    former: undefined,
    owned: [],
    adoptable: [],
    claimedBy: undefined,
    userData: { kind: 'none' },
    assignee: undefined,
    ports: { completeAt: undefined, trouble: undefined, unsureSince: undefined, known: [], gone: [] },
    groups: { kind: 'unneeded' },
    resolved: RESOLVED,
    held: undefined,
    askedById: false,
    askedByName: undefined,
    fresh: false,
    ...over,
  };
}

export const present = (over: Partial<Server> = {}): Partial<Observation> => ({
  bound: { kind: 'present', server: server(over), asOf: NOW },
  owned: [server(over)],
});

export const LEDGER = { attempt: 1, token: 'token-1', serverName: 'web-1', specHash: '', at: at(-5).toISOString() };
export const CLOSED = { ...LEDGER, closed: 'refused: quota' };
export const APPLIED = { attempt: 'token-1', image: 'cirros', imageId: 'image-1', keyName: '', networks: '' };
export const BOUND: VirtualMachineStatus = { id: 's1', ledger: LEDGER, applied: APPLIED, builtAt: at(-3).toISOString() };
export const BUILDING: VirtualMachineStatus = { id: 's1', ledger: LEDGER, applied: APPLIED };
