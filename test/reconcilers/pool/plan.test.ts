import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Member, type PoolObservation, type PoolStep, plan } from '../../../src/reconcilers/pool/plan.js';
import type { Standing } from '../../../src/reconcilers/pool/standing.js';
import type { Pool, PoolSpec } from '../../../src/resources/pool.js';

const POOL: Pool = {
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'VirtualMachinePool',
  metadata: {
    name: 'p',
    namespace: 'default',
    uid: 'pool',
    resourceVersion: '1',
    generation: 1,
    creationTimestamp: '2026-01-01T00:00:00Z',
    finalizers: ['dispatcher.dev/pool'],
  },
  spec: { cloudRef: { name: 'lab' }, recipeRef: { name: 'r' }, replicas: 2, maxSize: 6 },
};

interface Given {
  readonly slot: number;
  readonly standing: Standing;
  readonly stopped?: boolean;
  readonly outdated?: boolean;
  readonly built?: boolean;
  readonly abandoned?: boolean;
  readonly disputed?: boolean;
  readonly age?: number;
}

function member({
  slot,
  standing,
  stopped = false,
  outdated = false,
  abandoned = false,
  disputed = false,
  ...rest
}: Given): Member {
  const { built = standing !== 'Coming', age = slot } = rest;
  const why = 'it is broken';
  return {
    vm: {
      apiVersion: POOL.apiVersion,
      kind: 'VirtualMachine',
      metadata: {
        name: `p-${slot}`,
        namespace: 'default',
        uid: `uid-${slot}`,
        resourceVersion: '1',
        generation: 1,
        creationTimestamp: new Date(Date.UTC(2026, 0, 1, 0, age)).toISOString(),
      },
      spec: {
        cloudRef: { name: 'lab' },
        image: 'i',
        flavor: 'f',
        ...(stopped ? { powerState: 'Stopped' as const } : {}),
        ...(standing === 'Claimed' ? { claimRef: { name: 'a', uid: 'a', epoch: 1 } } : {}),
      },
      status: built ? { builtAt: '2026-01-01T00:00:00Z' } : {},
    },
    standing,
    verdict: disputed ? { kind: 'disputed', why } : standing === 'Faulty' ? { kind: 'faulty', why } : { kind: 'sound' },
    outdated,
    abandoned,
    young: false,
    user: undefined,
  };
}

function seen(given: readonly Given[], over: Partial<PoolObservation> = {}): PoolObservation {
  const members = given.map(member);
  const names = new Set(members.map(({ vm }) => vm.metadata.name));
  return { wanted: 2, members, unreadable: [], isTaken: (name) => names.has(name), problem: undefined, ...over };
}

function told(step: PoolStep): string {
  switch (step.kind) {
    case 'Create':
      return `create ${step.name}${step.powerState === 'Stopped' ? ' stopped' : ''}`;
    case 'Delete':
      return `${step.reason} ${step.vm.metadata.name}`;
    case 'SetPower':
      return `${step.vm.metadata.name} ${step.to}`;
    case 'GiveBack':
      return `${step.how.kind} ${step.vm.metadata.name}`;
    default:
      return step.kind;
  }
}

const withSpec = (over: Partial<PoolSpec>): Pool => ({ ...POOL, spec: { ...POOL.spec, ...over } });
const all = (standing: Standing, ...slots: number[]): Given[] => slots.map((slot) => ({ slot, standing }));
const old = (standing: Standing, ...slots: number[]): Given[] => slots.map((slot) => ({ slot, standing, outdated: true }));
const stopped = (standing: Standing, ...slots: number[]): Given[] => slots.map((slot) => ({ slot, standing, stopped: true }));

