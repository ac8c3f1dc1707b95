import { randomBytes, randomUUID } from 'node:crypto';
import { chown, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import pg from 'pg';
import type { Logger } from 'pino';
import { type Environment, sleep } from '../../environment.js';
import { StoreError } from '../errors.js';
import { connect, messageOf } from './connection.js';
import { type Binaries, completeBinaries, findBinaries } from './embedded/binaries.js';
import { ignoreMissing } from './embedded/errno.js';
import { type Home, openHome } from './embedded/home.js';
import { initialize, runningPostmaster, type StartedPostmaster, spawnPostmaster, stopPostmaster } from './embedded/postmaster.js';

/** How {@link startEmbeddedPostgres} starts. */
export interface EmbeddedOptions {
  /** Made if it is not there. One process at a time uses it. */
  readonly dataDir: string;
  readonly environment: Environment;
  readonly log: Logger;
  /** The database to make and connect to. Default: dispatcher. */
  readonly database?: string;
  /** More settings of postgresql.conf, such as `fsync: 'off'` for tests. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Where root's databases go. Default: /var/lib/dispatcher. */
  readonly rootBase?: string;
  /** Called once if the server ends, or is taken away, without {@link EmbeddedPostgres.stop}. */
  readonly onLost?: (error: Error) => void;
}

/** A running PostgreSQL of our own. */
export interface EmbeddedPostgres {
  /** With user and password: for the log only without them. Connections are to 127.0.0.1. */
  readonly connectionString: string;
  readonly port: number;
  /** Where its files are: under the data directory, or for root elsewhere. */
  readonly directory: string;
  /** True if it was left running by a process that was killed. */
  readonly adopted: boolean;
  /** Ends all sessions, writes everything, and waits until the server is gone. Safe to call twice. */
  stop(): Promise<void>;
}

/** How long a server may take: it may have to read a long log after a crash. */
const START_LIMIT_MS = 120_000;
/** Any constant, known to us alone: held, on one session, by the process that a cluster belongs to. */
const OWNER_LOCK = 5_070_001;

const DRAFT = 'cluster-draft-';

const SETTINGS = {
  listen_addresses: '127.0.0.1',
  // None, so that no path can be too long for one.
  unix_socket_directories: '',
  timezone: 'UTC',
  idle_in_transaction_session_timeout: '60s',
  logging_collector: 'on',
  log_filename: 'postgresql-%a.log',
  log_truncate_on_rotation: 'on',
};

/**
 * Starts PostgreSQL from the binaries that npm installed, or adopts the server that a killed process left behind.
 *
 * Safe against a kill at any point, and against two at once: the second is told that another one runs.
 * @throws StoreError Unavailable, with what to do: no binaries for this platform, another process on this data directory,
 *   or PostgreSQL's own words.
 */
export async function startEmbeddedPostgres(options: EmbeddedOptions): Promise<EmbeddedPostgres> {
  const { environment, log } = options;
  const home = await openHome(resolve(options.dataDir), options.rootBase ?? '/var/lib/dispatcher');
  const binaries = await completeBinaries(await findBinaries(), home.binaries, home.user !== undefined);
  const cluster = join(home.directory, 'cluster');
  if (!(await stat(cluster).catch(ignoreMissing))) await makeCluster(binaries, home, cluster);
  const data = join(cluster, 'data');
  const password = (await readFile(join(cluster, 'password'), 'utf8')).trim();

  const { client, port, adopted } = await startOrAdopt(options, binaries, home, data, password);
  let stopping = false;
  client.once('end', () => {
    if (!stopping) options.onLost?.(new StoreError('Unavailable', `the embedded PostgreSQL ended; its log is in ${data}/log`));
  });
  const database = options.database ?? 'dispatcher';
  try {
    await claim(client, options.dataDir);
    await removeDrafts(home);
    const { rowCount } = await client.query('SELECT FROM pg_database WHERE datname = $1', [database]);
    if (!rowCount) await client.query(`CREATE DATABASE ${pg.escapeIdentifier(database)}`);
  } catch (error) {
    stopping = true;
    await client.end();
    throw error;
  }
  log.info({ port, adopted, directory: home.directory }, 'embedded PostgreSQL is ready');

  let stopped: Promise<void> | undefined;
  const stop = async () => {
    stopping = true;
    await stopPostmaster(binaries, home, data, environment);
    await client.end().catch(() => undefined);
  };
  return {
    connectionString: urlOf(password, port, database),
    port,
    directory: home.directory,
    adopted,
    stop: () => {
      stopped ??= stop();
      return stopped;
    },
  };
}

/** A new cluster is made aside and renamed when whole, so that one cut short, or made twice at once, does no harm. */
async function makeCluster(binaries: Binaries, home: Home, cluster: string): Promise<void> {
  const draft = join(home.directory, `${DRAFT}${randomUUID()}`);
  const passwordFile = join(draft, 'password');
  try {
    await mkdir(draft, { mode: 0o700 });
    await writeFile(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600 });
    if (home.user) {
      for (const path of [draft, passwordFile]) await chown(path, home.user.uid, home.user.gid);
    }
    await initialize(binaries, home, join(draft, 'data'), passwordFile);
    await rename(draft, cluster);
  } catch (error) {
    // Somebody else was quicker: theirs it is.
    if (!(await stat(cluster).catch(ignoreMissing))) throw error;
    await removeDraft(draft);
  }
}

