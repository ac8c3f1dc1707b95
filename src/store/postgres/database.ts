import pg from 'pg';
import type { Logger } from 'pino';
import { StoreError } from '../errors.js';
import { messageOf } from './connection.js';

/** How long a write waits for its turn before it is tried again. A person's open transaction is what it waits for. */
const LOCK_TIMEOUT_MS = 2_000;
/** The two numbers of the advisory lock that the migration's trigger `in_turn` takes. */
const TURN = { class: 1_684_632_944, object: 1 } as const;

/** Numbers as numbers (versions stay below 2^53), times as RFC 3339 (the session is in UTC). */
const types: pg.CustomTypesConfig = {
  getTypeParser(oid: number, format?: 'text' | 'binary') {
    if (oid === pg.types.builtins.INT8) return Number;
    if (oid === pg.types.builtins.TIMESTAMPTZ) return (text: string) => text.replace(' ', 'T').replace('+00', 'Z');
    return format === 'binary' ? pg.types.getTypeParser(oid, 'binary') : pg.types.getTypeParser(oid, 'text');
  },
};

/** Connections for queries, in UTC. Broken idle ones are dropped and logged, never thrown. */
export function openPool(connectionString: string, size: number, log: Logger): pg.Pool {
  const pool = new pg.Pool({
    connectionString: inUtc(connectionString),
    options: SESSION,
    application_name: 'dispatcher',
    max: size,
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    query_timeout: QUERY_TIMEOUT_MS + 5_000,
    types,
  });
  // One that breaks while it is lent out, between two queries, would end the process; the next query fails all the same.
  pool.on('connect', (client) => client.on('error', () => undefined));
  pool.on('error', (error) => log.warn({ error: messageOf(error) }, 'a database connection was lost'));
  return pool;
}

/** A connection of its own, for LISTEN and what follows from it. A query that takes too long breaks it. */
export function newClient(connectionString: string): pg.Client {
  return new pg.Client({
    connectionString: inUtc(connectionString),
    options: SESSION,
    application_name: 'dispatcher watch',
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
    query_timeout: QUERY_TIMEOUT_MS + 5_000,
    types,
  });
}

/** How long a query may take: longer than any of ours does, shorter than a person waits for a connection that is dead. */
const QUERY_TIMEOUT_MS = 30_000;
/** Every query has its index; a plan that was made and kept while a table was small would not use it once that is large. */
const PLANS = '-c enable_seqscan=off -c enable_hashjoin=off -c enable_mergejoin=off';
const SESSION = `-c timezone=UTC -c lock_timeout=${LOCK_TIMEOUT_MS} -c statement_timeout=${QUERY_TIMEOUT_MS} ${PLANS}`;

/** Options in the URL replace those given beside it, so ours go there too: behind them, since the last one counts. */
function inUtc(connectionString: string): string {
  return connectionString.replace(/([?&]options=[^&]*)/, `$1%20${encodeURIComponent(SESSION)}`);
}

/**
 * Runs `work` in a transaction that has its turn: nobody else writes resources before it ends, so what it reads stays true.
 * @param keep false: everything is undone at the end.
 * @throws StoreError with `cause`: see {@link storeErrorOf}; {@link Undecided} if it cannot be known whether it was committed.
 */
export async function inTurn<T>(pool: pg.Pool, keep: boolean, work: (client: pg.ClientBase) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  let broken = true;
  try {
    await client.query(`BEGIN; SELECT pg_advisory_xact_lock(${TURN.class}, ${TURN.object})`);
    const result = await work(client);
    await client.query(keep ? 'COMMIT' : 'ROLLBACK').catch((error: unknown) => {
      throw new Undecided(error);
    });
    broken = false;
    return result;
  } catch (error) {
    broken = await client.query('ROLLBACK').then(
      () => false,
      () => true,
    );
    throw error;
  } finally {
    client.release(broken);
  }
}

/** The connection was lost while a commit was under way: it may have happened. */
export class Undecided extends Error {
  constructor(cause: unknown) {
    super(`the outcome is not known: ${messageOf(cause)}`, { cause });
  }
}

/** What holds writers up, as a sentence without a query's text, or undefined if nothing does any more. */
export async function whoBlocksWrites(pool: pg.Pool): Promise<string | undefined> {
  const { rows } = await pool.query<{ pid: number; application: string; state: string; since: string }>(
    `SELECT pid, application_name AS application, state, coalesce(xact_start, backend_start) AS since
     FROM pg_stat_activity JOIN pg_locks USING (pid)
     WHERE locktype = 'advisory' AND granted AND classid = $1 AND objid = $2 AND pg_locks.database =
       (SELECT oid FROM pg_database WHERE datname = current_database())`,
    [TURN.class, TURN.object],
  );
  const [blocker] = rows;
  if (!blocker) return undefined;
  const { pid, application, state, since } = blocker;
  return `process ${pid} (${application || 'no application_name'}, ${state}) has held writes up since ${since}`;
}

/** True for what a single row of a batch can be guilty of: data, constraints, triggers. */
export function isDataError(error: unknown): error is pg.DatabaseError {
  return error instanceof pg.DatabaseError && /^(22|23|P0|54)/.test(error.code ?? '');
}

/** True if the server refused a statement: then nothing of it happened. */
export function isRefusal(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.severity === 'ERROR';
}

/** True if the server took leave (it is stopped, or somebody ended the session): whatever was under way has ended, this way or that. */
export function isFarewell(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.severity === 'FATAL';
}

/** True for what goes by itself and left nothing behind: a lock not had in time, a deadlock, a serialization failure. */
export function isContention(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(55P03|40P01|40001)$/.test(error.code ?? '');
}

/** What PostgreSQL or the connection to it said, in this layer's terms. */
export function storeErrorOf(error: unknown): StoreError {
  if (error instanceof StoreError) return error;
  if (isDataError(error)) {
    return new StoreError('Invalid', `the database refuses it: ${error.message}${error.hint ? ` (${error.hint})` : ''}`, {
      cause: error,
    });
  }
  return new StoreError('Unavailable', `the database cannot be used now: ${messageOf(error)}`, { cause: error });
}
