import type { OwnerReference, Resource } from './metadata.js';
import type { VirtualMachine } from './virtual-machine.js';

/** True if the last word on its present declaration is that the server is so. */
export function isReady({ metadata, status }: VirtualMachine): boolean {
  if (status?.observedGeneration !== metadata.generation) return false;
  return status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false;
}

/** True for a server in error that once ran. One that was never built is made anew by itself. */
export function failedInCloud({ status }: VirtualMachine): boolean {
  return status?.state === 'Error' && status.builtAt !== undefined;
}

/** True for the owner reference that makes a machine a pool's. */
export function isPoolReference({ kind, controller }: OwnerReference): boolean {
  return kind === 'VirtualMachinePool' && controller === true;
}

/** The pool that a machine belongs to, if it does to one. */
export function poolOf({ metadata }: Resource): OwnerReference | undefined {
  return metadata.ownerReferences?.find(isPoolReference);
}
