import { isDeepStrictEqual } from 'node:util';
import { apiVersionOf } from '../../resources/kind.js';
import { keyOf, type ObjectMeta, objectMetaSchema, type Resource } from '../../resources/metadata.js';
import { formatPath } from '../../resources/validate.js';
import { isStoreError } from '../../store/errors.js';
import type { Draft } from '../../store/store.js';
import { type Admitted, admit, invalidField, isObject } from './admission.js';
import { apply } from './apply.js';
import { parseBody, readBody } from './body.js';
import type { Answer, Call } from './call.js';
import { deleteOptions } from './delete-options.js';
import { ApiError, badRequest, success } from './errors.js';
import { trackUpdate } from './managed-fields.js';
import { applyPatch, patchType } from './patch.js';
import { qualifiedPlural } from './paths.js';
import { chosenBy, existing, find, showList, showOne } from './read.js';
import { withVersion } from './shown.js';
import { createdIn, dryRun, fieldValidation, managerOf } from './write-options.js';

/** How often a patch without a resourceVersion of its own is applied anew to what another writer left. */
const PATCH_TRIES = 4;
/** Resources of a collection that are read, and deleted, at a time. */
const PAGE = 500;

/** Answers POST to a collection. */
export async function create(call: Call): Promise<Answer> {
  const { target } = call;
  const { draft, warnings } = admit(target, objectBody(call), undefined, fieldValidation(call));
  const { metadata } = draft;
  if (!metadata.name && !metadata.generateName) {
    throw invalidField(target, metadata, 'FieldValueRequired', 'metadata.name', 'name or generateName is required');
  }
  if (metadata.resourceVersion) {
    throw badRequest('metadata.resourceVersion', 'resourceVersion should not be set on objects to be created');
  }
  const dry = dryRun(call);
  const resource = await createdIn(call, draft, { dryRun: dry });
  const body = dry ? withVersion(showOne(call, resource), undefined) : showOne(call, resource);
  return { code: 201, body, warnings, changed: keyOf(resource), dryRun: dry };
}

/** Answers PUT of a resource or its status. */
export async function update(call: Call): Promise<Answer> {
  const { target } = call;
  const manifest = objectBody(call);
  const old = await existing(call);
  const admitted = admit(target, manifest, old, fieldValidation(call));
  // As for a custom resource in a cluster: who replaces a whole resource must have read it.
  if (target.definition.group !== '' && !admitted.draft.metadata.resourceVersion) {
    throw invalidField(
      target,
      admitted.draft.metadata,
      'FieldValueRequired',
      'metadata.resourceVersion',
      'must be specified for an update: read the resource, change it, and send it with its resourceVersion',
    );
  }
  return written(call, admitted, old, await write(call, old, manifest, admitted.draft));
}

/** Answers PATCH of a resource or its status. */
export async function patch(call: Call): Promise<Answer> {
  const type = patchType(call);
  if (type === 'apply') return apply(call);
  const body = parseBody(call.request.body, 'json');
  for (let tries = 1; ; tries++) {
    const old = await existing(call);
    const patched = applyPatch(type, old, body);
    const admitted = admit(call.target, patched, old, fieldValidation(call));
    try {
      return written(call, admitted, old, await write(call, old, patched, admitted.draft));
    } catch (error) {
      const { resourceVersion } = admitted.draft.metadata;
      const pinned = resourceVersion !== old.metadata.resourceVersion;
      if (!isStoreError(error, 'Conflict') || pinned || tries >= PATCH_TRIES) throw error;
    }
  }
}

