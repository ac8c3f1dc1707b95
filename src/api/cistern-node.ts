import { z } from 'zod';
import type { Assignment } from '../resources/assignment.js';
import { failedInCloud, isReady, poolOf } from '../resources/machine-facts.js';
import type { Resource } from '../resources/metadata.js';
import type { Pool } from '../resources/pool.js';
import { FAULTY_ANNOTATION, type VirtualMachine } from '../resources/virtual-machine.js';
import { nodeNumber } from './node-number.js';

/** The numbers of Cistern's states. */
const STATUS_NUMBERS = { FREE: 1, ASSIGNED: 2, FAULTY: 3 } as const;

/** A node as the Cistern protocol has it, and the answer of `/vm/status`. */
export const cisternNodeSchema = z.object({
  id: z.int().positive().describe("The node's number, for ever the same."),
  id_vm: z.string().describe("The server's id in the cloud."),
  hostname: z.string().describe("The server's name."),
  cloud: z.string(),
  status: z.int().min(1).max(3).describe('1 free, 2 assigned, 3 faulty.'),
  status_desc: z.enum(['FREE', 'ASSIGNED', 'FAULTY']),
  recipe: z.string().describe("The recipe of its pool; '' where there is none."),
  recipe_id: z.int().nonnegative().describe("The recipe's number; 0 where there is none."),
  user: z.string().describe("Whom it is assigned to; '' for nobody."),
  last_activity: z.string().optional().describe('The last activity that is known: RFC 3339.'),
});

/** {@link cisternNodeSchema}. */
export type CisternNode = z.infer<typeof cisternNodeSchema>;

/** What the nodes of a cloud are told from. */
export interface Declarations {
  readonly machines: readonly VirtualMachine[];
  readonly pools: readonly Pool[];
  readonly recipes: readonly Resource[];
  readonly assignments: readonly Assignment[];
}

/**
 * Machines as nodes of Cistern, in their order. Pure.
 *
 * Left out is what cannot be told of: a machine that has no server, was never seen up, or is on its way out; and, as long as nobody has it,
 * one that is not as it was declared (being rebuilt, started or changed) or is still to be given back by who had it.
 *
 * @param cloud what clients call the cloud of these machines.
 */
export function cisternNodes({ machines, pools, recipes, assignments }: Declarations, cloud: string): CisternNode[] {
  const poolsByUid = new Map(pools.map((pool) => [pool.metadata.uid, pool]));
  const recipesByName = new Map(recipes.map((recipe) => [nameIn(recipe, recipe.metadata.name), recipe]));
  const assignmentsByMachine = new Map(assignments.map((each) => [each.status?.virtualMachine?.uid, each]));
  return machines.flatMap((vm) => {
    const { metadata, spec, status } = vm;
    const standing = standingOf(vm);
    if (standing === undefined || status?.id === undefined) return [];
    const recipeName = poolsByUid.get(poolOf(vm)?.uid ?? '')?.spec.recipeRef?.name;
    const recipe = recipeName === undefined ? undefined : recipesByName.get(nameIn(vm, recipeName));
    const active = status.assignment && assignmentsByMachine.get(metadata.uid)?.status?.activeAt;
    return {
      id: nodeNumber(metadata.uid),
      id_vm: status.id,
      hostname: spec.hostname ?? metadata.name,
      cloud,
      status: STATUS_NUMBERS[standing],
      status_desc: standing,
      recipe: recipe?.metadata.name ?? '',
      recipe_id: recipe ? nodeNumber(recipe.metadata.uid) : 0,
      user: status.assignment?.user ?? '',
      ...(active !== undefined && { last_activity: active }),
    };
  });
}

function nameIn({ metadata }: Resource, name: string): string {
  return `${metadata.namespace}/${name}`;
}

/** True for a machine that nobody is to be given: a person says so, or the cloud reports a server in error that once ran. Pure. */
export function isFaulty(vm: VirtualMachine): boolean {
  return vm.metadata.annotations?.[FAULTY_ANNOTATION] !== undefined || failedInCloud(vm);
}

function standingOf(vm: VirtualMachine): CisternNode['status_desc'] | undefined {
  if (vm.metadata.deletionTimestamp || vm.status?.id === undefined || vm.status.builtAt === undefined) return undefined;
  if (isFaulty(vm)) return 'FAULTY';
  if (vm.status?.assignment) return 'ASSIGNED';
  return vm.spec.claimRef === undefined && isReady(vm) && vm.spec.powerState !== 'Stopped' ? 'FREE' : undefined;
}
