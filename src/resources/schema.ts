import { z } from 'zod';
import type { KindDefinition } from './kind.js';
import { objectMetaSchema } from './metadata.js';

/** A node of an OpenAPI v3 schema, as far as Kubernetes' structural schemas go. */
export interface JsonSchema {
  readonly [keyword: string]: unknown;
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly items?: JsonSchema;
  readonly additionalProperties?: JsonSchema | boolean;
  readonly anyOf?: readonly JsonSchema[];
  readonly pattern?: string;
}

const API_VERSION: JsonSchema = {
  type: 'string',
  description: 'The group and version that this manifest is written in.',
};
const KIND: JsonSchema = { type: 'string', description: 'The kind of resource that this manifest declares.' };

/**
 * The structural schema of a kind for a CustomResourceDefinition: bounds and descriptions from zod, rules as CEL. It refuses
 * what zod refuses, as far as such a schema can: test/e2e/kubernetes/crds.test.ts holds it to that on a real API server.
 */
export function structuralSchema(definition: KindDefinition): JsonSchema {
  const fields = withConditionKeys(withRules(convert(jsonSchemaOf(definition.schema), 'structural'), definition));
  return {
    ...fields,
    description: definition.description,
    properties: { apiVersion: API_VERSION, kind: KIND, metadata: { type: 'object' }, ...fields.properties },
  };
}

/** The words of Kubernetes, as a cluster has them for every kind of a CustomResourceDefinition. */
const CONVENTIONS = 'https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md';
const EXPLAINED_API_VERSION: JsonSchema = {
  type: 'string',
  description: `APIVersion defines the versioned schema of this representation of an object. Servers should convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: ${CONVENTIONS}#resources`,
};
const EXPLAINED_KIND: JsonSchema = {
  type: 'string',
  description: `Kind is a string value representing the REST resource this object represents. Servers may infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: ${CONVENTIONS}#types-kinds`,
};
const EXPLAINED_METADATA = `Standard object's metadata. More info: ${CONVENTIONS}#metadata`;

/** The schema of a kind for an OpenAPI document: as {@link structuralSchema}, with unions, and metadata by reference. */
export function openApiSchema(definition: KindDefinition, metadata: JsonSchema): JsonSchema {
  const fields = convert(jsonSchemaOf(definition.schema), 'openapi');
  return {
    ...fields,
    description: definition.description,
    properties: {
      apiVersion: EXPLAINED_API_VERSION,
      kind: EXPLAINED_KIND,
      metadata: { description: EXPLAINED_METADATA, ...metadata },
      ...fields.properties,
    },
    'x-kubernetes-group-version-kind': [{ group: definition.group, kind: definition.kind, version: definition.version }],
  };
}

/** The schema of `metadata` for an OpenAPI document. @param references where the schemas of the items of its lists are, by field. */
export function metadataSchema(references: Readonly<Record<string, JsonSchema>>): JsonSchema {
  const description = 'Who the resource is: its name, namespace, labels, annotations, owners and finalizers.';
  const whole = convert(jsonSchemaOf(objectMetaSchema), 'openapi');
  const lists = Object.entries(references).map(([field, items]) => [field, { ...whole.properties?.[field], items }]);
  return { ...whole, description, properties: { ...whole.properties, ...Object.fromEntries(lists) } };
}

/** The schemas of the items of the lists in `metadata`, by field. */
export function metadataItemSchemas(): Readonly<Record<'managedFields' | 'ownerReferences', JsonSchema>> {
  const { managedFields, ownerReferences } = convert(jsonSchemaOf(objectMetaSchema), 'openapi').properties ?? {};
  return { managedFields: managedFields?.items ?? {}, ownerReferences: ownerReferences?.items ?? {} };
}

