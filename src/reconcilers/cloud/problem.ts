import { cloudSpecSchema, cloudStatusSchema } from '../../resources/cloud.js';
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
  const spec = cloudSpecSchema.safeParse(cloud.spec);
  if (!spec.success) return problem('CloudInvalid', `Cloud ${name} has an invalid spec: see its conditions`);
  const { paused, allowedNamespaces } = spec.data;
  if (paused) return problem('CloudPaused', `Cloud ${name} is paused`);
  if (allowedNamespaces && !allowedNamespaces.includes(user.metadata.namespace ?? ''))
    return problem('NamespaceNotAllowed', `Cloud ${name} does not allow the namespace ${user.metadata.namespace}`);
  if (cloud.metadata.deletionTimestamp && !user.metadata.deletionTimestamp)
    return problem('CloudTerminating', `Cloud ${name} is being deleted`);
  const stalled = cloudStatusSchema.safeParse(cloud.status).data?.conditions?.find(({ type }) => type === 'Stalled');
  return connected || !stalled ? undefined : problem('CloudNotReady', `Cloud ${name} is not connected: ${stalled.message}`);
}
