import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CisternError, isCisternError } from '../../../src/cistern/errors.js';
import { Inventories } from '../../../src/reconcilers/inventory/inventories.js';
import type { CloudSpec } from '../../../src/resources/cloud.js';
import type { Resource, ResourceKey } from '../../../src/resources/metadata.js';
import type { VirtualMachine } from '../../../src/resources/virtual-machine.js';
import { captureLog } from '../../support/log.js';
import { cisternNode, ScriptedCistern } from '../../support/scripted-cistern.js';
import { VirtualEnvironment } from '../../support/virtual-environment.js';

type CisternSpec = NonNullable<CloudSpec['cistern']>;

const SPEC: CisternSpec = { endpoint: 'http://one.example/api/v1' };
const OTHER: CisternSpec = { endpoint: 'http://two.example/api/v1' };
const ALICE = { user: 'alice', application: 'galaxy' };
const METADATA = { resourceVersion: '1', generation: 1, creationTimestamp: '2026-05-01T07:00:00Z' };

let world: VirtualEnvironment;
let cistern: ScriptedCistern;
let inventories: Inventories;
/** The Cloud `lab` as its record stands: undefined if there is none. */
let record: Resource | undefined;
let machines: VirtualMachine[];
/** What was told, in order: `machines s1 s2`, `health`. */
let told: string[];

const vm = (id: string | undefined): VirtualMachine => ({
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'VirtualMachine',
  metadata: { ...METADATA, name: `vm-${id}`, namespace: 'default', uid: `u-${id}` },
  spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'm1.tiny' },
  status: id === undefined ? {} : { id },
});

function declare(cisternSpec: unknown): void {
  record = {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'Cloud',
    metadata: { ...METADATA, name: 'lab', uid: 'u-lab' },
    spec: { engine: 'simulator', ...(cisternSpec === undefined ? {} : { cistern: cisternSpec }) },
  };
}

/** Declares, and connects as the reconciler of Clouds does. */
function connect(spec: CisternSpec | undefined = SPEC, token = 'hush'): void {
  declare(spec);
  inventories.ensure('lab', spec, token);
}

const pass = (ms: number) => world.run(() => false, ms);
const opinion = (id = 's1') => inventories.view(vm(id)).opinion;
const { signal } = new AbortController();
const failureOf = (call: Promise<unknown>) =>
  call.then(
    () => 'nothing failed',
    (error: unknown) => (isCisternError(error) ? `${error.code} ${error.message}` : error),
  );

beforeEach(() => {
  world = new VirtualEnvironment(1);
  cistern = new ScriptedCistern();
  cistern.put(cisternNode('s1'), cisternNode('s2', { user: 'bob', status: 'ASSIGNED' }));
  machines = ['s1', 's2', 's3'].map(vm);
  told = [];
  record = undefined;
  const ids = (all: readonly Resource[]) => all.map(({ metadata }) => metadata.name.slice('vm-'.length)).join(' ');
  inventories = new Inventories({
    makeCistern: cistern.connect,
    records: {
      get: ({ kind, name }: ResourceKey) => (kind === 'Cloud' && name === 'lab' ? record : undefined),
      ofCloud: () => machines,
      virtualMachinesBoundTo: (_cloud, id) => machines.filter(({ status }) => status?.id === id),
    },
    listener: {
      machinesChanged: (_cloud, changed) => told.push(`machines ${ids(changed)}`),
      healthChanged: () => told.push('health'),
    },
    environment: world,
    log: captureLog().log,
  });
});
afterEach(async () => {
  await world.settle(inventories.close());
  expect(cistern.clients.map(({ closed }) => closed)).not.toContain(false);
  expect(world.pendingTimers).toBe(0);
});

