import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { backoffMs, KEY_BACKOFF, STORE_BACKOFF } from '../../src/controllers/backoff.js';

const policies = fc.constantFrom(KEY_BACKOFF, STORE_BACKOFF);
const chance = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });

describe('backoffMs', () => {
  test.each([
    { reason: 'no failure, no wait', failures: 0, expected: 0 },
    { reason: 'fewer than none, no wait', failures: -3, expected: 0 },
    { reason: 'the first waits the base', failures: 1, expected: 5 },
    { reason: 'each doubles', failures: 5, expected: 80 },
    { reason: 'the last below the cap', failures: 16, expected: 163_840 },
    { reason: 'the cap', failures: 17, expected: 300_000 },
    { reason: 'a number that would overflow', failures: 5_000, expected: 300_000 },
  ])('$reason', ({ failures, expected }) => {
    expect(backoffMs(failures, 0, KEY_BACKOFF)).toBe(expected);
  });

  test('jitter only adds, and at most its part', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), chance, policies, (failures, random, policy) => {
        const nominal = backoffMs(failures, 0, policy);
        const actual = backoffMs(failures, random, policy);
        expect(actual).toBeGreaterThanOrEqual(nominal);
        expect(actual).toBeLessThanOrEqual(nominal * (1 + policy.jitter));
      }),
    );
  });

  test('before jitter, it never falls as failures rise, and never passes the cap', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 10_000 }), policies, (failures, policy) => {
        const now = backoffMs(failures, 0, policy);
        expect(backoffMs(failures + 1, 0, policy)).toBeGreaterThanOrEqual(now);
        expect(now).toBeLessThanOrEqual(policy.capMs);
      }),
    );
  });
});
