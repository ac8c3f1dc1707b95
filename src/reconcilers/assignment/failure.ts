import type { AssignmentStatus } from '../../resources/assignment.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Held } from './observation.js';

/** Why the machine that an assignment has does not serve any more. */
export interface Failure {
  /** As a condition has it. */
  readonly reason: 'MachineLost' | 'MachineFaulty';
  readonly why: string;
  /** True if what the user had is gone: nothing is left that could be destroyed. */
  readonly lost: boolean;
  /** True if cloud and inventory do not say the same. */
  readonly disputed: boolean;
}

/**
 * Why the machine that a status names does not serve; undefined: it does, or none is named. Pure.
 * @param held that machine as it stands; undefined: its record is gone.
 */
export function failureOf({ virtualMachine, id, epoch }: AssignmentStatus, held: Held | undefined): Failure | undefined {
  if (!virtualMachine) return undefined;
  const { name, uid } = virtualMachine;
  if (!held || held.vm.metadata.uid !== uid) return lost(`VirtualMachine ${name} was deleted`);
  const { vm, verdict, claimed } = held;
  if (vm.metadata.deletionTimestamp) return lost(`VirtualMachine ${name} is being deleted`);
  if (serverChanged(vm, id)) return lost(`server ${id} of VirtualMachine ${name} was deleted in the cloud`);
  if (!claimed || vm.spec.claimRef?.epoch !== epoch) return lost(`VirtualMachine ${name} no longer names this assignment`);
  if (verdict.kind === 'sound') return undefined;
  const disputed = verdict.kind === 'disputed';
  return { reason: 'MachineFaulty', why: `VirtualMachine ${name}: ${verdict.why}`, lost: false, disputed };
}

function lost(why: string): Failure {
  return { reason: 'MachineLost', why, lost: true, disputed: false };
}

/** True if the server that was handed out is certain to be another one by now. A status that was lost proves nothing. */
export function serverChanged({ status }: VirtualMachine, id: string | undefined): boolean {
  if (id === undefined) return false;
  return status?.id === undefined ? status?.ledger !== undefined : status.id !== id;
}
