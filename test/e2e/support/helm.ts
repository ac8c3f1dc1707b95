import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describeWith } from './real-part.js';

const run = promisify(execFile);
const HOW = 'needs Helm: test/e2e/kubernetes/helm/build.sh makes it, once, from Go modules (Go 1.26, 4 minutes)';

const found = await run(join(import.meta.dirname, '../kubernetes/helm/build.sh'), ['--where']).then(
  ({ stdout }) => stdout.trim(),
  () => undefined,
);

/** A suite that needs Helm. Without it, it fails where CI is set, and is skipped elsewhere, saying how to get it. */
export const describeWithHelm = describeWith(found !== undefined, HOW);

/** Helm, which reads nobody's configuration. @throws with its words. */
export async function helm(...words: string[]): Promise<string> {
  const env = { PATH: process.env.PATH, HOME: '/nonexistent' };
  const { stdout } = await run(found ?? '', words, { env, timeout: 60_000, maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}
