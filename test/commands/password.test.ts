import { Readable } from 'node:stream';
import { describe, expect, test } from '@jest/globals';
import { readPassword } from '../../src/commands/password.js';

describe('the password on the standard input', () => {
  test.each([
    ['comes without the end of its line', 'correct horse\n', 'correct horse'],
    ['nor that of Windows', 'correct horse\r\n', 'correct horse'],
    ['keeps its spaces', '  correct  ', '  correct  '],
    ['may be of any letters', 'пароль-пароль', 'пароль-пароль'],
  ])('%s', async (_reason, input, expected) => {
    expect(await readPassword(Readable.from([Buffer.from(input)]))).toBe(expected);
  });

  test.each([
    ['is too short', Buffer.from('short1\n'), /must be 8 to 1024 characters, got 6/],
    ['is too long', Buffer.from('x'.repeat(1025)), /must be 8 to 1024 characters, got 1025/],
    ['has no end', Buffer.alloc(5000, 'x'), /at most 1024 characters/],
    ['is two lines', Buffer.from('first-line\nsecond-line\n'), /one line of text/],
    ['is no text', Buffer.from([0xff, 0xfe, 1, 2, 3, 4, 5, 6, 7, 8]), /one line of text/],
  ])('is refused if it %s', async (_reason, input, message) => {
    await expect(readPassword(Readable.from([input]))).rejects.toThrow(message);
    await expect(readPassword(Readable.from([input]))).rejects.not.toThrow(/first-line|short1/);
  });
});
