import { afterAll, beforeAll, describe } from '@jest/globals';
import type { Store } from '../../src/store/store.js';
import { deletionContract } from './store-deletion.js';
import { useRoom } from './store-fixtures.js';
import { leaseContract } from './store-leases.js';
import { readingContract } from './store-reading.js';
import { watchContract } from './store-watching.js';
import { writingContract } from './store-writing.js';

/** A plane under test. It may hold other things already; the suite works in namespaces of its own and takes them away. */
export interface StoreSubject {
  readonly store: Store;
  /** Makes watches and continued lists from before now impossible. Absent for a plane that cannot be made to: not tested then. */
  forgetHistory?(): Promise<void>;
  close(): Promise<void>;
}

/** The comment of src/store/store.ts as tests: every plane passes them. `make` is called once. */
export function storeContract(name: string, make: () => Promise<StoreSubject>): void {
  describe(`${name} keeps the contract of a store:`, () => {
    let subject: StoreSubject | undefined;
    const get = (): StoreSubject => {
      if (!subject) throw new Error(`${name} could not be made`);
      return subject;
    };
    beforeAll(async () => {
      subject = await make();
    }, 120_000);
    afterAll(async () => subject?.close());

    const room = useRoom(get);
    writingContract(room);
    deletionContract(room);
    readingContract(room);
    watchContract(room);
    leaseContract(room);
  });
}
