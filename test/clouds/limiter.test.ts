import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { CloudError } from '../../src/clouds/errors.js';
import { type Feedback, type Lane, Limiter, type Permit } from '../../src/clouds/limiter.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const fine: Feedback = { load: 'fine' };
const congested: Feedback = { load: 'congested' };

/** Enters, and notes who was let in when. */
function queue(limiter: Limiter, admitted: string[], name: string, lane: Lane): Promise<Permit> {
  return limiter.enter(lane).then((permit) => {
    admitted.push(name);
    return permit;
  });
}

describe('limiter', () => {
  it('never admits more than its rate and burst, nor has more in flight than its window, and admits all in the end', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer(),
        fc.record({ requestsPerSecond: fc.integer({ min: 1, max: 500 }), inFlight: fc.integer({ min: 1, max: 20 }) }),
        fc.array(
          fc.record({
            lane: fc.constantFrom<Lane>('change', 'read'),
            startMs: fc.nat(2_000),
            durationMs: fc.nat(800),
            load: fc.constantFrom<Feedback['load']>('fine', 'fine', 'congested', 'other'),
          }),
          { minLength: 1, maxLength: 60 },
        ),
        async (seed, limits, calls) => {
          const world = new VirtualEnvironment(seed);
          const limiter = new Limiter(world, limits);
          const times: number[] = [];
          let open = calls.length;
          for (const call of calls) {
            world.after(call.startMs, () => {
              void limiter.enter(call.lane).then((leave) => {
                times.push(world.milliseconds);
                expect(limiter.counters().inFlight).toBeLessThanOrEqual(limits.inFlight);
                world.after(call.durationMs, () => {
                  leave({ load: call.load });
                  open -= 1;
                });
              });
            });
          }
          expect(await world.run(() => open === 0, 3_600_000)).toBe(true);
          const burst = Math.max(1, limits.requestsPerSecond / 10);
          for (const [first, from] of times.entries()) {
            const within = (until: number) => burst + ((until - from) / 1000) * limits.requestsPerSecond + 1e-6;
            for (const [offset, until] of times.slice(first).entries()) expect(offset + 1).toBeLessThanOrEqual(within(until) + 1);
          }
          expect(limiter.counters()).toMatchObject({ inFlight: 0, waiting: 0, admitted: calls.length });
          expect(world.pendingTimers).toBe(0);
        },
      ),
      { numRuns: 100 },
    );
  });

  it('spends exactly the time that the rate allows on a long queue', async () => {
    const world = new VirtualEnvironment(1);
    const limiter = new Limiter(world, { requestsPerSecond: 100, inFlight: 50 });
    const began = world.milliseconds;
    await world.settle(Promise.all(Array.from({ length: 310 }, async () => (await limiter.enter('change'))(fine))));
    // The burst is a tenth of a second's: 10 at once, then 300 more.
    expect((world.milliseconds - began) / 1000).toBeCloseTo(3, 1);
  });

  it('halves the window once for calls that failed together, never below 1, and widens it by one a round of successes', async () => {
    const world = new VirtualEnvironment(1);
    const limiter = new Limiter(world, { requestsPerSecond: 1000, inFlight: 16 });
    const round = async (count: number, feedback: Feedback) => {
      const permits = await Promise.all(Array.from({ length: count }, () => limiter.enter('change')));
      await world.run(() => false, 10);
      for (const leave of permits) leave(feedback);
    };
    await round(16, congested);
    expect(limiter.counters()).toMatchObject({ window: 8, congested: 16 });
    await round(8, congested);
    await round(4, congested);
    await round(2, congested);
    await round(1, congested);
    await round(1, congested);
    expect(limiter.counters().window).toBe(1);
    for (let rounds = 0; rounds < 60; rounds += 1) await round(1, fine);
    expect(limiter.counters().window).toBeGreaterThan(5);
    expect(limiter.counters().window).toBeLessThan(16);
  });

  it('holds the whole account for as long as the cloud asked', async () => {
    const world = new VirtualEnvironment(1);
    const limiter = new Limiter(world, { requestsPerSecond: 1000, inFlight: 16 });
    (await limiter.enter('read'))({ load: 'congested', retryAfterMs: 7_000 });
    const admitted: string[] = [];
    void queue(limiter, admitted, 'change', 'change');
    void queue(limiter, admitted, 'read', 'read');
    await world.run(() => false, 6_999);
    expect(admitted).toEqual([]);
    await world.run(() => false, 2);
    expect(admitted).toEqual(['change', 'read']);
  });

  it('tells callers of a long pause instead of letting them wait, those in the queue too, and goes on after it', async () => {
    const world = new VirtualEnvironment(1);
    const limiter = new Limiter(world, { requestsPerSecond: 1000, inFlight: 1 });
    const leave = await limiter.enter('change');
    const waiting = limiter.enter('read');
    leave({ load: 'congested', retryAfterMs: 60_000 });
    await expect(waiting).rejects.toMatchObject({ code: 'RateLimited', retryAfterMs: 60_000 });
    await world.run(() => false, 20_000);
    await expect(limiter.enter('change')).rejects.toMatchObject({ code: 'RateLimited', retryAfterMs: 40_000 });
    await world.run(() => false, 40_000);
    (await world.settle(limiter.enter('change')))(fine);
  });

  it('asks again after 10 minutes, whatever pause a cloud asked for', async () => {
    const world = new VirtualEnvironment(1);
    const limiter = new Limiter(world, { requestsPerSecond: 1000, inFlight: 1 });
    (await limiter.enter('change'))({ load: 'congested', retryAfterMs: 1e12 });
    await world.run(() => false, 600_000);
    (await world.settle(limiter.enter('change')))(fine);
  });

  it('lets changes go before reads, and yet lets a read go now and then', async () => {
    const world = new VirtualEnvironment(1);
    const limiter = new Limiter(world, { requestsPerSecond: 10, inFlight: 4 });
    const admitted: string[] = [];
    (await limiter.enter('change'))(fine);
    const all = [
      ...Array.from({ length: 3 }, () => queue(limiter, admitted, 'read', 'read')),
      ...Array.from({ length: 20 }, () => queue(limiter, admitted, 'change', 'change')),
    ];
    for (const one of all) void one.then((leave) => leave(fine));
    await world.settle(Promise.all(all));
    expect(admitted.indexOf('read')).toBeGreaterThan(4);
    expect(admitted.slice(0, 10)).toContain('read');
    expect(admitted).toHaveLength(23);
  });

  it('keeps a slot that reads cannot take, so that a change goes at once while reads are in flight', async () => {
    const world = new VirtualEnvironment(1);
    const limiter = new Limiter(world, { requestsPerSecond: 1000, inFlight: 4 });
    const admitted: string[] = [];
    for (let i = 0; i < 6; i += 1) void queue(limiter, admitted, 'read', 'read');
    await world.run(() => false, 1_000);
    expect(admitted).toEqual(['read', 'read', 'read']);
    void queue(limiter, admitted, 'change', 'change');
    await world.run(() => false, 0);
    expect(admitted).toEqual(['read', 'read', 'read', 'change']);
  });

  it('lets reads go with a window of 1', async () => {
    const limiter = new Limiter(new VirtualEnvironment(1), { requestsPerSecond: 1000, inFlight: 1 });
    (await limiter.enter('read'))(fine);
    expect(limiter.counters().admitted).toBe(1);
  });

  it('stops waiting when the signal is aborted, and forgets who waited', async () => {
    const limiter = new Limiter(new VirtualEnvironment(1), { requestsPerSecond: 1000, inFlight: 1 });
    const leave = await limiter.enter('change');
    const stop = new AbortController();
    const waiting = limiter.enter('change', stop.signal);
    stop.abort();
    await expect(waiting).rejects.toThrow(CloudError);
    await expect(limiter.enter('change', stop.signal)).rejects.toMatchObject({ code: 'Unavailable' });
    expect(limiter.counters()).toMatchObject({ inFlight: 1, waiting: 0 });
    leave(fine);
    leave(fine);
    expect(limiter.counters()).toMatchObject({ inFlight: 0, admitted: 1 });
  });

  it('takes new limits over at once, for those who wait too', async () => {
    const world = new VirtualEnvironment(1);
    const limiter = new Limiter(world, { requestsPerSecond: 0.001, inFlight: 1 });
    const admitted: string[] = [];
    await queue(limiter, admitted, 'first', 'change');
    void queue(limiter, admitted, 'second', 'change');
    void queue(limiter, admitted, 'third', 'change');
    limiter.configure({ requestsPerSecond: 1000, inFlight: 2 });
    await world.run(() => false, 10);
    expect(admitted).toEqual(['first', 'second']);
    limiter.configure({ requestsPerSecond: 1000, inFlight: 3 });
    await world.run(() => false, 10);
    expect(admitted).toEqual(['first', 'second', 'third']);
    limiter.configure({ requestsPerSecond: 1000, inFlight: 1 });
    expect(limiter.counters()).toMatchObject({ window: 1, inFlight: 3 });
  });
});