describe('what is done for a pool', () => {
  const cases: [string, Partial<PoolSpec>, Given[], string[]][] = [
    ['an empty one is filled', {}, [], ['create p-0', 'create p-1']],
    ['a full one is left alone', {}, all('Free', 0, 1), []],
    ['what is on its way counts', {}, [...all('Free', 0), ...all('Coming', 1)], []],
    ['what is assigned does not count', {}, [...all('Claimed', 0), ...all('Free', 1)], ['create p-2']],
    ['the lowest free name is taken', {}, [...all('Free', 2), ...all('Going', 0)], ['create p-1']],
    ['what is on its way out takes its room until it is gone', { maxSize: 3 }, [...all('Going', 0, 1), ...all('Free', 2)], []],
    [
      'a faulty one goes, and another is made beside it',
      {},
      [...all('Faulty', 0), ...all('Free', 1)],
      ['DeletedFaulty p-0', 'create p-2'],
    ],
    [
      'a disputed one stays, and another is made',
      {},
      [{ slot: 0, standing: 'Faulty', disputed: true }, ...all('Free', 1)],
      ['create p-2'],
    ],
    ['too many: those on their way go first', {}, [...all('Free', 0, 1), ...all('Coming', 2)], ['ScaledDown p-2']],
    ['too many: the newest goes first', {}, all('Free', 0, 1, 2), ['ScaledDown p-2']],
    [
      'too many: the oldest goes first where the pool says so',
      { scaleDownOrder: 'Oldest' },
      all('Free', 0, 1, 2),
      ['ScaledDown p-0'],
    ],
    ['too many: an outdated one goes before the newest', {}, [...old('Free', 0), ...all('Free', 1, 2)], ['ScaledDown p-0']],
    [
      'short of free ones: a stopped one is started, and another made',
      { standby: 1 },
      [...all('Free', 0), ...stopped('Standby', 1)],
      ['p-1 Running', 'create p-2 stopped'],
    ],
    ['short of stopped ones: a new one is made that is to be stopped', { standby: 1 }, all('Free', 0, 1), ['create p-2 stopped']],
    ['too many that run and too few stopped: one is stopped', { standby: 1 }, all('Free', 0, 1, 2), ['p-2 Stopped']],
    ['too many stopped ones: one goes', {}, [...all('Free', 0, 1), ...stopped('Standby', 2)], ['ScaledDown p-2']],
    [
      'free ones come before stopped ones where there is no room for both',
      { standby: 2, maxSize: 3 },
      all('Claimed', 0),
      ['create p-1', 'create p-2'],
    ],
    [
      'maxSize made smaller takes from the free ones, never from the assigned',
      { maxSize: 3 },
      [...all('Claimed', 0, 1), ...all('Free', 2, 3)],
      ['ScaledDown p-3'],
    ],
    ['outdated ones go within the budget', {}, old('Free', 0, 1), ['DeletedOutdated p-1']],
    ['outdated ones wait while one is missing already', {}, [...old('Free', 0), ...all('Coming', 1)], []],
    [
      'an outdated one that was never built goes at once',
      {},
      [...old('Free', 0), ...old('Coming', 1)],
      ['DeletedOutdated p-1', 'create p-2'],
    ],
    ['an outdated assigned one is left alone', {}, [...old('Claimed', 0), ...all('Free', 1, 2)], []],
    ['with none to spare a new one is made first', { maxUnavailable: 0 }, old('Free', 0, 1), ['create p-2']],
    ['and then an old one goes', { maxUnavailable: 0 }, [...old('Free', 0, 1), ...all('Free', 2)], ['DeletedOutdated p-1']],
    [
      'outdated ones that nobody can judge do not go all at once',
      {},
      old('Coming', 0, 1).map((one) => ({ ...one, built: true })),
      ['DeletedOutdated p-1'],
    ],
    [
      'what nobody has any more is given back',
      {},
      [{ slot: 0, standing: 'Claimed', abandoned: true }, ...all('Free', 1, 2)],
      ['Delete p-0'],
    ],
    [
      'and is rebuilt where the pool says so',
      { reclaim: 'Recycle' },
      [{ slot: 0, standing: 'Claimed', abandoned: true }, ...all('Free', 1, 2)],
      ['Recycle p-0'],
    ],
    [
      'but goes if it is outdated',
      { reclaim: 'Recycle' },
      [{ slot: 0, standing: 'Claimed', abandoned: true, outdated: true }, ...all('Free', 1, 2)],
      ['Delete p-0'],
    ],
    [
      'and waits while it is disputed',
      {},
      [{ slot: 0, standing: 'Claimed', abandoned: true, disputed: true }, ...all('Free', 1, 2)],
      ['Hold p-0'],
    ],
    ['a paused one is left alone', { paused: true }, all('Faulty', 0), []],
  ];
  test.each(cases)('%s', (_sentence, spec, given, steps) => {
    expect(plan(withSpec(spec), seen(given)).steps.map(told)).toEqual(steps);
  });

  test('nothing is made or rolled while it is not known from what, and nothing is lost', () => {
    const problem = { reason: 'ReferenceNotFound', message: 'there is no Recipe r' };
    const { steps, conditions } = plan(POOL, seen(all('Free', 0), { problem }));
    expect(steps).toEqual([]);
    expect(conditions).toContainEqual({ type: 'Stalled', status: 'True', ...problem });
  });

  test('a machine whose spec cannot be read takes room and is left alone', () => {
    const { steps, counts } = plan(withSpec({ maxSize: 2 }), seen(all('Free', 0), { unreadable: ['p-1'] }));
    expect(steps).toEqual([]);
    expect(counts).toMatchObject({ faulty: 1, total: 2 });
  });
});

