import { isPoolReference } from '../../resources/machine-facts.js';
import type { OwnerReference, Resource } from '../../resources/metadata.js';
import type { Pool } from '../../resources/pool.js';

/** The label of the machines of a pool: its name. */
export const POOL_LABEL = 'dispatcher.dev/pool';

/** A digest of what a machine was made from: another one than that of its pool's present template means that it is outdated. */
export const MADE_FROM_ANNOTATION = 'dispatcher.dev/made-from';

/** The user who had a machine last: an inventory that still says so is told that nobody has it. */
export const LAST_USER_ANNOTATION = 'dispatcher.dev/last-user';

/** The reference that makes a machine a pool's. */
export function ownedByPool({ apiVersion, metadata }: Pool): OwnerReference {
  return {
    apiVersion,
    kind: 'VirtualMachinePool',
    name: metadata.name,
    uid: metadata.uid,
    controller: true,
    blockOwnerDeletion: true,
  };
}

/** The machine in no pool. */
export function withoutPool<Kind extends Resource>(machine: Kind): Kind {
  const { metadata } = machine;
  const { [POOL_LABEL]: _pool, ...labels } = metadata.labels ?? {};
  const { [MADE_FROM_ANNOTATION]: _madeFrom, ...annotations } = metadata.annotations ?? {};
  const ownerReferences = (metadata.ownerReferences ?? []).filter((owner) => !isPoolReference(owner));
  return { ...machine, metadata: { ...metadata, labels, annotations, ownerReferences } };
}
