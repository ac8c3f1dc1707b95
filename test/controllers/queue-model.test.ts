import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type Lane, type Work, WorkQueue } from '../../src/controllers/queue.js';
import type { ResourceKey } from '../../src/resources/metadata.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const RESYNC_EVERY = 3;
const key = (name: string): ResourceKey => ({ kind: 'VirtualMachine', namespace: 'default', name });

/** What a queue is meant to be, as plainly as it can be said. */
class Model {
  /** The one wish for each key that stands: ready ones have due 0. */
  readonly wishes = new Map<string, { due: number; lane: Lane; order: number }>();
  readonly inHand = new Set<string>();
  changesInARow = 0;
  order = 0;

  wish(name: string, due: number, lane: Lane): void {
    const known = this.wishes.get(name);
    if (known && (known.due < due || (known.due === due && !(lane === 'change' && known.lane === 'resync')))) return;
    this.wishes.set(name, { due, lane, order: this.order++ });
  }

  /** Lets time come: what is due becomes ready, in the order of its time. */
  ripen(now: number): void {
    const ripe = [...this.wishes].filter(([name, { due }]) => !this.inHand.has(name) && due > 0 && due <= now);
    for (const [name, wish] of ripe.sort(([, a], [, b]) => a.due - b.due || a.order - b.order)) {
      this.wishes.set(name, { due: 0, lane: wish.lane, order: this.order++ });
    }
  }

  ready(lane: Lane): string[] {
    const found = [...this.wishes].filter(([name, wish]) => !this.inHand.has(name) && wish.due === 0 && wish.lane === lane);
    return found.sort(([, a], [, b]) => a.order - b.order).map(([name]) => name);
  }

  take(): { name: string; lane: Lane } | undefined {
    const lanes: Lane[] = this.changesInARow >= RESYNC_EVERY - 1 ? ['resync', 'change'] : ['change', 'resync'];
    for (const lane of lanes) {
      const [name] = this.ready(lane);
      if (name === undefined) continue;
      this.changesInARow = lane === 'change' ? this.changesInARow + 1 : 0;
      this.wishes.delete(name);
      this.inHand.add(name);
      return { name, lane };
    }
    return undefined;
  }

  done(name: string, now: number): void {
    this.inHand.delete(name);
    const wish = this.wishes.get(name);
    if (wish) this.wishes.set(name, { ...wish, due: wish.due <= now ? 0 : wish.due, order: this.order++ });
  }
}

interface Real {
  readonly world: VirtualEnvironment;
  readonly queue: WorkQueue;
  readonly hands: Map<string, Work>;
}

type Command = fc.AsyncCommand<Model, Real>;

function compare(model: Model, { queue }: Real): void {
  expect(queue.depth).toEqual({ change: model.ready('change').length, resync: model.ready('resync').length });
  expect(new Set(queue.inHand.map(({ name }) => name))).toEqual(model.inHand);
}

const add = (name: string, ms: number, lane: Lane): Command => ({
  check: () => true,
  run: async (model, real) => {
    model.wish(name, ms === 0 ? 0 : real.world.milliseconds + ms, lane);
    if (ms === 0) real.queue.add(key(name), lane);
    else real.queue.addAfter(key(name), ms, lane);
    compare(model, real);
  },
  toString: () => `add(${name}, ${ms}, ${lane})`,
});

const take = (): Command => ({
  check: (model) => model.ready('change').length + model.ready('resync').length > 0,
  run: async (model, real) => {
    const expected = model.take();
    const work = await real.queue.take(new AbortController().signal);
    expect({ name: work?.key.name, lane: work?.lane }).toEqual(expected);
    if (work) real.hands.set(work.key.name, work);
    compare(model, real);
  },
  toString: () => 'take',
});

const done = (name: string): Command => ({
  check: (model) => model.inHand.has(name),
  run: async (model, real) => {
    model.done(name, real.world.milliseconds);
    const work = real.hands.get(name);
    if (work) real.queue.done(work);
    compare(model, real);
  },
  toString: () => `done(${name})`,
});

const pass = (ms: number): Command => ({
  check: () => true,
  run: async (model, real) => {
    await real.world.run(undefined, ms);
    model.ripen(real.world.milliseconds);
    compare(model, real);
  },
  toString: () => `pass(${ms})`,
});

test('a queue does what its model does, whatever is asked of it, and loses nothing', async () => {
  const name = fc.constantFrom('a', 'b', 'c', 'd', 'e');
  const lane = fc.constantFrom<Lane>('change', 'resync');
  const commands = [
    fc.tuple(name, fc.constantFrom(0, 0, 10, 20, 50), lane).map((parts) => add(...parts)),
    fc.constant(take()),
    name.map(done),
    fc.constantFrom(5, 10, 30).map(pass),
  ];
  await fc.assert(
    fc.asyncProperty(fc.commands(commands, { maxCommands: 80 }), async (run) => {
      const world = new VirtualEnvironment(1, 1000);
      const real: Real = { world, queue: new WorkQueue(world, { resyncEvery: RESYNC_EVERY }), hands: new Map() };
      const model = new Model();
      await fc.asyncModelRun(() => ({ model, real }), run);
      // What still stands comes, sooner or later: nothing that was added is lost.
      for (const each of [...model.inHand]) await done(each).run(model, real);
      await pass(100).run(model, real);
      while (take().check(model)) {
        await take().run(model, real);
        for (const each of [...model.inHand]) await done(each).run(model, real);
      }
      expect(model.wishes.size).toBe(0);
      expect(real.queue.depth).toEqual({ change: 0, resync: 0 });
      expect(world.pendingTimers).toBe(0);
    }),
    { numRuns: 500 },
  );
});
