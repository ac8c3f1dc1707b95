import { describe, expect, test } from '@jest/globals';
import { type Lane, type QueueOptions, WorkQueue } from '../../src/controllers/queue.js';
import { systemEnvironment } from '../../src/environment.js';
import type { ResourceKey } from '../../src/resources/metadata.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const key = (name: string): ResourceKey => ({ kind: 'VirtualMachine', namespace: 'default', name });

function setUp(options: QueueOptions = {}) {
  const world = new VirtualEnvironment(1, 0);
  const queue = new WorkQueue(world, options);
  const forever = new AbortController().signal;
  /** All that is ready now, in order, given back at once. */
  const drain = async (): Promise<string[]> => {
    const taken: string[] = [];
    while (queue.depth.change + queue.depth.resync > 0) {
      const work = await queue.take(forever);
      if (!work) break;
      taken.push(work.key.name);
      queue.done(work);
    }
    return taken;
  };
  return { world, queue, forever, drain };
}

describe('WorkQueue', () => {
  test('hands out first come, first served, each key once however often it is added', async () => {
    const { queue, drain } = setUp();
    for (const name of ['a', 'b', 'a', 'c', 'b']) queue.add(key(name));
    expect(queue.depth).toEqual({ change: 3, resync: 0 });
    expect(await drain()).toEqual(['a', 'b', 'c']);
  });

  test('a key that is added while it is in hand comes again after it is given back, not before', async () => {
    const { queue, forever, drain } = setUp();
    queue.add(key('a'));
    const work = await queue.take(forever);
    queue.add(key('a'));
    queue.add(key('a'));
    expect(queue.depth).toEqual({ change: 0, resync: 0 });
    expect(queue.inHand).toEqual([key('a')]);
    if (work) queue.done(work);
    expect(await drain()).toEqual(['a']);
    expect(queue.inHand).toEqual([]);
  });

  test('keys of different kinds and namespaces with one name are different keys', async () => {
    const { queue, drain } = setUp();
    queue.add(key('a'));
    queue.add({ ...key('a'), namespace: 'other' });
    queue.add({ ...key('a'), kind: 'Cloud' });
    expect(await drain()).toHaveLength(3);
  });

  test('a change goes before all resyncs; a resync that is added as a change is lifted out', async () => {
    const { queue, drain } = setUp();
    for (const name of ['r1', 'r2', 'r3']) queue.add(key(name), 'resync');
    queue.add(key('c1'));
    queue.add(key('r3'), 'change');
    expect(queue.depth).toEqual({ change: 2, resync: 2 });
    expect(await drain()).toEqual(['c1', 'r3', 'r1', 'r2']);
  });

  test('a change that is added as a resync stays a change', async () => {
    const { queue, drain } = setUp();
    queue.add(key('r'), 'resync');
    queue.add(key('c'));
    queue.add(key('c'), 'resync');
    expect(await drain()).toEqual(['c', 'r']);
  });

  test('resyncs do not starve: one take in so many is theirs', async () => {
    const { queue, forever } = setUp({ resyncEvery: 4 });
    for (let index = 0; index < 3; index++) queue.add(key(`r${index}`), 'resync');
    const lanes: Lane[] = [];
    for (let index = 0; index < 12; index++) {
      queue.add(key(`c${index}`));
      const work = await queue.take(forever);
      if (!work) break;
      lanes.push(work.lane);
      queue.done(work);
    }
    const change: Lane[] = ['change', 'change', 'change'];
    expect(lanes).toEqual([...change, 'resync', ...change, 'resync', ...change, 'resync']);
  });

  test.each<{ reason: string; ms: number[]; now?: number; expected: number[] }>([
    { reason: 'a delayed key comes when its time has come', ms: [500], expected: [500] },
    { reason: 'of several delays the soonest stands', ms: [500, 200, 900], expected: [200] },
    { reason: 'an immediate add cancels the delay', ms: [500], now: 100, expected: [100] },
    { reason: 'a delay may be longer than a timer of the system can be', ms: [100 * 86_400_000], expected: [100 * 86_400_000] },
    { reason: 'a delay of nothing is an immediate add', ms: [0], expected: [0] },
  ])('$reason', async ({ ms, now, expected }) => {
    const { world, queue, forever } = setUp();
    const seen: number[] = [];
    const worker = async () => {
      for (let work = await queue.take(forever); work; work = await queue.take(forever)) {
        seen.push(world.milliseconds);
        queue.done(work);
      }
    };
    void worker();
    for (const each of ms) queue.addAfter(key('a'), each);
    if (now !== undefined) world.after(now, () => queue.add(key('a')));
    await world.run();
    expect(seen).toEqual(expected);
    expect(world.pendingTimers).toBe(0);
  });

  test('a delay asked for while the key is in hand counts, unless it is wished for at once', async () => {
    const { world, queue, forever, drain } = setUp();
    queue.add(key('a'));
    const first = await queue.take(forever);
    queue.addAfter(key('a'), 300);
    await world.run(undefined, 100);
    if (first) queue.done(first);
    expect(await drain()).toEqual([]);
    await world.run(() => queue.depth.change > 0);
    expect(world.milliseconds).toBe(300);
    const second = await queue.take(forever);
    queue.addAfter(key('a'), 300);
    queue.add(key('a'), 'resync');
    if (second) queue.done(second);
    expect(queue.depth).toEqual({ change: 0, resync: 1 });
  });

  test('sets no timer that the system cannot keep', () => {
    const asked: number[] = [];
    const after = (ms: number) => {
      asked.push(ms);
      return () => undefined;
    };
    const queue = new WorkQueue({ ...systemEnvironment, after });
    queue.addAfter(key('a'), 100 * 86_400_000);
    queue.addAfter(key('b'), Number.POSITIVE_INFINITY);
    for (const ms of asked) expect(ms).toBeLessThan(2 ** 31);
    expect(asked).toHaveLength(2);
    expect(() => queue.addAfter(key('c'), Number.NaN)).toThrow(RangeError);
  });

  test('failures of a key make it wait longer each time, until they are forgotten', async () => {
    const { queue } = setUp({ backoff: { baseMs: 10, capMs: 100, jitter: 0 } });
    expect([1, 2, 3, 4, 5, 6].map(() => queue.retry(key('a')))).toEqual([10, 20, 40, 80, 100, 100]);
    expect(queue.retry(key('b'))).toBe(10);
    expect(queue.failures(key('a'))).toBe(6);
    queue.forget(key('a'));
    expect(queue.failures(key('a'))).toBe(0);
    expect(queue.retry(key('a'))).toBe(10);
    expect([1, 2, 3].map(() => queue.retry(key('c'), 'change', 1))).toEqual([0, 10, 20]);
  });

  test('tells how long the oldest ready key has waited', async () => {
    const { world, queue, drain } = setUp();
    expect(queue.oldestAgeMs).toBe(0);
    queue.add(key('a'), 'resync');
    await world.run(undefined, 700);
    queue.add(key('b'));
    await world.run(undefined, 300);
    expect(queue.oldestAgeMs).toBe(1000);
    queue.add(key('a'));
    expect(queue.oldestAgeMs).toBe(1000);
    await drain();
    expect(queue.oldestAgeMs).toBe(0);
  });

  test('who waits is woken by an add, by its signal, and by the end of the queue', async () => {
    const { world, queue, forever } = setUp();
    const stop = new AbortController();
    const answers: string[] = [];
    const wait = async (name: string, signal: AbortSignal) => {
      const work = await queue.take(signal);
      answers.push(`${name} ${work?.key.name}`);
    };
    void wait('first', forever);
    void wait('second', stop.signal);
    void wait('third', forever);
    queue.add(key('a'));
    await world.run();
    stop.abort();
    await world.run();
    queue.shutDown();
    await world.run();
    expect(answers).toEqual(['first a', 'second undefined', 'third undefined']);
    expect(await queue.take(forever)).toBeUndefined();
  });

  test('a key whose taker was told to stop at the same moment goes to the next', async () => {
    const { world, queue, forever } = setUp();
    const stop = new AbortController();
    const first = queue.take(stop.signal);
    const second = queue.take(forever);
    queue.add(key('a'));
    stop.abort();
    expect(await first).toBeUndefined();
    expect((await world.settle(second))?.key).toEqual(key('a'));
  });

  test('after its end it takes no adds and keeps no timers', async () => {
    const { world, queue, forever } = setUp();
    queue.add(key('a'));
    queue.addAfter(key('b'), 1000);
    const work = await queue.take(forever);
    queue.add(key('a'));
    queue.shutDown();
    queue.add(key('c'));
    if (work) queue.done(work);
    expect(world.pendingTimers).toBe(0);
    expect(queue.depth.resync).toBe(0);
    expect(queue.inHand).toEqual([]);
  });
});
