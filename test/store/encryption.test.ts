import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { createCipher } from '../../src/store/encryption.js';

const key = (fill: number) => new Uint8Array(32).fill(fill);
const cipher = createCipher({ id: '2026-01', key: key(1) });

describe('a cipher', () => {
  test('gives back what it was given, in its context', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.string(), (text, context) => {
        expect(cipher.decrypt(cipher.encrypt(text, context), context)).toBe(text);
      }),
    );
  });

  test('never says the same twice, nor any of the text', () => {
    const envelopes = new Set(Array.from({ length: 50 }, () => cipher.encrypt('hunter2hunter2', 'a')));
    expect(envelopes.size).toBe(50);
    for (const envelope of envelopes) {
      expect(envelope).toMatch(/^v1\.2026-01\.[A-Za-z0-9_-]+$/);
      expect(Buffer.from(envelope.split('.')[2] ?? '', 'base64url').toString('latin1')).not.toContain('hunter2');
    }
  });

  test('refuses an envelope that was changed in any byte', () => {
    const envelope = cipher.encrypt('hunter2', 'a');
    const [version, id, body = ''] = envelope.split('.');
    const bytes = Buffer.from(body, 'base64url');
    for (let index = 0; index < bytes.length; index++) {
      const changed = Buffer.from(bytes);
      changed.writeUInt8(changed.readUInt8(index) ^ 1, index);
      expect(() => cipher.decrypt(`${version}.${id}.${changed.toString('base64url')}`, 'a')).toThrow(/changed, moved/);
    }
  });

  test.each([
    { reason: 'moved to another resource', envelope: () => cipher.encrypt('x', 'other'), says: /changed, moved/ },
    {
      reason: 'of a key that is not here',
      envelope: () => createCipher({ id: 'b', key: key(2) }).encrypt('x', 'a'),
      says: /key b,/,
    },
    {
      reason: 'of another key under the same id',
      envelope: () => createCipher({ id: '2026-01', key: key(2) }).encrypt('x', 'a'),
      says: /another key 2026-01/,
    },
    { reason: 'cut short', envelope: () => 'v1.2026-01.AAAA', says: /cut short/ },
    { reason: 'of another version', envelope: () => cipher.encrypt('x', 'a').replace('v1', 'v2'), says: /version 1/ },
    { reason: 'no envelope at all', envelope: () => 'hunter2', says: /not an envelope/ },
  ])('refuses an envelope $reason', ({ envelope, says }) => {
    expect(() => cipher.decrypt(envelope(), 'a')).toThrow(says);
  });

  test('reads what former keys wrote, and writes with the current one', () => {
    const before = cipher.encrypt('hunter2', 'a');
    const rotated = createCipher({ id: '2026-02', key: key(2) }, [{ id: '2026-01', key: key(1) }]);
    expect(rotated.decrypt(before, 'a')).toBe('hunter2');
    expect(rotated.encrypt('hunter2', 'a')).toMatch(/^v1\.2026-02\./);
    expect(rotated.keyIds).toEqual(['2026-02', '2026-01']);
  });

  test.each([
    { reason: 'a key of 16 bytes', make: () => createCipher({ id: 'a', key: new Uint8Array(16) }) },
    { reason: 'an id with a dot', make: () => createCipher({ id: 'a.b', key: key(1) }) },
    { reason: 'one id twice', make: () => createCipher({ id: 'a', key: key(1) }, [{ id: 'a', key: key(2) }]) },
  ])('is not made with $reason', ({ make }) => {
    expect(make).toThrow(RangeError);
  });
});
