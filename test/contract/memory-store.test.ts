import { systemEnvironment } from '../../src/environment.js';
import { MemoryStore } from '../support/memory-store.js';
import { storeContract } from './store.js';

storeContract('MemoryStore', async () => {
  const store = new MemoryStore(systemEnvironment);
  return {
    store,
    forgetHistory: async () => store.forgetHistory(),
    close: async () => store.dropWatches(),
  };
});

storeContract('MemoryStore that collects later', async () => {
  const store = new MemoryStore(systemEnvironment, 10_000, (act) => void systemEnvironment.after(20, act));
  return {
    store,
    forgetHistory: async () => store.forgetHistory(),
    close: async () => store.dropWatches(),
  };
});
