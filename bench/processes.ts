import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { createServer } from 'node:net';
import { fileURLToPath } from 'node:url';

/** The folder of package.json, seen from bench/dist/bench. */
export const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** A process of ours. */
export interface Child {
  readonly pid: number;
  readonly hasExited: () => boolean;
  /** Resolves when it has ended. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>;
}

/** Starts the `dispatcher` command with these arguments; what it says goes into a file. */
export function startDispatcherCommand(args: readonly string[], logFile: string, nodeArgs: readonly string[] = []): Child {
  return startNode([...nodeArgs, `${ROOT}bin/dispatcher.mjs`, ...args], logFile);
}

/** Starts Node with these arguments; what it says goes into a file. */
export function startNode(args: readonly string[], logFile: string): Child {
  const log = openSync(logFile, 'a');
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ['ignore', log, log] });
  const hasExited = () => child.exitCode !== null || child.signalCode !== null;
  const ended = once(child, 'exit');
  return {
    pid: child.pid ?? 0,
    hasExited,
    stop: async (signal) => {
      if (hasExited()) return;
      child.kill(signal);
      await ended;
    },
  };
}

/** A port of 127.0.0.1 that was free a moment ago. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => (typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port'))));
    });
  });
}

/** Resolves after `ms` milliseconds. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Asks until the answer is not undefined; what asking throws counts as undefined. @throws Error after `withinMs`. */
export async function until<T>(what: string, ask: () => Promise<T | undefined>, withinMs: number, everyMs = 50): Promise<T> {
  const deadline = performance.now() + withinMs;
  let why: unknown;
  for (;;) {
    const answer = await ask().catch((error: unknown) => {
      why = error;
      return undefined;
    });
    if (answer !== undefined) return answer;
    if (performance.now() > deadline) throw new Error(`gave up waiting for ${what}`, { cause: why });
    await pause(everyMs);
  }
}
