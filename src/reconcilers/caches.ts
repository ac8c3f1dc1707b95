import type { Logger } from 'pino';
import { Cache } from '../controllers/cache.js';
import type { Environment } from '../environment.js';
import type { Store } from '../store/store.js';
import { type CachedKind, INDEXES } from './records.js';

interface CacheTools {
  readonly store: Store;
  readonly environment: Environment;
  readonly log: Logger;
}

/** The caches of all kinds that reconcilers read, with the indexes that {@link Records} asks by. */
export function makeCaches({ store, environment, log }: CacheTools): Readonly<Record<CachedKind, Cache>> {
  const cache = (kind: string) => new Cache({ store, kind, environment, log });
  const caches = {
    Secret: cache('Secret'),
    Cloud: cache('Cloud'),
    VirtualMachine: cache('VirtualMachine'),
    VirtualMachinePool: cache('VirtualMachinePool'),
    VirtualMachineAssignment: cache('VirtualMachineAssignment'),
    Recipe: cache('Recipe'),
    FirewallRule: cache('FirewallRule'),
    Volume: cache('Volume'),
    KeyPair: cache('KeyPair'),
  };
  caches.VirtualMachine.index('boundServer', INDEXES.boundServer);
  caches.VirtualMachine.index('uid', INDEXES.uid);
  caches.VirtualMachine.index('formerOwner', INDEXES.formerOwner);
  caches.VirtualMachine.index('cloud', INDEXES.cloud);
  caches.VirtualMachine.index('userDataSecret', INDEXES.userDataSecret);
  caches.VirtualMachine.index('keyName', INDEXES.keyName);
  caches.VirtualMachine.index('pool', INDEXES.pool);
  caches.VirtualMachine.index('claim', INDEXES.claim);
  caches.VirtualMachine.index('namespace', INDEXES.namespace);
  caches.VirtualMachinePool.index('cloud', INDEXES.cloud);
  caches.VirtualMachinePool.index('recipe', INDEXES.recipe);
  caches.VirtualMachinePool.index('namespace', INDEXES.namespace);
  caches.VirtualMachineAssignment.index('namespace', INDEXES.namespace);
  for (const kind of ['FirewallRule', 'Volume'] as const) {
    caches[kind].index('cloud', INDEXES.cloud);
    caches[kind].index('uid', INDEXES.uid);
    caches[kind].index('namespace', INDEXES.namespace);
  }
  caches.Volume.index('boundServer', INDEXES.boundServer);
  caches.Volume.index('attachTo', INDEXES.attachTo);
  caches.Volume.index('attachedServer', INDEXES.attachedServer);
  caches.KeyPair.index('cloud', INDEXES.cloud);
  caches.Cloud.index('credentials', INDEXES.credentials);
  return caches;
}
