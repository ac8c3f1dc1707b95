import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { KINDS, kindNamed } from '../../src/resources/registry.js';
import { formatPath, validate } from '../../src/resources/validate.js';

const vmKind = kindNamed('VirtualMachine');
const vm = (spec: object = {}, more: object = {}) => ({
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'VirtualMachine',
  metadata: { name: 'web', namespace: 'default' },
  spec: { cloudRef: { name: 'lab' }, image: 'i', flavor: 'f', ...spec },
  ...more,
});

describe('validate', () => {
  test.each([
    ['the least that is needed', vm()],
    ['networks as a list', vm({ networks: [{ name: 'a' }] })],
    ['no networks', vm({ networks: 'none' })],
    [
      'metadata as a server hands it out',
      vm({}, { metadata: { name: 'web', uid: 'u', resourceVersion: '7', generation: 1, creationTimestamp: null } }),
    ],
  ])('finds nothing wrong with %s', (_reason, manifest) => {
    expect(validate(vmKind, manifest)).toEqual([]);
  });

  test.each([
    [
      'what is missing is required, not of a wrong type',
      vm({ image: undefined }),
      'spec.image',
      'FieldValueRequired',
      'required value',
    ],
    [
      'a wrong type says what was expected and what came',
      vm({ image: 7 }),
      'spec.image',
      'FieldValueTypeInvalid',
      'must be a string, got 7',
    ],
    ['null is named as such', vm({ paused: null }), 'spec.paused', 'FieldValueTypeInvalid', 'must be a boolean, got null'],
    [
      'a choice says between what',
      vm({ powerState: 'On' }),
      'spec.powerState',
      'FieldValueNotSupported',
      'must be one of "Running", "Stopped", got "On"',
    ],
    [
      'a long text is cut',
      vm({ image: 'x'.repeat(300) }),
      'spec.image',
      'FieldValueTooLong',
      `must have at most 255 characters, got "${'x'.repeat(62)}… (300 characters)`,
    ],
    ['an empty text', vm({ image: '' }), 'spec.image', 'FieldValueInvalid', 'must have at least 1 character, got ""'],
    [
      'too many items',
      vm({ tags: Array(41).fill('a') }),
      'spec.tags',
      'FieldValueTooMany',
      'must have at most 40 items, got an array of 41 items',
    ],
    [
      'of a union, the form that was meant is judged',
      vm({ networks: [{ nam: 'a' }] }),
      'spec.networks[0].nam',
      'UnknownField',
      'unknown field "spec.networks[0].nam"',
    ],
    [
      'of a union, no form is near',
      vm({ networks: 7 }),
      'spec.networks',
      'FieldValueInvalid',
      'must be "none" or an array, got 7',
    ],
    [
      'a key of a map that is no name',
      vm({ metadata: { 'a/b': 'x' } }),
      'spec.metadata[a/b]',
      'FieldValueInvalid',
      expect.stringContaining('key must be letters'),
    ],
    ['a manifest that is a list', [], '', 'FieldValueTypeInvalid', 'must be an object, got an array of 0 items'],
  ])('%s', (_reason, manifest, field, reason, message) => {
    expect(validate(vmKind, manifest)).toContainEqual(expect.objectContaining({ field, reason, message }));
  });

  test('a rule about changes holds against what stood', () => {
    const other = vm({ cloudRef: { name: 'other' } });
    expect(validate(vmKind, other)).toEqual([]);
    expect(validate(vmKind, other, vm())).toEqual([
      expect.objectContaining({ field: 'spec.cloudRef', path: ['spec', 'cloudRef'] }),
    ]);
  });

  test('a rule is not fooled by the order of keys', () => {
    const before = { spec: { ...vm().spec, cloudRef: { name: 'lab' } } };
    expect(validate(vmKind, { ...vm(), spec: { ...vm().spec, cloudRef: { ...before.spec.cloudRef } } }, before)).toEqual([]);
  });

  test('an immutable Secret keeps its data', () => {
    const secret = (data: object, immutable?: boolean) => ({
      metadata: { name: 's' },
      data,
      ...(immutable === undefined ? {} : { immutable }),
    });
    const kind = kindNamed('Secret');
    expect(validate(kind, secret({ b: 'YQ==', a: 'YQ==' }, true), secret({ a: 'YQ==', b: 'YQ==' }, true))).toEqual([]);
    expect(validate(kind, secret({ a: 'Yg==' }, true), secret({ a: 'YQ==' }, true))).toHaveLength(1);
    expect(validate(kind, secret({ a: 'YQ==' }), secret({ a: 'YQ==' }, true))).toHaveLength(1);
    expect(validate(kind, secret({ a: 'Yg==' }), secret({ a: 'YQ==' }, false))).toEqual([]);
  });

  test('tells at most 64 errors of a manifest that is all wrong', () => {
    const tags = Array.from({ length: 50_000 }, () => 7);
    expect(validate(vmKind, vm({ tags })).length).toBeLessThanOrEqual(64);
  });

  test('never throws and never says what a Secret holds, whatever comes', () => {
    const anything = fc.anything({ maxDepth: 4, withDate: true, withNullPrototype: true });
    const manifest = fc.oneof(
      anything,
      fc.record({ metadata: anything, spec: anything, status: anything, data: anything }, { requiredKeys: [] }),
      fc.record({
        spec: fc.record({ cloudRef: anything, networks: anything, adopt: anything, metadata: anything, tags: anything }),
      }),
    );
    fc.assert(
      fc.property(manifest, fc.option(manifest, { nil: undefined }), (value, old) => {
        for (const kind of KINDS)
          for (const { field, message } of validate(kind, value, old)) expect(`${field}${message}`).toBeTruthy();
      }),
    );
    fc.assert(
      fc.property(fc.string({ minLength: 8 }), (text) => {
        const errors = validate(kindNamed('Secret'), { data: { password: `!${text}` }, stringData: { other: [text] } });
        for (const { message } of errors) expect(message).not.toContain(text);
      }),
    );
  });
});

test.each([
  [[], ''],
  [['spec', 'networks', 0, 'name'], 'spec.networks[0].name'],
  [['metadata', 'labels', 'a.dev/b'], 'metadata.labels[a.dev/b]'],
])('formatPath(%j) is %s', (path, expected) => {
  expect(formatPath(path)).toBe(expected);
});
