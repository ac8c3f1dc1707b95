import { describe, expect, test } from '@jest/globals';
import { type Condition, mergeConditions, type ProposedCondition } from '../../src/resources/conditions.js';

const OWNED = new Set(['Ready', 'Reconciling', 'Stalled']);
const BEFORE = '2026-01-01T00:00:00Z';
const NOW = new Date('2026-01-01T12:34:56.789Z');
const THEN = '2026-01-01T12:34:56Z';

const standing = (type: string, status: Condition['status'], reason = 'Old'): Condition => ({
  type,
  status,
  reason,
  message: 'it was so',
  observedGeneration: 1,
  lastTransitionTime: BEFORE,
});
const proposed = (type: string, status: Condition['status'], reason = 'New'): ProposedCondition => ({
  type,
  status,
  reason,
  message: 'it is so',
});
const merge = (current: Condition[], next: ProposedCondition[]) =>
  mergeConditions(current, next, OWNED, 2, NOW).map(({ type, status, reason, observedGeneration, lastTransitionTime }) =>
    [type, status, reason, observedGeneration, lastTransitionTime].join(' '),
  );

describe('merging conditions', () => {
  test.each<[string, Condition[], ProposedCondition[], string[]]>([
    ['a new one begins now, to the second', [], [proposed('Ready', 'True')], [`Ready True New 2 ${THEN}`]],
    [
      'a status that stays keeps its time, though the reason changes',
      [standing('Ready', 'False')],
      [proposed('Ready', 'False')],
      [`Ready False New 2 ${BEFORE}`],
    ],
    [
      'a status that changes gets a new time',
      [standing('Ready', 'False')],
      [proposed('Ready', 'True')],
      [`Ready True New 2 ${THEN}`],
    ],
    [
      'Reconciling and Stalled stand only while True',
      [standing('Reconciling', 'True')],
      [proposed('Reconciling', 'False'), proposed('Stalled', 'Unknown'), proposed('Ready', 'Unknown')],
      [`Ready Unknown New 2 ${THEN}`],
    ],
    ['one of ours that is not proposed goes', [standing('Ready', 'True'), standing('Stalled', 'True')], [], []],
    [
      "others' stay as they are, in the order of their types",
      [standing('Zebra', 'True'), standing('Apple', 'False')],
      [proposed('Ready', 'True')],
      [`Apple False Old 1 ${BEFORE}`, `Ready True New 2 ${THEN}`, `Zebra True Old 1 ${BEFORE}`],
    ],
  ])('%s', (_reason, current, next, expected) => {
    expect(merge(current, next)).toEqual(expected);
  });

  test('again with the same changes nothing', () => {
    const next = [proposed('Stalled', 'True'), proposed('Ready', 'False')];
    const once = mergeConditions([], next, OWNED, 2, NOW);
    expect(mergeConditions(once, [...next].reverse(), OWNED, 2, new Date(NOW.getTime() + 60_000))).toEqual(once);
  });
});
