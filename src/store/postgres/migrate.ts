import { createHash, randomUUID } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import type { Logger } from 'pino';
import { StoreError } from '../errors.js';
import { connect, messageOf } from './connection.js';

/** Where the migrations of this package are; the same from src and from dist. */
export const MIGRATIONS_DIRECTORY = fileURLToPath(new URL('../../../prisma/migrations', import.meta.url));

/** The lock that Prisma's own engine takes. */
const MIGRATION_LOCK = 72_707_369;

const BOOKKEEPING = `CREATE TABLE IF NOT EXISTS "_prisma_migrations" (
  "id" VARCHAR(36) PRIMARY KEY NOT NULL, "checksum" VARCHAR(64) NOT NULL, "finished_at" TIMESTAMPTZ,
  "migration_name" VARCHAR(255) NOT NULL, "logs" TEXT, "rolled_back_at" TIMESTAMPTZ,
  "started_at" TIMESTAMPTZ NOT NULL DEFAULT now(), "applied_steps_count" INTEGER NOT NULL DEFAULT 0)`;

/**
 * Brings a database to the schema of this version: applies what is missing of prisma/migrations, in order of their names.
 *
 * Several replicas may call it at once: one works, the others wait. Each migration is one transaction together with its entry
 * in Prisma's own table, so that a kill leaves it either done or not begun, and `prisma migrate` reads the same state.
 *
 * @returns the names of those applied now.
 * @throws StoreError Unavailable if there is no connection; Invalid, naming the migration, if one fails, was changed after
 *   it was applied, failed under Prisma's command, or is of a newer version than this.
 */
export async function migrate(connectionString: string, log: Logger, directory = MIGRATIONS_DIRECTORY): Promise<string[]> {
  const known = await readMigrations(directory);
  const client = await connect(connectionString, 'dispatcher migrations');
  try {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await client.query(BOOKKEEPING);
    const done = await appliedMigrations(client);
    const names = new Set(known.map(({ name }) => name));
    const foreign = [...done.keys()].find((name) => !names.has(name));
    if (foreign !== undefined) {
      throw invalid(`the database has migration ${foreign}, which this version does not know: start a version that does`);
    }
    const applied: string[] = [];
    for (const migration of known) {
      const checksum = done.get(migration.name);
      if (checksum === migration.checksum) continue;
      if (checksum !== undefined) throw invalid(`migration ${migration.name} was changed after it was applied: restore its file`);
      await apply(client, migration);
      log.info({ migration: migration.name }, 'migration applied');
      applied.push(migration.name);
    }
    return applied;
  } finally {
    await client.end().catch(() => undefined);
  }
}

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly checksum: string;
}

async function readMigrations(directory: string): Promise<Migration[]> {
  const entries = await readdir(directory, { withFileTypes: true }).catch((error) => {
    throw invalid(`the migrations are not at ${directory}: install the package anew`, error);
  });
  const names = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
  return Promise.all(
    names.sort().map(async (name) => {
      const bytes = await readFile(join(directory, name, 'migration.sql'));
      return { name, sql: bytes.toString('utf8'), checksum: createHash('sha256').update(bytes).digest('hex') };
    }),
  );
}

async function appliedMigrations(client: pg.Client): Promise<Map<string, string>> {
  const { rows } = await client.query<{ migration_name: string; checksum: string; finished: boolean }>(
    `SELECT migration_name, checksum, finished_at IS NOT NULL AS finished FROM "_prisma_migrations" WHERE rolled_back_at IS NULL`,
  );
  const failed = rows.find(({ finished }) => !finished);
  if (failed) {
    const name = failed.migration_name;
    throw invalid(`migration ${name} failed earlier: repair the database, then run "npx prisma migrate resolve" for ${name}`);
  }
  return new Map(rows.map((row) => [row.migration_name, row.checksum]));
}

async function apply(client: pg.Client, { name, sql, checksum }: Migration): Promise<void> {
  await client.query('BEGIN');
  try {
    await client.query(sql);
    await client.query(
      `INSERT INTO "_prisma_migrations" (id, checksum, migration_name, finished_at, applied_steps_count)
       VALUES ($1, $2, $3, now(), 1)`,
      [randomUUID(), checksum, name],
    );
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => undefined);
    throw invalid(`migration ${name} failed, and nothing of it was kept: ${messageOf(error)}`, error);
  }
}

function invalid(message: string, cause?: unknown): StoreError {
  return new StoreError('Invalid', message, cause === undefined ? {} : { cause });
}
