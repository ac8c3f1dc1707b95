import { expect, test } from '@jest/globals';
import { z } from 'zod';
import type { Resource } from '../../src/resources/metadata.js';
import type { Draft, Store } from '../../src/store/store.js';
import { StockWorld } from './stock-world.js';
import { World, type WorldOptions } from './world.js';

/** SEEDS=200 runs fewer; SEED=4711 replays one; PLANE=kubernetes (or postgres) puts all on that plane, in place of one in three. */
const SEEDS = Number(process.env.SEEDS ?? 2000);
const ONE = process.env.SEED === undefined ? undefined : Number(process.env.SEED);
const PLANE = z.enum(['kubernetes', 'postgres']).optional().parse(process.env.PLANE);
const BATCH = 50;

const batches = ONE === undefined ? Array.from({ length: Math.ceil(SEEDS / BATCH) }, (_, index) => index * BATCH + 1) : [ONE];

test.each(batches)(
  'from seed %i on: one server for one record, nothing unowned, all as declared in the end, and at rest',
  (first) => live(World, first),
  600_000,
);

test.each(batches)(
  'pools, from seed %i on: a machine is one user’s, and clean; nobody who could have one waits in the end; never more than maxSize',
  (first) => live(StockWorld, first),
  600_000,
);

async function live(Kind: new (seed: number, options?: WorldOptions) => World, first: number): Promise<void> {
  const count = ONE === undefined ? Math.min(BATCH, SEEDS - first + 1) : 1;
  for (let seed = first; seed < first + count; seed += 1) {
    const problems = await new Kind(seed, PLANE && { plane: PLANE }).run();
    const replay = `${PLANE ? `PLANE=${PLANE} ` : ''}SEED=${seed} npm run test:simulation`;
    expect({ seed, problems, replay }).toEqual({
      seed,
      problems: [],
      replay: expect.any(String),
    });
  }
}

test.each(['postgres', 'kubernetes'] as const)(
  'a ledger that is never kept is caught: %s',
  async (plane) => {
    let caught = 0;
    for (let seed = 1; seed <= 60; seed += 1) {
      const problems = await new World(seed, { plane, breakStore: (store) => new ForgetfulStore(store) }).run();
      if (problems.some((problem) => problem.includes('two servers for record'))) caught += 1;
    }
    expect(caught).toBeGreaterThan(0);
  },
  600_000,
);

/** Loses the ledger on its way into the store, and lets nobody notice. */
class ForgetfulStore implements Store {
  readonly leases;
  constructor(private readonly store: Store) {
    this.leases = store.leases;
  }
  get: Store['get'] = (...rest) => this.store.get(...rest);
  list: Store['list'] = (...rest) => this.store.list(...rest);
  create: Store['create'] = (...rest) => this.store.create(...rest);
  update: Store['update'] = (...rest) => this.store.update(...rest);
  delete: Store['delete'] = (...rest) => this.store.delete(...rest);
  watch: Store['watch'] = (...rest) => this.store.watch(...rest);
  async updateStatus(draft: Draft): Promise<Resource> {
    const { status } = draft;
    if (typeof status !== 'object' || status === null || !('ledger' in status)) return this.store.updateStatus(draft);
    const { ledger, ...kept } = status;
    const written = await this.store.updateStatus({ ...draft, status: kept });
    return { ...written, status: { ...kept, ledger } };
  }
}
