import type pg from 'pg';
import type { Logger } from 'pino';
import type { Environment } from '../../environment.js';
import { formatKey } from '../../resources/metadata.js';
import { StoreError } from '../errors.js';
import type { WriteOptions } from '../store.js';
import {
  inTurn,
  isContention,
  isDataError,
  isFarewell,
  isRefusal,
  storeErrorOf,
  Undecided,
  whoBlocksWrites,
} from './database.js';
import type { Row } from './rows.js';
import type { SecretCodec } from './secrets.js';
import { keyOfWrite, type Outcome, type Write, writeAtOnce, writeBatch } from './write-batch.js';

/** Writes in one transaction at most: long enough to be cheap, short enough that others have their turn. */
const BATCH_SIZE = 1_000;
/** Characters of JSON in one transaction at most, unless a single write has more. */
const BATCH_LENGTH = 8_000_000;
/**
 * While many write at once, a batch begins so long after the one before it at the earliest, and takes along what comes meanwhile: a
 * transaction costs as much as several rows. Who writes alone never waits, nor does what is urgent. Milliseconds.
 */
const GATHER_MS = 3;
/**
 * A status that is not urgent, or an Event, waits so long for others to go along with it: nobody but a program reads its answer. All else is written at
 * once, and takes those along. Milliseconds.
 */
const PATIENCE_MS = 10;
/** How often a batch that did not get its turn is tried again; each try waits for the lock timeout. */
const TRIES = 5;

interface Waiting {
  readonly write: Write;
  readonly key: string;
  readonly length: number;
  readonly dryRun: boolean;
  readonly urgent: boolean;
  readonly resolve: (row: Row) => void;
  readonly reject: (error: StoreError) => void;
}

/**
 * Groups writes: one batch is under way at a time, and all that is asked for meanwhile goes in the next. Each write has its
 * own outcome. Writes of one resource are done in the order they were asked for.
 */
export class WriteQueue {
  #waiting: Waiting[] = [];
  #running: Promise<void> | undefined;
  #gathering: Promise<void> | undefined;
  #hurry: () => void = () => undefined;
  #rush: () => void = () => undefined;
  #closed = false;

  constructor(
    private readonly pool: pg.Pool,
    private readonly secrets: SecretCodec,
    private readonly environment: Environment,
    private readonly log: Logger,
    /** Told of each transaction before those who asked for it: the rows that it left, or nothing if those may not be all of it. */
    private readonly onCommitted: (rows: readonly Row[]) => void,
  ) {}

  /** @returns the row as it stands after the write. @throws StoreError as the port says. */
  submit(write: Write, { dryRun = false, urgent = false }: WriteOptions): Promise<Row> {
    if (this.#closed) return Promise.reject(new StoreError('Unavailable', 'the store is closed'));
    return new Promise((resolve, reject) => {
      const key = formatKey(keyOfWrite(write));
      this.#waiting.push({ write, key, length: JSON.stringify(write).length, dryRun, urgent, resolve, reject });
      if (urgent) this.#rush();
      if (urgent || !isPatient(write)) this.#hurry();
      // What else is asked for in this turn of the event loop comes along.
      this.#running ??= Promise.resolve().then(() => this.#run());
    });
  }

  /** Takes no more, and resolves when all that was taken has its outcome. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#hurry();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#waiting.length > 0) {
      if (!this.#waiting.some(({ urgent }) => urgent)) await this.#gathering;
      if (!this.#closed && this.#waiting.every(({ write, urgent }) => !urgent && isPatient(write))) await this.#patience();
      const batch = this.#takeBatch();
      this.#gathering = batch.length > 1 && batch.length < BATCH_SIZE ? this.#gather() : undefined;
      try {
        const outcomes = await this.#perform(batch);
        if (batch[0]?.dryRun === false) this.onCommitted(rowsOf(batch, outcomes));
        batch.forEach(({ resolve, reject }, index) => {
          const outcome = outcomes[index];
          if (outcome instanceof StoreError) reject(outcome);
          else if (outcome) resolve(outcome);
        });
      } catch (error) {
        this.onCommitted([]);
        // Those behind would only wait as long again for the same answer.
        for (const { reject } of [...batch, ...this.#waiting.splice(0)]) reject(storeErrorOf(error));
      }
    }
    this.#running = undefined;
  }

  #gather(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.environment.after(GATHER_MS, resolve);
      this.#rush = () => {
        cancel();
        resolve();
      };
    });
  }

  #patience(): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.environment.after(PATIENCE_MS, resolve);
      this.#hurry = () => {
        cancel();
        resolve();
      };
    });
  }

  /** The next writes that can go together: each of another resource, all for good or all for show. */
  #takeBatch(): Waiting[] {
    const batch: Waiting[] = [];
    const left: Waiting[] = [];
    const keys = new Set<string>();
    const dryRun = this.#waiting[0]?.dryRun;
    let length = 0;
    for (const waiting of this.#waiting) {
      const hasRoom = batch.length === 0 || (batch.length < BATCH_SIZE && length + waiting.length <= BATCH_LENGTH);
      const fits = hasRoom && waiting.dryRun === dryRun && !keys.has(waiting.key);
      if (fits) length += waiting.length;
      keys.add(waiting.key);
      (fits ? batch : left).push(waiting);
    }
    this.#waiting = left;
    return batch;
  }