/** Answers DELETE of a resource. */
export async function remove(call: Call): Promise<Answer> {
  const { target, context, query } = call;
  const { definition, namespace = '', name = '' } = target;
  const options = deleteOptions(body(call), query);
  if (definition.kind === 'Namespace' && name === 'default') {
    throw new ApiError('Forbidden', 'namespaces "default" is forbidden: this namespace may not be deleted');
  }
  const left = await context.store.delete({ kind: definition.kind, namespace, name }, options).catch((error: unknown) => {
    if (!isStoreError(error, 'NotFound')) throw error;
    throw new ApiError('NotFound', `${qualifiedPlural(definition)} "${name}" not found`, {}, { cause: error });
  });
  const told = { code: 200, changed: keyOf(left), dryRun: options.dryRun ?? false };
  // What waits for its finalizers is shown as it stands; what is gone is a success without an object, as in Kubernetes.
  if (left.metadata.deletionTimestamp && left.metadata.finalizers?.length) return { ...told, body: showOne(call, left) };
  const details = { name, group: definition.group, kind: definition.plural, uid: left.metadata.uid };
  return { ...told, body: success(details) };
}

/** Answers DELETE of a collection: everything that is chosen, as it stood when its page was read. */
export async function removeCollection(call: Call): Promise<Answer> {
  const { target, context, query } = call;
  const options = deleteOptions(body(call), query);
  const chosen = chosenBy(query, target);
  const items: Resource[] = [];
  let from: string | undefined;
  let resourceVersion = '';
  do {
    const page = new URLSearchParams({ limit: String(PAGE), ...(from === undefined ? {} : { continue: from }) });
    const listing = await find({ ...call, query: page }, chosen);
    const deleted = await Promise.all(
      listing.items.map((resource) =>
        context.store.delete(keyOf(resource), { ...options, uid: resource.metadata.uid }).catch((error: unknown) => {
          // Another did it meanwhile, or made a new one of that name, which was not chosen.
          if (isStoreError(error, 'NotFound') || isStoreError(error, 'Conflict')) return undefined;
          throw error;
        }),
      ),
    );
    items.push(...deleted.filter((resource) => resource !== undefined));
    resourceVersion = listing.resourceVersion;
    from = listing.continue;
  } while (from !== undefined);
  return { code: 200, body: showList(call, { items, resourceVersion }, chosen), dryRun: options.dryRun ?? false };
}

function write(call: Call, old: Resource, manifest: unknown, draft: Draft): Promise<Resource> {
  const { store, environment } = call.context;
  const options = { dryRun: dryRun(call) };
  if (call.target.subresource === 'status') return store.updateStatus(draft, options);
  const author = { manager: managerOf(call), apiVersion: draft.apiVersion, now: environment.now() };
  const managedFields = givenOwners(call, old, manifest, draft) ?? trackUpdate(old, draft, author);
  return store.update(managedFields ? { ...draft, metadata: { ...draft.metadata, managedFields } } : draft, options);
}

/** Owners that a client sets itself, as kubectl does when it moves from applying by itself to server-side apply. */
function givenOwners({ target }: Call, old: Resource, manifest: unknown, draft: Draft): ObjectMeta['managedFields'] {
  const given = isObject(manifest) && isObject(manifest.metadata) ? manifest.metadata.managedFields : undefined;
  if (given === undefined || given === null || isDeepStrictEqual(given, old.metadata.managedFields)) return undefined;
  const parsed = objectMetaSchema.shape.managedFields.safeParse(given);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const field = formatPath(['metadata', 'managedFields', ...(issue?.path ?? [])]);
  throw invalidField(target, draft.metadata, 'FieldValueInvalid', field, issue?.message ?? 'must be a list of owners');
}

function written(call: Call, { warnings }: Admitted, old: Resource, resource: Resource): Answer {
  const dry = dryRun(call);
  const shown = showOne(call, resource);
  const body = dry ? withVersion(shown, old.metadata.resourceVersion) : shown;
  return { code: 200, body, warnings, changed: keyOf(resource), dryRun: dry };
}

function body({ request }: Call): unknown {
  return readBody(request.body, request.headers['content-type']);
}

function objectBody(call: Call): unknown {
  const value = body(call);
  if (!isObject(value)) {
    const { definition } = call.target;
    throw badRequest('', `the request body must be one ${definition.kind} (${apiVersionOf(definition)}) as an object`);
  }
  return value;
}
