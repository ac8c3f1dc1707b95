import { createHash } from 'node:crypto';
import { type Secret, secretValues } from '../../resources/core.js';
import type { Pool } from '../../resources/pool.js';
import type { Recipe } from '../../resources/recipe.js';
import type { VirtualMachineSpec } from '../../resources/virtual-machine.js';
import { renderUserData, valuesFor } from '../recipe/template.js';

/** What the machines of a pool are made from at present. */
export interface Making {
  readonly spec: VirtualMachineSpec;
  readonly labels: Readonly<Record<string, string>>;
  /** The same for the same `spec` and the same user data, whatever a store does to the order of keys. */
  readonly digest: string;
}

/** User data is in a Secret that cannot be read: what machines are to be made from is not known. */
export class UserDataMissing extends Error {
  override readonly name = 'UserDataMissing';
}

/**
 * What a pool's machines are to be made from.
 * @param recipe the Recipe that it names, if it names one.
 * @param secret a Secret of its namespace as last seen.
 * @throws RecipeError for parameters and templates; UserDataMissing.
 */
export function makingOf(pool: Pool, recipe: Recipe | undefined, secret: (name: string) => Secret | undefined): Making {
  const { cloudRef, template, parameters = {} } = pool.spec;
  const parts = recipe ? fromRecipe(recipe, parameters) : template?.spec;
  if (!parts) throw new RangeError(`pool ${pool.metadata.name} has neither a template nor a recipe`);
  const spec = { cloudRef, ...parts };
  const userData = spec.userDataFrom ? secretUserData(spec.userDataFrom.secretRef, secret) : undefined;
  const digest = createHash('sha256')
    .update(JSON.stringify(sorted({ ...spec, ...(userData === undefined ? {} : { userDataFrom: userData }) })))
    .digest('hex')
    .slice(0, 32);
  return { spec, labels: template?.labels ?? {}, digest };
}

function fromRecipe({ spec }: Recipe, parameters: Readonly<Record<string, string>>): Omit<VirtualMachineSpec, 'cloudRef'> {
  const { image, flavor, keyName, networks, metadata, tags, userData } = spec;
  // Without user data there are no parameters either: a value for one is a mistake that is told.
  if (!userData) valuesFor(userData, parameters);
  return {
    image,
    flavor,
    ...(keyName === undefined ? {} : { keyName }),
    ...(networks === undefined ? {} : { networks }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(tags === undefined ? {} : { tags }),
    ...(userData ? { userData: renderUserData(userData, parameters) } : {}),
  };
}

function secretUserData(
  { name, key }: { readonly name: string; readonly key: string },
  secret: (name: string) => Secret | undefined,
): string {
  const found = secret(name);
  const value = found && secretValues(found)[key];
  if (value === undefined)
    throw new UserDataMissing(
      `spec.template.spec.userDataFrom: there is no ${found ? `key ${key} in Secret ${name}` : `Secret ${name}`}`,
    );
  return value;
}

/** The value with the keys of its objects in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).filter(([, inner]) => inner !== undefined);
  return Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, inner]) => [key, sorted(inner)]));
}
