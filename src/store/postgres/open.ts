import { PrismaPg } from '@prisma/adapter-pg';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Environment } from '../../environment.js';
import { PrismaClient } from '../../generated/prisma/client.js';
import type { AuditStore } from '../audit.js';
import type { Cipher } from '../encryption.js';
import { StoreError } from '../errors.js';
import { Passwords } from '../passwords.js';
import type { Store } from '../store.js';
import type { TokenStore } from '../tokens.js';
import type { UserStore } from '../users.js';
import { PostgresAudit } from './audit.js';
import { openPool, storeErrorOf } from './database.js';
import { Maintenance } from './maintenance.js';
import { ResourceStore } from './resource-store.js';
import { SimulatorDocuments } from './simulator-documents.js';
import { PostgresTokens } from './tokens.js';
import { PostgresUsers } from './users.js';

/** The Postgres plane, with what else is kept in the same database. */
export interface PostgresStore extends Store {
  readonly tokens: TokenStore;
  readonly users: UserStore;
  readonly audit: AuditStore;
  /** A UUID made once for the database: marks what this installation has made in clouds. */
  readonly installationId: string;
  /** What the built-in simulator keeps. */
  readonly simulatorDocuments: SimulatorDocuments;
  /** Deletes Events last seen before then. @returns how many. */
  expireEvents(olderThan: Date): Promise<number>;
  /**
   * Forgets deletions before then (default: an hour ago; watches from before have expired), and deletes resources left
   * behind by owners that are gone. To be called now and then, by any one replica or by all.
   */
  prune(olderThan?: Date): Promise<void>;
  /** Resolves if the database answers. @throws StoreError Unavailable. */
  ping(): Promise<void>;
  /** Ends watches and connections. Writes under way are finished first. */
  close(): Promise<void>;
}

/** How {@link openPostgresStore} opens. */
export interface PostgresStoreOptions {
  /** `postgresql://user:password@host:port/database`. The database has been migrated. */
  readonly connectionString: string;
  readonly cipher: Cipher;
  readonly environment: Environment;
  readonly log: Logger;
  /** Connections for queries at most, beside one for watches. Default 10. */
  readonly poolSize?: number;
}

/**
 * Opens the Postgres plane.
 * @throws StoreError Unavailable if the database does not answer or was not migrated; Invalid if it holds Secrets encrypted
 *   with a key that the cipher does not have: starting without it would lose them.
 */
export async function openPostgresStore(options: PostgresStoreOptions): Promise<PostgresStore> {
  const pool = openPool(options.connectionString, options.poolSize ?? 10, options.log);
  try {
    const { id, version } = await readPlane(pool);
    await checkKeys(pool, options.cipher);
    const resources = new ResourceStore({ ...options, pool, version });
    const prisma = new PrismaClient({ adapter: new PrismaPg(pool) });
    const maintenance = new Maintenance(pool, options.environment);
    return Object.assign(resources, {
      tokens: new PostgresTokens(prisma, pool, options.environment),
      audit: new PostgresAudit(pool),
      users: new PostgresUsers(prisma, options.environment, new Passwords()),
      installationId: id,
      simulatorDocuments: new SimulatorDocuments(pool),
      expireEvents: (olderThan: Date) => maintenance.expireEvents(olderThan),
      prune: async (olderThan?: Date) => resources.forgetHistory(await maintenance.prune(olderThan)),
      ping: () => maintenance.ping(),
      close: async () => {
        await resources.stop();
        await prisma.$disconnect();
        await pool.end();
      },
    });
  } catch (error) {
    await pool.end();
    throw storeErrorOf(error);
  }
}

async function readPlane(pool: pg.Pool): Promise<{ id: string; version: number }> {
  const { rows } = await pool.query<{ id: string; version: number }>(
    'SELECT installation_id AS id, current_version() AS version FROM plane',
  );
  const [plane] = rows;
  if (!plane) throw new StoreError('Unavailable', 'the table plane is empty: the database is not whole');
  return plane;
}

async function checkKeys(pool: pg.Pool, cipher: Cipher): Promise<void> {
  const { rows } = await pool.query<{ key: string; count: number }>(
    `SELECT split_part(extra ->> 'encrypted', '.', 2) AS key, count(*) AS count FROM resources
     WHERE kind = 'Secret' AND extra ? 'encrypted' GROUP BY 1`,
  );
  const missing = rows.find(({ key }) => !cipher.keyIds.includes(key));
  if (!missing) return;
  const { key, count } = missing;
  const known = cipher.keyIds.join(', ');
  throw new StoreError('Invalid', `the database holds ${count} Secrets encrypted with key ${key}; the keys given are ${known}`);
}
