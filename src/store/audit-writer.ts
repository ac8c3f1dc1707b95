import type { Logger } from 'pino';
import { type Environment, sleep } from '../environment.js';
import type { AuditEntry, AuditStore } from './audit.js';
import { isStoreError } from './errors.js';

/** How long entries gather, so that those of many requests are one write. */
const GATHER_MS = 10;
const RETRY_MS = 1_000;
const MOST_AT_ONCE = 500;
/** Entries kept while the database is away: some megabytes. */
const MOST_WAITING = 10_000;
const LONGEST_TEXT = 253;

/** What is recorded: the writer gives it an id and its time. */
export type AuditRecord = Omit<AuditEntry, 'id' | 'at'>;

/**
 * Writes audit entries behind the requests that they tell of, in groups.
 *
 * An entry is either in the table in the end, or in the log whole, as lost: when the database has been away for too many of
 * them, or was away when the server stopped. A failure to write is logged, and tried again every second.
 */
export class AuditWriter {
  readonly #waiting: AuditEntry[] = [];
  readonly #closing = new AbortController();
  #writing: Promise<void> | undefined;

  constructor(
    private readonly store: Pick<AuditStore, 'append'>,
    private readonly environment: Environment,
    private readonly log: Logger,
  ) {}

  /** Takes an entry, and returns at once. */
  record(record: AuditRecord): void {
    const { user, namespace, name } = record;
    const texts = { user: kept(user), namespace: kept(namespace), name: kept(name) };
    this.#waiting.push({ ...record, ...texts, id: this.environment.id(), at: this.environment.now() });
    if (this.#waiting.length > MOST_WAITING) this.#lose(this.#waiting.splice(0, 1));
    this.#start();
  }

  /** Writes what waits, without a second attempt. Nothing may be recorded afterwards. */
  async close(): Promise<void> {
    this.#closing.abort();
    await this.#writing;
  }

  #start(): void {
    this.#writing ??= this.#write().finally(() => {
      this.#writing = undefined;
      // One that came when the last group had been written.
      if (this.#waiting.length > 0) this.#start();
    });
  }

  async #write(): Promise<void> {
    await this.#pause(GATHER_MS);
    while (this.#waiting.length > 0) {
      const group = new Set(this.#waiting.slice(0, MOST_AT_ONCE));
      const last = this.#closing.signal.aborted;
      const error = await this.#append([...group]);
      if (error === undefined) {
        // Some of the group may have been given up meanwhile: only those that still wait are taken away.
        this.#waiting.splice(0, this.#waiting.filter((entry) => group.has(entry)).length);
        continue;
      }
      this.log.error({ err: error, entries: this.#waiting.length }, 'the audit table cannot be written to');
      if (last) this.#lose(this.#waiting.splice(0));
      else await this.#pause(RETRY_MS);
    }
  }

  /** @returns why nothing was written. What cannot be kept in any way is given up, alone. */
  async #append(group: readonly AuditEntry[]): Promise<unknown> {
    try {
      await this.store.append(group);
      return undefined;
    } catch (error) {
      if (!isStoreError(error, 'Invalid')) return error;
      if (group.length === 1) {
        this.#lose(group);
        return undefined;
      }
      for (const entry of group) {
        const failure = await this.#append([entry]);
        if (failure !== undefined) return failure;
      }
      return undefined;
    }
  }

  #lose(entries: readonly AuditEntry[]): void {
    for (const entry of entries) this.log.error({ entry }, 'an audit entry is lost but for this line');
  }

  async #pause(ms: number): Promise<void> {
    await sleep(this.environment, ms, this.#closing.signal).catch(() => undefined);
  }
}

/** What of a client's text a row can hold. */
function kept(text: string): string {
  return text.slice(0, LONGEST_TEXT).replace(/[\p{Cc}\p{Cs}]/gu, '\ufffd');
}
