import { createHash } from 'node:crypto';
import type { FirewallRule } from '../../resources/firewall-rule.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';

/** Which machines rules are for. All rules of the same target share one security group. */
export interface Target {
  /** A digest of Cloud, namespace and target: the owner key of the group. */
  readonly key: string;
  /** The group's name in the cloud: `dispatcher default app=web`. */
  readonly name: string;
}

/** A machine as far as firewall rules go. */
export interface Machine {
  readonly record: VirtualMachine;
  /** The assignment that has it, as both of them say. */
  readonly assignment: string | undefined;
}

const LONGEST_NAME = 255;

/** The target of a rule. The same for rules that are for the same machines by the same words. */
export function targetOf({ metadata, spec }: FirewallRule): Target {
  const { virtualMachineRef, assignmentRef, selector } = spec;
  const labels = Object.entries(selector?.matchLabels ?? {}).sort(([a], [b]) => (a < b ? -1 : 1));
  const words = virtualMachineRef
    ? `machine ${virtualMachineRef.name}`
    : assignmentRef
      ? `assignment ${assignmentRef.name}`
      : labels.map(([name, value]) => `${name}=${value}`).join(',') || 'all machines';
  const identity = [spec.cloudRef.name, metadata.namespace, virtualMachineRef?.name, assignmentRef?.name, selector && labels];
  return {
    key: createHash('sha256').update(JSON.stringify(identity)).digest('hex').slice(0, 32),
    name: `dispatcher ${metadata.namespace} ${words}`.slice(0, LONGEST_NAME),
  };
}

/** True if a rule is for a machine of its namespace and Cloud at the moment. */
export function isFor({ metadata, spec }: FirewallRule, { record, assignment }: Machine): boolean {
  if (record.metadata.namespace !== metadata.namespace || record.spec.cloudRef.name !== spec.cloudRef.name) return false;
  if (spec.virtualMachineRef) return spec.virtualMachineRef.name === record.metadata.name;
  if (spec.assignmentRef) return spec.assignmentRef.name === assignment;
  const labels = record.metadata.labels ?? {};
  return Object.entries(spec.selector?.matchLabels ?? {}).every(([name, value]) => labels[name] === value);
}
