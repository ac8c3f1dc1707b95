import type { Logger } from 'pino';

/** What has been opened, to be closed in the opposite order. */
export class Closing {
  readonly #steps: (() => Promise<unknown>)[] = [];
  #closed: Promise<void> | undefined;

  /** Opens things with a new one; what was opened is closed again if `open` fails. @throws what `open` throws. */
  static async around<T>(log: Logger, open: (closing: Closing) => Promise<T>): Promise<T> {
    const closing = new Closing();
    try {
      return await open(closing);
    } catch (error) {
      await closing.close().catch((err: unknown) => log.error({ err }, 'closing failed'));
      throw error;
    }
  }

  /** Adds what closes something; it is closed before everything that was added earlier. */
  add(step: () => Promise<unknown>): void {
    this.#steps.push(step);
  }

  /** Closes everything, each step after the one before it, even when one fails. Safe to call twice. @throws the first failure. */
  close(): Promise<void> {
    this.#closed ??= this.#closeAll();
    return this.#closed;
  }

  async #closeAll(): Promise<void> {
    const failures: unknown[] = [];
    for (const step of this.#steps.reverse()) await step().catch((error: unknown) => failures.push(error));
    if (failures.length > 0) throw failures[0];
  }
}
