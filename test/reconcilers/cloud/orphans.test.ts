import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { type OrphanMemory, planOrphans } from '../../../src/reconcilers/cloud/orphans.js';
import { serverOf } from '../../support/scripted-cloud.js';

const NOTHING: OrphanMemory = { sightings: new Map(), deletions: [] };
const HOUR = 3_600_000;
const at = (ms: number) => new Date(Date.UTC(2026, 0, 1) + ms);
const POLICY = { policy: 'Delete', graceMs: 0, perHour: 20 } as const;

describe('which orphans are deleted', () => {
  test('one that is being deleted already is not asked for again', () => {
    let memory = NOTHING;
    for (let scan = 0; scan < 6; scan += 1) {
      const planned = planOrphans(memory, [serverOf('s1', { state: 'Deleting' })], POLICY, at(scan));
      expect(planned.doomed).toEqual([]);
      memory = planned.memory;
    }
  });

  test('none where none may be deleted in an hour', () => {
    let memory = NOTHING;
    for (let scan = 0; scan < 6; scan += 1) {
      const planned = planOrphans(memory, [serverOf('s1')], { ...POLICY, perHour: 0 }, at(scan));
      expect(planned.doomed).toEqual([]);
      memory = planned.memory;
    }
  });

  test('whatever is seen: never before three scans in a row and the grace period, and never more in an hour than the cap', () => {
    const look = fc.record({
      ids: fc.uniqueArray(fc.constantFrom<string>('a', 'b', 'c', 'd')),
      afterMs: fc.integer({ min: 1, max: HOUR / 2 }),
    });
    const policy = fc.record({ graceMs: fc.integer({ min: 0, max: HOUR }), perHour: fc.integer({ min: 0, max: 3 }) });
    fc.assert(
      fc.property(fc.array(look, { maxLength: 40 }), policy, (looks, given) => {
        let memory = NOTHING;
        let now = 0;
        const rows = new Map<string, number[]>();
        const deletions: number[] = [];
        for (const { ids, afterMs } of looks) {
          now += afterMs;
          for (const id of [...rows.keys()]) if (!ids.includes(id)) rows.delete(id);
          for (const id of ids) rows.set(id, [...(rows.get(id) ?? []), now]);
          const planned = planOrphans(
            memory,
            ids.map((id) => serverOf(id)),
            { policy: 'Delete', ...given },
            at(now),
          );
          memory = planned.memory;
          for (const { id } of planned.doomed) {
            const seen = rows.get(id) ?? [];
            expect(seen.length).toBeGreaterThanOrEqual(3);
            expect(now - (seen[0] ?? now)).toBeGreaterThanOrEqual(given.graceMs);
            deletions.push(now);
          }
          const lastHour = deletions.filter((time) => now - time < HOUR);
          expect(lastHour.length).toBeLessThanOrEqual(given.perHour);
          expect(memory.sightings.size).toBe(ids.length);
        }
      }),
    );
  });
});