describe('whether a Cloud has an inventory', () => {
  const notConnected = 'the inventory of Cloud lab is not connected: see its condition InventoryReady';

  test.each<[string, () => void, object]>([
    ['is no, if its record names none', () => declare(undefined), { kind: 'none' }],
    ['is known before it was connected', () => declare(SPEC), { kind: 'unknown', why: notConnected }],
    ['is not denied where the record cannot be read', () => declare({ endpoint: 7 }), { kind: 'unknown', why: notConnected }],
    ['is not known without a record', () => undefined, { kind: 'unknown', why: 'there is no Cloud lab' }],
  ])('%s', (_sentence, given, expected) => {
    given();
    expect(opinion()).toEqual(expected);
  });

  test('follows the record at once, though it was connected as it was before', async () => {
    connect();
    await pass(0);
    expect(opinion()).toEqual({ kind: 'free' });
    declare(OTHER);
    expect(opinion()).toEqual({ kind: 'unknown', why: notConnected });
    declare(undefined);
    expect(opinion()).toEqual({ kind: 'none' });
  });
});

describe('an inventory', () => {
  test('is called with its own name for the cloud, and the token', () => {
    connect({ ...SPEC, cloud: 'fake_driver' });
    expect(cistern.clients[0]?.options).toMatchObject({ endpoint: SPEC.endpoint, cloud: 'fake_driver', token: 'hush' });
  });

  test('is taken to call the cloud as we do where nothing else is said', () => {
    connect();
    expect(cistern.clients[0]?.options.cloud).toBe('lab');
  });

  test.each<[string, CisternSpec, string]>([
    ['its endpoint', OTHER, 'hush'],
    ['its name for the cloud', { ...SPEC, cloud: 'attic' }, 'hush'],
    ['the token', SPEC, 'another'],
  ])('with another word for %s is looked at anew, and nothing is known before', async (_what, spec, token) => {
    connect();
    await pass(0);
    connect(spec, token);
    expect(opinion()).toEqual({ kind: 'unknown', why: 'the inventory of Cloud lab has not answered yet' });
    await pass(0);
    expect(cistern.clients.map(({ closed }) => closed)).toEqual([true, false]);
    expect(opinion()).toEqual({ kind: 'free' });
  });

  test('takes over another interval as it goes', async () => {
    connect();
    await pass(1_000);
    expect(cistern.looks).toBe(1);
    connect({ ...SPEC, interval: '2s' });
    await pass(5_000);
    expect(cistern.looks).toBe(4);
    connect({ ...SPEC, interval: '1m' });
    await pass(59_000);
    expect([cistern.looks, cistern.clients.length]).toEqual([4, 1]);
  });

  test('whose endpoint is none leaves what was there', () => {
    connect();
    expect(() => inventories.ensure('lab', { endpoint: 'http://one.example/?' }, 'hush')).toThrow(/has a query/);
    expect(cistern.clients).toHaveLength(1);
  });

  test('that is declared no more is closed', async () => {
    connect();
    await pass(0);
    inventories.ensure('lab', undefined, undefined);
    await pass(10_000);
    expect([cistern.clients[0]?.closed, cistern.looks, inventories.observation('lab')]).toEqual([true, 1, undefined]);
  });

  test('tells the numbers of what it lists', async () => {
    cistern.put(cisternNode('s3', { faulty: true }));
    connect();
    expect(inventories.observation('lab')).toMatchObject({ nodes: 0, stale: true });
    await pass(0);
    expect(inventories.observation('lab')).toMatchObject({ nodes: 3, free: 1, faulty: 1, stale: false });
  });
});

describe('who is told', () => {
  test('is every machine of the Cloud when it is connected, first seen, lost, found again and dropped; else those concerned', async () => {
    connect();
    expect(told.splice(0)).toEqual(['machines s1 s2 s3']);
    await pass(0);
    expect(told.splice(0)).toEqual(['machines s1 s2', 'health', 'machines s1 s2 s3']);
    cistern.put(cisternNode('s1', { faulty: true }), cisternNode('of nobody here'));
    await pass(5_000);
    expect(told.splice(0)).toEqual(['machines s1']);
    cistern.failure = new CisternError('Unreachable', 'nobody listens');
    await pass(5_000);
    // What depends on the clock may be another view by now, though nobody is told when it becomes so.
    expect(told.splice(0)).toEqual(['health', 'machines s1 s2 s3']);
    await pass(120_000);
    expect(told.splice(0)).toEqual(['health', 'machines s1 s2 s3']);
    cistern.failure = undefined;
    await pass(30_000);
    expect(told.splice(0)).toEqual(['health', 'machines s1 s2 s3']);
    inventories.drop('lab');
    expect(told.splice(0)).toEqual(['machines s1 s2 s3']);
    inventories.drop('lab');
    expect(told).toEqual([]);
  });
});

