import type { ScryptOptions } from 'node:crypto';
import { describe, expect, test } from '@jest/globals';
import { Passwords } from '../../src/store/passwords.js';

/** Passwords over a quick stand-in for scrypt that tells what was asked of it. */
function counted() {
  const asked: ScryptOptions[] = [];
  const passwords = new Passwords(async (password, salt, length, options) => {
    asked.push(options);
    return Buffer.concat([Buffer.from(password), salt, Buffer.alloc(length)]).subarray(0, length);
  });
  return { passwords, asked };
}

describe('passwords', () => {
  const real = new Passwords();

  test('are known again, and others are not; the hash tells how it was made and not of what', async () => {
    const hash = await real.hash('correct horse');
    expect(hash).toMatch(/^scrypt\$15\$8\$3\$[\w+/=]{24}\$[\w+/=]{44}$/);
    expect(hash).not.toContain('correct');
    expect(await real.matches('correct horse', hash)).toBe(true);
    expect(await real.matches('correct horse ', hash)).toBe(false);
    expect(await real.hash('correct horse')).not.toBe(hash);
  });

  test('typed in another way that looks the same are the same', async () => {
    const { passwords } = counted();
    expect(await passwords.matches('e\u0301', await passwords.hash('\u00e9'))).toBe(true);
  });

  test.each([
    ['nobody at all', undefined],
    ['a hash that is damaged', 'scrypt$15$8$3$AAAA$AAAA'],
    ['a hash of another making', '$2b$10$abcdefghijklmnopqrstuv'],
  ])('of %s are wrong, at the cost of one that is somebody’s', async (_reason, hash) => {
    const { passwords, asked } = counted();
    const known = await passwords.hash('a');
    expect(await passwords.matches('b', known)).toBe(false);
    expect(await passwords.matches('b', hash)).toBe(false);
    expect(asked).toHaveLength(3);
    expect(asked[2]).toEqual(asked[1]);
  });

  test('hashed at another cost are checked at that cost', async () => {
    const { passwords, asked } = counted();
    const key = Buffer.concat([Buffer.from('old'), Buffer.from('salt'), Buffer.alloc(32)]).subarray(0, 32);
    const hash = `scrypt$10$4$1$${Buffer.from('salt').toString('base64')}$${key.toString('base64')}`;
    expect(await passwords.matches('old', hash)).toBe(true);
    expect(asked).toEqual([expect.objectContaining({ N: 1024, r: 4, p: 1 })]);
  });

  test('are worked on two at a time, and what would wait too long is refused', async () => {
    let running = 0;
    let most = 0;
    let release: () => void = () => undefined;
    const gate = new Promise<void>((resolve) => {
      release = resolve;
    });
    const passwords = new Passwords(async (_password, _salt, length) => {
      most = Math.max(most, ++running);
      await gate;
      running--;
      return Buffer.alloc(length);
    });
    const checks = Array.from({ length: 70 }, () => passwords.matches('a', undefined));
    const outcomes = Promise.allSettled(checks);
    await expect(checks[69]).rejects.toMatchObject({ code: 'Unavailable' });
    release();
    const refused = (await outcomes).filter(({ status }) => status === 'rejected');
    expect({ most, refused: refused.length }).toEqual({ most: 2, refused: 4 });
  });
});
