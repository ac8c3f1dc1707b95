import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmod, chown, link, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StoreError } from '../../errors.js';
import { errorCode, ignoreMissing } from './errno.js';

/** Where a cluster lives and as whom its server runs. */
export interface Home {
  /** Belongs to the server's user, who can reach it. */
  readonly directory: string;
  /** Where copies of the binaries go. */
  readonly binaries: string;
  /** The user to become; absent: the one we are. */
  readonly user?: { readonly uid: number; readonly gid: number };
}

/** The file in a data directory of root's that says where its database is. */
export const LOCATION_FILE = 'postgres-location';

/**
 * Where the database of a data directory is; made if it is not there.
 *
 * An ordinary user's is in the data directory. PostgreSQL refuses to run as root, and the user it runs as then may not be
 * able to enter the data directory (a clone under root's 0700 home), so root's is in a folder of its own under `rootBase`,
 * and a file in the data directory remembers which.
 *
 * @throws StoreError Unavailable if the remembered place is gone: an empty database would pass for a lost fleet.
 */
export async function openHome(dataDir: string, rootBase: string): Promise<Home> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  if (process.getuid?.() !== 0) {
    const directory = join(dataDir, 'postgres');
    await mkdir(directory, { recursive: true, mode: 0o700 });
    return { directory, binaries: directory };
  }
  const locationFile = join(dataDir, LOCATION_FILE);
  const known = await readFile(locationFile, 'utf8').catch(ignoreMissing);
  const directory = known?.trim() || (await makeRootHome(locationFile, rootBase));
  const found = await stat(directory).catch(ignoreMissing);
  if (!found) {
    throw new StoreError(
      'Unavailable',
      `the database of ${dataDir} should be at ${directory}, which is not there: bring it back, ` +
        `or delete ${locationFile} to begin with an empty one`,
    );
  }
  return { directory, binaries: rootBase, user: { uid: found.uid, gid: found.gid } };
}

async function makeRootHome(locationFile: string, rootBase: string): Promise<string> {
  await mkdir(rootBase, { recursive: true });
  await chmod(rootBase, 0o755);
  const directory = join(rootBase, randomUUID());
  await mkdir(directory, { mode: 0o700 });
  const { uid, gid } = await ordinaryUser();
  await chown(directory, uid, gid);
  return (await writeOnce(locationFile, directory)) ?? directory;
}

/** Writes a file whole or not at all. @returns what is in it already, if somebody was quicker. */
async function writeOnce(path: string, text: string): Promise<string | undefined> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, `${text}\n`, { mode: 0o600 });
  try {
    await link(draft, path);
    return undefined;
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
    return (await readFile(path, 'utf8')).trim();
  } finally {
    await rm(draft);
  }
}

async function ordinaryUser(): Promise<{ uid: number; gid: number }> {
  const id = async (flag: string, user: string) => Number((await promisify(execFile)('id', [flag, user])).stdout);
  const ids = async (user: string) => ({ uid: await id('-u', user), gid: await id('-g', user) });
  return ids('postgres').catch(() => ids('nobody'));
}
