import type { Environment } from '../../environment.js';

const WINDOW_MS = 60_000;
/** Keys remembered: some megabytes. Beyond that the oldest go. */
const MOST_KEYS = 10_000;

/** What came of a {@link Attempts.take}. */
export interface Taken {
  /** How long to wait before the next attempt; 0: this one may go on. */
  readonly waitMs: number;
  /** True for the first attempt of a window that may not go on. */
  readonly first: boolean;
}

/** Counts attempts by key, each key so many in a minute that begins with its first. */
export class Attempts {
  readonly #counts = new Map<string, { readonly endsAt: number; count: number }>();

  constructor(
    private readonly limit: number,
    private readonly environment: Environment,
  ) {}

  /** Counts one attempt, while it is under way already: many at once are many. */
  take(key: string): Taken {
    const now = this.environment.now().getTime();
    const known = this.#counts.get(key);
    const window = known && known.endsAt > now ? known : { endsAt: now + WINDOW_MS, count: 0 };
    if (window !== known) {
      // Those that began first come first.
      this.#counts.delete(key);
      this.#counts.set(key, window);
      if (this.#counts.size > MOST_KEYS) this.#counts.delete(this.#counts.keys().next().value ?? '');
    }
    window.count++;
    const over = window.count - this.limit;
    return { waitMs: over > 0 ? window.endsAt - now : 0, first: over === 1 };
  }

  /** Uncounts an attempt that was good. */
  giveBack(key: string): void {
    const known = this.#counts.get(key);
    if (known && known.count > 0) known.count--;
  }
}
