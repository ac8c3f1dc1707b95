import { storeContract } from '../../contract/store.js';
import { makeDatabase } from '../../support/postgres.js';

storeContract('PostgresStore', async () => {
  const database = await makeDatabase();
  const store = await database.open();
  let forgotten = 0;
  return {
    store,
    forgetHistory: async () => {
      // Only a deletion that is forgotten makes history end: one is made for it.
      const name = `forgotten-${++forgotten}`;
      await store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
      await store.delete({ kind: 'Namespace', namespace: '', name });
      await store.prune(new Date(Date.now() + 60_000));
    },
    close: () => database.drop(),
  };
});
