import { hasFinalizer, withFinalizer, withoutFinalizer } from '../../controllers/finalizer.js';
import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { ResourceKey } from '../../resources/metadata.js';
import type { Records } from '../records.js';

/** Kept on a Secret while a Cloud logs in with it: without it, that Cloud's servers could not be deleted any more. */
const FINALIZER = 'dispatcher.dev/in-use';

/** Holds Secrets that Clouds log in with, and lets them go when none does. */
export class SecretReconciler implements Reconciler {
  readonly kind = 'Secret';

  constructor(private readonly tools: { readonly records: Records }) {}

  async reconcile(key: ResourceKey): Promise<Outcome> {
    const { records } = this.tools;
    const secret = records.get(key);
    if (!secret) return { kind: 'settled' };
    const held = hasFinalizer(secret, FINALIZER);
    const used = records.cloudsWithCredentials(key.namespace, key.name).length > 0;
    if (held === used || (used && secret.metadata.deletionTimestamp)) return { kind: 'settled' };
    await records.update(used ? withFinalizer(secret, FINALIZER) : withoutFinalizer(secret, FINALIZER));
    return { kind: 'settled' };
  }
}
