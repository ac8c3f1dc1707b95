import { z } from 'zod';
import { formatPath } from '../../resources/validate.js';
import type { DeleteOptions } from '../../store/store.js';
import { badRequest } from './errors.js';
import { choice, integer } from './query.js';

const propagationPolicy = z.enum(['Background', 'Foreground', 'Orphan']);
const bodySchema = z.strictObject({
  kind: z.literal('DeleteOptions').optional(),
  apiVersion: z.string().max(317).optional(),
  dryRun: z.array(z.literal('All')).max(1).nullish(),
  gracePeriodSeconds: z.int().nonnegative().nullish(),
  orphanDependents: z.boolean().nullish(),
  propagationPolicy: propagationPolicy.nullish(),
  preconditions: z.strictObject({ uid: z.string().max(64).nullish(), resourceVersion: z.string().max(32).nullish() }).nullish(),
  ignoreStoreReadErrorWithClusterBreakingPotential: z.literal(false).nullish(),
});

/**
 * What a DELETE asks for, in its body or its query; the body wins. gracePeriodSeconds is accepted and means nothing here.
 *
 * @throws ApiError BadRequest that names the field.
 */
export function deleteOptions(body: unknown, query: URLSearchParams): DeleteOptions {
  integer(query, 'gracePeriodSeconds');
  const parsed = bodySchema.safeParse(body ?? {});
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const keys = issue?.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
    throw badRequest(formatPath([...(issue?.path ?? []), ...keys]), `the DeleteOptions are not valid: ${issue?.message}`);
  }
  const { preconditions, orphanDependents, dryRun } = parsed.data;
  const orphan = orphanDependents ? ('Orphan' as const) : undefined;
  const propagation =
    parsed.data.propagationPolicy ??
    orphan ??
    choice(query, 'propagationPolicy', ['Background', 'Foreground', 'Orphan'] as const);
  return {
    ...(preconditions?.uid ? { uid: preconditions.uid } : {}),
    ...(preconditions?.resourceVersion ? { resourceVersion: preconditions.resourceVersion } : {}),
    ...(propagation ? { propagation } : {}),
    dryRun: (dryRun?.length ?? 0) > 0 || choice(query, 'dryRun', ['All']) === 'All',
  };
}
