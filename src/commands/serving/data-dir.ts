import { constants } from 'node:fs';
import { access, mkdir } from 'node:fs/promises';
import { ConfigError } from '../../config.js';

/** Makes the data directory, for its owner only, if it is not there. @throws ConfigError if it cannot be made or written. */
export async function openDataDir(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    await access(directory, constants.R_OK | constants.W_OK | constants.X_OK);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new ConfigError(`--data-dir ${directory} cannot be used (${reason}): choose a directory that you may write to`);
  }
}
