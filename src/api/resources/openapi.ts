import { createHash } from 'node:crypto';
import { apiVersionOf, type KindDefinition } from '../../resources/kind.js';
import { KINDS } from '../../resources/registry.js';
import { scaleKind } from '../../resources/scale.js';
import { type JsonSchema, metadataItemSchemas, metadataSchema, openApiSchema } from '../../resources/schema.js';
import { GROUP_VERSIONS, pathOf } from './discovery.js';

/** An OpenAPI document as it is sent. */
export interface OpenApiDocument {
  readonly text: string;
  /** Changes with the document. */
  readonly hash: string;
}

const META = 'io.k8s.apimachinery.pkg.apis.meta.v1';
const METADATA = `${META}.ObjectMeta`;
const LIST_METADATA = `${META}.ListMeta`;
const reference = (name: string): JsonSchema => ({ allOf: [{ $ref: `#/components/schemas/${name}` }] });

/** The OpenAPI v3 documents by the path they describe without its leading slash: `apis/dispatcher.dev/v1alpha1`. */
export function openApiDocuments(version: string): ReadonlyMap<string, OpenApiDocument> {
  const groups = GROUP_VERSIONS.filter((each) => KINDS.some(({ group }) => group === each.group));
  return new Map(
    groups.map(({ group, version: groupVersion }) => {
      const kinds = KINDS.filter((definition) => definition.group === group && definition.version === groupVersion);
      const text = JSON.stringify(documentOf(kinds, version));
      const hash = createHash('sha256').update(text).digest('hex').toUpperCase();
      return [pathOf({ group, version: groupVersion }).slice(1), { text, hash }];
    }),
  );
}

/** The index at `/openapi/v3`. */
export function openApiIndex(documents: ReadonlyMap<string, OpenApiDocument>): object {
  const entries = [...documents].map(([path, { hash }]) => [path, { serverRelativeURL: `/openapi/v3/${path}?hash=${hash}` }]);
  return { paths: Object.fromEntries(entries) };
}

function documentOf(kinds: readonly KindDefinition[], version: string): object {
  const listMetadata: JsonSchema = {
    type: 'object',
    description: 'The version of a list, and where it goes on.',
    properties: {
      continue: { type: 'string', description: 'Send this to get what follows.' },
      remainingItemCount: { type: 'integer', format: 'int64', description: 'How many follow.' },
      resourceVersion: { type: 'string', description: 'Watch from here to miss nothing.' },
    },
  };
  const scale: [string, JsonSchema] = [nameOf(scaleKind), openApiSchema(scaleKind, reference(METADATA))];
  const schemas = kinds.flatMap((definition) => [
    [nameOf(definition), openApiSchema(definition, reference(METADATA))],
    [`${nameOf(definition)}List`, listSchema(definition)],
  ]);
  return {
    openapi: '3.0.0',
    info: { title: 'Dispatcher', version },
    paths: Object.assign({}, ...kinds.map(pathsOf)),
    components: {
      schemas: {
        ...metadataSchemas(),
        [LIST_METADATA]: listMetadata,
        ...Object.fromEntries(schemas),
        ...(kinds.some((kind) => kind.scale) && Object.fromEntries([scale])),
      },
      securitySchemes: { BearerToken: { type: 'http', scheme: 'bearer' } },
    },
    security: [{ BearerToken: [] }],
  };
}

/** The schema of metadata and of what is in it, under the names that Kubernetes has for them: `kubectl explain` shows those. */
function metadataSchemas(): Record<string, JsonSchema> {
  const { managedFields, ownerReferences } = metadataItemSchemas();
  const [manager, owner, fields] = [`${META}.ManagedFieldsEntry`, `${META}.OwnerReference`, `${META}.FieldsV1`];
  // As in Kubernetes, where a client need not know what only a server writes.
  const { required: _, ...entry } = managedFields;
  const loosely = Object.entries(entry.properties ?? {}).map(([name, { enum: _words, ...schema }]) => [name, schema]);
  const properties = { ...Object.fromEntries(loosely), fieldsV1: reference(fields) };
  return {
    [METADATA]: metadataSchema({ managedFields: reference(manager), ownerReferences: reference(owner) }),
    [manager]: { ...entry, properties },
    [owner]: ownerReferences,
    [fields]: { type: 'object', description: 'Paths of fields, each with what is below it.' },
  };
}

/** `dev.dispatcher.v1alpha1.Cloud`, as Kubernetes names the schemas of custom resources; `io.k8s.api.core.v1.Secret` those of its own. */
function nameOf({ group, version, kind }: KindDefinition): string {
  if (!group.includes('.')) return `io.k8s.api.${group || 'core'}.${version}.${kind}`;
  return `${group.split('.').reverse().join('.')}.${version}.${kind}`;
}