describe('an outage', () => {
  test('leaves what is known, but for what is free once that is old', async () => {
    connect();
    await pass(0);
    cistern.failure = new CisternError('Unreachable', 'nobody listens');
    await pass(40_000);
    expect(opinion()).toEqual({ kind: 'free' });
    await pass(60_000);
    expect(opinion()).toMatchObject({ kind: 'unknown' });
    expect(opinion('s2')).toEqual({ kind: 'taken', user: 'bob' });
    cistern.failure = undefined;
    await pass(30_000);
    expect(opinion()).toEqual({ kind: 'free' });
  });
});

describe('an assign', () => {
  test('is known as soon as it is answered, and stays so', async () => {
    connect();
    await pass(0);
    await inventories.assign(vm('s1'), ALICE, signal);
    expect(cistern.calls).toEqual(['assign host-s1 alice galaxy']);
    expect(opinion()).toEqual({ kind: 'taken', user: 'alice' });
    await pass(20_000);
    expect(opinion()).toEqual({ kind: 'taken', user: 'alice' });
  });

  test('forgets when the user before was active', async () => {
    cistern.put(cisternNode('s1', { lastActivity: world.now() }));
    connect();
    await pass(0);
    await inventories.assign(vm('s1'), ALICE, signal);
    expect(inventories.view(vm('s1')).activeAt).toBeUndefined();
  });

  test('says nothing to anybody for a Cloud without an inventory', async () => {
    declare(undefined);
    await inventories.assign(vm('s1'), ALICE, signal);
    await inventories.release(vm('s1'), signal);
    expect(cistern.calls).toEqual([]);
  });

  test('that is refused has the inventory looked at anew', async () => {
    connect();
    await pass(0);
    cistern.during = () => {
      cistern.put(cisternNode('s1', { user: 'carol' }));
      throw new CisternError('Refused', 'carol has it');
    };
    expect(await failureOf(inventories.assign(vm('s1'), ALICE, signal))).toBe('Refused carol has it');
    await pass(0);
    expect(opinion()).toEqual({ kind: 'taken', user: 'carol' });
  });

  test('whose answer is lost has the inventory looked at anew, and what it did is then known', async () => {
    connect();
    await pass(0);
    cistern.lost = new CisternError('Unreachable', 'no answer');
    expect(await failureOf(inventories.assign(vm('s1'), ALICE, signal))).toBe('Unreachable no answer');
    await pass(0);
    expect(opinion()).toEqual({ kind: 'taken', user: 'alice' });
  });

  test('that nobody heard makes nobody the user, and the machine free for nobody, until the inventory tells', async () => {
    connect();
    await pass(0);
    cistern.failure = new CisternError('Unreachable', 'nobody listens');
    expect(await failureOf(inventories.assign(vm('s1'), ALICE, signal))).toBe('Unreachable nobody listens');
    await pass(20_000);
    const { opinion: said, holder } = inventories.view(vm('s1'));
    expect([said.kind, holder.kind]).toEqual(['unknown', 'unknown']);
    cistern.failure = undefined;
    await pass(30_000);
    expect(opinion()).toEqual({ kind: 'free' });
  });

  test('during which the token is changed is known in the new view', async () => {
    connect();
    await pass(0);
    cistern.during = () => connect(SPEC, 'another');
    await inventories.assign(vm('s1'), ALICE, signal);
    expect(opinion()).toEqual({ kind: 'taken', user: 'alice' });
  });

  test('during which another inventory is named says nothing of that one', async () => {
    connect();
    await pass(0);
    cistern.during = () => connect(OTHER);
    await inventories.assign(vm('s1'), ALICE, signal);
    await pass(0);
    expect(opinion()).toEqual({ kind: 'free' });
  });

  test('names the server where several nodes have its hostname, or none', async () => {
    cistern.put(
      cisternNode('s1', { hostname: 'web' }),
      cisternNode('s2', { hostname: 'web' }),
      cisternNode('s3', { hostname: '' }),
    );
    connect();
    await pass(0);
    await inventories.assign(vm('s1'), ALICE, signal);
    await inventories.assign(vm('s3'), ALICE, signal);
    expect(cistern.calls).toEqual(['assign s1 alice galaxy', 'assign s3 alice galaxy']);
  });

  test('that is answered for another server is not taken for done, and the inventory is looked at anew', async () => {
    connect();
    await pass(0);
    cistern.receiptFor = 's2';
    expect(await failureOf(inventories.assign(vm('s1'), ALICE, signal))).toBe(
      'InvalidAnswer the inventory of Cloud lab answered for its node host-s1 with server s2, not s1',
    );
    await pass(0);
    expect(cistern.looks).toBe(2);
  });

  test.each<[string, string | undefined, () => void, string]>([
    [
      'of a machine that is not listed is refused',
      's3',
      () => connect(),
      'Refused VirtualMachine default/vm-s3: the inventory of Cloud lab does not list its server s3',
    ],
    [
      'of a machine without a server is refused',
      undefined,
      () => connect(),
      'Refused VirtualMachine default/vm-undefined: it has no server yet that an inventory could list',
    ],
    [
      'is put off while the inventory is not connected',
      's1',
      () => declare(SPEC),
      'Unreachable VirtualMachine default/vm-s1: the inventory of Cloud lab is not connected: see its condition InventoryReady',
    ],
    [
      'is put off until the inventory was seen once',
      's1',
      () => {
        cistern.failure = new CisternError('Unreachable', 'nobody listens');
        connect();
      },
      'Unreachable VirtualMachine default/vm-s1: the inventory of Cloud lab has not answered yet',
    ],
  ])('%s, and nobody is called', async (_sentence, id, given, expected) => {
    given();
    await pass(0);
    expect(await failureOf(inventories.assign(vm(id), ALICE, signal))).toBe(expected);
    expect(cistern.calls).toEqual([]);
  });
});