/** The CustomResourceDefinition of a kind. */
export function customResourceDefinition(definition: KindDefinition): object {
  const { group, version, kind, plural, singular, shortNames, categories, namespaced, statusSubresource } = definition;
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${group}` },
    spec: {
      group,
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular,
        ...(shortNames.length ? { shortNames } : {}),
        ...(categories.length ? { categories } : {}),
      },
      scope: namespaced ? 'Namespaced' : 'Cluster',
      versions: [
        {
          name: version,
          served: true,
          storage: true,
          schema: { openAPIV3Schema: structuralSchema(definition) },
          ...(statusSubresource ? { subresources: { status: {}, ...scaleOf(definition) } } : {}),
          additionalPrinterColumns: definition.printerColumns,
        },
      ],
    },
  };
}

function scaleOf({ scale }: KindDefinition): object {
  if (!scale) return {};
  return {
    scale: { specReplicasPath: scale.spec, statusReplicasPath: scale.status, labelSelectorPath: scale.selector },
  };
}

const recordSchema = z.looseObject({});

function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return recordSchema.parse(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input', override: keepKeys }));
}

/** OpenAPI 3.0 has no word for the keys of a map, so zod leaves them out; as rules, a CustomResourceDefinition can hold them. */
function keepKeys({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: z.core.JSONSchema.BaseSchema }): void {
  if (zodSchema instanceof z.ZodRecord) jsonSchema.propertyNames = z.toJSONSchema(zodSchema.keyType, { io: 'input' });
}

type Dialect = 'structural' | 'openapi';
const NOT_TOLD = new Set([
  '$schema',
  'additionalProperties',
  'properties',
  'propertyNames',
  'items',
  'anyOf',
  'pattern',
  'minimum',
  'maximum',
]);

function convert(node: JsonSchema, dialect: Dialect): JsonSchema {
  const rest = Object.fromEntries(Object.entries(node).filter(([keyword]) => !NOT_TOLD.has(keyword)));
  if (node.anyOf) {
    const branches = node.anyOf.map((branch) => convert(branch, dialect));
    return { ...rest, ...(dialect === 'structural' ? structuralUnion(branches) : bestBranch(branches)) };
  }
  return {
    ...rest,
    ...bounds(node),
    ...patternOf(node.pattern),
    ...(node.properties ? { properties: mapValues(node.properties, (property) => convert(property, dialect)) } : {}),
    ...(node.items ? { items: convert(node.items, dialect) } : {}),
    ...additional(node.additionalProperties, dialect),
    ...(dialect === 'structural' ? keyRules(node.propertyNames) : {}),
  };
}

/** What no value of a type can keep. There is none for a string: a pattern says which are meant. */
const IMPOSSIBLE: Readonly<Record<string, JsonSchema>> = {
  array: { minItems: 1, maxItems: 0 },
  object: { minProperties: 1, maxProperties: 0 },
  number: { minimum: 1, maximum: 0 },
  boolean: { not: { enum: [true, false] } },
  string: { minLength: 1, maxLength: 0 },
};

/**
 * A value of several types, each in one form: words, or a list or map of something. Kubernetes takes no `type` in a form of a
 * union, but each keyword speaks of values of one type only, so those of all forms can stand side by side; the types that no
 * form has are shut out by what they cannot keep. CEL cannot see such a value.
 */
function structuralUnion(branches: readonly JsonSchema[]): JsonSchema {
  const types = new Set(branches.map(({ type }) => (type === 'integer' ? 'number' : type)));
  if (types.size !== branches.length) throw new RangeError('two forms of a union have the same type: give them one schema');
  const forms = branches.map(({ type: _, enum: words, items, ...rest }) => ({
    ...rest,
    ...(Array.isArray(words) ? { pattern: `^(${words.join('|')})$` } : {}),
    ...(items ? { items: counted(items) } : {}),
  }));
  const others = Object.entries(IMPOSSIBLE).filter(([type]) => !types.has(type));
  return Object.assign({}, ...forms, ...others.map(([, schema]) => schema), { 'x-kubernetes-preserve-unknown-fields': true });
}

/** Below a value of several types no field is unknown to Kubernetes; but there can be no more than there are names. */
function counted(node: JsonSchema): JsonSchema {
  return node.properties ? { ...node, maxProperties: Object.keys(node.properties).length } : node;
}

const keySchema = z.object({
  minLength: z.number().default(0),
  maxLength: z.number().optional(),
  pattern: z.string().optional(),
});

/** The bounds of a map's keys as rules on the map. */
function keyRules(names: unknown): JsonSchema {
  if (names === undefined) return {};
  const { minLength, maxLength, pattern } = keySchema.parse(names);
  const [refused, wanted] = withoutLookahead(pattern);
  const rules = [
    ...(minLength > 0 ? [{ rule: "!('' in self)", message: 'a key must not be empty' }] : []),
    ...(maxLength === undefined
      ? []
      : [{ rule: `self.all(key, size(key) <= ${maxLength})`, message: `a key must have at most ${maxLength} characters` }]),
    ...(wanted === undefined
      ? []
      : [{ rule: `self.all(key, key.matches(r'${wanted}'))`, message: `a key must match ${wanted}` }]),
    ...(refused === undefined
      ? []
      : [{ rule: `!self.exists(key, key.matches(r'^${refused}'))`, message: `a key must not begin with ${refused}` }]),
  ];
  return rules.length === 0 ? {} : { 'x-kubernetes-validations': rules };
}

/** Of several forms, the one with most to tell is what `kubectl explain` shows; the description names the other. */
function bestBranch(branches: readonly JsonSchema[]): JsonSchema {
  return branches.find(({ items, properties }) => items ?? properties) ?? branches[0] ?? {};
}

function additional(value: JsonSchema | boolean | undefined, dialect: Dialect): JsonSchema {
  if (typeof value !== 'object') return {};
  if (Object.keys(value).length === 0) return { 'x-kubernetes-preserve-unknown-fields': true };
  return { additionalProperties: convert(value, dialect) };
}

/** zod bounds every integer by what a double holds; that is no bound that a person set. */
function bounds({ type, minimum, maximum }: JsonSchema): JsonSchema {
  const isBound = (value: unknown) => typeof value === 'number' && Math.abs(value) !== Number.MAX_SAFE_INTEGER;
  return {
    ...(type === 'integer' ? { format: 'int64' } : {}),
    ...(isBound(minimum) ? { minimum } : {}),
    ...(isBound(maximum) ? { maximum } : {}),
  };
}

/** Kubernetes' regular expressions cannot look ahead: what must not stand at the beginning becomes a rule of its own. */
function patternOf(pattern: string | undefined): JsonSchema {
  const [refused, wanted] = withoutLookahead(pattern);
  if (refused === undefined) return wanted === undefined ? {} : { pattern: wanted };
  const rule = { rule: `!self.matches(r'^${refused}')`, message: `must not begin with ${refused}` };
  return { ...(wanted === undefined ? {} : { pattern: wanted }), 'x-kubernetes-validations': [rule] };
}

/** What a pattern refuses at the beginning, and the pattern without that. */
function withoutLookahead(pattern: string | undefined): [refused: string | undefined, wanted: string | undefined] {
  const [, refused, rest] = /^\^\(\?!([^()]*)\)(.*)$/s.exec(pattern ?? '') ?? [];
  return refused === undefined ? [undefined, pattern] : [refused, `^${rest}`];
}

function withRules(root: JsonSchema, { rules }: KindDefinition): JsonSchema {
  return rules.reduce((schema, { at, cel, message, field }) => {
    const place = at.join('.');
    // Metadata has no schema here, so that no path can lead into it: the message says where.
    const told = field.startsWith(`${place}.`)
      ? { message, fieldPath: field.slice(place.length) }
      : { message: field === place ? message : `${field}: ${message}` };
    return withRule(schema, at, { rule: cel, ...told });
  }, root);
}

function withRule(node: JsonSchema, at: readonly string[], rule: JsonSchema): JsonSchema {
  const [name, ...rest] = at;
  if (name === undefined) {
    const standing = node['x-kubernetes-validations'];
    return { ...node, 'x-kubernetes-validations': [...(Array.isArray(standing) ? standing : []), rule] };
  }
  const inner = node.properties?.[name];
  return inner ? { ...node, properties: { ...node.properties, [name]: withRule(inner, rest, rule) } } : node;
}

/** Conditions are told apart by their type, so that several writers can each keep their own. */
function withConditionKeys(root: JsonSchema): JsonSchema {
  const status = root.properties?.status;
  const conditions = status?.properties?.conditions;
  if (!status || !conditions) return root;
  const keyed = { ...conditions, 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] };
  return {
    ...root,
    properties: { ...root.properties, status: { ...status, properties: { ...status.properties, conditions: keyed } } },
  };
}

function mapValues<From, To>(record: Readonly<Record<string, From>>, map: (value: From) => To): Record<string, To> {
  return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}
