import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { duration, milliseconds } from '../../src/resources/duration.js';

test.each([
  ['500ms', 500],
  ['2s', 2_000],
  ['1m30s', 90_000],
  ['8h', 28_800_000],
  ['1h1m1s1ms', 3_661_001],
  ['0s', 0],
  ['90m', 5_400_000],
  ['5m5m', 600_000],
])('%s is %d ms', (text, expected) => {
  expect(duration.safeParse(text).success).toBe(true);
  expect(milliseconds(text)).toBe(expected);
});

test.each(['', 's', '5', '5 s', '-5s', '1.5s', '5d', '5S', ' 5s', '5s\n', '5s later', '١s', `${'1'.repeat(40)}s`])(
  '"%s" is no duration',
  (text) => {
    expect(duration.safeParse(text).success).toBe(false);
    expect(milliseconds(text)).toBeNaN();
  },
);

test('whatever its parts, it is their sum', () => {
  const part = fc.tuple(
    fc.integer({ min: 0, max: 999 }),
    fc.constantFrom(['ms', 1], ['s', 1_000], ['m', 60_000], ['h', 3_600_000]),
  );
  fc.assert(
    fc.property(fc.array(part, { minLength: 1, maxLength: 5 }), (parts) => {
      const text = parts.map(([number, [unit]]) => `${number}${unit}`).join('');
      expect(milliseconds(text)).toBe(parts.reduce((sum, [number, [, ms]]) => sum + number * Number(ms), 0));
    }),
  );
});
