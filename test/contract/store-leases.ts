import { describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import type { Room } from './store-fixtures.js';

/** Long enough to outlast a slow call, short enough to wait for. Milliseconds. */
const SHORT = 2_000;
const LONG = 60_000;

/** Leases: one holder at a time, and fencing numbers. */
export function leaseContract(room: () => Room): void {
  const leases = () => room().store.leases;
  const name = () => `${room().namespace}-lease`;

  describe('a lease', () => {
    test('belongs to who takes it first, and is renewed without a new number', async () => {
      const taken = await leases().acquire(name(), 'a', LONG);
      expect(taken).toMatchObject({ name: name(), holder: 'a' });
      expect(await leases().acquire(name(), 'b', LONG)).toEqual(taken);
      expect(await leases().acquire(name(), 'a', LONG)).toEqual(taken);
    });

    test('of many who want it at once, is had by exactly one', async () => {
      const candidates = ['a', 'b', 'c', 'd', 'e'];
      const answers = await Promise.all(candidates.map((holder) => leases().acquire(name(), holder, LONG)));
      expect(new Set(answers.map(({ holder }) => holder)).size).toBe(1);
      expect(new Set(answers.map(({ transitions }) => transitions)).size).toBe(1);
    });

    test('that is given up is free at once, and its number rises', async () => {
      const first = await leases().acquire(name(), 'a', LONG);
      await leases().release(name(), 'a');
      const second = await leases().acquire(name(), 'b', LONG);
      expect(second.holder).toBe('b');
      expect(second.transitions).toBeGreaterThan(first.transitions);
    });

    test('cannot be given up by another, nor one that nobody took', async () => {
      const taken = await leases().acquire(name(), 'a', LONG);
      await leases().release(name(), 'b');
      expect(await leases().acquire(name(), 'b', LONG)).toEqual(taken);
      await leases().release(`${name()}-unknown`, 'a');
    });

    test('that is not renewed passes to the next who asks, and its number rises', async () => {
      const first = await leases().acquire(name(), 'a', SHORT);
      expect((await leases().acquire(name(), 'b', SHORT)).holder).toBe('a');
      await eventually(async () => expect((await leases().acquire(name(), 'b', LONG)).holder).toBe('b'));
      const second = await leases().acquire(name(), 'a', SHORT);
      expect(second.holder).toBe('b');
      expect(second.transitions).toBeGreaterThan(first.transitions);
    });

    test('is one of its own under each name', async () => {
      await leases().acquire(`${name()}-1`, 'a', LONG);
      expect((await leases().acquire(`${name()}-2`, 'b', LONG)).holder).toBe('b');
    });
  });
}
