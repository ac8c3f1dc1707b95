import { poolSpecSchema, poolStatusSchema } from '../../resources/pool.js';
import { recipeSpecSchema, recipeStatusSchema } from '../../resources/recipe.js';
import { makeReader } from '../reader.js';

/** A resource as a pool; undefined if its spec cannot be read. */
export const readPool = makeReader(poolSpecSchema, poolStatusSchema);

/** A resource as a Recipe; undefined if its spec cannot be read. */
export const readRecipe = makeReader(recipeSpecSchema, recipeStatusSchema);
