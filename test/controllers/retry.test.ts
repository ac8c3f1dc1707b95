import { describe, expect, test } from '@jest/globals';
import { retryOf } from '../../src/controllers/retry.js';
import { StoreError } from '../../src/store/errors.js';

const carrying = (retry: unknown) => Object.assign(new Error('carries a hint'), { retry });

describe('retryOf', () => {
  test.each([
    { reason: 'a hint is taken', error: carrying({ kind: 'change' }), expected: { kind: 'change' } },
    { reason: 'so is one of a wait', error: carrying({ kind: 'after', ms: 250 }), expected: { kind: 'after', ms: 250 } },
    {
      reason: 'and what else stands in it is left out',
      error: carrying({ kind: 'conflict', x: 1 }),
      expected: { kind: 'conflict' },
    },
    { reason: 'a wait that is no number is none', error: carrying({ kind: 'after', ms: '9' }), expected: { kind: 'backoff' } },
    {
      reason: 'nor one that never ends',
      error: carrying({ kind: 'after', ms: Number.POSITIVE_INFINITY }),
      expected: { kind: 'backoff' },
    },
    { reason: 'nor one in the past', error: carrying({ kind: 'after', ms: -1 }), expected: { kind: 'backoff' } },
    { reason: 'an unknown hint is none', error: carrying({ kind: 'never' }), expected: { kind: 'backoff' } },
    { reason: 'a hint that is no object is none', error: carrying('change'), expected: { kind: 'backoff' } },
    { reason: 'what was read was stale', error: new StoreError('Conflict', 'x'), expected: { kind: 'conflict' } },
    { reason: 'so it was here', error: new StoreError('Expired', 'x'), expected: { kind: 'conflict' } },
    { reason: 'what is not there may come', error: new StoreError('NotFound', 'x'), expected: { kind: 'backoff' } },
    { reason: 'a store that is away comes back', error: new StoreError('Unavailable', 'x'), expected: { kind: 'backoff' } },
    { reason: 'an unknown error', error: new TypeError('x'), expected: { kind: 'backoff' } },
    { reason: 'no error at all', error: undefined, expected: { kind: 'backoff' } },
    { reason: 'a text', error: 'oh no', expected: { kind: 'backoff' } },
    {
      reason: 'an error that cannot be looked at',
      error: {
        get retry() {
          throw new Error('trap');
        },
      },
      expected: { kind: 'backoff' },
    },
  ])('$reason: $expected', ({ error, expected }) => {
    expect(retryOf(error)).toEqual(expected);
  });
});
