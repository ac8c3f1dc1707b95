import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { applyPatch, mergePatch } from '../../../src/api/resources/patch.js';

describe('a merge patch', () => {
  // The examples of RFC 7386, appendix A.
  test.each([
    [{ a: 'b' }, { a: 'c' }, { a: 'c' }],
    [{ a: 'b' }, { b: 'c' }, { a: 'b', b: 'c' }],
    [{ a: 'b' }, { a: null }, {}],
    [{ a: 'b', b: 'c' }, { a: null }, { b: 'c' }],
    [{ a: ['b'] }, { a: 'c' }, { a: 'c' }],
    [{ a: 'c' }, { a: ['b'] }, { a: ['b'] }],
    [{ a: { b: 'c' } }, { a: { b: 'd', c: null } }, { a: { b: 'd' } }],
    [{ a: [{ b: 'c' }] }, { a: [1] }, { a: [1] }],
    [
      ['a', 'b'],
      ['c', 'd'],
      ['c', 'd'],
    ],
    [{ a: 'b' }, ['c'], ['c']],
    [{ a: 'foo' }, null, null],
    [{ a: 'foo' }, 'bar', 'bar'],
    [{ e: null }, { a: 1 }, { e: null, a: 1 }],
    [[1, 2], { a: 'b', c: null }, { a: 'b' }],
    [{}, { a: { bb: { ccc: null } } }, { a: { bb: {} } }],
  ])('%j with %j is %j', (document, patch, expected) => {
    expect(mergePatch(document, patch)).toEqual(expected);
  });

  test('applied twice is as applied once, and leaves the document alone', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (document, patch) => {
        const before = JSON.stringify(document);
        const once = mergePatch(document, patch);
        expect(mergePatch(once, patch)).toEqual(once);
        expect(JSON.stringify(document)).toBe(before);
      }),
    );
  });

  test('cannot reach the prototype of objects', () => {
    const patched = mergePatch({}, JSON.parse('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}'));
    expect(Reflect.get({}, 'polluted')).toBeUndefined();
    expect(Object.getPrototypeOf(patched)).toBe(Object.prototype);
  });
});

describe('a JSON patch', () => {
  test('leaves the document alone, and does all or nothing', () => {
    const document = { a: [1, 2], b: { c: 'd' } };
    const moved = applyPatch('json', document, [
      { op: 'move', from: '/a/0', path: '/b/e' },
      { op: 'copy', from: '/b/c', path: '/f~1g' },
    ]);
    expect(moved).toEqual({ a: [2], b: { c: 'd', e: 1 }, 'f/g': 'd' });
    expect(document).toEqual({ a: [1, 2], b: { c: 'd' } });
    const half = [
      { op: 'remove', path: '/a' },
      { op: 'test', path: '/b/c', value: 'x' },
    ];
    expect(() => applyPatch('json', document, half)).toThrow('operation 1 (test /b/c) cannot be applied');
  });
});

describe('a strategic merge patch', () => {
  const secret = { metadata: { finalizers: ['a', 'b'], labels: { x: '1', y: '2' } }, data: { a: 'YQ==', b: 'Yg==' } };
  test.each([
    ['maps merge, and null removes', { data: { a: null, c: 'Yw==' } }, { data: { b: 'Yg==', c: 'Yw==' } }],
    [
      'finalizers are added',
      { metadata: { finalizers: ['c', 'a'] } },
      { metadata: { finalizers: ['a', 'b', 'c'], labels: { x: '1', y: '2' } } },
    ],
    [
      'finalizers are taken away by name',
      { metadata: { '$deleteFromPrimitiveList/finalizers': ['a'] } },
      { metadata: { finalizers: ['b'], labels: { x: '1', y: '2' } } },
    ],
    [
      'and put in order',
      { metadata: { '$setElementOrder/finalizers': ['c', 'b', 'a'], finalizers: ['c'] } },
      { metadata: { finalizers: ['c', 'b', 'a'], labels: { x: '1', y: '2' } } },
    ],
    ['a map is replaced on demand', { data: { $patch: 'replace', z: 'eg==' } }, { data: { z: 'eg==' } }],
    ['a map is emptied on demand', { data: { $patch: 'delete' } }, { data: {} }],
    ['only what is retained stays', { data: { $retainKeys: ['a'] } }, { data: { a: 'YQ==' } }],
  ])('%s', (_reason, patch, expected) => {
    expect(applyPatch('strategic', secret, patch)).toEqual({ ...secret, ...expected });
  });

  test('items of keyed lists merge by their key', () => {
    const document = {
      metadata: {
        ownerReferences: [
          { uid: '1', name: 'a' },
          { uid: '2', name: 'b' },
        ],
      },
    };
    const patch = {
      metadata: {
        ownerReferences: [
          { uid: '2', name: 'c' },
          { uid: '1', $patch: 'delete' },
          { uid: '3', name: 'd' },
        ],
      },
    };
    expect(applyPatch('strategic', document, patch)).toEqual({
      metadata: {
        ownerReferences: [
          { uid: '2', name: 'c' },
          { uid: '3', name: 'd' },
        ],
      },
    });
  });

  test('without directives and merged lists it is a merge patch', () => {
    const plain = fc.dictionary(fc.stringMatching(/^[a-z]{1,3}$/), fc.jsonValue({ maxDepth: 1 }));
    const isPlain = (value: unknown) => !JSON.stringify(value).includes('"$');
    fc.assert(
      fc.property(plain, plain.filter(isPlain), (document, patch) => {
        expect(applyPatch('strategic', document, patch)).toEqual(mergePatch(document, patch));
      }),
    );
  });
});
