import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { ConfigError } from '../../config.js';

/** Makes the data directory, for its owner only, if it is not there. @throws ConfigError if it cannot be made or written. */
export async function openDataDir(directory: string): Promise<void> {
  try {
    await makeDirectory(directory);
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`--data-dir ${directory} cannot be used (${reason}): choose a directory that you may write to`);
  }
}

/** Not mkdir's own recursion: in places where nothing can be made, such as /proc, it never ends. */
async function makeDirectory(path: string): Promise<void> {
  const make = () => mkdir(path, { mode: 0o700 }).then(() => '', codeOf);
  const first = await make();
  if (first === '' || first === 'EEXIST') return;
  if (first !== 'ENOENT' || dirname(path) === path) throw new Error(`mkdir ${path}: ${first}`);
  await makeDirectory(dirname(path));
  const second = await make();
  if (second !== '' && second !== 'EEXIST') throw new Error(`mkdir ${path}: ${second}`);
}

function codeOf(error: NodeJS.ErrnoException): string {
  return error.code ?? error.message;
}
