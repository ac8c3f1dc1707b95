import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type FreeMachine, mayTake, serve, type Waiting } from '../../../src/reconcilers/assignment/queue.js';
import type { AssignmentSpec } from '../../../src/resources/assignment.js';
import { assignment, machine } from './fixtures.js';

const free = (
  name: string,
  pool?: string,
  more: { labels?: Record<string, string>; outdated?: boolean; builtAt?: string } = {},
): FreeMachine => ({
  vm: machine(name, {}, { builtAt: more.builtAt ?? '2026-01-01T00:00:00Z' }, { labels: more.labels ?? {} }),
  pool,
  outdated: more.outdated ?? false,
});
let made = 0;
/** One that is younger than those before, if nothing else is said. */
const wants = (
  name: string,
  pools: readonly string[] | undefined,
  spec: Partial<AssignmentSpec> = {},
  at = `00:00:${String(made++ % 60).padStart(2, '0')}`,
): Waiting => ({
  assignment: assignment(name, spec, {}, { creationTimestamp: `2026-01-01T${at}Z` }),
  pools: pools && new Set(pools),
});

const since = (name: string, at: string | undefined): Waiting => ({
  assignment: assignment(name, {}, at === undefined ? {} : { waitingSince: `2026-01-01T${at}Z` }),
  pools: new Set(['p']),
});

/** `alice: web-1`, `bob: 2nd`, `carol: 1st, quota of lab`. */
function told(waiting: readonly Waiting[], machines: readonly FreeMachine[], room: Record<string, number> = {}): string[] {
  const served = serve(waiting, machines, new Map(Object.entries(room)));
  return waiting.map(({ assignment: { metadata } }) => {
    const what = served.get(metadata.uid);
    if (what?.kind === 'offered') return `${metadata.name}: ${what.vm.metadata.name}`;
    return `${metadata.name}: ${what?.place}${what?.quota === undefined ? '' : `, quota of ${what.quota}`}`;
  });
}

test.each([
  {
    reason: 'the oldest is served first',
    waiting: [wants('young', ['p'], {}, '00:00:02'), wants('old', ['p'], {}, '00:00:01')],
    machines: [free('a', 'p')],
    told: ['young: 1', 'old: a'],
  },
  {
    reason: 'of those of one second, the one that has waited for longest; who has just come, last',
    waiting: [since('third', undefined), since('second', '00:00:00.200'), since('first', '00:00:00.100')],
    machines: [free('a', 'p')],
    told: ['third: 2', 'second: 1', 'first: a'],
  },
  {
    reason: 'priority goes before age',
    waiting: [wants('old', ['p'], {}, '00:00:01'), wants('urgent', ['p'], { priority: 1 }, '00:00:02')],
    machines: [free('a', 'p')],
    told: ['old: 1', 'urgent: a'],
  },
  {
    reason: 'who waits for other machines holds nobody back, and has a place of its own',
    waiting: [wants('here', ['p']), wants('there', ['q']), wants('also-there', ['q'])],
    machines: [free('a', 'q')],
    told: ['here: 1', 'there: a', 'also-there: 1'],
  },
  {
    reason: 'who may take from two pools stands in the longer of the two queues',
    waiting: [wants('one', ['p']), wants('two', ['p']), wants('either', ['p', 'q'])],
    machines: [],
    told: ['one: 1', 'two: 2', 'either: 3'],
  },
  {
    reason: 'a machine that is named is given to who names it, if it is free',
    waiting: [
      wants('it', undefined, { virtualMachineRef: { name: 'b' } }),
      wants('gone', undefined, { virtualMachineRef: { name: 'c' } }),
    ],
    machines: [free('a', 'p'), free('b')],
    told: ['it: b', 'gone: 1'],
  },
  {
    reason: 'a selector takes machines with all its labels, in a pool or not',
    waiting: [wants('one', undefined, { selector: { matchLabels: { app: 'x', tier: 'y' } } })],
    machines: [free('a', 'p', { labels: { app: 'x' } }), free('b', 'p', { labels: { app: 'x', tier: 'y', other: 'z' } })],
    told: ['one: b'],
  },
  {
    reason: 'a machine in no pool is nobody’s who asks for an application',
    waiting: [wants('one', ['p'])],
    machines: [free('a')],
    told: ['one: 1'],
  },
  {
    reason: 'of several machines the one that has run longest is given, and outdated ones last',
    waiting: [wants('one', ['p']), wants('two', ['p']), wants('three', ['p'])],
    machines: [
      free('old-template', 'p', { outdated: true, builtAt: '2026-01-01T00:00:00Z' }),
      free('newer', 'p', { builtAt: '2026-01-01T00:00:02Z' }),
      free('older', 'p', { builtAt: '2026-01-01T00:00:01Z' }),
    ],
    told: ['one: older', 'two: newer', 'three: old-template'],
  },
  {
    reason: 'no more are given than the Cloud allows, and those that only this keeps waiting are told so',
    waiting: [wants('one', ['p']), wants('two', ['p'])],
    machines: [free('a', 'p'), free('b', 'p')],
    room: { lab: 1 },
    told: ['one: a', 'two: 1, quota of lab'],
  },
])('$reason', ({ waiting, machines, room, told: expected }) => {
  expect(told(waiting, machines, room ?? {})).toEqual(expected);
});

