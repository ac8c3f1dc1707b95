import { readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { ConfigError } from '../../config.js';

const runSchema = z.object({
  pid: z.int(),
  version: z.string(),
  /** Where health and metrics are served. */
  http: z.url(),
  /** Where the resource API is served. */
  https: z.url(),
  /** The authority that signed its certificate, in PEM. */
  ca: z.string(),
  /** With the password: the file is for its owner only. */
  databaseUrl: z.string(),
});

/** What a running server tells the other commands about itself. */
export type Run = z.infer<typeof runSchema>;

const fileIn = (dataDir: string) => join(dataDir, 'run.json');

/** Writes it into the data directory, for its owner only. */
export async function writeRun(dataDir: string, run: Run): Promise<void> {
  const draft = `${fileIn(dataDir)}.new`;
  await rm(draft, { force: true });
  await writeFile(draft, `${JSON.stringify(run, undefined, 2)}\n`, { mode: 0o600 });
  await rename(draft, fileIn(dataDir));
}

/** Removes it: the server has ended. */
export async function removeRun(dataDir: string): Promise<void> {
  await rm(fileIn(dataDir), { force: true });
}

/** Reads what the server on a data directory wrote. @throws ConfigError with what to do if none runs there. */
export async function readRun(dataDir: string): Promise<Run> {
  const text = await readFile(fileIn(dataDir), 'utf8').catch((error) => {
    if (error.code !== 'ENOENT') throw new ConfigError(`--data-dir ${dataDir} cannot be read: ${error.message}`);
    throw new ConfigError(
      `no server is running on the data directory ${dataDir}: start one with "dispatcher serve", or name its --data-dir`,
    );
  });
  const run = runSchema.safeParse(parse(text));
  if (!run.success) throw new ConfigError(`${fileIn(dataDir)} is not what a server writes: start the server again`);
  return run.data;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
