import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ChangeJournal } from '../../../../src/clouds/simulator/model/change-journal.js';
import { DueQueue } from '../../../../src/clouds/simulator/model/due-queue.js';
import { OrderedIds } from '../../../../src/clouds/simulator/model/ordered-ids.js';

const small = fc.integer({ min: 0, max: 300 });

describe('OrderedIds', () => {
  it('reads below any number what a plain sorted list reads, after any additions and removals', () => {
    const change = fc.tuple(fc.boolean(), small);
    fc.assert(
      fc.property(fc.array(change, { maxLength: 400 }), small, (changes, from) => {
        const ids = new OrderedIds();
        const plain = new Set<number>();
        for (const [added, number] of changes) {
          if (added) {
            ids.add(number, `id-${number}`);
            plain.add(number);
          } else {
            ids.remove(number);
            plain.delete(number);
          }
        }
        const expected = [...plain].filter((number) => number < from).sort((one, other) => other - one);
        expect([...ids.below(from)]).toEqual(expected.map((number) => `id-${number}`));
        expect(ids.size).toBe(plain.size);
      }),
    );
  });
});

describe('DueQueue', () => {
  it('gives everything that is due in order of time, and nothing that is not', () => {
    fc.assert(
      fc.property(fc.array(small), small, (times, now) => {
        const queue = new DueQueue();
        for (const [index, at] of times.entries()) queue.add(at, `id-${index}`);
        const taken: number[] = [];
        for (let due = queue.take(now); due !== undefined; due = queue.take(now)) taken.push(due.at);
        expect(taken).toEqual(times.filter((at) => at <= now).sort((one, other) => one - other));
      }),
    );
  });
});

describe('ChangeJournal', () => {
  it('tells each id once by its last change, however often it changed or was forgotten', () => {
    const change = fc.record({ id: fc.integer({ min: 0, max: 9 }), later: fc.integer({ min: 0, max: 3 }), forget: fc.boolean() });
    fc.assert(
      fc.property(fc.array(change, { maxLength: 300 }), small, (changes, since) => {
        const journal = new ChangeJournal();
        const last = new Map<string, number>();
        let now = 0;
        for (const { id, later, forget } of changes) {
          now += later;
          if (forget) {
            journal.forget(`${id}`);
            last.delete(`${id}`);
          } else {
            journal.note(now, `${id}`);
            last.set(`${id}`, now);
          }
        }
        const expected = [...last].filter(([, at]) => at >= since).map(([id]) => id);
        expect([...journal.since(since)].sort()).toEqual(expected.sort());
      }),
    );
  });
});
