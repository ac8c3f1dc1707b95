import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { resync } from '../../src/controllers/resync.js';
import { vmKey } from '../support/resources.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const INTERVAL = 60_000;

describe('resync', () => {
  test('every key comes once a round, spread over it; a round lasts the interval, or up to a tenth longer', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 3000 }), fc.nat(), async (count, seed) => {
        const world = new VirtualEnvironment(seed, 0);
        const keys = Array.from({ length: count }, (_, index) => vmKey(`vm-${index}`));
        const told: Array<{ name: string; at: number }> = [];
        const enqueue = ({ name }: { name: string }) => void told.push({ name, at: world.milliseconds });
        const stop = new AbortController();
        void resync({ keys: () => keys, enqueue, intervalMs: INTERVAL, environment: world }, stop.signal);
        await world.run(() => told.length >= 2 * count);
        const end = told[count - 1]?.at ?? 0;
        expect(told.slice(0, count).map(({ name }) => name)).toEqual(keys.map(({ name }) => name));
        expect(told.slice(count, 2 * count).map(({ name }) => name)).toEqual(keys.map(({ name }) => name));
        expect(end).toBeGreaterThanOrEqual(INTERVAL);
        expect(end).toBeLessThanOrEqual(INTERVAL * 1.1);
        // No tenth of a round holds much more than a tenth of the keys.
        for (let tenth = 0; tenth < 10; tenth++) {
          const within = told.slice(0, count).filter(({ at }) => at > (tenth * end) / 10 && at <= ((tenth + 1) * end) / 10);
          expect(within.length).toBeLessThanOrEqual(count / 10 + Math.ceil(count / 599) + 1);
        }
        stop.abort();
        await world.run();
        expect(world.pendingTimers).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  test('looks at what is there when a round begins; with nothing there it waits for the next', async () => {
    const world = new VirtualEnvironment(1, 0);
    let names: string[] = [];
    const told: string[] = [];
    const stop = new AbortController();
    const options = { keys: () => names.map(vmKey), enqueue: vmTold(told), intervalMs: INTERVAL, environment: world };
    const running = resync(options, stop.signal);
    await world.run(undefined, INTERVAL / 2);
    names = ['a'];
    await world.run(undefined, 2 * INTERVAL);
    expect(told).toEqual(['a']);
    stop.abort();
    await world.settle(running);
  });
});

function vmTold(told: string[]): (key: { name: string }) => void {
  return ({ name }) => void told.push(name);
}
