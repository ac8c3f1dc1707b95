import { assignmentKind } from './assignment.js';
import { cloudKind } from './cloud.js';
import { eventKind, namespaceKind, secretKind } from './core.js';
import { firewallRuleKind } from './firewall-rule.js';
import { keyPairKind } from './key-pair.js';
import type { KindDefinition } from './kind.js';
import { poolKind } from './pool.js';
import { recipeKind } from './recipe.js';
import { virtualMachineKind } from './virtual-machine.js';
import { volumeKind } from './volume.js';

/** Every kind that Dispatcher serves. Order is that of discovery: of our own, as a cluster has it, by plural. */
export const KINDS: readonly KindDefinition[] = [
  namespaceKind,
  secretKind,
  eventKind,
  cloudKind,
  firewallRuleKind,
  keyPairKind,
  recipeKind,
  assignmentKind,
  poolKind,
  virtualMachineKind,
  volumeKind,
];

/** The kind of that name. @throws RangeError for a kind that is not served: a fault of the program, not of a caller's input. */
export function kindNamed(kind: string): KindDefinition {
  const found = KINDS.find((definition) => definition.kind === kind);
  if (!found) throw new RangeError(`no kind ${kind} is served`);
  return found;
}
