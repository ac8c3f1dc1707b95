import type { Assignment, AssignmentSpec, AssignmentStatus } from '../../../src/resources/assignment.js';
import type { VirtualMachine, VirtualMachineSpec, VirtualMachineStatus } from '../../../src/resources/virtual-machine.js';

const meta = (name: string) => ({
  name,
  namespace: 'default',
  uid: `uid-${name}`,
  resourceVersion: '1',
  generation: 1,
  creationTimestamp: '2026-01-01T00:00:00Z',
});

/** An assignment of user `alice` from the pool `galaxy`. */
export function assignment(
  name: string,
  spec: Partial<AssignmentSpec> = {},
  status: AssignmentStatus = {},
  metadata: Partial<Assignment['metadata']> = {},
): Assignment {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachineAssignment',
    metadata: { ...meta(name), finalizers: ['dispatcher.dev/assignment'], ...metadata },
    spec: { user: 'alice', application: 'galaxy', ...spec },
    status,
  };
}

/** A machine whose server `s-NAME` runs. */
export function machine(
  name: string,
  spec: Partial<VirtualMachineSpec> = {},
  status: VirtualMachineStatus = {},
  metadata: Partial<VirtualMachine['metadata']> = {},
): VirtualMachine {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { ...meta(name), ...metadata },
    spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'm1.tiny', ...spec },
    status: { id: `s-${name}`, state: 'Running', builtAt: '2026-01-01T00:00:00Z', ...status },
  };
}