  async #perform(batch: readonly Waiting[]): Promise<Outcome[]> {
    try {
      return await this.#transact(batch);
    } catch (error) {
      if (!isDataError(error)) throw error;
      const [only] = batch;
      if (batch.length === 1 && only) return [refusal(only.key, error)];
      // Some row is refused by the database: alone, each has its own answer, and the others are written.
      const outcomes: Outcome[] = [];
      for (const waiting of batch) outcomes.push(...(await this.#perform([waiting])));
      return outcomes;
    }
  }

  async #write(writes: readonly Write[], keep: boolean): Promise<Outcome[]> {
    const made = keep ? await this.#writeAtOnce(writes) : [];
    const left = writes.filter((_, index) => made[index] === undefined);
    if (left.length === 0) return made.filter((row) => row !== undefined);
    const outcomes = await inTurn(this.pool, keep, (client) => writeBatch(client, this.secrets, left));
    return writes.map((_, index) => made[index] ?? outcomes.shift() ?? new StoreError('Unavailable', 'a write had no outcome'));
  }

  async #writeAtOnce(writes: readonly Write[]): Promise<(Row | undefined)[]> {
    const client = await this.pool.connect();
    let broken: boolean | undefined;
    try {
      return await writeAtOnce(client, this.secrets, writes);
    } catch (error) {
      if (isRefusal(error)) throw error;
      broken = true;
      if (!isFarewell(error)) throw new Undecided(error);
      return [];
    } finally {
      client.release(broken);
    }
  }

  async #transact(batch: readonly Waiting[]): Promise<Outcome[]> {
    const writes = batch.map(({ write }) => write);
    const keep = batch[0]?.dryRun === false;
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#write(writes, keep);
      } catch (error) {
        if (isDataError(error) || error instanceof Undecided) throw error;
        // A connection that was idle when the server went away fails at first use; a fresh one may not.
        if (!isContention(error) && attempt > 1) throw error;
        const blocker = isContention(error) ? await whoBlocksWrites(this.pool) : undefined;
        this.log.warn({ error: storeErrorOf(error).message, blocker, attempt, writes: writes.length }, 'a write is tried again');
        if (attempt < TRIES) continue;
        const reason = blocker ? `${blocker}: end it, or SELECT pg_terminate_backend` : 'they found no turn';
        throw new StoreError('Unavailable', `writes are held up: ${reason}`, { cause: error });
      }
    }
  }
}

/** A deletion changes more than its row, and leaves none. */
function rowsOf(batch: readonly Waiting[], outcomes: readonly Outcome[]): Row[] {
  if (batch.some(({ write }) => write.type === 'delete')) return [];
  return outcomes.filter((outcome): outcome is Row => !(outcome instanceof StoreError));
}

function isPatient(write: Write): boolean {
  return write.type === 'status' || keyOfWrite(write).kind === 'Event';
}

function refusal(key: string, error: unknown): StoreError {
  const { code, message } = storeErrorOf(error);
  return new StoreError(code, `${key}: ${message}`, { cause: error });
}
