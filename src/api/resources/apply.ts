import { apiVersionOf } from '../../resources/kind.js';
import { keyOf, type ManagedField, type Resource } from '../../resources/metadata.js';
import { isStoreError } from '../../store/errors.js';
import { type Admitted, admit, checkIdentity, isObject, withData } from './admission.js';
import { parseBody, unsupportedMedia } from './body.js';
import type { Answer, Call } from './call.js';
import { badRequest } from './errors.js';
import { type Author, applyConfiguration } from './managed-fields.js';
import { flag } from './query.js';
import { showOne } from './read.js';
import { withVersion } from './shown.js';
import { createdIn, dryRun, fieldValidation } from './write-options.js';

/** How often an apply is done anew to what another writer left. */
const TRIES = 4;

/** Answers a PATCH of type apply: the resource is made, or changed to what is declared, and it is kept who declared it. */
export async function apply(call: Call): Promise<Answer> {
  const { target, context, query, request } = call;
  const { definition, namespace = '', name = '' } = target;
  const offered = ['application/json-patch+json', 'application/merge-patch+json'];
  if (target.subresource) throw unsupportedMedia('application/apply-patch+yaml', offered);
  const manager = query.get('fieldManager') ?? '';
  if (manager === '') throw badRequest('fieldManager', 'the parameter fieldManager is required for apply');
  const force = flag(query, 'force');
  const manifest = parseBody(request.body, 'yaml');
  if (!isObject(manifest)) throw badRequest('', `the request body must be one ${definition.kind} as an object`);
  for (const field of ['apiVersion', 'kind']) {
    if (manifest[field] === undefined) throw badRequest(field, `${field} must be there in what is applied`);
  }
  if (isObject(manifest.metadata) && manifest.metadata.managedFields !== undefined) {
    throw badRequest('metadata.managedFields', 'metadata.managedFields must not be in what is applied');
  }
  checkIdentity(target, manifest);
  const configuration = withData(definition, manifest);
  const author: Author = { manager: manager.slice(0, 128), apiVersion: apiVersionOf(definition), now: context.environment.now() };
  const preconditions = preconditionsOf(configuration.metadata);
  for (let tries = 1; ; tries++) {
    const live = await context.store.get({ kind: definition.kind, namespace, name });
    const { resource, managedFields } = applyConfiguration(live, configuration, author, force);
    const admitted = admit(target, pinned(resource, preconditions), live, fieldValidation(call));
    try {
      return await keep(call, admitted, managedFields, live);
    } catch (error) {
      const raced = live ? isStoreError(error, 'Conflict') && !preconditions : isStoreError(error, 'AlreadyExists');
      if (!raced || tries >= TRIES) throw error;
    }
  }
}

/** The version or uid that a manifest demands. */
function preconditionsOf(metadata: unknown): Readonly<Record<string, unknown>> | undefined {
  const entries = Object.entries(isObject(metadata) ? metadata : {}).filter(
    ([key]) => key === 'resourceVersion' || key === 'uid',
  );
  return entries.length > 0 ? Object.fromEntries(entries) : undefined;
}

/** The applied resource, bound to the version it was made from, or to what the manifest demands. */
function pinned(resource: unknown, preconditions: Readonly<Record<string, unknown>> | undefined): unknown {
  if (!preconditions || !isObject(resource)) return resource;
  return { ...resource, metadata: { ...(isObject(resource.metadata) ? resource.metadata : {}), ...preconditions } };
}

async function keep(
  call: Call,
  { draft, warnings }: Admitted,
  managedFields: readonly ManagedField[],
  live: Resource | undefined,
): Promise<Answer> {
  const owned = { ...draft, metadata: { ...draft.metadata, managedFields } };
  const options = { dryRun: dryRun(call) };
  const resource = live ? await call.context.store.update(owned, options) : await createdIn(call, owned, options);
  const shown = showOne(call, resource);
  const body = options.dryRun ? withVersion(shown, live?.metadata.resourceVersion) : shown;
  return { code: live ? 200 : 201, body, warnings, changed: keyOf(resource), dryRun: options.dryRun };
}
