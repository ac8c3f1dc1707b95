import { z } from 'zod';
import { StoreError } from '../errors.js';
import type { Listing, Selection } from '../store.js';
import { collectionPath, query, selectorText } from './paths.js';
import type { Requests } from './requests.js';
import { subjectOf, wireOf } from './wire.js';

const listSchema = z.object({
  metadata: z.object({
    resourceVersion: z.string(),
    continue: z.string().optional(),
    remainingItemCount: z.number().optional(),
  }),
  items: z.array(z.unknown()).nullish(),
});

/** One page. The version is that of the list as a whole: the same on all its pages. */
export async function list(
  requests: Requests,
  kind: string,
  { namespace, labels }: Selection,
  page: { readonly limit?: number; readonly continue?: string },
  signal?: AbortSignal,
): Promise<Listing> {
  const wire = wireOf(kind);
  const parameters = { limit: page.limit || undefined, continue: page.continue, labelSelector: selectorText(labels) };
  const answer = await requests.send({
    method: 'GET',
    path: collectionPath(wire, namespace) + query(parameters),
    ...subjectOf('list', wire, { kind, namespace: namespace ?? '', name: '' }),
    ...(signal && { signal }),
  });
  const parsed = listSchema.safeParse(answer);
  if (!parsed.success) throw new StoreError('Unavailable', `list ${kind}: what the API server answered is no list`);
  const { items, metadata } = parsed.data;
  return {
    items: (items ?? []).map((item) => wire.decode(item)),
    resourceVersion: metadata.resourceVersion,
    ...(metadata.continue && { continue: metadata.continue }),
    ...(metadata.remainingItemCount !== undefined && { remaining: metadata.remainingItemCount }),
  };
}
