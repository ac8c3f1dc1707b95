import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Port } from '../../../src/clouds/network-driver.js';
import type { Observation, PortFact, PortsView } from '../../../src/reconcilers/virtual-machine/observation.js';
import { plan } from '../../../src/reconcilers/virtual-machine/plan.js';
import { describeStep } from '../../../src/reconcilers/virtual-machine/steps.js';
import type { VirtualMachineStatus } from '../../../src/resources/virtual-machine.js';
import {
  APPLIED,
  at,
  BOUND,
  BUILDING,
  CLOSED,
  type Given,
  INSTALLATION,
  LEDGER,
  NOW,
  present,
  RESOLVED,
  seen,
  server,
  UID,
  vm,
} from './fixtures.js';

const NET = [{ name: 'net' }];
const APPLIED_NET = { ...APPLIED, networks: JSON.stringify(NET) };
const named = (id: string, over: { network?: string; at?: string } = {}) => ({
  id,
  network: 'n1',
  address: `10.0.0.${id.slice(1)}`,
  at: at(-4).toISOString(),
  ...over,
});
/** Built at -3 s, with port p1. */
const WITH_PORT: VirtualMachineStatus = { ...BOUND, applied: APPLIED_NET, ports: [named('p1')] };

function fact(id: string, over: Partial<Port> = {}, holder: PortFact['holder'] = undefined, asOf = at(-1)): PortFact {
  const port = {
    id,
    networkId: 'n1',
    addresses: [`10.0.0.${id.slice(1)}`],
    groupIds: [],
    owner: { installation: INSTALLATION, key: UID },
    secured: true,
    ...over,
  };
  const serverId = typeof holder === 'object' ? holder.id : holder && 's9';
  return { port: serverId === undefined ? port : { ...port, serverId }, asOf, holder };
}

/** A complete list of ports a second ago, unless something else is said. */
const view = (known: readonly PortFact[] = [], over: Partial<PortsView> = {}): PortsView => ({
  completeAt: at(-1),
  trouble: undefined,
  unsureSince: undefined,
  known,
  gone: [],
  ...over,
});
const resolved = (...networks: string[]): Observation['resolved'] => ({
  ...RESOLVED,
  networks: { kind: 'found', value: networks },
});
const declared = (known: readonly PortFact[] = [], over: Partial<PortsView> = {}, more: Partial<Observation> = {}) =>
  seen({ resolved: resolved('n1'), ports: view(known, over), ...more });
const built = (known: readonly PortFact[] = [], over: Partial<PortsView> = {}, more: Partial<Observation> = {}) =>
  seen({ ...present(), ports: view(known, over), ...more });
const foreign = server({ id: 's7', owner: { installation: INSTALLATION, uid: 'uid-2', attempt: 'x' } });
const DELETED = { meta: { deletionTimestamp: at(-1).toISOString() } };
const LACKING = { completeAt: undefined, trouble: { lacking: true, message: 'this cloud has no network service' } };

interface Case {
  readonly reason: string;
  readonly given: Given;
  readonly seen: Observation;
  /** As people are told of them. */
  readonly steps: readonly unknown[];
  readonly ready?: string;
  /** The begin of the list of ports that is waited for, in seconds from now. */
  readonly listAfter?: number;
}

const attempt = (number: number) => [`write attempt ${number} into the ledger`, 'create server web-1'];

