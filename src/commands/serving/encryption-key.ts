import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { link, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigError } from '../../config.js';
import { type Cipher, createCipher } from '../../store/encryption.js';

/** The file in a data directory with the key of its own making. */
const KEY_FILE = 'encryption.key';

/**
 * The cipher that Secrets are kept with.
 *
 * @param file where the key is; undefined: in the data directory, where one is made if there is none.
 * @throws ConfigError if a file that was named is not there, or what it holds is no key. Never shows what it holds.
 */
export async function openCipher(dataDir: string, file: string | undefined): Promise<Cipher> {
  const path = file ?? join(dataDir, KEY_FILE);
  const text = await readFile(path, 'utf8').catch((error) => {
    if (error.code === 'ENOENT' && file === undefined) return makeKey(path);
    throw new ConfigError(`--encryption-key-file ${path} cannot be read: ${error.message}`);
  });
  const key = Buffer.from(text.trim(), 'base64');
  if (key.length !== 32 || !/^[A-Za-z0-9+/]{43}=\s*$/.test(text)) {
    throw new ConfigError(`--encryption-key-file ${path} must hold 32 bytes in base64: make one with "openssl rand -base64 32"`);
  }
  return createCipher({ id: createHash('sha256').update(key).digest('hex').slice(0, 12), key });
}

/** Made whole or not at all, and never over one that is there: what it encrypted could not be read again. */
async function makeKey(path: string): Promise<string> {
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  try {
    await link(draft, path).catch((error) => {
      if (error.code !== 'EEXIST') throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  return readFile(path, 'utf8');
}
