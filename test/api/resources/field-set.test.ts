import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  fieldsOf,
  fromFieldsV1,
  showPath,
  toFieldsV1,
  valueAt,
  withoutValues,
  withValue,
} from '../../../src/api/resources/field-set.js';

const word = fc.stringMatching(/^[a-z.]{1,4}$/);
const spec = fc.dictionary(
  word,
  fc.oneof(fc.string(), fc.array(fc.integer(), { maxLength: 2 }), fc.dictionary(word, fc.string(), { minKeys: 1 })),
  { minKeys: 1 },
);
const resource = fc.record({
  metadata: fc.record({
    name: word,
    finalizers: fc.uniqueArray(word, { minLength: 1 }),
    labels: fc.dictionary(word, word, { minKeys: 1 }),
    ownerReferences: fc.uniqueArray(fc.record({ uid: word, name: word }), { selector: ({ uid }) => uid, minLength: 1 }),
  }),
  spec,
});

describe('field sets', () => {
  test('name every field that a manager can own, lists as a whole but for those whose items are told apart', () => {
    const fields = fieldsOf({
      apiVersion: 'v1',
      kind: 'X',
      metadata: {
        name: 'n',
        resourceVersion: '1',
        finalizers: ['a'],
        labels: { 'a.dev/b': 'c' },
        ownerReferences: [{ uid: 'u', name: 'o' }],
      },
      spec: { image: 'i', networks: [{ name: 'n' }], empty: {} },
      status: { id: 'x' },
    });
    expect([...fields].map(showPath).sort()).toEqual([
      '.metadata.finalizers[="a"]',
      '.metadata.labels.a.dev/b',
      '.metadata.ownerReferences[uid="u"].name',
      '.metadata.ownerReferences[uid="u"].uid',
      '.spec.empty',
      '.spec.image',
      '.spec.networks',
    ]);
  });

  test('survive being written and read', () => {
    fc.assert(
      fc.property(resource, (value) => {
        const fields = fieldsOf(value);
        expect(fromFieldsV1(toFieldsV1(fields))).toEqual(fields);
      }),
    );
  });

  test('what is not ours in a set of another is passed over', () => {
    expect([...fromFieldsV1({ 'f:spec': { '.': {}, 'f:image': {}, 'i:0': {}, 'k:{broken': {} } })].map(showPath)).toEqual([
      '.spec.image',
    ]);
  });

  test('put into nothing, all fields of a resource make the resource again', () => {
    fc.assert(
      fc.property(resource, (value) => {
        const made = [...fieldsOf(value)].reduce<unknown>((at, path) => withValue(at, path, valueAt(value, path)), {});
        const { name: _, ...metadata } = value.metadata;
        expect(made).toEqual({ ...value, metadata });
      }),
    );
  });

  test('taken away one by one, all fields leave nothing', () => {
    fc.assert(
      fc.property(resource, (value) => {
        const { name: _, ...metadata } = value.metadata;
        const whole = { ...value, metadata };
        expect(withoutValues(whole, [...fieldsOf(whole)])).toEqual({});
      }),
    );
  });
});
