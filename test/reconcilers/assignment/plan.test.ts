import { expect, test } from '@jest/globals';
import type { Held, Observation } from '../../../src/reconcilers/assignment/observation.js';
import { plan } from '../../../src/reconcilers/assignment/plan.js';
import type { AssignmentSpec, AssignmentStatus } from '../../../src/resources/assignment.js';
import type { VirtualMachine } from '../../../src/resources/virtual-machine.js';
import { assignment, machine } from './fixtures.js';

const NOW = new Date('2026-01-02T00:00:00Z');
const hoursAgo = (hours: number) => new Date(NOW.getTime() - hours * 3_600_000).toISOString();

/** `web-1` with the claim of alice's assignment for an epoch. */
const claimed = (epoch: number, name = 'web-1'): VirtualMachine =>
  machine(name, { claimRef: { name: 'alice', uid: 'uid-alice', epoch } });

function held(vm: VirtualMachine, over: Partial<Held> = {}): Held {
  return {
    vm,
    claimed: vm.spec.claimRef?.uid === 'uid-alice',
    verdict: { kind: 'sound' },
    holder: { kind: 'none' },
    outdated: false,
    pooled: true,
    policy: 'Recycle',
    released: false,
    ...over,
  };
}

function seen(over: Partial<Observation> = {}): Observation {
  return {
    claims: [],
    bound: undefined,
    confirmed: true,
    served: undefined,
    obstacle: undefined,
    activeAt: undefined,
    soonest: undefined,
    withheld: undefined,
    ...over,
  };
}

const OWNED = { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'VirtualMachinePool', name: 'p', uid: 'p', controller: true };

/** Alice has web-1. */
const BOUND: AssignmentStatus = {
  virtualMachine: { name: 'web-1', uid: 'uid-web-1' },
  epoch: 1,
  id: 's-web-1',
  boundAt: hoursAgo(2),
  firstBoundAt: hoursAgo(2),
};
const withMachine = (over: Partial<Held> = {}, vm = claimed(1)): Partial<Observation> => ({
  claims: vm.spec.claimRef ? [held(vm, over)] : [],
  bound: held(vm, over),
});
const MOVED: AssignmentStatus = { ...BOUND, virtualMachine: { name: 'web-2', uid: 'uid-web-2' }, epoch: 2, id: 's-web-2' };
const offered = (name = 'web-2') => ({ kind: 'offered', vm: machine(name) }) as const;
const faulty = { kind: 'faulty', why: 'it is broken' } as const;
const disputed = { kind: 'disputed', why: 'the inventory calls it faulty, and the cloud does not' } as const;

interface Case {
  readonly reason: string;
  readonly spec?: Partial<AssignmentSpec>;
  readonly status?: AssignmentStatus;
  readonly meta?: { readonly finalizers?: string[]; readonly deletionTimestamp?: string };
  readonly seen: Observation;
  /** `Claim web-2`, `GiveBack web-1 Recycle`. */
  readonly steps: readonly string[];
  /** The reason of Ready. */
  readonly ready?: string;
  readonly conflict?: boolean;
}

