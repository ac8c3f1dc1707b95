import type { AssignmentStatus } from '../../resources/assignment.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';

/** Whom a machine is assigned to. */
export interface Assignee {
  /** The VirtualMachineAssignment, in the machine's namespace. */
  readonly name: string;
  readonly user: string;
  readonly application: string;
}

/**
 * True if an assignment says of a machine what the machine's claim says of it: only then it is handed out. A claim alone may be one of
 * two that were made at once, of which the assignment keeps one.
 */
export function isAcknowledged({ metadata, spec }: VirtualMachine, uid: string, status: AssignmentStatus): boolean {
  const { claimRef } = spec;
  if (!claimRef || status.ended) return false;
  return claimRef.uid === uid && claimRef.epoch === status.epoch && status.virtualMachine?.uid === metadata.uid;
}

/** What the server's metadata shall be: what is declared, and who has it. */
export function wantedMetadata({ spec }: VirtualMachine, assignee: Assignee | undefined): Readonly<Record<string, string>> {
  if (!assignee) return spec.metadata ?? {};
  return { ...spec.metadata, 'assigned-user': assignee.user, 'assigned-application': assignee.application };
}
