import { expect, test } from '@jest/globals';
import type { Resource } from '../../src/resources/metadata.js';
import type { Draft, Store } from '../../src/store/store.js';
import { liveThrough } from './live.js';
import { World } from './world.js';

/** SEEDS=200 runs fewer. */
const SEEDS = Number(process.env.SEEDS ?? 2000);

liveThrough('from seed %i on: one server for one record, nothing unowned, all as declared in the end, and at rest', World, SEEDS);

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
