import jsonPatch from 'fast-json-patch';
import { z } from 'zod';
import { isObject } from './admission.js';
import { mediaType, unsupportedMedia } from './body.js';
import type { Call } from './call.js';
import { ApiError, badRequest } from './errors.js';
import { strategicMerge } from './strategic-merge.js';

/** How a patch is written: the media types of Kubernetes. */
const PATCH_TYPES = {
  'application/json-patch+json': 'json',
  'application/merge-patch+json': 'merge',
  'application/strategic-merge-patch+json': 'strategic',
  'application/apply-patch+yaml': 'apply',
} as const;

/** One of the values of {@link PATCH_TYPES} that changes what is there; `apply` declares instead. */
type PatchType = 'merge' | 'json' | 'strategic';

/** How the patch of a request is written. @throws ApiError UnsupportedMediaType, with what is taken there. */
export function patchType({ request, target }: Pick<Call, 'request' | 'target'>): PatchType | 'apply' {
  const media = mediaType(request.headers['content-type']);
  // As for custom resources in a cluster: only kinds compiled into clients have strategic merge patches.
  const offered = Object.entries(PATCH_TYPES).filter(([, type]) => target.definition.group === '' || type !== 'strategic');
  const type = offered.find(([name]) => name === media)?.[1];
  if (type !== undefined) return type;
  throw unsupportedMedia(
    media,
    offered.map(([name]) => name),
  );
}

const pointer = z
  .string()
  .max(4096)
  .regex(/^(\/.*)?$/s, 'must be a JSON pointer');
const operations = z
  .array(
    z.discriminatedUnion('op', [
      z.object({ op: z.literal('add'), path: pointer, value: z.json() }),
      z.object({ op: z.literal('replace'), path: pointer, value: z.json() }),
      z.object({ op: z.literal('test'), path: pointer, value: z.json() }),
      z.object({ op: z.literal('remove'), path: pointer }),
      z.object({ op: z.literal('move'), path: pointer, from: pointer }),
      z.object({ op: z.literal('copy'), path: pointer, from: pointer }),
    ]),
  )
  .max(10_000);

/**
 * `document` with a patch applied; `document` itself is not changed.
 *
 * @throws ApiError BadRequest for a patch that is not well formed; Invalid for a JSON patch whose test fails or whose path is
 *   not there.
 */
export function applyPatch(type: PatchType, document: unknown, patch: unknown): unknown {
  if (type === 'json') return applyJsonPatch(document, patch);
  if (!isObject(patch)) throw badRequest('', 'the patch must be an object');
  return type === 'merge' ? mergePatch(document, patch) : strategicMerge(document, patch);
}

/** RFC 7386: null removes, objects merge, all else replaces. */
export function mergePatch(document: unknown, patch: unknown): unknown {
  if (!isObject(patch)) return patch;
  const merged = new Map(Object.entries(isObject(document) ? document : {}));
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) merged.delete(key);
    else merged.set(key, mergePatch(merged.get(key), value));
  }
  return Object.fromEntries(merged);
}

/** RFC 6902. */
function applyJsonPatch(document: unknown, patch: unknown): unknown {
  const parsed = operations.safeParse(patch);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw badRequest(issue?.path.join('.') ?? '', `the body is not a JSON patch: ${issue?.message ?? 'it must be a list'}`);
  }
  try {
    return jsonPatch.applyPatch(structuredClone(document), parsed.data, true).newDocument;
  } catch (error) {
    if (!(error instanceof jsonPatch.JsonPatchError)) throw error;
    const at = error.index ?? 0;
    const field = parsed.data[at]?.path ?? '';
    const message = `operation ${at} (${parsed.data[at]?.op} ${field}) cannot be applied: ${error.name}`;
    throw new ApiError('Invalid', message, { causes: [{ reason: 'FieldValueInvalid', message, field }] });
  }
}
