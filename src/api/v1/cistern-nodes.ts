import { type CisternNode, cisternNodes } from '../cistern-node.js';
import { asAssignment, asPool } from '../typed.js';
import type { ServedCloud } from './clouds.js';
import { machinesIn, visible } from './machines.js';
import type { Call } from './operation.js';

/** The machines of a cloud that the caller may see, as nodes of Cistern. @throws ApiError Forbidden for who may see none. */
export async function cisternNodesIn(call: Call, cloud: ServedCloud): Promise<CisternNode[]> {
  const [machines, pools, recipes, assignments] = await Promise.all([
    machinesIn(call, cloud),
    visible(call, 'VirtualMachinePool'),
    visible(call, 'Recipe'),
    visible(call, 'VirtualMachineAssignment'),
  ]);
  const declarations = {
    machines,
    pools: pools.flatMap((each) => asPool(each) ?? []),
    recipes,
    assignments: assignments.flatMap((each) => asAssignment(each) ?? []),
  };
  return cisternNodes(declarations, cloud.name);
}