const CASES: readonly Case[] = [
  // taking
  {
    reason: 'a machine in no pool is claimed after the finalizer: nobody else would take it back',
    meta: { finalizers: [] },
    seen: seen({ served: offered() }),
    steps: ['AddFinalizer', 'Claim web-2'],
    ready: 'Claiming',
  },
  {
    reason: 'one in a pool, along with the finalizer',
    meta: { finalizers: [] },
    seen: seen({ served: { kind: 'offered', vm: machine('web-2', {}, {}, { ownerReferences: [OWNED] }) } }),
    steps: ['Claim web-2'],
  },
  {
    reason: 'a claim that was made is taken up',
    seen: seen({ claims: [held(claimed(1))] }),
    steps: ['Bind web-1'],
    ready: 'Binding',
  },
  {
    reason: 'of two claims that were made at once neither is bound: the epoch is given up',
    seen: seen({ claims: [held(claimed(1)), held(claimed(1, 'web-2'))] }),
    steps: ['Skip'],
  },
  {
    reason: 'then both go back as they are: nobody can have bound them',
    status: { skipped: 1 },
    seen: seen({ claims: [held(claimed(1)), held(claimed(1, 'web-2'))] }),
    steps: ['GiveBack web-1 Clear', 'GiveBack web-2 Clear'],
  },
  {
    reason: 'and the next claim is for the next epoch',
    status: { skipped: 1 },
    seen: seen({ claims: [held(claimed(2))] }),
    steps: ['Bind web-1'],
  },
  {
    reason: 'a machine that broke between claim and binding goes back',
    seen: seen({ claims: [held(claimed(1), { verdict: faulty })] }),
    steps: ['Skip'],
  },
  {
    reason: 'where there is an inventory it is told before the machine is handed out',
    seen: seen({ claims: [held(claimed(1), { holder: { kind: 'nobody' } })] }),
    steps: ['TellAssigned web-1'],
  },
  {
    reason: 'and when it says that the user has it, the machine is handed out',
    seen: seen({ claims: [held(claimed(1), { holder: { kind: 'user', user: 'alice' } })] }),
    steps: ['Bind web-1'],
  },
  {
    reason: 'a machine that somebody else has by the inventory goes back',
    seen: seen({ claims: [held(claimed(1), { holder: { kind: 'user', user: 'bob' } })] }),
    steps: ['Skip'],
  },
  {
    reason: 'and is not destroyed, whatever was declared',
    status: { epoch: 2, virtualMachine: { name: 'web-2', uid: 'uid-web-2' }, id: 's-web-2' },
    seen: seen({
      claims: [held(claimed(1), { holder: { kind: 'user', user: 'bob' }, policy: 'Delete' }), held(claimed(2, 'web-2'))],
      bound: held(claimed(2, 'web-2')),
    }),
    steps: ['GiveBack web-1 Clear'],
  },
  {
    reason: 'while the inventory is silent nothing is handed out',
    seen: seen({ claims: [held(claimed(1), { holder: { kind: 'unknown', why: 'it does not answer' } })] }),
    steps: [],
    ready: 'InventoryUnknown',
  },
  {
    reason: 'without an offer it waits, and says what the inventory does not say of a machine that is ready',
    seen: seen({
      served: { kind: 'waits', place: 3 },
      withheld: { reason: 'InventoryUnknown', message: 'VirtualMachine web-1 is ready, but nobody knows it' },
    }),
    steps: [],
    ready: 'InventoryUnknown',
  },
  { reason: 'without an offer it waits', seen: seen({ served: { kind: 'waits', place: 3 } }), steps: [], ready: 'Waiting' },
  {
    reason: 'one that can never be served is told why',
    seen: seen({ obstacle: { reason: 'PoolNotFound', message: 'no pool' }, served: offered() }),
    steps: [],
    ready: 'PoolNotFound',
  },
  // having
  { reason: 'a machine that serves is kept', status: BOUND, seen: seen(withMachine()), steps: [], ready: 'Bound' },
  {
    reason: 'a status that was lost proves nothing against the server',
    status: BOUND,
    seen: seen(withMachine({}, { ...claimed(1), status: {} })),
    steps: [],
    ready: 'Bound',
  },
  {
    reason: 'another machine that was claimed for it, while its own seemed to fail, is given up',
    status: BOUND,
    seen: seen({ claims: [held(claimed(1)), held(claimed(2, 'web-2'))], bound: held(claimed(1)) }),
    steps: ['Skip'],
  },
  {
    reason: 'an inventory that forgot is told again',
    status: BOUND,
    seen: seen(withMachine({ holder: { kind: 'nobody' } })),
    steps: ['TellAssigned web-1'],
    ready: 'Bound',
  },
  {
    reason: 'an inventory that names another user is told of, and nothing is done',
    status: BOUND,
    seen: seen(withMachine({ holder: { kind: 'user', user: 'bob' } })),
    steps: [],
    ready: 'Bound',
    conflict: true,
  },
  // losing
  {
    reason: 'what looks lost is looked at in the store first: caches of two kinds are not of one time',
    status: BOUND,
    seen: seen({ ...withMachine({}, { ...claimed(1), status: { id: 's-new' } }), served: offered(), confirmed: false }),
    steps: ['Look web-1'],
  },
  {
    reason: 'a machine whose server is another one now is handed out no more',
    status: BOUND,
    seen: seen({ ...withMachine({}, { ...claimed(1), status: { id: 's-new' } }), served: offered() }),
    steps: ['Lose web-1'],
    ready: 'MachineLost',
  },
  {
    reason: 'then it goes back as it is: nothing of the user is on it',
    status: {
      epoch: 1,
      firstBoundAt: hoursAgo(2),
      move: { from: 'web-1', id: 's-web-1', at: hoursAgo(0), why: 'it was deleted' },
    },
    seen: seen({ claims: [held({ ...claimed(1), status: { id: 's-new' } })], served: offered() }),
    steps: ['GiveBack web-1 Clear'],
  },
  {
    reason: 'one whose claim somebody took away is lost too',
    status: BOUND,
    seen: seen({ bound: held(machine('web-1')), served: offered() }),
    steps: ['Lose web-1'],
    ready: 'MachineLost',
  },
  {
    reason: 'then another is claimed, for the next epoch',
    status: { epoch: 1, firstBoundAt: hoursAgo(2), move: { from: 'web-1', at: hoursAgo(0), why: 'it was deleted' } },
    seen: seen({ served: offered() }),
    steps: ['Claim web-2'],
  },
  {
    reason: 'and while there is none, the loss is what is told',
    status: { epoch: 1, firstBoundAt: hoursAgo(2), move: { from: 'web-1', at: hoursAgo(0), why: 'it was deleted' } },
    seen: seen({ served: { kind: 'waits', place: 1 } }),
    steps: [],
    ready: 'MachineLost',
  },
  {
    reason: 'a machine that may be faulty is kept until there is another',
    status: BOUND,
    seen: seen({ ...withMachine({ verdict: disputed }), served: { kind: 'waits', place: 1 } }),
    steps: [],
    ready: 'MachineFaulty',
    conflict: true,
  },
  {
    reason: 'one that is faulty beyond dispute makes room for another',
    status: BOUND,
    seen: seen({ ...withMachine({ verdict: faulty }), served: { kind: 'waits', place: 1 } }),
    steps: ['Lose web-1'],
    ready: 'MachineFaulty',
  },
  {
    reason: 'and is given up for one that is at hand',
    status: BOUND,
    seen: seen({ ...withMachine({ verdict: faulty }), served: offered() }),
    steps: ['Claim web-2'],
  },
  {
    reason: 'one that only one of the two calls faulty is given up too, and the disagreement told',
    status: BOUND,
    seen: seen({ ...withMachine({ verdict: disputed }), served: offered() }),
    steps: ['Claim web-2'],
    conflict: true,
  },
  {
    reason: 'with onFailure Hold nothing is done',
    spec: { onFailure: 'Hold' },
    status: BOUND,
    seen: seen({ ...withMachine({}, { ...claimed(1), status: { id: 's-new' } }), served: offered() }),
    steps: [],
    ready: 'MachineLost',
  },
  {
    reason: 'the machine before goes back as declared, once another is bound',
    status: MOVED,
    seen: seen({ claims: [held(claimed(1)), held(claimed(2, 'web-2'))], bound: held(claimed(2, 'web-2')) }),
    steps: ['GiveBack web-1 Recycle'],
  },
  {
    reason: 'but not while it is disputed whether it is faulty',
    status: MOVED,
    seen: seen({
      claims: [held(claimed(1), { verdict: disputed }), held(claimed(2, 'web-2'))],
      bound: held(claimed(2, 'web-2')),
    }),
    steps: [],
    ready: 'Bound',
    conflict: true,
  },
  {
    reason: 'and it is deleted when both agree, whatever the policy',
    status: MOVED,
    seen: seen({ claims: [held(claimed(1), { verdict: faulty }), held(claimed(2, 'web-2'))], bound: held(claimed(2, 'web-2')) }),
    steps: ['GiveBack web-1 Delete'],
  },
  // ending
  {
    reason: 'it ends when its ttl is over',
    spec: { ttl: '2h' },
    status: BOUND,
    seen: seen(withMachine()),
    steps: ['End'],
  },
  {
    reason: 'not a moment before',
    spec: { ttl: '2h1ms' },
    status: BOUND,
    seen: seen(withMachine()),
    steps: [],
    ready: 'Bound',
  },
  {
    reason: 'activity puts off an end by idleTimeout',
    spec: { idleTimeout: '1h' },
    status: BOUND,
    seen: seen({ ...withMachine(), activeAt: new Date(hoursAgo(0.5)) }),
    steps: [],
    ready: 'Bound',
  },
  {
    reason: 'one that has ended hands its machine out no more',
    status: { ...BOUND, ended: { at: hoursAgo(0), why: 'its ttl is over' } },
    seen: seen(withMachine()),
    steps: ['Lose web-1'],
    ready: 'Releasing',
  },
  {
    reason: 'then gives it back, and tells the inventory first',
    status: { epoch: 1, ended: { at: hoursAgo(0), why: 'its ttl is over' } },
    seen: seen(withMachine({ holder: { kind: 'user', user: 'alice' } })),
    steps: ['TellReleased web-1', 'GiveBack web-1 Recycle'],
    ready: 'Ended',
  },
  {
    reason: 'one that has ended takes nothing more',
    status: { epoch: 1, ended: { at: hoursAgo(0), why: 'its ttl is over' } },
    seen: seen({ served: offered() }),
    steps: [],
    ready: 'Ended',
  },
  {
    reason: 'one that is deleted hands its machine out no more',
    meta: { deletionTimestamp: hoursAgo(0) },
    status: BOUND,
    seen: seen(withMachine()),
    steps: ['Lose web-1'],
    ready: 'Releasing',
  },
  {
    reason: 'then gives it back',
    meta: { deletionTimestamp: hoursAgo(0) },
    status: { epoch: 1 },
    seen: seen(withMachine()),
    steps: ['GiveBack web-1 Recycle'],
    ready: 'Releasing',
  },
  {
    reason: 'a machine made from what the template was before is deleted in place of being rebuilt',
    meta: { deletionTimestamp: hoursAgo(0) },
    status: { epoch: 1 },
    seen: seen(withMachine({ outdated: true })),
    steps: ['GiveBack web-1 Delete'],
  },
  {
    reason: 'a claim that was never handed out goes back as it is',
    meta: { deletionTimestamp: hoursAgo(0) },
    seen: seen({ claims: [held(claimed(1))] }),
    steps: ['GiveBack web-1 Clear'],
  },
  {
    reason: 'a machine that nobody else would take care of holds the deletion while it is disputed',
    meta: { deletionTimestamp: hoursAgo(0) },
    status: { epoch: 1 },
    seen: seen(withMachine({ verdict: disputed, pooled: false, policy: 'Delete' })),
    steps: [],
    conflict: true,
  },
  {
    reason: 'one in a pool is left to the pool',
    meta: { deletionTimestamp: hoursAgo(0) },
    status: { epoch: 1 },
    seen: seen(withMachine({ verdict: disputed })),
    steps: ['RemoveFinalizer'],
    conflict: true,
  },
  {
    reason: 'a machine that is on its way out is not waited for',
    meta: { deletionTimestamp: hoursAgo(0) },
    status: { epoch: 1 },
    seen: seen({ claims: [held({ ...claimed(1), metadata: { ...claimed(1).metadata, deletionTimestamp: hoursAgo(0) } })] }),
    steps: ['RemoveFinalizer'],
  },
  {
    reason: 'without a machine it goes at once',
    meta: { deletionTimestamp: hoursAgo(0) },
    seen: seen(),
    steps: ['RemoveFinalizer'],
  },
];

test.each(CASES)('$reason', ({ spec = {}, status = {}, meta = {}, seen: observation, steps, ready, conflict = false }) => {
  const made = plan(assignment('alice', spec, status, meta), observation, NOW);
  expect(
    made.steps.map((step) =>
      [step.kind, 'vm' in step ? step.vm.metadata.name : 'name' in step ? step.name : '', 'how' in step ? step.how.kind : '']
        .join(' ')
        .trim(),
    ),
  ).toEqual(steps);
  if (ready !== undefined) expect(made.conditions.find(({ type }) => type === 'Ready')?.reason).toBe(ready);
  expect(made.conditions.some(({ type }) => type === 'ObservationsConflict')).toBe(conflict);
});
