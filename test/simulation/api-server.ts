import { keyOf, type Resource, type ResourceKey } from '../../src/resources/metadata.js';
import { isStoreError, StoreError } from '../../src/store/errors.js';
import type { Draft } from '../../src/store/store.js';
import type { StoreFaults, WriteOperation } from '../support/faulty-store.js';
import { MemoryStore } from '../support/memory-store.js';
import type { VirtualEnvironment } from '../support/virtual-environment.js';

/** What others write into a status: nothing that is the controller's memory, such as the id, the ledger, or when it was built. */
const FOREIGN: ReadonlyArray<(time: string) => Readonly<Record<string, unknown>>> = [
  (time) => ({ conditions: [condition('Backup', 'True', time)] }),
  (time) => ({ conditions: [condition('Ready', 'Unknown', time), condition('Stalled', 'True', time)] }),
  () => ({ state: 'WRONG', addresses: [{ network: 'theirs', address: '192.0.2.1', type: 'Fixed' }] }),
  () => ({ plan: [{ step: 'Dance', detail: 'on the table' }], observedGeneration: 0 }),
  (time) => ({ observedAt: time, image: { id: 'theirs' }, flavor: { id: 'theirs' } }),
];

/**
 * A store that behaves like a Kubernetes API: what watches tell comes late, but in order; they break off, and are resumed where
 * they were, or refused with 410 once the history is compacted; others write into the same records, so that versions conflict;
 * what a deleted owner leaves is collected later; and the server says at times that it is too busy.
 */
export class ApiServer {
  readonly store: MemoryStore;

  /** @param stormy whether things go wrong now; what is part of every day goes on. */
  constructor(
    private readonly world: VirtualEnvironment,
    private readonly stormy: () => boolean,
  ) {
    this.store = new MemoryStore(world, 100, (act) => void world.after(world.below(stormy() ? 20_000 : 1_000), act));
  }

  /** Begins to trouble those who watch, for so long. */
  begin(stormMs: number): void {
    const { world, store } = this;
    const sometimes = (most: number, act: () => void) => {
      for (let count = world.below(most + 1); count > 0; count -= 1) world.after(world.below(stormMs), act);
    };
    const kind = () => ['Cloud', 'VirtualMachine', 'Secret', 'KeyPair', undefined][world.below(5)];
    sometimes(8, () => store.breakWatches(kind()));
    sometimes(3, () => {
      store.forgetHistory();
      store.breakWatches(kind());
    });
    sometimes(10, () => store.bookmark());
    sometimes(6, () => void this.#report());
  }

  /** What a process of the controller suffers, beside what it suffers on every plane. */
  faults(): Pick<StoreFaults, 'delayEvent' | 'keepsOrder'> {
    const most = this.world.random() < 0.5 ? 300 : 6_000;
    return { keepsOrder: true, delayEvent: () => this.world.below(this.stormy() ? most : 50) };
  }

  /** Comes before a write: somebody else may be quicker. @throws StoreError Unavailable if the server is too busy. */
  async beforeWrite(operation: WriteOperation, key: ResourceKey): Promise<void> {
    if (!this.stormy()) return;
    const chance = this.world.random();
    if (chance < 0.02) throw new StoreError('Unavailable', 'too many requests', { retryAfterMs: 1_000 });
    if (chance > 0.08 || (operation !== 'update' && operation !== 'updateStatus')) return;
    await this.#change(key, (resource) => {
      const annotations = { ...resource.metadata.annotations, 'example.org/touched': String(this.world.milliseconds) };
      return this.store.update({ ...resource, metadata: { ...resource.metadata, annotations } });
    });
  }

  /** Another writer than the controller reports on a machine. */
  async #report(): Promise<void> {
    const machines = this.store.everything('VirtualMachine');
    const machine = machines[this.world.below(machines.length)];
    const fields = FOREIGN[this.world.below(FOREIGN.length)]?.(this.world.now().toISOString());
    if (!machine) return;
    const status = typeof machine.status === 'object' ? machine.status : {};
    await this.#change(keyOf(machine), (resource) => this.store.updateStatus({ ...resource, status: { ...status, ...fields } }));
  }

  async #change(key: ResourceKey, write: (resource: Resource) => Promise<Draft>): Promise<void> {
    const resource = await this.store.get(key);
    if (!resource) return;
    await write(resource).catch((error: unknown) => {
      if (!isStoreError(error)) throw error;
    });
  }
}

function condition(type: string, status: string, lastTransitionTime: string) {
  return { type, status, lastTransitionTime, reason: 'SomebodySaidSo', message: 'not by the controller' };
}
