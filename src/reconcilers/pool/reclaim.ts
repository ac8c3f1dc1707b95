import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Records } from '../records.js';
import { LAST_USER_ANNOTATION, withoutPool } from './membership.js';
import type { Verdict } from './standing.js';

/** What becomes of a machine that is given back. */
export type ReleasePolicy = 'Delete' | 'Recycle' | 'Keep';

/** What is known of a machine that nobody has any more, though it bears a claim. */
export interface Returned {
  readonly verdict: Verdict;
  /** True if it was made from what its pool's template was before. */
  readonly outdated: boolean;
  /** False if nothing of the user can be on it: it was never handed out, or its server is another one by now. */
  readonly used: boolean;
}

/** How a machine goes back, or why it does not yet. */
export type Reclaim =
  | { readonly kind: 'Delete' | 'Recycle' | 'Keep' | 'Clear' }
  /** Nothing is done until cloud and inventory agree. */
  | { readonly kind: 'Hold'; readonly why: string };

/** What becomes of a machine whose claim has ended. Pure. Nothing is destroyed while cloud and inventory disagree. */
export function planReclaim(policy: ReleasePolicy, { verdict, outdated, used }: Returned): Reclaim {
  if (policy === 'Keep') return { kind: 'Keep' };
  if (verdict.kind === 'disputed') return { kind: 'Hold', why: verdict.why };
  if (verdict.kind === 'faulty') return { kind: 'Delete' };
  if (!used) return { kind: 'Clear' };
  return { kind: policy === 'Recycle' && outdated ? 'Delete' : policy };
}

/**
 * Gives a machine back. Each is one write, made only on the machine as it was last seen.
 * @param user who had it, or may have had it by the inventory; undefined if that is not known any more.
 * @throws StoreError Conflict if it has changed since.
 */
export async function reclaim(vm: VirtualMachine, { kind }: Reclaim, user: string | undefined, records: Records): Promise<void> {
  if (kind === 'Hold') return;
  if (kind === 'Delete') return records.delete(vm);
  const { claimRef: _ended, ...spec } = vm.spec;
  const { metadata } = vm;
  const annotations = { ...metadata.annotations, ...(user === undefined ? {} : { [LAST_USER_ANNOTATION]: user }) };
  const free = { ...vm, metadata: { ...metadata, annotations }, spec };
  if (kind === 'Keep') await records.update(withoutPool(free));
  if (kind === 'Clear') await records.update(free);
  if (kind === 'Recycle') await records.update({ ...free, spec: { ...spec, rebuilds: (spec.rebuilds ?? 0) + 1 } });
}
