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
 * The structural schema of a kind for a CustomResourceDefinition: bounds and descriptions from zod, rules as CEL. A value that
 * may have several types (a union) is left open there, since structural schemas cannot say it; servers that read the
 * resource check it again.
 */
export function structuralSchema(definition: KindDefinition): JsonSchema {
  const fields = withConditionKeys(withRules(convert(jsonSchemaOf(definition.schema), 'structural'), definition));
  return {
    ...fields,
    description: definition.description,
    properties: { apiVersion: API_VERSION, kind: KIND, metadata: { type: 'object' }, ...fields.properties },
  };
}

/** The schema of a kind for an OpenAPI document: as {@link structuralSchema}, with unions, and metadata by reference. */
export function openApiSchema(definition: KindDefinition, metadata: JsonSchema): JsonSchema {
  const fields = convert(jsonSchemaOf(definition.schema), 'openapi');
  return {
    ...fields,
    description: definition.description,
    properties: { apiVersion: API_VERSION, kind: KIND, metadata, ...fields.properties },
    'x-kubernetes-group-version-kind': [{ group: definition.group, kind: definition.kind, version: definition.version }],
  };
}

/** The schema of `metadata` for an OpenAPI document. */
export function metadataSchema(): JsonSchema {
  const description = 'Who the resource is: its name, namespace, labels, annotations, owners and finalizers.';
  return { ...convert(jsonSchemaOf(objectMetaSchema), 'openapi'), description };
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
          ...(statusSubresource ? { subresources: { status: {} } } : {}),
          additionalPrinterColumns: definition.printerColumns,
        },
      ],
    },
  };
}

const recordSchema = z.looseObject({});

function jsonSchemaOf(schema: z.ZodType): JsonSchema {
  return recordSchema.parse(z.toJSONSchema(schema, { target: 'openapi-3.0', io: 'input' }));
}

type Dialect = 'structural' | 'openapi';
const NOT_TOLD = new Set(['$schema', 'additionalProperties', 'properties', 'items', 'anyOf', 'pattern', 'minimum', 'maximum']);

function convert(node: JsonSchema, dialect: Dialect): JsonSchema {
  const rest = Object.fromEntries(Object.entries(node).filter(([keyword]) => !NOT_TOLD.has(keyword)));
  if (node.anyOf) {
    if (dialect === 'structural') return { ...rest, 'x-kubernetes-preserve-unknown-fields': true };
    return { ...rest, ...bestBranch(node.anyOf.map((branch) => convert(branch, dialect))) };
  }
  return {
    ...rest,
    ...bounds(node),
    ...patternOf(node.pattern),
    ...(node.properties ? { properties: mapValues(node.properties, (property) => convert(property, dialect)) } : {}),
    ...(node.items ? { items: convert(node.items, dialect) } : {}),
    ...additional(node.additionalProperties, dialect),
  };
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
  if (pattern === undefined) return {};
  const [, refused, rest] = /^\^\(\?!([^()]*)\)(.*)$/s.exec(pattern) ?? [];
  if (refused === undefined) return { pattern };
  const rule = { rule: `!self.matches('^${refused}')`, message: `must not begin with ${refused}` };
  return { pattern: `^${rest}`, 'x-kubernetes-validations': [rule] };
}

function withRules(root: JsonSchema, { rules }: KindDefinition): JsonSchema {
  return rules.reduce((schema, { at, cel, message, field }) => {
    const place = at.join('.');
    const within = field.startsWith(`${place}.`) ? { fieldPath: field.slice(place.length) } : {};
    return withRule(schema, at, { rule: cel, message, ...within });
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
