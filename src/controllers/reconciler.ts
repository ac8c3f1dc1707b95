import type { ResourceKey } from '../resources/metadata.js';

/**
 * Moves one resource one plan closer to what it declares. Level-based: gets a key and reads the present; how often and why
 * it is called carries no meaning. One key is never reconciled twice at once in one process; several processes may.
 */
export interface Reconciler {
  /** The kind whose keys it takes. */
  readonly kind: string;
  /**
   * MUST be safe to be killed between any two instructions. MUST NOT swallow a failure: it is thrown, and the engine's one
   * retry policy (retry.ts) decides by it.
   * @param signal aborted when the process drains: no new effect after that; the one in hand is finished.
   */
  reconcile(key: ResourceKey, signal: AbortSignal): Promise<Outcome>;
}

/** What is left to do. `settled`: nothing until something changes. `waiting`: look again then, or when something changes. */
export type Outcome =
  | { readonly kind: 'settled' }
  | { readonly kind: 'waiting'; readonly on: string; readonly recheckAfterMs?: number };

/**
 * How a failure wants to be retried. An error MAY carry one as `retry`; without one it is `backoff`.
 * - backoff: again, later each time;  - after: not before `ms`, which somebody asked for (Retry-After);
 * - conflict: at once, since what was read was stale;  - change: not until the resource changes (it can only fail again).
 */
export type RetryHint = { readonly kind: 'backoff' | 'conflict' | 'change' } | { readonly kind: 'after'; readonly ms: number };
