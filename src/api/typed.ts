import { assignmentSpecSchema, assignmentStatusSchema } from '../resources/assignment.js';
import { firewallRuleSpecSchema, firewallRuleStatusSchema } from '../resources/firewall-rule.js';
import { poolSpecSchema, poolStatusSchema } from '../resources/pool.js';
import { makeReader } from '../resources/reader.js';
import { virtualMachineSpecSchema, virtualMachineStatusSchema } from '../resources/virtual-machine.js';
import { volumeSpecSchema, volumeStatusSchema } from '../resources/volume.js';

/** A resource as a VirtualMachine; undefined if its spec is not valid. */
export const asMachine = makeReader(virtualMachineSpecSchema, virtualMachineStatusSchema);

/** A resource as a VirtualMachineAssignment; undefined if its spec is not valid. */
export const asAssignment = makeReader(assignmentSpecSchema, assignmentStatusSchema);

/** A resource as a VirtualMachinePool; undefined if its spec is not valid. */
export const asPool = makeReader(poolSpecSchema, poolStatusSchema);

/** A resource as a FirewallRule; undefined if its spec is not valid. */
export const asFirewallRule = makeReader(firewallRuleSpecSchema, firewallRuleStatusSchema);

/** A resource as a Volume; undefined if its spec is not valid. */
export const asVolume = makeReader(volumeSpecSchema, volumeStatusSchema);
