import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import pino from 'pino';
import { systemEnvironment } from '../../../src/environment.js';
import { connect } from '../../../src/store/postgres/connection.js';
import { completeBinaries, findBinaries } from '../../../src/store/postgres/embedded/binaries.js';
import { LOCATION_FILE, openHome } from '../../../src/store/postgres/embedded/home.js';
import { type EmbeddedOptions, type EmbeddedPostgres, startEmbeddedPostgres } from '../../../src/store/postgres/embedded.js';
import { eventually } from '../../support/eventually.js';

const isRoot = process.getuid?.() === 0;
let base: string;
let dataDir: string;
let started: EmbeddedPostgres[];

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'dispatcher-embedded-'));
  await chmod(base, 0o755);
  // A home that no other user may enter, as root's is.
  dataDir = join(base, 'home', 'data');
  await mkdir(join(base, 'home'), { mode: 0o700 });
  started = [];
});

afterEach(async () => {
  for (const server of started) await server.stop();
  await rm(base, { recursive: true });
});

async function start(options: Partial<EmbeddedOptions> = {}): Promise<EmbeddedPostgres> {
  const server = await startEmbeddedPostgres({
    dataDir,
    rootBase: join(base, 'root'),
    environment: systemEnvironment,
    log: pino({ level: 'silent' }),
    settings: { fsync: 'off' },
    ...options,
  });
  started.push(server);
  return server;
}

