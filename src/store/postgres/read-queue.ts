import type pg from 'pg';
import { formatKey, type ResourceKey } from '../../resources/metadata.js';
import { readRow, readRows } from './read.js';
import type { Row } from './rows.js';

/** Resources read in one statement at most. */
const BATCH_SIZE = 500;
/** Statements under way at most; what is asked for meanwhile goes together in the next. */
const AT_ONCE = 2;

interface Waiting {
  readonly key: ResourceKey;
  readonly resolve: (row: Row | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Groups reads of single resources: a statement costs as much as several rows. What is read is never older than when it was asked
 * for: a read goes in a statement that begins later.
 */
export class ReadQueue {
  #waiting: Waiting[] = [];
  #underWay = 0;

  constructor(private readonly pool: pg.Pool) {}

  /** The row as it stands now. @throws what the database says. */
  get(key: ResourceKey): Promise<Row | undefined> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ key, resolve, reject });
      // What else is asked for in this turn of the event loop comes along.
      if (this.#waiting.length === 1) queueMicrotask(() => this.#next());
    });
  }

  #next(): void {
    while (this.#underWay < AT_ONCE && this.#waiting.length > 0) {
      this.#underWay += 1;
      this.#read(this.#waiting.splice(0, BATCH_SIZE)).finally(() => {
        this.#underWay -= 1;
        this.#next();
      });
    }
  }

  async #read(batch: readonly Waiting[]): Promise<void> {
    try {
      const [only] = batch;
      if (only && batch.length === 1) {
        only.resolve(await readRow(this.pool, only.key));
        return;
      }
      const rows = await readRows(this.pool, [...new Map(batch.map(({ key }) => [formatKey(key), key])).values()]);
      for (const { key, resolve } of batch) resolve(rows.get(formatKey(key)));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
  }
}
