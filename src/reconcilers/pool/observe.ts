import type { Connection } from '../../clouds/connection.js';
import { milliseconds } from '../../resources/duration.js';
import { isReady } from '../../resources/machine-facts.js';
import type { Pool } from '../../resources/pool.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Store } from '../../store/store.js';
import { cloudProblem } from '../cloud/problem.js';
import { RecipeError } from '../recipe/errors.js';
import type { Records } from '../records.js';
import { readVirtualMachine } from '../virtual-machine/input.js';
import { readRecipe } from './input.js';
import { type Making, makingOf, UserDataMissing } from './made-from.js';
import { MADE_FROM_ANNOTATION } from './membership.js';
import type { Member, PoolObservation, PoolProblem } from './plan.js';
import { type Opinion, readyAt, standingOf, verdictOf } from './standing.js';

/** How long a machine counts as just made. */
const YOUNG_MS = 5_000;

/** What a pool is looked at with. */
export interface Sight {
  readonly records: Records;
  /** Asked whether an assignment is there, before a machine is taken back. */
  readonly store: Pick<Store, 'get'>;
  connection(cloud: string): Connection | undefined;
  /** What the inventory of a machine's Cloud, or a person, says of it. */
  opinion(vm: VirtualMachine): Opinion;
}

/** What machines are to be made from, if that is known, and when one that runs is ready. */
export interface Recipes {
  readonly making: Making | undefined;
  readonly delayMs: number;
  readonly problem: PoolProblem | undefined;
}

/** What the pool's machines are made from, and why none can be made now. */
export function recipesOf(pool: Pool, { records, connection }: Sight): Recipes {
  const namespace = pool.metadata.namespace ?? '';
  const { cloudRef, recipeRef } = pool.spec;
  const failed = (reason: string, message: string): Recipes => ({ making: undefined, delayMs, problem: { reason, message } });
  let delayMs = 0;
  const stored = recipeRef && records.get({ kind: 'Recipe', namespace, name: recipeRef.name });
  if (recipeRef && !stored) return failed('ReferenceNotFound', `spec.recipeRef.name: there is no Recipe ${recipeRef.name}`);
  const recipe = stored && readRecipe(stored);
  if (stored && !recipe)
    return failed('RecipeInvalid', `spec.recipeRef.name: Recipe ${stored.metadata.name} has an invalid spec: see its conditions`);
  delayMs = milliseconds(recipe?.spec.readiness?.delay ?? '0s');
  try {
    const making = makingOf(pool, recipe, (name) => records.secret(namespace, name));
    const cloud = records.get({ kind: 'Cloud', namespace: '', name: cloudRef.name });
    const problem = cloudProblem(pool, cloudRef.name, cloud, connection(cloudRef.name) !== undefined);
    return { making, delayMs, problem };
  } catch (error) {
    if (error instanceof UserDataMissing) return failed('ReferenceNotFound', error.message);
    if (!(error instanceof RecipeError)) throw error;
    if (error.ofPool) return failed('InvalidParameters', error.told);
    return failed('RecipeInvalid', `Recipe ${recipeRef?.name} cannot be used: ${error.told}`);
  }
}

/** The present of a pool. @param going uids of machines that were just deleted, whether the cache knows of it or not. */
export async function observe(
  pool: Pool,
  recipes: Recipes,
  wanted: number,
  sight: Sight,
  now: Date,
  going: ReadonlySet<string> = new Set(),
): Promise<PoolObservation> {
  const { records } = sight;
  const namespace = pool.metadata.namespace ?? '';
  const unreadable: string[] = [];
  const members: Member[] = [];
  for (const resource of records.virtualMachinesOfPool(pool.metadata.uid)) {
    const input = readVirtualMachine(resource);
    if (input.kind === 'invalid') {
      unreadable.push(resource.metadata.name);
      continue;
    }
    const { vm } = input;
    const opinion = sight.opinion(vm);
    const standing = going.has(vm.metadata.uid) ? 'Going' : standingOf(vm, opinion, recipes.delayMs, now);
    const { making } = recipes;
    const outdated = making !== undefined && vm.metadata.annotations?.[MADE_FROM_ANNOTATION] !== making.digest;
    const abandoned = standing === 'Claimed' && (await isAbandoned(vm, sight));
    const user = opinion.kind === 'taken' ? opinion.user : undefined;
    const young = now.getTime() - Date.parse(vm.metadata.creationTimestamp) < YOUNG_MS;
    members.push({ vm, standing, verdict: verdictOf(vm, opinion), outdated, abandoned, young, user });
  }
  return {
    wanted,
    members,
    unreadable,
    isTaken: (name) => records.get({ kind: 'VirtualMachine', namespace, name }) !== undefined,
    problem: recipes.problem,
  };
}

/** When the next machine that runs has done what it does at boot; undefined if none is about to. */
export function nextReadyAt({ members }: PoolObservation, { delayMs }: Recipes, now: Date): number | undefined {
  const times = members
    .filter(({ vm, standing }) => standing === 'Coming' && isReady(vm))
    .map(({ vm }) => readyAt(vm, delayMs))
    .filter((at) => at > now.getTime() && Number.isFinite(at));
  return times.length > 0 ? Math.min(...times) : undefined;
}

/** True only if the assignment that a machine's claim names is certainly gone: a cache may not know it yet. */
async function isAbandoned(vm: VirtualMachine, { records, store }: Sight): Promise<boolean> {
  const { claimRef } = vm.spec;
  if (!claimRef) return false;
  const key = { kind: 'VirtualMachineAssignment', namespace: vm.metadata.namespace ?? '', name: claimRef.name };
  if (records.get(key)?.metadata.uid === claimRef.uid) return false;
  return (await store.get(key))?.metadata.uid !== claimRef.uid;
}
