import type { Environment } from '../environment.js';

/** A list of a cloud that serves many askers: kept for a while, and asked for once however many want it at the same time. */
export class SharedList<Item> {
  #kept: { readonly at: Date; readonly items: readonly Item[] } | undefined;
  #flight: Promise<readonly Item[]> | undefined;
  /** Raised by every change: a list asked for before one is not kept. */
  #epoch = 0;

  constructor(
    private readonly ask: () => Promise<readonly Item[]>,
    private readonly environment: Environment,
  ) {}

  /** The list as it was at most `maxAgeMs` milliseconds ago. @throws CloudError as the call does. */
  async get(maxAgeMs: number): Promise<readonly Item[]> {
    const kept = this.#kept;
    if (kept && this.environment.now().getTime() - kept.at.getTime() < maxAgeMs) return kept.items;
    this.#flight ??= this.#fly();
    return this.#flight;
  }

  /** Forgets what is kept: something was changed. */
  forget(): void {
    this.#epoch += 1;
    this.#kept = undefined;
    this.#flight = undefined;
  }

  async #fly(): Promise<readonly Item[]> {
    const at = this.environment.now();
    const epoch = this.#epoch;
    try {
      const items = await this.ask();
      if (epoch === this.#epoch) this.#kept = { at, items };
      return items;
    } finally {
      if (epoch === this.#epoch) this.#flight = undefined;
    }
  }
}
