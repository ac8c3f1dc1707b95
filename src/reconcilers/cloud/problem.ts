import { type CloudSpec, cloudSpecSchema, cloudStatusSchema } from '../../resources/cloud.js';
import type { Condition } from '../../resources/conditions.js';
import type { Resource } from '../../resources/metadata.js';

/** Why nothing can or may be done in a Cloud. Reason and message are those of a condition. */
export interface CloudProblem {
  readonly reason: string;
  readonly message: string;
}

/**
 * Why a resource may not use the Cloud that it names; undefined if it may, though the Cloud may not be connected yet.
 * @param name what the resource's spec.cloudRef says.
 * @param cloud the Cloud of that name as last seen, if there is one.
 */
export function cloudProblem(
  user: Resource,
  name: string,
  cloud: Resource | undefined,
  connected: boolean,
): CloudProblem | undefined {
  const problem = (reason: string, message: string) => ({ reason, message });
  if (!cloud) return problem('CloudNotFound', `spec.cloudRef.name: there is no Cloud ${name}`);
  const { spec, stalled } = read(cloud);
  if (!spec) return problem('CloudInvalid', `Cloud ${name} has an invalid spec: see its conditions`);
  const { paused, allowedNamespaces } = spec;
  if (paused) return problem('CloudPaused', `Cloud ${name} is paused`);
  if (allowedNamespaces && !allowedNamespaces.includes(user.metadata.namespace ?? ''))
    return problem('NamespaceNotAllowed', `Cloud ${name} does not allow the namespace ${user.metadata.namespace}`);
  if (cloud.metadata.deletionTimestamp && !user.metadata.deletionTimestamp)
    return problem('CloudTerminating', `Cloud ${name} is being deleted`);
  return connected || !stalled ? undefined : problem('CloudNotReady', `Cloud ${name} is not connected: ${stalled.message}`);
}

interface Reading {
  readonly spec: CloudSpec | undefined;
  readonly stalled: Condition | undefined;
}

/** Every pass over everything in a Cloud asks: each version of it is read once. */
const readings = new WeakMap<Resource, Reading>();

function read(cloud: Resource): Reading {
  const known = readings.get(cloud);
  if (known) return known;
  const { conditions } = cloudStatusSchema.safeParse(cloud.status).data ?? {};
  const reading = {
    spec: cloudSpecSchema.safeParse(cloud.spec).data,
    stalled: conditions?.find(({ type }) => type === 'Stalled'),
  };
  readings.set(cloud, reading);
  return reading;
}
