import pg from 'pg';
import { StoreError } from '../errors.js';

/**
 * One connection, in UTC, to be closed by the caller.
 *
 * @param application how it is called in `pg_stat_activity`.
 * @throws StoreError Unavailable, which names host, port, database and user, and PostgreSQL's own words; never the password.
 */
export async function connect(connectionString: string, application: string): Promise<pg.Client> {
  const client = new pg.Client({
    connectionString,
    options: '-c timezone=UTC',
    application_name: application,
    keepAlive: true,
    connectionTimeoutMillis: 10_000,
  });
  // A connection that breaks while nothing is asked of it would end the process; the next query fails all the same.
  client.on('error', () => undefined);
  try {
    await client.connect();
    return client;
  } catch (error) {
    await client.end().catch(() => undefined);
    const { host, port, database, user } = client;
    const where = `${host}:${port}/${database ?? ''} as ${user ?? 'the default user'}`;
    throw new StoreError('Unavailable', `cannot connect to the database ${where}: ${messageOf(error)}`, { cause: error });
  }
}

/** What an error says; where a name has several addresses, what each of them said. */
export function messageOf(error: unknown): string {
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ');
  return error instanceof Error ? error.message : String(error);
}
