import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { givenUp, type LeaseSpec, look, mayTake, taken } from '../../../src/store/kubernetes/lease-record.js';

const NOW = new Date('2026-01-01T00:00:00.123Z');
const HELD: LeaseSpec = {
  holderIdentity: 'a',
  leaseDurationSeconds: 15,
  acquireTime: '2025-12-31T23:00:00.000000Z',
  renewTime: '2025-12-31T23:59:59.000000Z',
  leaseTransitions: 3,
};

describe('a lease', () => {
  test('taken over: a new holder, a higher number, times of now', () => {
    expect(taken(HELD, 'b', 15_000, NOW)).toEqual({
      holderIdentity: 'b',
      leaseDurationSeconds: 15,
      acquireTime: '2026-01-01T00:00:00.123000Z',
      renewTime: '2026-01-01T00:00:00.123000Z',
      leaseTransitions: 4,
    });
  });

  test('renewed: the number and the time of taking stay', () => {
    expect(taken(HELD, 'a', 15_000, NOW)).toEqual({ ...HELD, renewTime: '2026-01-01T00:00:00.123000Z' });
  });

  test('made anew after somebody deleted it: the number goes on', () => {
    expect(taken({}, 'a', 15_000, NOW).leaseTransitions).toBe(1);
    expect(taken({}, 'a', 15_000, NOW, 7).leaseTransitions).toBe(8);
  });

  test('lasts whole seconds, at least as long as asked for', () => {
    expect(taken({}, 'a', 1_001, NOW).leaseDurationSeconds).toBe(2);
    expect(taken({}, 'a', 1, NOW).leaseDurationSeconds).toBe(1);
  });

  test('given up: nobody has it, anybody may, and the number rises all the same', () => {
    const free = givenUp(HELD, NOW);
    expect(mayTake(look(undefined, free, 0), 'b', 0)).toBe(true);
    expect(taken(free, 'a', 15_000, NOW).leaseTransitions).toBe(4);
  });

  test('keeps the fields that it does not know', () => {
    expect(taken({ ...HELD, strategy: 'OldestEmulationVersion' }, 'b', 15_000, NOW)).toHaveProperty('strategy');
  });
});

describe('a candidate', () => {
  test('waits for a whole duration from when it first saw the lease so, whatever the times in it say', () => {
    const ancient = { ...HELD, renewTime: '1999-01-01T00:00:00.000000Z' };
    const first = look(undefined, ancient, 1_000);
    expect(mayTake(first, 'b', 1_000)).toBe(false);
    expect(mayTake(look(first, ancient, 10_000), 'b', 15_999)).toBe(false);
    expect(mayTake(look(first, ancient, 10_000), 'b', 16_000)).toBe(true);
  });

  test('counts anew from every change', () => {
    const first = look(undefined, HELD, 0);
    const renewed = look(first, { ...HELD, renewTime: '2026-01-01T00:00:05.000000Z' }, 14_000);
    expect(mayTake(renewed, 'b', 20_000)).toBe(false);
    expect(mayTake(renewed, 'b', 29_000)).toBe(true);
  });

  test('takes its own, and one without a holder, at once', () => {
    expect(mayTake(look(undefined, HELD, 0), 'a', 0)).toBe(true);
    expect(mayTake(look(undefined, {}, 0), 'a', 0)).toBe(true);
  });

  test('the number never falls, whoever takes, renews and gives up', () => {
    const act = fc.record({ holder: fc.constantFrom('a', 'b', 'c'), release: fc.boolean() });
    fc.assert(
      fc.property(fc.array(act), (acts) => {
        let spec: LeaseSpec = {};
        for (const { holder, release } of acts) {
          const before = spec;
          spec = taken(spec, holder, 15_000, NOW);
          const isNew = before.holderIdentity !== holder;
          expect(spec.leaseTransitions).toBe((before.leaseTransitions ?? 0) + (isNew ? 1 : 0));
          if (release) spec = givenUp(spec, NOW);
        }
      }),
    );
  });
});
