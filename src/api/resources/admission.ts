import { apiVersionOf, type KindDefinition } from '../../resources/kind.js';
import type { ObjectMeta, Resource } from '../../resources/metadata.js';
import { type FieldError, validate } from '../../resources/validate.js';
import type { Draft } from '../../store/store.js';
import { ApiError, badRequest, type Cause } from './errors.js';
import type { Target } from './paths.js';

/** What becomes of unknown fields: refused, dropped with a warning, or dropped. */
export type FieldValidation = 'Strict' | 'Warn' | 'Ignore';

/** What may be handed to a store, and what its author should be told. */
export interface Admitted {
  readonly draft: Draft;
  /** Sentences for Warning headers. */
  readonly warnings: readonly string[];
}

type Fields = Readonly<Record<string, unknown>>;

/**
 * Turns what a person sent into what a store takes: kind, name and namespace agree with the path, unknown fields are treated
 * as `fieldValidation` says, the kind's schema and rules hold, the `stringData` of a Secret is in its `data`, and what only a
 * status may say is gone. For the target's status: only `status` and the preconditions count.
 *
 * @param old the resource as it stands; undefined on create.
 * @throws ApiError BadRequest, or Invalid with a cause for each field that is at fault.
 */
export function admit(target: Target, manifest: unknown, old: Resource | undefined, fieldValidation: FieldValidation): Admitted {
  const { definition } = target;
  if (!isObject(manifest)) throw badRequest('', `the request body must be a ${definition.kind} object`);
  checkType(definition, manifest);
  const metadata = placed(target, manifest.metadata ?? {});
  const named = {
    ...manifest,
    apiVersion: apiVersionOf(definition),
    kind: definition.kind,
    metadata: labelled(definition, metadata),
  };
  const { relevant, judged } = target.subresource === 'status' ? statusOnly(named, old) : allButStatus(definition, named);
  const { value, unknown, errors } = check(definition, relevant, old, judged);
  if (unknown.length > 0 && fieldValidation === 'Strict') throw strictError(target, unknown);
  if (errors.length > 0) throw invalid(target, metadata, errors);
  if (!isDraft(value)) throw badRequest('metadata', 'metadata must be an object');
  if (old && !target.subresource) refuseNewFinalizers(target, value, old);
  return { draft: value, warnings: fieldValidation === 'Warn' ? unknown.map(({ message }) => message) : [] };
}

/** What is being deleted takes no more finalizers: they would keep what its deleter saw go. @throws ApiError Invalid. */
function refuseNewFinalizers(target: Target, { metadata }: Draft, { metadata: standing }: Resource): void {
  if (standing.deletionTimestamp === undefined) return;
  const added = (metadata.finalizers ?? []).filter((each) => !standing.finalizers?.includes(each));
  if (added.length === 0) return;
  const list = added.map((each) => JSON.stringify(each)).join(', ');
  const message = `no new finalizers can be added if the object is being deleted, found new finalizers ${list}`;
  throw invalidField(target, metadata, 'FieldValueForbidden', 'metadata.finalizers', message);
}

interface Checked {
  readonly value: unknown;
  readonly unknown: readonly FieldError[];
  readonly errors: readonly FieldError[];
}

/** Validates with the unknown fields taken out; what a union hides under one may show another, hence the loop. */
function check(definition: KindDefinition, value: unknown, old: unknown, judged: (error: FieldError) => boolean): Checked {
  const unknown: FieldError[] = [];
  let pruned = value;
  for (;;) {
    const found = validate(definition, pruned, old).filter(judged);
    const strange = found.filter(({ reason }) => reason === 'UnknownField');
    if (strange.length === 0) return { value: pruned, unknown, errors: found };
    unknown.push(...strange);
    pruned = structuredClone(pruned);
    for (const { path } of strange) removeAt(pruned, path);
  }
}

function removeAt(root: unknown, path: readonly PropertyKey[]): void {
  const isHolder = (at: unknown): at is object => typeof at === 'object' && at !== null;
  const parent = path.slice(0, -1).reduce<unknown>((at, part) => (isHolder(at) ? Reflect.get(at, part) : undefined), root);
  const last = path.at(-1);
  if (isHolder(parent) && last !== undefined) Reflect.deleteProperty(parent, last);
}

/** Metadata with the name and namespace of the path; what only a server says is left out. */
function placed({ definition, namespace, name }: Target, metadata: unknown): Fields {
  if (!isObject(metadata)) throw badRequest('metadata', 'metadata must be an object');
  const { managedFields, selfLink, creationTimestamp, ...rest } = metadata;
  if (name !== undefined && rest.name !== undefined && rest.name !== name) {
    const message = `the name of the object (${plain(rest.name)}) does not match the name on the URL (${name})`;
    throw badRequest('metadata.name', message);
  }
  if (!definition.namespaced) {
    if (rest.namespace === undefined || rest.namespace === '')
      return { ...without(rest, 'namespace'), ...(name === undefined ? {} : { name }) };
    throw badRequest('metadata.namespace', `a ${definition.kind} is in no namespace; remove metadata.namespace`);
  }
  if (rest.namespace !== undefined && rest.namespace !== '' && rest.namespace !== namespace) {
    const message = `the namespace of the object (${plain(rest.namespace)}) does not match the namespace on the request (${namespace})`;
    throw badRequest('metadata.namespace', message);
  }
  return { ...rest, namespace, ...(name === undefined ? {} : { name }) };
}

