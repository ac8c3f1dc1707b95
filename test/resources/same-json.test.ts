import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sameJson } from '../../src/resources/same-json.js';

describe('sameJson', () => {
  test.each([
    { reason: 'the order of keys does not count', a: { x: 1, y: { z: 2, w: 3 } }, b: { y: { w: 3, z: 2 }, x: 1 }, same: true },
    { reason: 'a key with undefined is not there', a: { x: 1, y: undefined }, b: { x: 1 }, same: true },
    { reason: 'undefined on both sides, under different keys', a: { x: undefined }, b: { y: undefined }, same: true },
    { reason: 'null is not absent', a: { x: null }, b: {}, same: false },
    { reason: 'a key more on the right', a: { x: 1 }, b: { x: 1, y: 2 }, same: false },
    { reason: 'a key more on the left', a: { x: 1, y: 2 }, b: { x: 1 }, same: false },
    { reason: 'as many keys, others', a: { x: 1 }, b: { y: 1 }, same: false },
    { reason: 'the order of items counts', a: [1, 2], b: [2, 1], same: false },
    { reason: 'a longer list', a: [1], b: [1, 2], same: false },
    { reason: 'a list is no object', a: ['x'], b: { 0: 'x' }, same: false },
    { reason: 'an empty object is no empty list', a: {}, b: [], same: false },
    { reason: 'text is no number', a: '1', b: 1, same: false },
  ])('$reason', ({ a, b, same }) => {
    expect(sameJson(a, b)).toBe(same);
    expect(sameJson(b, a)).toBe(same);
  });

  test('whatever went through JSON is the same', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => sameJson(JSON.parse(JSON.stringify(value)), JSON.parse(JSON.stringify(value)))),
    );
  });

  test('two values are the same exactly if their sorted JSON is', () => {
    const small = fc.jsonValue({ maxDepth: 2 });
    fc.assert(fc.property(small, small, (a, b) => sameJson(a, b) === (sorted(a) === sorted(b))));
  });
});

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
