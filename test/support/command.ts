import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { LOCATION_FILE } from '../../src/store/postgres/embedded/home.js';

const BIN = fileURLToPath(new URL('../../bin/dispatcher.mjs', import.meta.url));

/** The `dispatcher` command while it runs, as built in dist/. */
export interface RunningCommand {
  readonly pid: number;
  /** What it has written so far. */
  stdout(): string;
  stderr(): string;
  kill(signal: NodeJS.Signals): void;
  /** Resolves when it has ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly stdout: string; readonly stderr: string }>;
}

/** Starts the command with nothing of our own environment but the path, in `cwd`; `input` goes to its standard input. */
export function startCommand(
  args: readonly string[],
  cwd = tmpdir(),
  env: NodeJS.ProcessEnv = {},
  input?: string,
): RunningCommand {
  const child: ChildProcess = spawn(process.execPath, [BIN, ...args], {
    cwd,
    env: { PATH: process.env.PATH, ...env },
    stdio: [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'],
  });
  // Who says what is wrong before it has read all ends the pipe.
  child.stdin?.on('error', () => undefined).end(input);
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
  });
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve) => {
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return {
    pid: child.pid ?? 0,
    stdout: () => stdout,
    stderr: () => stderr,
    kill: (signal) => void child.kill(signal),
    ended,
  };
}

/** A folder with a data directory in it, which is removed with all that root's database put elsewhere. */
export async function makeDataDir(): Promise<{ readonly dataDir: string; remove(): Promise<void> }> {
  const base = await mkdtemp(join(tmpdir(), 'dispatcher-command-'));
  const dataDir = join(base, 'data');
  return {
    dataDir,
    remove: async () => {
      const elsewhere = await readFile(join(dataDir, LOCATION_FILE), 'utf8').catch(() => undefined);
      if (elsewhere) await rm(elsewhere.trim(), { recursive: true, force: true });
      await rm(base, { recursive: true, force: true });
    },
  };
}
