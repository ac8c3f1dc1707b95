import {
  type Assignment,
  type AssignmentSpec,
  type AssignmentStatus,
  assignmentSpecSchema,
  assignmentStatusSchema,
} from '../../resources/assignment.js';
import type { Resource } from '../../resources/metadata.js';

/** What stands in a store never changes in place, so each spec and status is read once. */
const specs = new WeakMap<object, AssignmentSpec | false>();
const statuses = new WeakMap<object, AssignmentStatus>();

/** A resource as an assignment; undefined if its spec cannot be read. A status that cannot be read counts as lost. */
export function readAssignment(resource: Resource): Assignment | undefined {
  const spec = specOf(resource.spec);
  return spec && { ...resource, spec, status: statusOf(resource.status) };
}

function specOf(spec: unknown): AssignmentSpec | undefined {
  if (typeof spec !== 'object' || spec === null) return undefined;
  const known = specs.get(spec) ?? assignmentSpecSchema.safeParse(spec).data ?? false;
  specs.set(spec, known);
  return known === false ? undefined : known;
}

function statusOf(status: unknown): AssignmentStatus {
  if (typeof status !== 'object' || status === null) return {};
  const known = statuses.get(status) ?? assignmentStatusSchema.safeParse(status).data ?? {};
  statuses.set(status, known);
  return known;
}