const POOLS = ['p', 'q', 'r'];
const machines = fc
  .array(fc.record({ pool: fc.constantFrom(...POOLS), outdated: fc.boolean() }), { maxLength: 8 })
  .map((all) => all.map(({ pool, outdated }, index) => free(`m-${index}`, pool, { outdated })));
const queue = fc
  .array(
    fc.record({ pools: fc.subarray(POOLS), priority: fc.integer({ min: -1, max: 1 }), second: fc.integer({ min: 0, max: 3 }) }),
    {
      maxLength: 10,
    },
  )
  .map((all) => all.map(({ pools, priority, second }, index) => wants(`w-${index}`, pools, { priority }, `00:00:0${second}`)));

test('nobody is offered what another is offered, or may not take; nobody is passed over by who came later; the order of asking means nothing', () => {
  fc.assert(
    fc.property(queue, machines, fc.option(fc.integer({ min: 0, max: 4 })), (waiting, stock, limit) => {
      const room = new Map(limit === null ? [] : [['lab', limit]]);
      const served = serve(waiting, stock, room);
      const given = waiting.flatMap((one) => {
        const what = served.get(one.assignment.metadata.uid);
        return what?.kind === 'offered' ? [{ one, vm: what.vm }] : [];
      });
      expect(new Set(given.map(({ vm }) => vm.metadata.name)).size).toBe(given.length);
      if (limit !== null) expect(given.length).toBeLessThanOrEqual(limit);
      const machineOf = (name: string) => stock.find(({ vm }) => vm.metadata.name === name);
      for (const { one, vm } of given) expect(mayTake(one, machineOf(vm.metadata.name) ?? free('none'))).toBe(true);
      const turn = ({ assignment: { spec, metadata } }: Waiting) => [
        -(spec.priority ?? 0),
        Date.parse(metadata.creationTimestamp),
      ];
      for (const one of waiting.filter(({ assignment: { metadata } }) => served.get(metadata.uid)?.kind === 'waits')) {
        const [priority = 0, age = 0] = turn(one);
        const later = given.filter(({ one: other }) => {
          const [p = 0, a = 0] = turn(other);
          return p > priority || (p === priority && a > age);
        });
        // What somebody behind in the queue was given is nothing that this one could have had.
        for (const { vm } of later) expect(mayTake(one, machineOf(vm.metadata.name) ?? free('none'))).toBe(false);
      }
      // Whoever asks, knowing of things in another order, is told the same.
      expect(serve(waiting.toReversed(), stock.toReversed(), room)).toEqual(served);
      const unused = stock.filter(({ vm }) => !given.some((each) => each.vm === vm));
      const hungry = waiting.filter(({ assignment: { metadata } }) => served.get(metadata.uid)?.kind === 'waits');
      if (limit === null) for (const one of hungry) expect(unused.some((each) => mayTake(one, each))).toBe(false);
    }),
    { numRuns: 300 },
  );
});