const standings: readonly Standing[] = ['Going', 'Claimed', 'Faulty', 'Free', 'Standby', 'Coming'];
const anyGiven = fc.record({
  standing: fc.constantFrom(...standings),
  outdated: fc.boolean(),
  built: fc.boolean(),
  disputed: fc.boolean(),
  stopped: fc.boolean(),
  age: fc.nat(5),
});
const anyMembers = fc.array(anyGiven, { maxLength: 12 }).map((list) =>
  list.map((one, slot): Given => {
    const ready = one.standing === 'Free' || one.standing === 'Standby';
    return {
      ...one,
      slot,
      stopped: one.standing === 'Standby' || (one.standing === 'Coming' && one.stopped),
      built: ready || one.built,
      disputed: one.standing === 'Faulty' && one.disputed,
    };
  }),
);
const anySpec = fc.record({
  maxSize: fc.integer({ min: 1, max: 14 }),
  standby: fc.nat(4),
  maxUnavailable: fc.nat(3),
  scaleDownOrder: fc.constantFrom('Newest' as const, 'Oldest' as const),
});

describe('whatever a pool holds', () => {
  test('it never comes to more than maxSize, touches none that is claimed, and does one thing at most with each', () => {
    fc.assert(
      fc.property(anyMembers, anySpec, fc.nat(10), (given, spec, wanted) => {
        const observation = seen(given, { wanted });
        const { steps } = plan(withSpec(spec), observation);
        const made = steps.filter(({ kind }) => kind === 'Create').length;
        expect(made === 0 || given.length + made <= spec.maxSize).toBe(true);
        const touched = steps.flatMap((step) => ('vm' in step ? [step.vm] : []));
        expect(touched.filter(({ spec }) => spec.claimRef)).toEqual([]);
        expect(new Set(touched.map(({ metadata }) => metadata.name)).size).toBe(touched.length);
      }),
    );
  });

  test('no fewer are free than the budget allows by what a rollout takes', () => {
    fc.assert(
      fc.property(anyMembers, anySpec, fc.nat(10), (given, spec, wanted) => {
        const { steps } = plan(withSpec(spec), seen(given, { wanted }));
        const rolled = new Set(
          steps.flatMap((step) => (step.kind === 'Delete' && step.reason === 'DeletedOutdated' ? [step.vm.metadata.name] : [])),
        );
        const free = given.filter(({ standing }) => standing === 'Free');
        const taken = free.filter(({ slot }) => rolled.has(`p-${slot}`)).length;
        const kept = given.filter(
          ({ standing, disputed }) => standing === 'Claimed' || (standing === 'Faulty' && disputed),
        ).length;
        const floor = Math.max(0, Math.min(wanted, spec.maxSize - kept) - spec.maxUnavailable);
        expect(taken === 0 || free.length - taken >= floor).toBe(true);
      }),
    );
  });

  test('it comes to rest with what is wanted, as far as there is room, and nothing outdated', () => {
    fc.assert(
      fc.property(anyMembers, anySpec, fc.nat(10), (given, spec, wanted) => {
        const pool = withSpec(spec);
        let now: Given[] = given;
        let quiet = 0;
        for (let turn = 0; turn < 200 && quiet < 2; turn += 1) {
          const { steps } = plan(pool, seen(now, { wanted }));
          quiet =
            steps.length === 0 && now.every(({ standing }) => standing !== 'Going' && standing !== 'Coming') ? quiet + 1 : 0;
          now = live(now, steps);
        }
        expect(quiet).toBe(2);
        const kept = now.filter(({ standing }) => standing === 'Claimed' || standing === 'Faulty').length;
        const capacity = Math.max(0, spec.maxSize - kept);
        const count = (standing: Standing) => now.filter((one) => one.standing === standing).length;
        expect(count('Free')).toBe(Math.min(wanted, capacity));
        const held = spec.maxUnavailable === 0 && capacity <= wanted;
        expect(held || now.every((one) => one.standing === 'Claimed' || one.standing === 'Faulty' || !one.outdated)).toBe(true);
        if (!held) expect(count('Standby')).toBe(Math.min(spec.standby, capacity - count('Free')));
      }),
      { numRuns: 300 },
    );
  });
});

/** A while goes by: what was asked for is done, what was on its way has come, what was on its way out is gone. */
function live(before: readonly Given[], steps: readonly PoolStep[]): Given[] {
  const gone = new Set(steps.flatMap((step) => (step.kind === 'Delete' ? [step.vm.metadata.name] : [])));
  const power = new Map(steps.flatMap((step) => (step.kind === 'SetPower' ? [[step.vm.metadata.name, step.to] as const] : [])));
  const after = before
    .filter(({ standing }) => standing !== 'Going')
    .map((one): Given => {
      const name = `p-${one.slot}`;
      if (gone.has(name)) return { ...one, standing: 'Going' };
      const to = power.get(name);
      if (to) return { ...one, standing: 'Coming', stopped: to === 'Stopped' };
      if (one.standing === 'Coming') return { ...one, built: true, standing: one.stopped ? 'Standby' : 'Free' };
      return one;
    });
  const made = steps.flatMap((step): Given[] =>
    step.kind === 'Create'
      ? [{ slot: Number(step.name.slice(2)), standing: 'Coming', stopped: step.powerState === 'Stopped', built: false }]
      : [],
  );
  return [...after, ...made];
}
