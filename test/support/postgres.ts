import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type pg from 'pg';
import { z } from 'zod';
import { systemEnvironment } from '../../src/environment.js';
import { createCipher } from '../../src/store/encryption.js';
import { connect } from '../../src/store/postgres/connection.js';
import { completeBinaries, findBinaries, program } from '../../src/store/postgres/embedded/binaries.js';
import { openHome } from '../../src/store/postgres/embedded/home.js';
import { initialize } from '../../src/store/postgres/embedded/postmaster.js';
import { migrate } from '../../src/store/postgres/migrate.js';
import { openPostgresStore, type PostgresStore, type PostgresStoreOptions } from '../../src/store/postgres/open.js';
import { silentLog } from './log.js';

/** The same key in all tests, so that a store can be opened again. */
export const testCipher = createCipher({ id: 'test', key: Buffer.alloc(32, 7) });

/** A database of a test file's own. */
export interface TestDatabase {
  readonly connectionString: string;
  /** Opens a store on it, as one more replica would; closed with the database. */
  open(options?: Partial<PostgresStoreOptions>): Promise<PostgresStore>;
  /** A plain connection, as psql makes one, to this database or another of the server; closed with the database. */
  connect(database?: string): Promise<pg.Client>;
  /** Closes all, and drops the database. */
  drop(): Promise<void>;
}

/** Makes a migrated database: a copy of the template of this worker's cluster. */
export async function makeDatabase(): Promise<TestDatabase> {
  const server = await startCluster();
  const name = `test_${randomBytes(6).toString('hex')}`;
  await administer(server, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
  const connectionString = urlOf(server, name);
  const closers: Array<() => Promise<void>> = [];
  return {
    connectionString,
    async open(options = {}) {
      const store = await openPostgresStore({
        connectionString,
        cipher: testCipher,
        environment: systemEnvironment,
        log: silentLog,
        ...options,
      });
      closers.push(once(() => store.close()));
      return store;
    },
    async connect(database = name) {
      const client = await connect(urlOf(server, database), 'psql');
      closers.push(once(() => client.end()));
      return client;
    },
    async drop() {
      await Promise.all(closers.map((close) => close().catch(() => undefined)));
      await administer(server, `DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
    },
  };
}

function once(close: () => Promise<void>): () => Promise<void> {
  let closed: Promise<void> | undefined;
  return () => {
    closed ??= close();
    return closed;
  };
}

const TEMPLATE = 'template_dispatcher';
const SETTINGS = {
  listen_addresses: '127.0.0.1',
  unix_socket_directories: '',
  timezone: 'UTC',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  max_connections: '200',
};

const clusterSchema = z.object({ port: z.int(), password: z.string() });
type Cluster = z.infer<typeof clusterSchema>;

/** One PostgreSQL for all test files of this worker: made by the first, found by the others, gone with the process. */
async function startCluster(): Promise<Cluster> {
  const base = join(tmpdir(), `dispatcher-test-${process.pid}`);
  const ready = join(base, 'ready.json');
  const known = await readFile(ready, 'utf8').catch(() => undefined);
  if (known !== undefined) return clusterSchema.parse(JSON.parse(known));

  await mkdir(base, { recursive: true, mode: 0o755 });
  const home = await openHome(join(base, 'home'), join(base, 'root'));
  const binaries = await completeBinaries(await findBinaries(), base, home.user !== undefined);
  const data = join(home.directory, 'data');
  const password = randomBytes(18).toString('base64url');
  const passwordFile = join(home.directory, 'password');
  await writeFile(passwordFile, password);
  if (home.user) await chown(passwordFile, home.user.uid, home.user.gid);
  await initialize(binaries, home, data, passwordFile);
  const cluster = { port: await freePort(), password };
  const settings = Object.entries(SETTINGS).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  const server = spawn(program(binaries, 'postgres'), ['-D', data, '-p', String(cluster.port), ...settings], {
    ...home.user,
    cwd: home.directory,
    env: { PATH: process.env.PATH, LC_ALL: 'C' },
    detached: true,
    stdio: 'ignore',
  });
  server.unref();
  stopWithThisProcess(server.pid ?? 0, base);
  await answers(cluster);
  await administer(cluster, `CREATE DATABASE ${TEMPLATE}`);
  await migrate(urlOf(cluster, TEMPLATE), silentLog);
  await writeFile(ready, JSON.stringify(cluster));
  return cluster;
}

/** However this process ends, its server ends with it, and its files go. */
function stopWithThisProcess(pid: number, base: string): void {
  const script = 'while kill -0 "$1"; do sleep 1; done; kill -INT "$2"; while kill -0 "$2"; do sleep 1; done; rm -rf "$3"';
  const args = ['-c', script, 'sh', String(process.pid), String(pid), base];
  spawn('/bin/sh', args, { detached: true, stdio: 'ignore' }).unref();
}

async function answers(cluster: Cluster): Promise<void> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      return await administer(cluster, 'SELECT 1');
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function administer(cluster: Cluster, sql: string): Promise<void> {
  const client = await connect(urlOf(cluster, 'postgres'), 'tests');
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

function urlOf({ port, password }: Cluster, database: string): string {
  return `postgresql://postgres:${password}@127.0.0.1:${port}/${database}`;
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}
