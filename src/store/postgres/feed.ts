import type pg from 'pg';
import type { Logger } from 'pino';
import { type Environment, sleep } from '../../environment.js';
import type { Resource } from '../../resources/metadata.js';
import { isStoreError, StoreError } from '../errors.js';
import { type ChangedRow, readChanges } from './changes.js';
import { messageOf } from './connection.js';
import { newClient } from './database.js';
import { type Change, History } from './history.js';
import type { Row } from './rows.js';
import type { SecretCodec } from './secrets.js';

/** Rows read at once. */
const READ_LIMIT = 1_000;
/** Without a notification the database is looked at anyway, so that a lost one delays and never loses. */
const POLL_MS = 2_000;
const RECONNECT_MS = { first: 50, most: 5_000 } as const;

/** What the {@link Feed} takes from the store. */
export interface FeedOptions {
  readonly connectionString: string;
  readonly environment: Environment;
  readonly log: Logger;
  readonly secrets: SecretCodec;
  /** All resources of a kind, and the version they were read at. */
  load(kind: string): Promise<{ readonly items: readonly Resource[]; readonly version: number }>;
}

/**
 * The one reader of changes in this process: listens, reads what is new, and keeps a {@link History} per kind that is
 * watched. Loses nothing when the connection breaks: it goes on from where it was.
 *
 * States: connecting -> reading until there is no more -> waiting for a notification or the poll -> reading ...; any failure
 * leads back to connecting, later each time.
 */
export class Feed {
  readonly #histories = new Map<string, Promise<History>>();
  readonly #open = new Map<string, History>();
  readonly #closing = new AbortController();
  #wake: () => void = () => undefined;
  #woken = false;
  readonly #running: Promise<void>;

  constructor(private readonly options: FeedOptions) {
    this.#running = this.#run();
  }

  /** The history of a kind; begins with the first call. @throws StoreError Unavailable. */
  async history(kind: string): Promise<History> {
    this.#checkOpen();
    const known = this.#histories.get(kind);
    if (known) return known;
    const loading = this.#load(kind);
    this.#histories.set(kind, loading);
    return loading.catch((error: unknown) => {
      if (this.#histories.get(kind) === loading) this.#histories.delete(kind);
      throw error;
    });
  }

  /** The history of a kind, if it has begun. */
  opened(kind: string): History | undefined {
    return this.#open.get(kind);
  }

  /** Begins the history of a kind with what a whole list has just read, unless it has begun. */
  begin(kind: string, items: readonly Resource[], version: number): History {
    const known = this.#open.get(kind);
    if (known) return known;
    const history = new History(items, version);
    this.#open.set(kind, history);
    this.#histories.set(kind, Promise.resolve(history));
    this.nudge();
    return history;
  }

  /**
   * Takes in what a transaction of this process has just left, without asking the database, where its rows follow on what is known: no
   * version is missing between, so nobody else has written. Otherwise it looks now, as the notification would make it, but later.
   */
  committed(rows: readonly Row[]): void {
    const sorted = rows.toSorted((a, b) => a.resource_version - b.resource_version);
    let isKnown = rows.length > 0;
    for (const [kind, history] of this.#open) {
      const later = sorted.filter((row) => row.resource_version > history.position);
      const follows = later.every((row, index) => row.resource_version === history.position + 1 + index);
      if (follows && later.length > 0) {
        const changed = later.filter((row) => row.kind === kind);
        history.add(
          changed.map((row) => toChange({ ...row, version: row.resource_version, deleted: false }, this.options.secrets)),
          history.position + later.length,
        );
      }
      isKnown &&= follows;
    }
    if (!isKnown) this.nudge();
  }

  /** Looks now: something was written. */
  nudge(): void {
    this.#woken = true;
    this.#wake();
  }

  /** Forgets changes up to `version` in all histories. */
  forget(version: number): void {
    for (const history of this.#open.values()) history.forget(version);
  }

  /** Ends all watches and the connection. */
  async close(): Promise<void> {
    this.#closing.abort(new StoreError('Unavailable', 'the store is closed'));
    this.nudge();
    await this.#running;
    this.#endAll(new StoreError('Unavailable', 'the store is closed'));
  }

  async #load(kind: string): Promise<History> {
    const { items, version } = await this.options.load(kind);
    this.#checkOpen();
    return this.begin(kind, items, version);
  }

  #checkOpen(): void {
    if (this.#closing.signal.aborted) throw new StoreError('Unavailable', 'the store is closed');
  }

  async #run(): Promise<void> {
    const { environment, log } = this.options;
    const { signal } = this.#closing;
    let delay: number = RECONNECT_MS.first;
    while (!signal.aborted) {
      const client = newClient(this.options.connectionString);
      try {
        let lost: Error | undefined;
        client.on('error', (error) => {
          lost = error;
          this.nudge();
        });
        client.on('notification', () => this.nudge());
        await client.connect();
        await client.query('LISTEN dispatcher_resources');
        delay = RECONNECT_MS.first;
        while (!signal.aborted && !lost) {
          this.#woken = false;
          await this.#read(client);
          await this.#wait(POLL_MS);
        }
        if (lost) throw lost;
      } catch (error) {
        if (signal.aborted) break;
        log.warn({ error: messageOf(error), retryInMs: delay }, 'watching the database was interrupted');
        await sleep(environment, delay * (0.5 + environment.random()), signal).catch(() => undefined);
        delay = Math.min(delay * 2, RECONNECT_MS.most);
      } finally {
        await client.end().catch(() => undefined);
      }
    }
  }

  async #read(client: pg.Client): Promise<void> {
    let more = true;
    while (more && this.#open.size > 0 && !this.#closing.signal.aborted) {
      const from = Math.min(...[...this.#open.values()].map(({ position }) => position));
      const histories = [...this.#open];
      try {
        const changes = await readChanges(
          client,
          histories.map(([kind]) => kind),
          from,
          READ_LIMIT,
        );
        for (const [kind, history] of histories) {
          const rows = changes.rows.filter((row) => row.kind === kind && row.version > history.position);
          history.add(
            rows.map((row) => toChange(row, this.options.secrets)),
            changes.upTo,
          );
        }
        more = changes.more;
      } catch (error) {
        if (!isStoreError(error, 'Expired')) throw error;
        // So long away that deletions were forgotten, or another database: only a new list can tell what stands.
        this.options.log.warn({ error: error.message }, 'all watches are ended: they have to list again');
        this.#endAll(error);
      }
    }
  }

  #endAll(error: StoreError): void {
    for (const history of this.#open.values()) history.end(error);
    this.#open.clear();
    this.#histories.clear();
  }

  #wait(ms: number): Promise<void> {
    if (this.#woken) return Promise.resolve();
    return new Promise((resolve) => {
      const cancel = this.options.environment.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

/** A changed row as a change. */
export function toChange(row: ChangedRow, secrets: SecretCodec): Omit<Change, 'previous' | 'since'> {
  const { version, deleted, created_version } = row;
  return { object: secrets.readAnyway({ ...row, resource_version: version }), version, createdVersion: created_version, deleted };
}
