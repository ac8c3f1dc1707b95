import type { Readable } from 'node:stream';
import { ConfigError } from '../config.js';

const LEAST = 8;
const MOST = 1024;

/**
 * The password on an input: all of it, without the end of its line.
 * @throws ConfigError, without the password, if it is too short or too long, or not one line of text.
 */
export async function readPassword(input: Readable): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of input) {
    const read = Buffer.from(chunk);
    bytes += read.length;
    if (bytes > 4 * MOST) throw new ConfigError(`the password on the standard input must be at most ${MOST} characters`);
    chunks.push(read);
  }
  const password = Buffer.concat(chunks)
    .toString('utf8')
    .replace(/\r?\n$/, '');
  const length = [...password].length;
  if (length < LEAST || length > MOST) {
    throw new ConfigError(`the password on the standard input must be ${LEAST} to ${MOST} characters, got ${length}`);
  }
  if (/[\p{Cc}\ufffd]/u.test(password))
    throw new ConfigError('the password on the standard input must be one line of text in UTF-8');
  return password;
}