/** A Namespace can be chosen by its name as by a label, as in Kubernetes. */
function labelled({ kind, group }: KindDefinition, metadata: Fields): Fields {
  if (kind !== 'Namespace' || group !== '' || typeof metadata.name !== 'string') return metadata;
  const labels = metadata.labels ?? {};
  return isObject(labels) ? { ...metadata, labels: { ...labels, 'kubernetes.io/metadata.name': metadata.name } } : metadata;
}

/** Kind, version, name and namespace of a manifest agree with the path. @throws ApiError BadRequest. */
export function checkIdentity(target: Target, manifest: Fields): void {
  checkType(target.definition, manifest);
  placed(target, manifest.metadata ?? {});
}

function checkType(definition: KindDefinition, { apiVersion, kind }: Fields): void {
  const expected = apiVersionOf(definition);
  if (kind !== undefined && kind !== definition.kind) {
    throw badRequest('kind', `the path takes a ${definition.kind}, got kind ${quote(kind)}`);
  }
  if (apiVersion !== undefined && apiVersion !== expected) {
    throw badRequest('apiVersion', `the path takes apiVersion ${expected}, got ${quote(apiVersion)}`);
  }
}

function allButStatus(
  definition: KindDefinition,
  manifest: Fields,
): { relevant: Fields; judged: (error: FieldError) => boolean } {
  const relevant = definition.statusSubresource ? without(manifest, 'status') : withData(definition, manifest);
  return { relevant, judged: () => true };
}

/** The rest of the resource stands as it is, and a fault in it (a row written by hand) must not keep a status from being told. */
function statusOnly(manifest: Fields, old: Resource | undefined): { relevant: Fields; judged: (error: FieldError) => boolean } {
  const given = isObject(manifest.metadata) ? manifest.metadata : {};
  const { resourceVersion: _, ...metadata } = old?.metadata ?? {};
  const preconditions = Object.fromEntries(Object.entries(given).filter(([key]) => key === 'resourceVersion' || key === 'uid'));
  const relevant = { ...old, metadata: { ...metadata, ...preconditions }, status: manifest.status };
  return { relevant, judged: ({ path }) => path[0] === 'status' };
}

/** A Secret's `stringData` as `data`, where it wins, as in Kubernetes. */
export function withData(definition: KindDefinition, manifest: Fields): Fields {
  if (definition.kind !== 'Secret') return manifest;
  const { stringData, ...rest } = manifest;
  if (!isObject(stringData)) return stringData === undefined || stringData === null ? rest : manifest;
  const entries = Object.entries(stringData);
  // Anything but text stays where it is, for validation to name it.
  if (entries.some(([, value]) => typeof value !== 'string')) return manifest;
  const encoded = entries.map(([key, value]) => [key, Buffer.from(String(value), 'utf8').toString('base64')]);
  return { ...rest, data: { ...(isObject(rest.data) ? rest.data : {}), ...Object.fromEntries(encoded) } };
}

function strictError({ definition, name }: Target, unknown: readonly FieldError[]): ApiError {
  const causes = unknown.map(({ field, message }): Cause => ({ reason: 'FieldValueForbidden', message, field }));
  const list = causes.map(({ message }) => message).join(', ');
  return new ApiError(
    'BadRequest',
    `${definition.kind} in version "${definition.version}" cannot be handled as a ${definition.kind}: strict decoding error: ${list}`,
    { causes, ...(name === undefined ? {} : { name }) },
  );
}

function invalid({ definition }: Target, metadata: Fields, errors: readonly FieldError[]): ApiError {
  const name = typeof metadata.name === 'string' ? metadata.name : '';
  const kind = definition.group === '' ? definition.kind : `${definition.kind}.${definition.group}`;
  const sentences = errors.map(({ field, message }) => `${field}: ${message}`);
  const list = sentences.length === 1 ? sentences[0] : `[${sentences.join(', ')}]`;
  return new ApiError('Invalid', `${kind} "${name}" is invalid: ${list}`, {
    name,
    group: definition.group,
    kind: definition.kind,
    causes: errors.map(({ reason, field, message }) => ({ reason, message, field })),
  });
}

/** A 422 for one field. */
export function invalidField(
  target: Target,
  metadata: Partial<ObjectMeta>,
  reason: FieldError['reason'],
  field: string,
  message: string,
): ApiError {
  return invalid(target, metadata, [{ reason, field, path: field.split('.'), message }]);
}

function isDraft(value: unknown): value is Draft {
  return isObject(value) && isObject(value.metadata) && typeof value.kind === 'string';
}

function without(fields: Fields, name: string): Fields {
  const { [name]: _, ...rest } = fields;
  return rest;
}

function plain(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, 64) : `a ${typeof value}`;
}

function quote(value: unknown): string {
  return typeof value === 'string' ? JSON.stringify(value.slice(0, 64)) : `a ${typeof value}`;
}

/** True for objects that are not arrays. */
export function isObject(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
