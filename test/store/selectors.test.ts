import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { isStoreError } from '../../src/store/errors.js';
import { matches, parseLabelSelector } from '../../src/store/selectors.js';
import type { LabelSelector } from '../../src/store/store.js';

const PARSED: ReadonlyArray<{ text: string; selector: LabelSelector }> = [
  { text: '', selector: [] },
  { text: 'role=web', selector: [{ key: 'role', operator: 'In', values: ['web'] }] },
  { text: 'role==web', selector: [{ key: 'role', operator: 'In', values: ['web'] }] },
  { text: ' role = web ', selector: [{ key: 'role', operator: 'In', values: ['web'] }] },
  { text: 'role=', selector: [{ key: 'role', operator: 'In', values: [''] }] },
  { text: 'role!=web', selector: [{ key: 'role', operator: 'NotIn', values: ['web'] }] },
  { text: 'role', selector: [{ key: 'role', operator: 'Exists', values: [] }] },
  { text: '!role', selector: [{ key: 'role', operator: 'DoesNotExist', values: [] }] },
  { text: 'role in (web, db)', selector: [{ key: 'role', operator: 'In', values: ['web', 'db'] }] },
  { text: 'role notin (web,db)', selector: [{ key: 'role', operator: 'NotIn', values: ['web', 'db'] }] },
  { text: 'role in(web)', selector: [{ key: 'role', operator: 'In', values: ['web'] }] },
  { text: 'role in ()', selector: [{ key: 'role', operator: 'In', values: [''] }] },
  {
    text: 'a.example/role in (web,db),!b,c!=d',
    selector: [
      { key: 'a.example/role', operator: 'In', values: ['web', 'db'] },
      { key: 'b', operator: 'DoesNotExist', values: [] },
      { key: 'c', operator: 'NotIn', values: ['d'] },
    ],
  },
  { text: 'in=in', selector: [{ key: 'in', operator: 'In', values: ['in'] }] },
];

describe('parseLabelSelector', () => {
  test.each(PARSED)('reads "$text"', ({ text, selector }) => {
    expect(parseLabelSelector(text)).toEqual(selector);
  });

  test.each([
    '=web',
    'role=we b',
    'role in web',
    'role in (web',
    'a,,b',
    'role=web=db',
    'role=-web',
    '!',
    'ro le',
    'role>1',
    'a/b/c=d',
  ])('refuses "%s", and says which part', (text) => {
    let failure: unknown;
    try {
      parseLabelSelector(text);
    } catch (error) {
      failure = error;
    }
    expect(isStoreError(failure, 'Invalid')).toBe(true);
    expect(String(failure)).toContain('label selector "');
  });

  test('never throws anything else, whatever it is given', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'ab=!(), in/-.') }), (text) => {
        try {
          parseLabelSelector(text);
        } catch (error) {
          expect(isStoreError(error, 'Invalid')).toBe(true);
        }
      }),
    );
  });
});

describe('matches', () => {
  const labels = { role: 'web', empty: '' };
  test.each([
    { selector: '', holds: true },
    { selector: 'role=web', holds: true },
    { selector: 'role=db', holds: false },
    { selector: 'role!=db', holds: true },
    { selector: 'other!=db', holds: true },
    { selector: 'role in (db,web)', holds: true },
    { selector: 'other in (web)', holds: false },
    { selector: 'role notin (web)', holds: false },
    { selector: 'other notin (web)', holds: true },
    { selector: 'empty', holds: true },
    { selector: 'empty=', holds: true },
    { selector: 'other=', holds: false },
    { selector: '!other', holds: true },
    { selector: '!empty', holds: false },
    { selector: 'role=web,!other', holds: true },
    { selector: 'role=web,other', holds: false },
    { selector: 'constructor', holds: false },
  ])('"$selector" on role=web,empty=: $holds', ({ selector, holds }) => {
    expect(matches(labels, parseLabelSelector(selector))).toBe(holds);
  });

  test('no labels are as empty ones', () => {
    expect(matches(undefined, parseLabelSelector('role!=web'))).toBe(true);
    expect(matches(undefined, parseLabelSelector('role'))).toBe(false);
  });
});
