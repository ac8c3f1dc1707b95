import { apiVersionOf } from '../../resources/kind.js';
import { keyOf, type Resource } from '../../resources/metadata.js';
import { scaleKind, scaleSpecSchema } from '../../resources/scale.js';
import { isStoreError } from '../../store/errors.js';
import type { Draft } from '../../store/store.js';
import { admit, isObject } from './admission.js';
import { apply } from './apply.js';
import { parseBody, readBody } from './body.js';
import type { Answer, Call } from './call.js';
import { badRequest } from './errors.js';
import { valueAt, withValue } from './field-set.js';
import { trackUpdate } from './managed-fields.js';
import { applyPatch, patchType } from './patch.js';
import { unknownPath } from './paths.js';
import { existing, showOne } from './read.js';
import { withVersion } from './shown.js';
import { dryRun, fieldValidation, managerOf } from './write-options.js';

/** How often a change without a resourceVersion of its own is made anew to what another writer left. */
const TRIES = 4;

/** Answers GET of a resource's `scale`. */
export async function getScale(call: Call): Promise<Answer> {
  return { code: 200, body: show(call, scaleOf(call, await existing(call))) };
}

/** Answers PUT of a resource's `scale`. Without a resourceVersion it replaces whatever stands, as in Kubernetes. */
export async function updateScale(call: Call): Promise<Answer> {
  const scale = readBody(call.request.body, call.request.headers['content-type']);
  if (!isObject(scale)) throw badRequest('', `the request body must be one Scale (${apiVersionOf(scaleKind)}) as an object`);
  return change(call, () => scale);
}

/** Answers PATCH of a resource's `scale`: the Scale is patched, and the resource follows. */
export async function patchScale(call: Call): Promise<Answer> {
  const type = patchType(call);
  if (type === 'apply') return apply(call);
  const body = parseBody(call.request.body, 'json');
  return change(call, (standing) => applyPatch(type, standing, body));
}

/** @param wanted the Scale that is wanted, given the one that stands. */
async function change(call: Call, wanted: (standing: Resource) => unknown): Promise<Answer> {
  for (let tries = 1; ; tries++) {
    const old = await existing(call);
    const { target } = onScale(call);
    const { draft: scale, warnings } = admit(target, wanted(scaleOf(call, old)), undefined, fieldValidation(call));
    const { resourceVersion, uid } = scale.metadata;
    const dry = dryRun(call);
    try {
      const resource = await call.context.store.update(scaled(call, old, scale), { dryRun: dry });
      const shown = show(call, scaleOf(call, resource));
      const body = dry ? withVersion(shown, old.metadata.resourceVersion) : shown;
      return { code: 200, body, warnings, changed: keyOf(resource), dryRun: dry };
    } catch (error) {
      const { metadata } = old;
      const pinned =
        (resourceVersion ?? metadata.resourceVersion) !== metadata.resourceVersion || (uid ?? metadata.uid) !== metadata.uid;
      if (!isStoreError(error, 'Conflict') || pinned || tries >= TRIES) throw error;
    }
  }
}

/** The resource with as many as a Scale wants, bound to the version that the Scale demands, or that it was read at. */
function scaled(call: Call, old: Resource, { metadata, spec }: Draft): Draft {
  const { replicas = 0 } = scaleSpecSchema.parse(spec);
  const { resourceVersion = old.metadata.resourceVersion, uid = old.metadata.uid } = metadata;
  const bound = { ...old, metadata: { ...old.metadata, resourceVersion, uid } };
  const manifest = withValue(bound, pathsOf(call).spec, replicas);
  const { draft } = admit({ ...call.target, subresource: undefined }, manifest, old, fieldValidation(call));
  const { environment } = call.context;
  const author = { manager: managerOf(call), apiVersion: draft.apiVersion, now: environment.now(), subresource: 'scale' };
  const managedFields = trackUpdate(old, draft, author);
  return managedFields ? { ...draft, metadata: { ...draft.metadata, managedFields } } : draft;
}

/** What a resource says of how many there are and are to be. */
function scaleOf(call: Call, resource: Resource): Resource {
  const { name, namespace, uid, resourceVersion, creationTimestamp, generation } = resource.metadata;
  const paths = pathsOf(call);
  const [replicas, available, selector] = [paths.spec, paths.status, paths.selector].map((path) => valueAt(resource, path));
  return {
    kind: scaleKind.kind,
    apiVersion: apiVersionOf(scaleKind),
    metadata: { name, ...(namespace !== undefined && { namespace }), uid, resourceVersion, generation, creationTimestamp },
    // A row written by hand may hold anything.
    spec: typeof replicas === 'number' ? { replicas } : {},
    status: {
      replicas: typeof available === 'number' ? available : 0,
      ...(typeof selector === 'string' && { selector }),
    },
  };
}

/** Where a kind keeps what a Scale says. */
function pathsOf({ target, request }: Call): { readonly spec: string; readonly status: string; readonly selector: string } {
  const { scale } = target.definition;
  if (!scale) throw unknownPath(request.path);
  const path = (jsonPath: string) =>
    JSON.stringify(
      jsonPath
        .split('.')
        .slice(1)
        .map((field) => `f:${field}`),
    );
  return { spec: path(scale.spec), status: path(scale.status), selector: path(scale.selector) };
}

function show(call: Call, scale: Resource): unknown {
  return showOne(onScale(call), scale);
}

/** The same request, as one about a Scale. */
function onScale(call: Call): Call {
  return { ...call, target: { ...call.target, definition: scaleKind, subresource: undefined } };
}