async function query(server: EmbeddedPostgres, sql: string): Promise<unknown[]> {
  const client = await connect(server.connectionString, 'test');
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

/** What the server sees when the process that it belongs to is killed: its connection ends, nothing else. */
async function loseOwner(server: EmbeddedPostgres): Promise<void> {
  await query(server, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dispatcher owner'");
}

async function postmasterPid(server: EmbeddedPostgres): Promise<number> {
  return Number((await readFile(join(server.directory, 'cluster', 'data', 'postmaster.pid'), 'utf8')).split('\n')[0]);
}

describe('a server of our own', () => {
  test('answers on 127.0.0.1 alone, in UTC, without unix sockets, and ends forgotten transactions', async () => {
    const server = await start();
    const names = ['listen_addresses', 'unix_socket_directories', 'TimeZone', 'idle_in_transaction_session_timeout'];
    expect(await query(server, names.map((name) => `SELECT current_setting('${name}')`).join(' UNION ALL '))).toEqual([
      '127.0.0.1',
      '',
      'UTC',
      '1min',
    ]);
    expect(await query(server, 'SELECT current_database()')).toEqual(['dispatcher']);
  });

  test('lets nobody in without the password', async () => {
    const server = await start();
    const without = server.connectionString.replace(/:[^:@]+@/, ':wrong@');
    await expect(connect(without, 'test')).rejects.toThrow(/password authentication failed/);
    await expect(connect(without, 'test')).rejects.not.toThrow(/wrong/);
  });

  test('keeps what was written when it is stopped and started again', async () => {
    const first = await start();
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS value');
    await first.stop();
    await first.stop();
    await expect(connect(first.connectionString, 'test')).rejects.toThrow(/ECONNREFUSED/);
    const second = await start();
    expect(second.adopted).toBe(false);
    expect(await query(second, 'SELECT value FROM kept')).toEqual([42]);
  });
});

describe('what a kill leaves behind', () => {
  test('a server without its owner is adopted, and the owner that lives on is told that it lost it', async () => {
    const lost: Error[] = [];
    const first = await start({ onLost: (error) => lost.push(error) });
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS value');
    await loseOwner(first);
    await eventually(() => expect(lost).toEqual([expect.objectContaining({ name: 'StoreError', code: 'Unavailable' })]));
    const second = await start();
    expect(second).toMatchObject({ adopted: true, port: first.port });
    expect(await query(second, 'SELECT value FROM kept')).toEqual([42]);
  });

  test('a server that was killed itself is started again, with all that was committed', async () => {
    const first = await start();
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS value');
    process.kill(await postmasterPid(first), 'SIGKILL');
    const second = await start();
    expect(second.adopted).toBe(false);
    expect(await query(second, 'SELECT value FROM kept')).toEqual([42]);
  });

  test('a stale postmaster.pid that names a living process of somebody else does not block', async () => {
    const first = await start();
    const data = join(first.directory, 'cluster', 'data');
    const file = await readFile(join(data, 'postmaster.pid'), 'utf8');
    await first.stop();
    await writeFile(join(data, 'postmaster.pid'), file.replace(/^\d+/, String(process.pid)));
    expect((await start()).adopted).toBe(false);
  });

  test('a cluster that was half made is made anew, and the half removed', async () => {
    const home = await openHome(dataDir, join(base, 'root'));
    await mkdir(join(home.directory, 'cluster-draft-1', 'data'), { recursive: true });
    const server = await start();
    expect(await query(server, 'SELECT 1')).toEqual([1]);
    expect((await readdir(server.directory)).filter((name) => name.startsWith('cluster'))).toEqual(['cluster']);
  });
});

describe('two on one data directory', () => {
  const another = /another Dispatcher is running on the data directory .*data: stop it, or choose another one with --data-dir/;

  test('the second is told so, and the first is not disturbed', async () => {
    const first = await start();
    await expect(start()).rejects.toThrow(another);
    expect(await query(first, 'SELECT 1')).toEqual([1]);
  });

  test('started at the same moment on an empty directory, exactly one runs', async () => {
    const results = await Promise.allSettled([start(), start(), start()]);
    const refused = results.filter((result) => result.status === 'rejected');
    expect(refused.map(({ reason }) => reason.message)).toEqual([expect.stringMatching(another), expect.stringMatching(another)]);
    expect(started).toHaveLength(1);
  });
});

describe('where it lives', () => {
  test("an ordinary user's database is in the data directory; root's where another user can go, and remembered", async () => {
    const home = await openHome(dataDir, join(base, 'root'));
    expect(home.directory.startsWith(isRoot ? join(base, 'root') : dataDir)).toBe(true);
    expect(await openHome(dataDir, join(base, 'root'))).toEqual(home);
  });

  test('a remembered database that is gone is an error, never an empty fleet', async () => {
    const home = await openHome(dataDir, join(base, 'root'));
    await rm(home.directory, { recursive: true });
    if (isRoot) {
      await expect(openHome(dataDir, join(base, 'root'))).rejects.toThrow(/should be at .*, which is not there/);
      await rm(join(dataDir, LOCATION_FILE));
    }
    expect(await openHome(dataDir, join(base, 'root'))).toMatchObject({ directory: expect.any(String) });
  });
});

describe('binaries', () => {
  async function fakeBinaries(): Promise<string> {
    const native = join(base, 'package', 'native');
    await mkdir(join(native, 'lib'), { recursive: true, mode: 0o700 });
    await writeFile(join(native, 'lib', 'libpq.so.5.18'), 'library', { mode: 0o600 });
    const links = [{ source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }];
    await writeFile(join(native, 'pg-symlinks.json'), JSON.stringify(links));
    return native;
  }

  test('none for a platform: says what to do', async () => {
    await expect(findBinaries('plan9-mips')).rejects.toThrow(/no PostgreSQL binaries for plan9-mips.*npm ci.*--database-url/);
  });

  test('links that npm stripped are made in place', async () => {
    const binaries = { native: await fakeBinaries(), build: '1' };
    expect(await completeBinaries(binaries, join(base, 'copies'), false)).toEqual(binaries);
    expect(await readlink(join(binaries.native, 'lib', 'libpq.so.5'))).toBe('libpq.so.5.18');
    expect(await completeBinaries(binaries, join(base, 'copies'), false)).toEqual(binaries);
  });

  test('a copy has its links and can be read by every user, however narrow the original is', async () => {
    const binaries = { native: await fakeBinaries(), build: '1' };
    const copy = await completeBinaries(binaries, join(base, 'copies'), true);
    expect(await readFile(join(copy.native, 'lib', 'libpq.so.5'), 'utf8')).toBe('library');
    expect((await lstat(join(copy.native, 'lib'))).mode & 0o777).toBe(0o755);
    expect((await lstat(join(copy.native, 'lib', 'libpq.so.5.18'))).mode & 0o777).toBe(0o644);
    expect(await completeBinaries(binaries, join(base, 'copies'), true)).toEqual(copy);
    expect(await readdir(join(base, 'copies'))).toEqual(['postgresql-1']);
  });
});
