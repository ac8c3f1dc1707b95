import { execFile } from 'node:child_process';
import { join } from 'node:path';

/** What a command did. */
export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Stock kubectl (the one in the path, or another `program`) with a kubeconfig, and its caches in a directory of the test.
 *
 * @returns a function that runs it; `input` goes to its standard input, `environment` is added to its own.
 */
export function kubectl(kubeconfig: string, directory: string, program = 'kubectl') {
  return (args: readonly string[], input = '', environment: Readonly<Record<string, string>> = {}): Promise<Ran> =>
    new Promise((resolve) => {
      const env = {
        ...process.env,
        KUBECONFIG: kubeconfig,
        KUBECACHEDIR: join(directory, 'cache'),
        HOME: directory,
        ...environment,
      };
      const child = execFile(program, args, { env, timeout: 240_000, maxBuffer: 16 * 1024 * 1024 }, (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : -1) : 0;
        resolve({ code, stdout, stderr });
      });
      child.stdin?.end(input);
    });
}
