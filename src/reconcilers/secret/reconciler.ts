import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { ResourceKey } from '../../resources/metadata.js';
import type { Store } from '../../store/store.js';
import type { Records } from '../records.js';

/** Kept on a Secret while a Cloud logs in with it: without it, that Cloud's servers could not be deleted any more. */
const FINALIZER = 'dispatcher.dev/in-use';

/** Holds Secrets that Clouds log in with, and lets them go when none does. */
export class SecretReconciler implements Reconciler {
  readonly kind = 'Secret';

  constructor(private readonly tools: { readonly store: Store; readonly records: Records }) {}

  async reconcile(key: ResourceKey): Promise<Outcome> {
    const { store, records } = this.tools;
    const secret = records.get(key);
    if (!secret) return { kind: 'settled' };
    const finalizers = secret.metadata.finalizers ?? [];
    const held = finalizers.includes(FINALIZER);
    const used = records.cloudsWithCredentials(key.namespace, key.name).length > 0;
    if (held === used || (used && secret.metadata.deletionTimestamp)) return { kind: 'settled' };
    const others = finalizers.filter((one) => one !== FINALIZER);
    records.written(
      await store.update({ ...secret, metadata: { ...secret.metadata, finalizers: used ? [...others, FINALIZER] : others } }),
    );
    return { kind: 'settled' };
  }
}
