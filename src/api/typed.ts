import { z } from 'zod';
import { type Assignment, assignmentSpecSchema, assignmentStatusSchema } from '../resources/assignment.js';
import type { Resource } from '../resources/metadata.js';
import { type Pool, poolSpecSchema, poolStatusSchema } from '../resources/pool.js';
import { type VirtualMachine, virtualMachineSpecSchema, virtualMachineStatusSchema } from '../resources/virtual-machine.js';

// Rows written by hand may hold anything: what has no valid spec is no machine, and a status that is not as expected reads as absent.
const machine = z.object({ spec: virtualMachineSpecSchema, status: virtualMachineStatusSchema.optional().catch(undefined) });
const assignment = z.object({ spec: assignmentSpecSchema, status: assignmentStatusSchema.optional().catch(undefined) });
const pool = z.object({ spec: poolSpecSchema, status: poolStatusSchema.optional().catch(undefined) });

/** A resource as a VirtualMachine; undefined if its spec is not valid. */
export function asMachine(resource: Resource): VirtualMachine | undefined {
  return typed(resource, machine);
}

/** A resource as a VirtualMachineAssignment; undefined if its spec is not valid. */
export function asAssignment(resource: Resource): Assignment | undefined {
  return typed(resource, assignment);
}

/** A resource as a VirtualMachinePool; undefined if its spec is not valid. */
export function asPool(resource: Resource): Pool | undefined {
  return typed(resource, pool);
}

function typed<Spec, Status>(
  resource: Resource,
  schema: z.ZodType<{ spec: Spec; status?: Status | undefined }>,
): (Resource & { spec: Spec; status?: Status }) | undefined {
  const parsed = schema.safeParse(resource);
  if (!parsed.success) return undefined;
  const { spec, status } = parsed.data;
  const { status: _unchecked, ...rest } = resource;
  return { ...rest, spec, ...(status !== undefined && { status }) };
}
