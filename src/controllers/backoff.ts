/** How waits grow from failure to failure. */
export interface BackoffPolicy {
  /** The wait after the first failure. Milliseconds. */
  readonly baseMs: number;
  /** What the wait grows to, before jitter. Milliseconds. */
  readonly capMs: number;
  /** The part of a wait that chance may add to it: 0.25 makes waits up to a quarter longer, never shorter. */
  readonly jitter: number;
}

/** For keys: 5 ms, as controller-runtime begins; never above 5 minutes (and a quarter), so that all heals without a touch. */
export const KEY_BACKOFF: BackoffPolicy = { baseMs: 5, capMs: 300_000, jitter: 0.25 };

/** For a store that does not answer: seldom enough not to hurt it, often enough to notice its return within a minute. */
export const STORE_BACKOFF: BackoffPolicy = { baseMs: 50, capMs: 30_000, jitter: 0.5 };

/**
 * How long to wait after so many failures in a row: doubling from the base up to the cap, then jitter upward.
 * @param failures 0 or less: no wait.  @param random a number in [0, 1).
 */
export function backoffMs(failures: number, random: number, policy: BackoffPolicy): number {
  if (failures <= 0) return 0;
  const nominal = Math.min(policy.capMs, policy.baseMs * 2 ** (failures - 1));
  return nominal * (1 + policy.jitter * random);
}
