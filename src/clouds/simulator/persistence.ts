import type { State } from './model/state.js';

/**
 * Keeps the simulated cloud across restarts: a set of JSON documents, each under a key of at most 300 characters such as
 * `server/UUID`. What it holds means nothing to who keeps it.
 */
export interface SimulatorPersistence {
  /** Every document kept, in any order. Called once, before anything else. */
  load(): Promise<Iterable<readonly [key: string, document: unknown]>>;
  /**
   * Keeps the documents of `changes` in place of what was under their keys, and removes those that are undefined. All or none.
   * Called again only when the call before it has ended; documents are never changed after they were handed over.
   */
  save(changes: ReadonlyMap<string, unknown>): Promise<void>;
}

/** Groups writes: while one is under way, the changes of all requests gather and go together in the next. */
export class Saver {
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  constructor(
    private readonly state: State,
    private readonly persistence: SimulatorPersistence | undefined,
  ) {}

  /** Resolves when all changes so far are kept. @throws whatever the persistence throws; then they are tried again later. */
  async saved(): Promise<void> {
    if (this.persistence === undefined) {
      if (this.state.unsaved.size > 0) this.state.unsaved.clear();
      return;
    }
    if (this.state.unsaved.size === 0) return;
    this.#next ??= this.#after(this.#running);
    return this.#next;
  }

  async #after(running: Promise<void> | undefined): Promise<void> {
    await running?.catch(() => undefined);
    // Requests that came in the same turn of the event loop share this write.
    await Promise.resolve();
    this.#next = undefined;
    const write = this.#write();
    this.#running = write;
    return write;
  }

  async #write(): Promise<void> {
    const changes = this.state.unsaved;
    this.state.unsaved = new Map();
    try {
      await this.persistence?.save(changes);
    } catch (error) {
      for (const [key, value] of changes) if (!this.state.unsaved.has(key)) this.state.unsaved.set(key, value);
      throw error;
    }
  }
}
