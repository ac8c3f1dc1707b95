import { createHash } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import pino from 'pino';
import { systemEnvironment } from '../../../src/environment.js';
import { connect } from '../../../src/store/postgres/connection.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/store/postgres/embedded.js';
import { MIGRATIONS_DIRECTORY, migrate } from '../../../src/store/postgres/migrate.js';
import { openPostgresStore } from '../../../src/store/postgres/open.js';
import { testCipher } from '../../support/postgres.js';

const log = pino({ level: 'silent' });
let base: string;
let server: EmbeddedPostgres;
let admin: pg.Client;
let directory: string;
let url: string;
let client: pg.Client;
let count = 0;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'dispatcher-migrate-'));
  await chmod(base, 0o755);
  server = await startEmbeddedPostgres({
    dataDir: join(base, 'data'),
    rootBase: join(base, 'root'),
    environment: systemEnvironment,
    log,
    settings: { fsync: 'off' },
  });
  admin = await connect(server.connectionString, 'test');
});

afterAll(async () => {
  await admin.end();
  await server.stop();
  await rm(base, { recursive: true });
});

beforeEach(async () => {
  count += 1;
  directory = join(base, `migrations-${count}`);
  await mkdir(directory);
  await admin.query(`CREATE DATABASE test_${count}`);
  url = server.connectionString.replace('/dispatcher', `/test_${count}`);
  client = await connect(url, 'test');
});

afterEach(async () => {
  await client.end();
});

async function write(name: string, sql: string): Promise<void> {
  await mkdir(join(directory, name), { recursive: true });
  await writeFile(join(directory, name, 'migration.sql'), sql);
}

async function tables(): Promise<string[]> {
  const { rows } = await client.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1`,
  );
  return rows.map(({ name }) => name);
}

describe('migrate', () => {
  test('applies what is missing in order of names, function bodies and all, and nothing twice', async () => {
    await write('2_second', 'ALTER TABLE first ADD COLUMN b int;');
    const body = 'BEGIN RETURN 1; END;';
    await write('1_first', `CREATE TABLE first (a int); CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $$ ${body} $$;`);
    expect(await migrate(url, log, directory)).toEqual(['1_first', '2_second']);
    expect(await migrate(url, log, directory)).toEqual([]);
    await write('3_third', 'CREATE TABLE third (c int);');
    expect(await migrate(url, log, directory)).toEqual(['3_third']);
    expect(await tables()).toEqual(['_prisma_migrations', 'first', 'third']);
  });

  test('from several replicas at once, each is applied once', async () => {
    await write('1_first', 'CREATE TABLE first (a int); SELECT pg_sleep(0.1);');
    await write('2_second', 'CREATE TABLE second (a int);');
    const applied = await Promise.all(Array.from({ length: 5 }, () => migrate(url, log, directory)));
    expect(applied.flat().sort()).toEqual(['1_first', '2_second']);
  });

  test('one that fails leaves nothing of itself, is named, and is tried again', async () => {
    await write('1_first', 'CREATE TABLE first (a int);');
    await write('2_second', 'CREATE TABLE second (a int); SELECT no_such_function();');
    await expect(migrate(url, log, directory)).rejects.toThrow(/migration 2_second failed.*no_such_function/);
    expect(await tables()).toEqual(['_prisma_migrations', 'first']);
    await write('2_second', 'CREATE TABLE second (a int);');
    expect(await migrate(url, log, directory)).toEqual(['2_second']);
  });

  test.each([
    {
      reason: 'a file that was changed after it was applied no longer describes the database',
      change: () => write('1_first', 'CREATE TABLE first (b int);'),
      message: /migration 1_first was changed after it was applied/,
    },
    {
      reason: 'a database of a newer version must not be worked on by an older one',
      change: () => rm(join(directory, '1_first'), { recursive: true }),
      message: /the database has migration 1_first, which this version does not know/,
    },
    {
      reason: "a migration that failed under Prisma's command needs a person",
      change: () => client.query('UPDATE _prisma_migrations SET finished_at = NULL'),
      message: /migration 1_first failed earlier: repair the database, then run "npx prisma migrate resolve"/,
    },
  ])('$reason', async ({ change, message }) => {
    await write('1_first', 'CREATE TABLE first (a int);');
    await migrate(url, log, directory);
    await change();
    await expect(migrate(url, log, directory)).rejects.toThrow(message);
  });

  test('without migrations at hand nothing is done', async () => {
    await expect(migrate(url, log, join(base, 'nowhere'))).rejects.toThrow(/the migrations are not at .*nowhere/);
    expect(await tables()).toEqual([]);
  });

  test('a database that cannot be reached is named without its password', async () => {
    const wrong = url.replace(/test_\d+/, 'no_such_database');
    const failure = await migrate(wrong, log, directory).then(String, String);
    expect(failure).toMatch(/cannot connect to the database 127\.0\.0\.1:\d+\/no_such_database as postgres: .*does not exist/);
    expect(failure).not.toContain(new URL(url).password);
  });
});

test('what the first version kept goes on: its tokens, and all they let their bearers do', async () => {
  const first = '20260101000000_init';
  await cp(join(MIGRATIONS_DIRECTORY, first), join(directory, first), { recursive: true });
  await migrate(url, log, directory);
  const token = 'dispatcher_from-before';
  const hash = createHash('sha256').update(token).digest('hex');
  await client.query(
    `INSERT INTO tokens (id, token_hash, user_name, groups, created_at) VALUES (gen_random_uuid(), $1, 'ann', '{system:masters}', now())`,
    [hash],
  );
  expect(await migrate(url, log)).toEqual(expect.arrayContaining(['20260201000000_users', '20260202000000_audit']));
  const store = await openPostgresStore({ connectionString: url, cipher: testCipher, environment: systemEnvironment, log });
  expect(await store.tokens.find(token)).toEqual({ id: expect.any(String), user: 'ann', groups: ['system:masters'] });
  await store.close();
});
