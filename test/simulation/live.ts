import { expect, test } from '@jest/globals';
import { z } from 'zod';
import type { World, WorldOptions } from './world.js';

/** SEED=4711 replays one; PLANE=kubernetes (or postgres) puts all on that plane, in place of one in three. */
const ONE = process.env.SEED === undefined ? undefined : Number(process.env.SEED);
const PLANE = z.enum(['kubernetes', 'postgres']).optional().parse(process.env.PLANE);
const BATCH = 50;

/**
 * Tests that nothing goes wrong in worlds of a kind, one for each seed.
 * @param name what is promised; `%i` stands for the first seed of a batch.
 */
export function liveThrough(name: string, Kind: new (seed: number, options?: WorldOptions) => World, seeds: number): void {
  const batches = ONE === undefined ? Array.from({ length: Math.ceil(seeds / BATCH) }, (_, index) => index * BATCH + 1) : [ONE];
  test.each(batches)(
    name,
    async (first) => {
      const count = ONE === undefined ? Math.min(BATCH, seeds - first + 1) : 1;
      for (let seed = first; seed < first + count; seed += 1) {
        const problems = await new Kind(seed, PLANE && { plane: PLANE }).run();
        const replay = `${PLANE ? `PLANE=${PLANE} ` : ''}SEED=${seed} npm run test:simulation`;
        expect({ seed, problems, replay }).toEqual({ seed, problems: [], replay: expect.any(String) });
      }
    },
    600_000,
  );
}
