import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { openCipher } from '../../../src/commands/serving/encryption-key.js';

let directory: string;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'dispatcher-key-'));
});

afterEach(() => rm(directory, { recursive: true }));

describe('the key that Secrets are encrypted with', () => {
  test('is made once, for its owner only, even by several at the same moment', async () => {
    const ciphers = await Promise.all([1, 2, 3, 4].map(() => openCipher(directory, undefined)));
    const [first, ...others] = ciphers;
    const sealed = first?.encrypt('text', 'context') ?? '';
    for (const cipher of others) expect(cipher.decrypt(sealed, 'context')).toBe('text');
    expect(await readdir(directory)).toEqual(['encryption.key']);
    expect((await stat(join(directory, 'encryption.key'))).mode & 0o777).toBe(0o600);
    expect((await openCipher(directory, undefined)).decrypt(sealed, 'context')).toBe('text');
  });

  test('that is named is used, and none is made', async () => {
    const file = join(directory, 'own.key');
    await writeFile(file, `${Buffer.alloc(32, 1).toString('base64')}\n`);
    const cipher = await openCipher(directory, file);
    expect(cipher.decrypt(cipher.encrypt('text', 'context'), 'context')).toBe('text');
    expect(await readdir(directory)).toEqual(['own.key']);
  });

  test('is never replaced: one that is spoilt is an error that does not show it', async () => {
    await openCipher(directory, undefined);
    const file = join(directory, 'encryption.key');
    await chmod(file, 0o600);
    await writeFile(file, 'half-of-a-secret');
    const failure = await openCipher(directory, undefined).then(String, String);
    expect(failure).toMatch(/encryption\.key must hold 32 bytes in base64/);
    expect(failure).not.toContain('half-of');
    expect(await readFile(file, 'utf8')).toBe('half-of-a-secret');
  });
});