const CASES: readonly Case[] = [
  // before a create
  {
    reason: 'a network that is declared becomes a port, before the ledger is written',
    given: { spec: { networks: NET } },
    seen: declared([], {}, { fresh: true }),
    steps: ['make a port', ...attempt(1)],
    ready: 'Creating',
  },
  {
    reason: 'two networks, and one of them twice, are three ports',
    given: { spec: { networks: [...NET, ...NET, { name: 'other' }] } },
    seen: declared([], {}, { fresh: true, resolved: resolved('n1', 'n1', 'n2') }),
    steps: ['make 3 ports', ...attempt(1)],
  },
  {
    reason: 'where the cloud chooses, no ports are made, and no list is waited for',
    given: {},
    seen: seen({ fresh: true }),
    steps: attempt(1),
  },
  {
    reason: 'no ports are made before a complete list: a process that was killed may have made some',
    given: { spec: { networks: NET } },
    seen: declared([], { completeAt: undefined }, { fresh: true }),
    steps: [],
    ready: 'Observing',
    listAfter: Number.NEGATIVE_INFINITY,
  },
  {
    reason: 'while ports cannot be listed, that is said',
    given: { spec: { networks: NET } },
    seen: declared([], { completeAt: undefined, trouble: { lacking: false, message: 'listPorts: no answer' } }, { fresh: true }),
    steps: [],
    ready: 'CloudUnreachable',
    listAfter: Number.NEGATIVE_INFINITY,
  },
  {
    reason: 'a cloud without a network service takes no declared networks',
    given: { spec: { networks: NET } },
    seen: declared([], LACKING, { fresh: true }),
    steps: [],
    ready: 'NetworkUnsupported',
  },
  {
    reason: 'and goes on with what declares none',
    given: {},
    seen: seen({ fresh: true, ports: view([], LACKING) }),
    steps: attempt(1),
  },
  {
    reason: 'ports that were asked for without an answer are waited for in a list that begins later',
    given: { spec: { networks: NET } },
    seen: declared([], { unsureSince: at(-0.5) }, { fresh: true }),
    steps: [],
    ready: 'Observing',
    listAfter: -0.5,
  },
  {
    reason: 'a port of ours that no server has, left by a process that was killed, is used',
    given: { spec: { networks: NET } },
    seen: declared([fact('p5')], {}, { fresh: true }),
    steps: ['note that it has the ports p5', ...attempt(1)],
  },
  {
    reason: 'one on another network is not',
    given: { spec: { networks: NET } },
    seen: declared([fact('p5', { networkId: 'n2' })], {}, { fresh: true }),
    steps: ['make a port', ...attempt(1)],
  },
  {
    reason: 'the port that the record names goes before one that was made besides',
    given: { spec: { networks: NET }, status: { ledger: CLOSED, ports: [named('p1')] } },
    seen: declared([fact('p0'), fact('p1')]),
    steps: attempt(2),
  },
  {
    reason: 'after an attempt, ports are seen in a list that began later before another is made',
    given: { spec: { networks: NET }, status: { ledger: CLOSED, ports: [named('p1')] } },
    seen: declared([fact('p1')], { completeAt: at(-6) }),
    steps: [],
    ready: 'Observing',
    listAfter: -4.999,
  },
  {
    reason: 'a named port that the list does not show, though it began later, is made anew',
    given: { spec: { networks: NET }, status: { ledger: CLOSED, ports: [named('p1')] } },
    seen: declared(),
    steps: ['make a port', ...attempt(2)],
  },
  {
    reason: 'a named port that another process made after the list began is not missing',
    given: { spec: { networks: NET }, status: { ledger: CLOSED, ports: [named('p1', { at: at(-0.5).toISOString() })] } },
    seen: declared(),
    steps: [],
    ready: 'Observing',
    listAfter: -0.499,
  },
  {
    reason: 'a named port on a server: the cloud is asked by name whether that is one of an earlier attempt',
    given: { spec: { networks: NET }, status: { ledger: CLOSED, ports: [named('p1')] } },
    seen: declared([fact('p1', {}, 'unknown')]),
    steps: ['ask the cloud for servers named web-1'],
  },
  {
    reason: 'it is: the record has that server',
    given: { spec: { networks: NET }, status: { ledger: CLOSED, ports: [named('p1')] } },
    seen: declared([fact('p1', {}, 'unknown')], {}, { askedByName: [server()] }),
    steps: ['bind server s1'],
  },
  {
    reason: 'it is not: nothing is made, and nothing taken from whoever has it',
    given: { spec: { networks: NET }, status: { ledger: CLOSED, ports: [named('p1')] } },
    seen: declared([fact('p1', {}, foreign)], {}, { askedByName: [] }),
    steps: [],
    ready: 'PortTaken',
  },
  {
    reason: 'a port whose server is gone is free',
    given: { spec: { networks: NET }, status: { ledger: CLOSED, ports: [named('p1')] } },
    seen: declared([fact('p1', {}, 'gone')]),
    steps: attempt(2),
  },
  {
    reason: 'a network that is not declared any more loses its port, and a new one gets one',
    given: {
      spec: { networks: [{ name: 'other' }] },
      status: { ledger: CLOSED, ports: [named('p1')] },
    },
    seen: declared([fact('p1')], {}, { resolved: resolved('n2') }),
    steps: ['delete ports p1: its network is not declared any more', 'make a port', ...attempt(2)],
  },
  {
    reason: 'networks that are unset again leave no port',
    given: { status: { ledger: CLOSED, ports: [named('p1')] } },
    seen: seen({ ports: view([fact('p1')]) }),
    steps: ['delete ports p1: its network is not declared any more', ...attempt(2)],
  },
  {
    reason: 'a surplus port that somebody put on another server is left there',
    given: { status: { ledger: CLOSED, ports: [named('p1')] } },
    seen: seen({ ports: view([fact('p1', {}, foreign)]) }),
    steps: ['note that it has the ports of none', ...attempt(2)],
  },
  {
    reason: 'a rule whose security group is not there yet is waited for',
    given: { spec: { networks: NET } },
    seen: declared([], {}, { fresh: true, groups: { kind: 'pending', message: 'group web is being made' } }),
    steps: [],
    ready: 'FirewallPending',
  },
  {
    reason: 'where networks are unset too',
    given: {},
    seen: seen({ fresh: true, groups: { kind: 'pending', message: 'group web is being made' } }),
    steps: [],
    ready: 'FirewallPending',
  },
  {
    reason: 'but not where there is no network at all',
    given: { spec: { networks: 'none' } },
    seen: seen({
      fresh: true,
      resolved: { ...RESOLVED, networks: { kind: 'found', value: 'none' } },
      groups: { kind: 'pending', message: 'group web is being made' },
    }),
    steps: attempt(1),
  },
  // while the server is there
  {
    reason: 'a server that has its port is as declared',
    given: { spec: { networks: NET }, status: WITH_PORT },
    seen: built([fact('p1', {}, server())]),
    steps: [],
    ready: 'Running',
  },
  {
    reason: 'a machine is ready when its server runs; whether that got its port shows in a list that began later',
    given: { spec: { networks: NET }, status: WITH_PORT },
    seen: built([fact('p1', {}, undefined, at(-5))], { completeAt: at(-5) }),
    steps: [],
    ready: 'Running',
    listAfter: -3,
  },
  {
    reason: 'a port that the server lost is given back',
    given: { spec: { networks: NET }, status: WITH_PORT },
    seen: built([fact('p1')]),
    steps: ['give port p1 to server s1'],
    ready: 'Correcting',
  },
  {
    reason: 'not while the server is being built: it may be about to get it',
    given: { spec: { networks: NET }, status: { ...BUILDING, applied: APPLIED_NET, ports: [named('p1')] } },
    seen: built([fact('p1')], {}, present({ state: 'Building' })),
    steps: [],
    ready: 'Building',
  },
  {
    reason: 'a port that a twin has is waited for until that is gone',
    given: { spec: { networks: NET }, status: WITH_PORT },
    seen: built([fact('p1', {}, server({ id: 's2', state: 'Deleting' }))]),
    steps: [],
    ready: 'Deleting',
  },
  {
    reason: 'one that is on a server of somebody else is left there, and said',
    given: { spec: { networks: NET }, status: WITH_PORT },
    seen: built([fact('p1', {}, foreign)]),
    steps: [],
    ready: 'PortTaken',
  },
  {
    reason: 'a port that is gone is made anew; the address is another, and that is said',
    given: { spec: { networks: NET }, status: WITH_PORT },
    seen: built([], { gone: ['p1'] }),
    steps: ['make a port: 10.0.0.1 is gone, the address becomes another'],
    ready: 'PortGone',
  },
  {
    reason: 'one of ours that is free is taken in its stead: a process was killed between making and telling',
    given: { spec: { networks: NET }, status: WITH_PORT },
    seen: built([fact('p2')], { gone: ['p1'] }),
    steps: ['make no new port: 10.0.0.1 is gone, the address becomes another'],
  },
  {
    reason: 'a list that began before a port was made says nothing of it',
    given: {
      spec: { networks: NET },
      status: { ...WITH_PORT, ports: [named('p1', { at: at(-0.5).toISOString() })] },
    },
    seen: built(),
    steps: [],
    ready: 'Running',
    listAfter: -0.499,
  },
  {
    reason: 'with management Observe that is shown only',
    given: { spec: { networks: NET, management: 'Observe' }, status: WITH_PORT },
    seen: built([fact('p1')]),
    steps: ['give port p1 to server s1'],
    ready: 'WouldChange',
  },
  {
    reason: 'a machine of before, with a port of the cloud, is left as it is',
    given: { spec: { networks: NET }, status: { ...BOUND, applied: APPLIED_NET } },
    seen: built(),
    steps: [],
    ready: 'Running',
  },
  {
    reason: 'a status that was lost finds its ports by their owner tag',
    given: { spec: { networks: NET }, status: { ...BOUND, applied: APPLIED_NET } },
    seen: built([fact('p1', {}, server())]),
    steps: ['note that it has the ports p1'],
  },
  {
    reason: 'a machine that was moved here keeps the ports that it was made with elsewhere',
    given: { spec: { networks: NET }, status: { ...BOUND, applied: APPLIED_NET } },
    seen: built([fact('p1', { owner: { installation: 'elsewhere', key: 'uid-there' } }, server())]),
    steps: ['note that it has the ports p1'],
  },
  {
    reason: 'other networks need another server; its ports stay until that is gone',
    given: { spec: { networks: [{ name: 'other' }], onChange: 'Replace' }, status: WITH_PORT },
    seen: built([fact('p1', {}, server())]),
    steps: [expect.stringMatching(/^delete server s1: to be replaced: networks changed/)],
    ready: 'Replacing',
  },
  // to be deleted
  {
    reason: 'the server goes before its ports',
    given: { ...DELETED, spec: { networks: NET }, status: WITH_PORT },
    seen: built([fact('p1', {}, server())]),
    steps: ['delete server s1: the resource is deleted'],
  },
  {
    reason: 'then its ports go, those that nobody named too, and then the finalizer',
    given: { ...DELETED, spec: { networks: NET }, status: WITH_PORT },
    seen: seen({ bound: { kind: 'gone' }, ports: view([fact('p1', {}, 'gone'), fact('p2')]) }),
    steps: ['delete ports p1, p2: the resource is deleted', expect.stringMatching(/^remove the finalizer/)],
  },
  {
    reason: 'a port on a server that is not its own stays',
    given: { ...DELETED, spec: { networks: NET }, status: WITH_PORT },
    seen: seen({ bound: { kind: 'gone' }, ports: view([fact('p1', {}, foreign)]) }),
    steps: [expect.stringMatching(/^remove the finalizer/)],
  },
  {
    reason: 'before a complete list it is not known which ports it has',
    given: { ...DELETED, spec: { networks: NET }, status: { ledger: CLOSED } },
    seen: seen({ ports: view([], { completeAt: undefined }) }),
    steps: [],
    ready: 'Observing',
    listAfter: Number.NEGATIVE_INFINITY,
  },
  {
    reason: 'a record that was held and never got as far as its ledger may have ports',
    given: { ...DELETED, spec: { networks: NET } },
    seen: seen({ askedByName: [], ports: view([fact('p3')]) }),
    steps: ['delete ports p3: the resource is deleted', expect.stringMatching(/^remove the finalizer/)],
  },
  {
    reason: 'a cloud without a network service has no ports to delete',
    given: { ...DELETED, spec: { networks: NET }, status: { ledger: CLOSED } },
    seen: seen({ ports: view([], LACKING) }),
    steps: [expect.stringMatching(/^remove the finalizer/)],
  },
  {
    reason: 'what is orphaned keeps its ports, and they are ours no more; those that no server has go',
    given: { ...DELETED, spec: { networks: NET, deletionPolicy: 'Orphan' }, status: WITH_PORT },
    seen: built([fact('p1', {}, server()), fact('p2')]),
    steps: [
      'take the owner tag off server s1 and leave it',
      'take the owner tag off ports p1 and leave them',
      'delete ports p2: no server has them',
      expect.stringMatching(/^remove the finalizer/),
    ],
  },
];

