import { describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { apiVersionOf } from '../../src/resources/kind.js';
import { KINDS } from '../../src/resources/registry.js';
import { customResourceDefinition, type JsonSchema, openApiSchema, structuralSchema } from '../../src/resources/schema.js';

/** All nodes of a schema with their paths. */
function nodes(schema: JsonSchema, path = ''): Array<[string, JsonSchema]> {
  const additional = typeof schema.additionalProperties === 'object' ? nodes(schema.additionalProperties, `${path}.*`) : [];
  return [
    [path, schema],
    ...Object.entries(schema.properties ?? {}).flatMap(([name, inner]) => nodes(inner, `${path}.${name}`)),
    ...(schema.items ? nodes(schema.items, `${path}[]`) : []),
    ...additional,
  ];
}

const own = KINDS.filter(({ group }) => group !== '');

describe.each(own.map((kind) => [kind.kind, kind] as const))('the CustomResourceDefinition of %s', (_name, kind) => {
  const all = nodes(structuralSchema(kind));

  test('is structural: every node has a type, or is open, and none has forms to choose from', () => {
    for (const [path, node] of all) {
      expect({ path, typed: typeof node.type === 'string' || node['x-kubernetes-preserve-unknown-fields'] === true }).toEqual({
        path,
        typed: true,
      });
      for (const keyword of ['anyOf', 'oneOf', 'allOf', '$ref', 'const'])
        expect({ path, keyword: keyword in node }).toEqual({ path, keyword: false });
      if (node.type === 'array') expect({ path, items: node.items !== undefined }).toEqual({ path, items: true });
      // Kubernetes prunes by `properties`; it refuses a schema that has both, and additionalProperties: false.
      if (node.properties) expect(node.additionalProperties).toBeUndefined();
    }
  });

  test('has only patterns that RE2 can read', () => {
    for (const [path, { pattern }] of all)
      expect({ path, pattern: pattern ?? '' }).toEqual({ path, pattern: expect.not.stringMatching(/\(\?[!=<]/) });
  });

  test('bounds every string and list', () => {
    const spec = nodes(structuralSchema(kind)).filter(([path]) => /^\.(spec|status)\b/.test(path));
    for (const [path, node] of spec) {
      if (node.type === 'string')
        expect({ path, bound: node.maxLength ?? node.enum }).toEqual({ path, bound: expect.anything() });
      if (node.type === 'array') expect({ path, bound: node.maxItems }).toEqual({ path, bound: expect.any(Number) });
    }
  });

  test('holds every rule of the kind, where it belongs', () => {
    for (const { at, cel, message } of kind.rules) {
      const [, node] = all.find(([path]) => path === at.map((part) => `.${part}`).join('')) ?? [];
      expect(node?.['x-kubernetes-validations']).toContainEqual(
        expect.objectContaining({ rule: cel, message: expect.stringContaining(message) }),
      );
    }
  });

  test('is named and scoped as discovery says, with a status of its own', () => {
    expect(customResourceDefinition(kind)).toMatchObject({
      metadata: { name: `${kind.plural}.${kind.group}` },
      spec: {
        scope: kind.namespaced ? 'Namespaced' : 'Cluster',
        names: { kind: kind.kind, plural: kind.plural },
        versions: [{ name: kind.version, served: true, storage: true, subresources: { status: {} } }],
      },
    });
  });
});

describe('in a CustomResourceDefinition', () => {
  const vm = KINDS.find(({ kind }) => kind === 'VirtualMachine');
  const spec = vm && structuralSchema(vm).properties?.spec?.properties;

  test('a value of several types is held to each of its forms, and can be of no other type', () => {
    expect(spec?.networks).toEqual({
      description: expect.any(String),
      pattern: '^(none)$',
      minItems: 1,
      maxItems: 16,
      items: expect.objectContaining({ type: 'object', required: ['name'], maxProperties: 1 }),
      minProperties: 1,
      maxProperties: 0,
      minimum: 1,
      maximum: 0,
      not: { enum: [true, false] },
      'x-kubernetes-preserve-unknown-fields': true,
    });
  });

  test('the keys of a map are bounded as zod bounds them', () => {
    const rules = spec?.metadata?.['x-kubernetes-validations'];
    expect(rules).toEqual([
      expect.objectContaining({ rule: "!('' in self)" }),
      expect.objectContaining({ rule: 'self.all(key, size(key) <= 255)' }),
      expect.objectContaining({ rule: "self.all(key, key.matches(r'^[a-zA-Z0-9\\-_:. ]+$'))" }),
      expect.objectContaining({ rule: "!self.exists(key, key.matches(r'^dispatcher\\.'))" }),
    ]);
    expect(spec?.metadata?.maxProperties).toBe(120);
  });

  test('two forms of the same type are a fault of the schema, told when it is made', () => {
    if (!vm) throw new Error('no VirtualMachine');
    const schema = z.strictObject({ spec: z.union([z.literal('a'), z.string().max(4)]) });
    expect(() => structuralSchema({ ...vm, schema, rules: [] })).toThrow('two forms of a union');
  });
});

describe('the OpenAPI schema', () => {
  test.each(KINDS.map((kind) => [`${apiVersionOf(kind)} ${kind.kind}`, kind] as const))(
    'of %s says which kind it is',
    (_name, kind) => {
      const { group, version } = kind;
      expect(openApiSchema(kind, { type: 'object' })['x-kubernetes-group-version-kind']).toEqual([
        { group, version, kind: kind.kind },
      ]);
    },
  );

  test('keeps what a person needs to know of a value with several forms', () => {
    const kind = KINDS.find((each) => each.kind === 'VirtualMachine');
    const networks = kind && openApiSchema(kind, {}).properties?.spec?.properties?.networks;
    expect(networks).toMatchObject({
      description: expect.stringContaining('or none'),
      items: { properties: { name: { type: 'string' } } },
    });
  });
});