/** Done by who owns the cluster: nobody else's draft can become one any more. */
async function removeDrafts(home: Home): Promise<void> {
  const drafts = (await readdir(home.directory)).filter((name) => name.startsWith(DRAFT));
  for (const draft of drafts) await removeDraft(join(home.directory, draft));
}

/** One that somebody is still writing into goes by their own hand, or at the next start. */
async function removeDraft(draft: string): Promise<void> {
  await rm(draft, { recursive: true, force: true }).catch((error) => {
    if (error.code !== 'ENOTEMPTY') throw error;
  });
}

async function startOrAdopt(
  { environment, settings, log }: EmbeddedOptions,
  binaries: Binaries,
  home: Home,
  data: string,
  password: string,
): Promise<{ client: pg.Client; port: number; adopted: boolean }> {
  const deadline = environment.now().getTime() + START_LIMIT_MS;
  let child: StartedPostmaster | undefined;
  let failures = 0;
  let why = 'it did not answer';
  while (environment.now().getTime() < deadline) {
    const running = await runningPostmaster(data);
    if (running?.port) {
      const { port } = running;
      const client = await connect(urlOf(password, port, 'postgres'), 'dispatcher owner').catch((error) => {
        why = messageOf(error);
      });
      if (client) return { client, port, adopted: child === undefined };
    } else if (child?.hasExited()) {
      why = await child.exited;
      child = undefined;
      failures += 1;
      // What a killed server leaves (its last children, its port) is gone within moments; what is still wrong then stays wrong.
      if (failures >= 5) break;
      log.debug({ why, failures }, 'PostgreSQL did not start; trying again');
      await sleep(environment, 100 * 2 ** failures);
    } else if (!running && !child) {
      await rm(join(data, 'postmaster.pid'), { force: true });
      child = spawnPostmaster(binaries, home, data, await freePort(), { ...SETTINGS, ...settings });
    }
    await sleep(environment, 20);
  }
  throw new StoreError('Unavailable', `the embedded PostgreSQL in ${home.directory} did not start: ${why} (log: ${data}/log)`);
}

async function claim(client: pg.Client, dataDir: string): Promise<void> {
  const { rows } = await client.query<{ mine: boolean }>('SELECT pg_try_advisory_lock($1) AS mine', [OWNER_LOCK]);
  if (rows[0]?.mine) return;
  throw new StoreError(
    'Unavailable',
    `another Dispatcher is running on the data directory ${dataDir}: stop it, or choose another one with --data-dir`,
  );
}

function urlOf(password: string, port: number, database: string): string {
  return `postgresql://postgres:${password}@127.0.0.1:${port}/${encodeURIComponent(database)}?sslmode=disable`;
}

function freePort(): Promise<number> {
  return new Promise((resolvePort, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address ? resolvePort(address.port) : reject(new Error('no port'))));
    });
  });
}
