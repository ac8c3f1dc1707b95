import type { ProposedCondition } from '../../resources/conditions.js';
import type { Resource } from '../../resources/metadata.js';
import { type Pool, type PoolSpec, type PoolStatus, poolKind, poolSpecSchema, poolStatusSchema } from '../../resources/pool.js';
import { makeReader } from '../../resources/reader.js';
import { recipeSpecSchema, recipeStatusSchema } from '../../resources/recipe.js';
import { validate } from '../../resources/validate.js';
import { invalidSpec } from '../invalid-spec.js';

/** A resource as a pool; undefined if its spec cannot be read. */
export const readPool = makeReader(poolSpecSchema, poolStatusSchema);

/** A resource as a Recipe; undefined if its spec cannot be read: its own conditions say why. */
export const readRecipe = makeReader(recipeSpecSchema, recipeStatusSchema);

/** A resource as a pool that can be worked on, or what is to be said of it. */
export type PoolInput =
  | { readonly kind: 'valid'; readonly pool: Pool & { readonly status: PoolStatus } }
  | { readonly kind: 'invalid'; readonly conditions: readonly ProposedCondition[]; readonly status: PoolStatus };

/** Of a pool that is being deleted nothing counts but its machines, and whether it is paused. */
const ENOUGH_TO_DELETE: PoolSpec = { cloudRef: { name: 'unknown' }, replicas: 0, maxSize: 1 };

/** Checks a resource as a store holds it: rows written by hand hold anything. A bad spec keeps no pool from being deleted. */
export function checkPool(resource: Resource): PoolInput {
  const { status: rawStatus, ...declared } = resource;
  const status = poolStatusSchema.safeParse(rawStatus ?? {}).data ?? {};
  const pool = readPool(resource);
  const errors = validate(poolKind, declared);
  if (pool && errors.length === 0) return { kind: 'valid', pool: { ...pool, status } };
  if (resource.metadata.deletionTimestamp) return { kind: 'valid', pool: { ...declared, spec: ENOUGH_TO_DELETE, status } };
  return { kind: 'invalid', conditions: invalidSpec(errors), status };
}
