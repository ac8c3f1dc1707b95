import { describe, expect, test } from '@jest/globals';
import { type Candidacy, elect } from '../../src/controllers/leases.js';
import { sleep } from '../../src/environment.js';
import { StoreError } from '../../src/store/errors.js';
import type { Lease } from '../../src/store/store.js';
import { FaultyStore, type StoreFaults } from '../support/faulty-store.js';
import { silentLog } from '../support/log.js';
import { MemoryStore } from '../support/memory-store.js';
import { VirtualEnvironment, VirtualProcess } from '../support/virtual-environment.js';

/** A world with one lease and those who run for it; never may two lead at once whose process is not frozen. */
function setUp(seed = 1) {
  const world = new VirtualEnvironment(seed, 0);
  const truth = new MemoryStore(world);
  const leaders = new Set<string>();
  /** `name gained@time` and `name lost@time`. */
  const history: string[] = [];
  const terms: Lease[] = [];
  let most = 0;
  const candidate = (name: string, faults: StoreFaults = {}, own: Partial<Candidacy> = {}) => {
    const process = new VirtualProcess(world);
    const stop = new AbortController();
    const candidacy: Candidacy = {
      leases: new FaultyStore(truth, process, faults).leases,
      name: 'dispatcher',
      holder: name,
      environment: process,
      log: silentLog,
      onStarted: async (signal, lease) => {
        leaders.add(name);
        most = Math.max(most, leaders.size);
        terms.push(lease);
        history.push(`${name} gained@${Math.round(world.milliseconds / 1000)}`);
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
        leaders.delete(name);
      },
      onStopped: () => history.push(`${name} lost@${Math.round(world.milliseconds / 1000)}`),
      ...own,
    };
    let ended: unknown;
    void elect(candidacy, stop.signal).then(
      () => {
        ended = 'well';
      },
      (error: unknown) => {
        ended = error;
      },
    );
    return { process, stop, ended: () => ended, candidacy };
  };
  return { world, truth, candidate, leaders, history, terms, most: () => most };
}