test.each(CASES)('$reason', ({ given, seen: observation, steps, ready, listAfter }) => {
  const made = plan(vm(given), observation, NOW);
  expect(made.steps.map(describeStep)).toEqual(steps);
  if (ready !== undefined) expect(made.conditions[0]).toMatchObject({ type: 'Ready', reason: ready });
  const after = made.wait?.portsAfter?.getTime();
  if (listAfter === undefined) expect(after).toBeUndefined();
  else expect(after).toBe(Math.max(0, at(0).getTime() + listAfter * 1000));
});

test('the attempt that this pass holds is sent with the ports that it was written with', () => {
  const given = vm({ spec: { networks: NET }, status: { ledger: LEDGER, ports: [named('p1')] } });
  const made = plan(given, declared([fact('p1')], { completeAt: at(-9) }, { held: LEDGER.token }), NOW);
  expect(made.steps).toEqual([{ kind: 'Create', name: 'web-1' }]);
});

describe('for any ports and any record', () => {
  const holder = fc.constantFrom<PortFact['holder']>(undefined, 'gone', 'unknown', foreign, server());
  const ids = ['p1', 'p2', 'p3', 'p4'];
  const scene = fc.record({
    networks: fc.array(fc.constantFrom('n1', 'n2'), { maxLength: 3 }),
    facts: fc
      .subarray(ids)
      .chain((some) =>
        fc.tuple(
          ...some.map((id) =>
            fc
              .record({ networkId: fc.constantFrom('n1', 'n2'), holder, age: fc.integer({ min: 0, max: 10 }) })
              .map((of) => fact(id, { networkId: of.networkId }, of.holder, at(-of.age))),
          ),
        ),
      ),
    named: fc.subarray(ids),
    completeAge: fc.option(fc.integer({ min: 0, max: 10 }), { nil: undefined }),
    bound: fc.boolean(),
    deleting: fc.boolean(),
    orphan: fc.boolean(),
    asked: fc.boolean(),
  });
  type Scene = typeof scene extends fc.Arbitrary<infer Value> ? Value : never;
  const planOf = (of: Scene) => {
    const ports = of.named.map((id) =>
      named(id, { network: of.facts.find(({ port }) => port.id === id)?.port.networkId ?? 'n1' }),
    );
    const given = vm({
      spec: {
        ...(of.networks.length > 0 ? { networks: of.networks.map((name) => ({ name })) } : {}),
        ...(of.orphan ? { deletionPolicy: 'Orphan' } : {}),
      },
      status: {
        ...(of.bound
          ? {
              ...BOUND,
              applied: {
                ...APPLIED,
                networks: of.networks.length > 0 ? JSON.stringify(of.networks.map((name) => ({ name }))) : '',
              },
            }
          : { ledger: CLOSED }),
        ...(ports.length > 0 ? { ports } : {}),
      },
      ...(of.deleting ? DELETED : {}),
    });
    const observation = seen({
      ...(of.bound ? present() : {}),
      resolved: { ...RESOLVED, networks: { kind: 'found', value: of.networks.length > 0 ? of.networks : undefined } },
      ports: view(of.facts, { completeAt: of.completeAge === undefined ? undefined : at(-of.completeAge) }),
      askedByName: of.asked ? [] : undefined,
    });
    return plan(given, observation, NOW);
  };

  test('nothing is taken from a server that is not the record’s own, and only what is free is attached', () => {
    fc.assert(
      fc.property(scene, (of) => {
        const on = (...servers: readonly unknown[]) =>
          of.facts.filter(({ holder: by }) => servers.includes(typeof by === 'object' ? by.id : by)).map(({ port }) => port.id);
        for (const step of planOf(of).steps) {
          if (step.kind === 'DeletePorts') for (const id of step.ids) expect(on('s7')).not.toContain(id);
          if (step.kind === 'AttachPort') expect(on('s1', 's7', 'unknown')).not.toContain(step.port);
        }
      }),
      { numRuns: 2000 },
    );
  });

  test('an attempt is written only with one port for each network, of which no server has one, by a list that is younger than the last', () => {
    fc.assert(
      fc.property(scene, (of) => {
        const [first] = planOf(of).steps;
        if (first?.kind !== 'RecordAttempt') return;
        const own = of.named.map((id) => of.facts.find(({ port }) => port.id === id));
        expect(own.map((one) => one?.port.networkId)).toEqual(of.networks);
        for (const one of own) expect([undefined, 'gone']).toContain(one?.holder);
        if (of.networks.length > 0) expect(of.completeAge).toBeLessThan(5);
      }),
      { numRuns: 2000 },
    );
  });
});
