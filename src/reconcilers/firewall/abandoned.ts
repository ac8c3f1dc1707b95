import type { SecurityGroup } from '../../clouds/network-driver.js';
import { cloudSpecSchema } from '../../resources/cloud.js';
import { policyOf } from '../cloud/orphans.js';

/**
 * Security groups that bear our owner tag while no rule of any Cloud is about them: a store was restored, or lost for a while. Each goes
 * only when it has been so for the Cloud's grace period, as orphaned servers do; one that a rule is about again is forgotten.
 */
export class Abandoned {
  #since = new Map<string, Date>();

  /** Takes in all that are so now. */
  see(groups: readonly SecurityGroup[], now: Date): void {
    this.#since = new Map(groups.map(({ id }) => [id, this.#since.get(id) ?? now]));
  }

  /**
   * When one may go; undefined: never.
   * @param cloudSpec the Cloud's spec, as a store holds it.
   */
  ripeAt(id: string, cloudSpec: unknown): Date | undefined {
    const since = this.#since.get(id);
    const spec = cloudSpecSchema.safeParse(cloudSpec);
    if (!since || !spec.success) return undefined;
    const { policy, graceMs } = policyOf(spec.data);
    return policy === 'Report' ? undefined : new Date(since.getTime() + graceMs);
  }
}