function listSchema(definition: KindDefinition): JsonSchema {
  const { group, version, kind } = definition;
  return {
    type: 'object',
    description: `A list of ${kind}s.`,
    required: ['items'],
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: reference(LIST_METADATA),
      items: { type: 'array', items: reference(nameOf(definition)) },
    },
    'x-kubernetes-group-version-kind': [{ group, kind: `${kind}List`, version }],
  };
}

const query = (name: string, type: string, description: string) => ({
  name,
  in: 'query',
  description,
  schema: { type, uniqueItems: true },
});
const WRITE_PARAMETERS = [
  query('dryRun', 'string', 'All: everything is checked, nothing is kept.'),
  query('fieldManager', 'string', 'Who makes the change.'),
  query('fieldValidation', 'string', 'Unknown fields: Strict (refused; the default), Warn or Ignore (dropped).'),
];
const LIST_PARAMETERS = [
  query('allowWatchBookmarks', 'boolean', 'Send bookmarks in a watch.'),
  query('continue', 'string', 'Go on where a list ended.'),
  query('fieldSelector', 'string', 'Choose by fields.'),
  query('labelSelector', 'string', 'Choose by labels.'),
  query('limit', 'integer', 'At most so many items.'),
  query('resourceVersion', 'string', 'Watch from here.'),
  query('resourceVersionMatch', 'string', 'How resourceVersion is meant.'),
  query('sendInitialEvents', 'boolean', 'Begin a watch with what stands.'),
  query('timeoutSeconds', 'integer', 'End a watch after this time.'),
  query('watch', 'boolean', 'Watch instead of list.'),
];
const DELETE_PARAMETERS = [
  query('dryRun', 'string', 'All: everything is checked, nothing is kept.'),
  query('propagationPolicy', 'string', 'Background, Foreground or Orphan.'),
];
const PATCH_MEDIA = ['application/apply-patch+yaml', 'application/json-patch+json', 'application/merge-patch+json'];

function pathsOf(definition: KindDefinition): Record<string, object> {
  const { plural, namespaced, statusSubresource, scale } = definition;
  const root = pathOf(definition);
  const collection = namespaced ? `${root}/namespaces/{namespace}/${plural}` : `${root}/${plural}`;
  const at = (name: string) => ({ name, in: 'path', required: true, schema: { type: 'string', uniqueItems: true } });
  const place = namespaced ? [at('namespace')] : [];
  const operation = operationsOf(definition);
  const change = (subresource: string, of: KindDefinition = definition) => ({
    get: operation('get', `read${subresource}`, [], of),
    put: operation('put', `replace${subresource}`, WRITE_PARAMETERS, of),
    patch: operation(
      'patch',
      `patch${subresource}`,
      [...WRITE_PARAMETERS, query('force', 'boolean', 'Take fields over from others.')],
      of,
    ),
  });
  return {
    [collection]: {
      get: operation('list', 'list', LIST_PARAMETERS),
      post: operation('post', 'create', WRITE_PARAMETERS),
      delete: operation('deletecollection', 'deletecollection', [...DELETE_PARAMETERS, ...LIST_PARAMETERS]),
      parameters: place,
    },
    [`${collection}/{name}`]: {
      ...change(''),
      delete: operation('delete', 'delete', DELETE_PARAMETERS),
      parameters: [...place, at('name')],
    },
    ...(namespaced ? { [`${root}/${plural}`]: { get: operation('list', 'listAll', LIST_PARAMETERS) } } : {}),
    ...(statusSubresource
      ? { [`${collection}/{name}/status`]: { ...change('Status'), parameters: [...place, at('name')] } }
      : {}),
    ...(scale ? { [`${collection}/{name}/scale`]: { ...change('Scale', scaleKind), parameters: [...place, at('name')] } } : {}),
  };
}

function operationsOf(definition: KindDefinition) {
  const { group, version, kind, description } = definition;
  const list = { 'application/json': { schema: reference(`${nameOf(definition)}List`) } };
  return (action: string, verb: string, parameters: readonly object[], of = definition): object => {
    const whole = { 'application/json': { schema: reference(nameOf(of)) } };
    return {
      description,
      operationId: `${verb}${apiVersionOf(definition).replace(/[./]/g, '_')}_${kind}`,
      parameters,
      ...(action === 'post' || action === 'put' ? { requestBody: { content: whole, required: true } } : {}),
      ...(action === 'patch'
        ? {
            requestBody: {
              content: Object.fromEntries(PATCH_MEDIA.map((media) => [media, { schema: { type: 'object' } }])),
              required: true,
            },
          }
        : {}),
      responses: { 200: { description: 'OK', content: action === 'list' ? list : whole } },
      'x-kubernetes-action': action,
      'x-kubernetes-group-version-kind': { group, version, kind },
    };
  };
}