describe('a release', () => {
  test('takes the user away, and asks whether the machine is free', async () => {
    connect();
    await pass(0);
    await inventories.release(vm('s2'), signal);
    expect(cistern.calls).toEqual(['release host-s2']);
    const { opinion: said, holder } = inventories.view(vm('s2'));
    expect([said.kind, holder]).toEqual(['unknown', { kind: 'nobody' }]);
    cistern.put(cisternNode('s2'));
    await pass(0);
    expect(opinion('s2')).toEqual({ kind: 'free' });
  });

  test('of a machine that is not listed, or has no server, is nothing to do', async () => {
    connect();
    await pass(0);
    await inventories.release(vm('s3'), signal);
    await inventories.release(vm(undefined), signal);
    expect(cistern.calls).toEqual([]);
  });

  test('is not taken for done while it is not known what is listed', async () => {
    declare(SPEC);
    expect(await failureOf(inventories.release(vm('s3'), signal))).toMatch(/^Unreachable .* is not connected/);
    connect();
    expect(await failureOf(inventories.release(vm('s3'), signal))).toMatch(/^Unreachable .* has not answered yet/);
    await pass(0);
    cistern.failure = new CisternError('Unreachable', 'nobody listens');
    await pass(120_000);
    expect(await failureOf(inventories.release(vm('s3'), signal))).toMatch(/^Unreachable .* has not answered since/);
  });

  test('is asked for by old news too: the inventory decides', async () => {
    connect();
    await pass(0);
    cistern.failure = new CisternError('Unreachable', 'nobody listens');
    await pass(120_000);
    cistern.failure = undefined;
    await inventories.release(vm('s2'), signal);
    expect(cistern.calls).toEqual(['release host-s2']);
  });
});
