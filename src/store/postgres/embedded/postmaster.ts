import { execFile, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Environment } from '../../../environment.js';
import { sleep } from '../../../environment.js';
import { StoreError } from '../../errors.js';
import { type Binaries, program } from './binaries.js';
import { errorCode, ignoreMissing } from './errno.js';
import type { Home } from './home.js';

/** What `postmaster.pid` says of a server. */
export interface Postmaster {
  readonly pid: number;
  /** Absent while the server is so young that it has not said. */
  readonly port?: number;
}

/** The server that runs on a cluster's data now, whoever started it; undefined if none does, whatever a stale file says. */
export async function runningPostmaster(data: string): Promise<Postmaster | undefined> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(ignoreMissing))?.split('\n') ?? [];
  const pid = Number(lines[0]);
  if (!Number.isInteger(pid) || pid <= 0 || !isAlive(pid) || !(await servesData(pid, data))) return undefined;
  const port = Number(lines[3]);
  return port > 0 ? { pid, port } : { pid };
}

/** A server process that was just started. */
export interface StartedPostmaster {
  /** Resolves, with what it said last, when it has ended. */
  readonly exited: Promise<string>;
  hasExited(): boolean;
}

/** Starts a server on a free cluster. It outlives this process if that is killed, and Ctrl-C does not reach it. */
export function spawnPostmaster(
  binaries: Binaries,
  home: Home,
  data: string,
  port: number,
  settings: Readonly<Record<string, string>>,
): StartedPostmaster {
  const options = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
  // A group of its own: a terminal's Ctrl-C would stop it before the last status is written.
  const child = spawn(program(binaries, 'postgres'), ['-D', data, '-p', String(port), ...options], {
    ...home.user,
    cwd: home.directory,
    env: cleanEnvironment(),
    detached: true,
    windowsHide: true,
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let said = '';
  let ended = false;
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    said = (said + text).slice(-2000);
  });
  const exited = new Promise<string>((resolve) => {
    const end = (why: string) => {
      ended = true;
      resolve(`${why} ${said}`.trim());
    };
    child.once('error', (error) => end(error.message));
    child.once('close', (code, signal) => end(`exit ${code ?? signal}:`));
  });
  child.unref();
  return { exited, hasExited: () => ended };
}

/** Makes the files of a new cluster in `data`, whose superuser `postgres` has the password in `passwordFile`. */
export async function initialize(binaries: Binaries, home: Home, data: string, passwordFile: string): Promise<void> {
  const locale = ['--encoding=UTF8', '--locale-provider=builtin', '--builtin-locale=C.UTF-8', '--locale=C'];
  const access = ['-U', 'postgres', '-A', 'scram-sha-256', `--pwfile=${passwordFile}`];
  await run(binaries, home, 'initdb', ['-D', data, ...access, ...locale]);
}

/**
 * Stops the server on `data`, and waits until it is gone: politely (sessions are ended, all is written) for 30 s, then at once
 * (the next start recovers from the log; nothing committed is lost).
 */
export async function stopPostmaster(binaries: Binaries, home: Home, data: string, environment: Environment): Promise<void> {
  const stop = (mode: string) => run(binaries, home, 'pg_ctl', ['stop', '-D', data, '-m', mode, '-w', '-t', '30']);
  try {
    await stop('fast');
  } catch (error) {
    if (!(await runningPostmaster(data))) return;
    await stop('immediate').catch(() => {
      throw error;
    });
  }
  while (await runningPostmaster(data)) await sleep(environment, 20);
}

async function run(binaries: Binaries, home: Home, name: 'initdb' | 'pg_ctl', args: readonly string[]): Promise<void> {
  const options = { ...home.user, cwd: home.directory, env: cleanEnvironment(), windowsHide: true };
  await promisify(execFile)(program(binaries, name), args, options).catch((error) => {
    const said = String(error.stderr || error.message).trim();
    throw new StoreError('Unavailable', `PostgreSQL's ${name} failed in ${home.directory}: ${said.slice(-1000)}`, {
      cause: error,
    });
  });
}

/** Without PGDATA, PGPORT and the like, which would steer the server elsewhere. */
function cleanEnvironment(): NodeJS.ProcessEnv {
  const { PATH, SystemRoot, TEMP } = process.env;
  return { PATH, LC_ALL: 'C', ...(SystemRoot && { SystemRoot }), ...(TEMP && { TEMP }) };
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errorCode(error) === 'EPERM';
  }
}

/** Whether that process is a PostgreSQL on this data: pids are used again, all the more after a restart of a container. */
async function servesData(pid: number, data: string): Promise<boolean> {
  if (process.platform === 'win32') return true;
  const command =
    process.platform === 'linux'
      ? await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      : await promisify(execFile)('ps', ['-o', 'command=', '-ww', '-p', String(pid)]).then(
          ({ stdout }) => stdout,
          () => '',
        );
  return command.includes(data);
}
