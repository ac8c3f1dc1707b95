import type { Environment } from '../environment.js';

/** How much each name may take. */
export interface TokenBucketsOptions {
  /** At once, after a long rest. */
  readonly burst: number;
  /** After that, one in so many milliseconds. */
  readonly refillMs: number;
  readonly environment: Environment;
}

/** Buckets looked through at once for full ones that can be forgotten. */
const SWEEP_AT = 4_096;

/** A token bucket for each name. Those that are full again are forgotten, so names may come and go. */
export class TokenBuckets {
  /** The time at which each name's bucket is full again; milliseconds since 1970. */
  readonly #fullAt = new Map<string, number>();
  #sweepAt = SWEEP_AT;

  constructor(private readonly options: TokenBucketsOptions) {}

  /** Takes one token. @returns false if there is none. */
  take(name: string): boolean {
    const { burst, refillMs, environment } = this.options;
    const now = environment.now().getTime();
    const fullAt = Math.max(now, this.#fullAt.get(name) ?? 0) + refillMs;
    if (fullAt - now > burst * refillMs) return false;
    this.#fullAt.set(name, fullAt);
    if (this.#fullAt.size > this.#sweepAt) this.#sweep(now);
    return true;
  }

  #sweep(now: number): void {
    for (const [name, fullAt] of this.#fullAt) if (fullAt <= now) this.#fullAt.delete(name);
    this.#sweepAt = Math.max(SWEEP_AT, 2 * this.#fullAt.size);
  }
}