describe('elect', () => {
  test('one of two leads, and goes on leading; the other waits', async () => {
    const { world, candidate, history, most } = setUp();
    candidate('a');
    candidate('b');
    await world.run(undefined, 600_000);
    expect(history).toEqual(['a gained@0']);
    expect(most()).toBe(1);
  });

  test('who stops gives the lease up, and the other leads within an attempt, with a higher number', async () => {
    const { world, candidate, history, terms, most } = setUp();
    const a = candidate('a');
    candidate('b');
    await world.run(undefined, 100_000);
    a.stop.abort();
    await world.run(undefined, 4_000);
    expect(history.slice(0, 2)).toEqual(['a gained@0', 'a lost@100']);
    expect(history[2]).toMatch(/^b gained@10[0-4]$/);
    expect(a.ended()).toBe('well');
    expect(terms[1]?.transitions).toBeGreaterThan(terms[0]?.transitions ?? 0);
    expect(most()).toBe(1);
  });

  test('who is killed is followed when the lease expires, not before', async () => {
    const { world, candidate, history, leaders } = setUp();
    const a = candidate('a');
    candidate('b');
    await world.run(undefined, 100_000);
    a.process.kill();
    leaders.delete('a');
    await world.run(undefined, 11_000);
    expect(history).toEqual(['a gained@0']);
    await world.run(undefined, 9_000);
    expect(history[1]).toMatch(/^b gained@1(1[2-9]|20)$/);
  });

  test('who cannot renew stops leading before the lease expires, and leads again when the store is back', async () => {
    let down = false;
    const beforeWrite = () => {
      if (down) throw new StoreError('Unavailable', 'the store is down');
    };
    const { world, candidate, history, most } = setUp();
    candidate('a', { beforeWrite });
    await world.run(undefined, 99_000);
    down = true;
    await world.run(undefined, 60_000);
    down = false;
    await world.run(undefined, 10_000);
    expect(history[1]).toMatch(/^a lost@10[0-9]$/);
    expect(history[2]).toMatch(/^a gained@1(59|6[0-3])$/);
    expect(most()).toBe(1);
  });

  test('a renewal that is never answered does not make it lead too long', async () => {
    let hang = false;
    const { world, candidate, leaders, history, most } = setUp();
    candidate('a', { beforeWrite: () => (hang ? new Promise<void>(() => undefined) : undefined) });
    await world.run(undefined, 100_000);
    hang = true;
    candidate('b');
    await world.run(() => !leaders.has('a'), 15_000);
    expect(leaders).toEqual(new Set());
    await world.run(undefined, 30_000);
    expect(leaders).toEqual(new Set(['b']));
    expect(history.map((line) => line.split('@')[0])).toEqual(['a gained', 'a lost', 'b gained']);
    expect(most()).toBe(1);
  });

  test('one lost answer to a renewal changes nothing', async () => {
    let losses = 0;
    const afterWrite = () => {
      if (world.milliseconds > 50_000 && losses++ % 3 !== 2) throw new StoreError('Unavailable', 'the answer is lost');
    };
    const { world, candidate, history } = setUp();
    candidate('a', { afterWrite });
    candidate('b');
    await world.run(undefined, 300_000);
    expect(history).toEqual(['a gained@0']);
    expect(losses).toBeGreaterThan(10);
  });

  test('who was frozen past the lease notices when it thaws, and does not take it from the next', async () => {
    const { world, candidate, history, leaders } = setUp();
    const a = candidate('a');
    candidate('b');
    await world.run(undefined, 100_000);
    a.process.pause(60_000);
    leaders.delete('a');
    await world.run(undefined, 200_000);
    expect(history.map((line) => line.split('@')[0])).toEqual(['a gained', 'b gained', 'a lost']);
    expect(leaders).toEqual(new Set(['b']));
  });

  test('a lease that passed on and came back is a new term: its number is another', async () => {
    const { world, truth, candidate, history, terms } = setUp();
    candidate('a');
    await world.run(undefined, 10_000);
    await truth.leases.release('dispatcher', 'a');
    await truth.leases.acquire('dispatcher', 'intruder', 1000);
    await truth.leases.release('dispatcher', 'intruder');
    await world.run(undefined, 20_000);
    expect(history.map((line) => line.split('@')[0])).toEqual(['a gained', 'a lost', 'a gained']);
    expect(terms[1]?.transitions).toBeGreaterThan(terms[0]?.transitions ?? 0);
  });

  test('keeps the lease while it finishes what is in hand, longer than a lease lasts', async () => {
    const { world, candidate, history } = setUp();
    const own = {
      onStarted: async (signal: AbortSignal) => {
        await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
        await sleep(world, 40_000);
      },
    };
    const a = candidate('a', {}, own);
    await world.run(undefined, 10_000);
    candidate('b');
    a.stop.abort();
    await world.run(undefined, 60_000);
    expect(history[0]).toBe('a lost@50');
    expect(history[1]).toMatch(/^b gained@5[0-4]$/);
  });

  test('ends with what its work failed with, and gives the lease up', async () => {
    const { world, truth, candidate } = setUp();
    const failure = new Error('a bug');
    const a = candidate('a', {}, { onStarted: () => Promise.reject(failure) });
    await world.run(undefined, 1000);
    expect(a.ended()).toBe(failure);
    expect((await truth.leases.acquire('dispatcher', 'b', 1000)).holder).toBe('b');
    expect(world.pendingTimers).toBe(0);
  });

  test.each([
    { reason: 'a renewal too seldom to be late once', own: { durationMs: 9_000, renewMs: 4_000 } },
    { reason: 'a renewal without end', own: { renewMs: 0 } },
  ])('refuses $reason', async ({ own }) => {
    const { world, candidate } = setUp();
    const a = candidate('a', {}, own);
    await world.run(undefined, 1000);
    expect(a.ended()).toBeInstanceOf(RangeError);
  });

  test.each(Array.from({ length: 25 }, (_, index) => index))(
    'seed %i: three candidates with slow, failing and hanging stores: never two at once, and somebody in the end',
    async (seed) => {
      const { world, candidate, leaders, most, history } = setUp(seed);
      let calm = false;
      const trouble = async () => {
        if (calm) return;
        const chance = world.random();
        if (chance < 0.1) throw new StoreError('Unavailable', 'now and then');
        if (chance < 0.15) await new Promise(() => undefined);
        if (chance < 0.5) await sleep(world, world.below(4000));
      };
      for (const name of ['a', 'b', 'c']) candidate(name, { beforeWrite: trouble, afterWrite: trouble });
      await world.run(undefined, 900_000);
      expect(most()).toBe(1);
      calm = true;
      await world.run(undefined, 60_000);
      expect(leaders.size).toBe(1);
      expect(history.length).toBeGreaterThan(0);
    },
  );
});
