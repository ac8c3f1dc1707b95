import type { Server } from '../../clouds/driver.js';
import type { Resource } from '../../resources/metadata.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { OWNER_ANNOTATION, type Owner } from '../records.js';

/** The owner whose tag a record's annotation names, if that is not the record itself: it was declared elsewhere before. */
export function formerOwner({ metadata }: Resource, installation: string): Owner | undefined {
  const text = metadata.annotations?.[OWNER_ANNOTATION];
  const [, formerInstallation, uid] = /^([^/]+)\/([^/]+)$/.exec(text ?? '') ?? [];
  if (formerInstallation === undefined || uid === undefined) return undefined;
  return formerInstallation === installation && uid === metadata.uid ? undefined : { installation: formerInstallation, uid };
}

/** The record with the annotation of its own tag. */
export function withOwnerAnnotation<Kind extends Resource>(record: Kind, installation: string): Kind {
  const { metadata } = record;
  const annotations = { ...metadata.annotations, [OWNER_ANNOTATION]: `${installation}/${metadata.uid}` };
  return { ...record, metadata: { ...metadata, annotations } };
}

/** True if a server bears the tag of that owner. */
export function isOwnedBy({ owner }: Server, { installation, uid }: Owner): boolean {
  return owner?.uid === uid && owner.installation === installation;
}

/**
 * True if a server bears the tag of another installation, and not of the one that the record comes from: it was moved there. A tag that is
 * not whole counts too: the other one may be writing it.
 */
export function isTakenOver({ owner }: Server, installation: string, former: Owner | undefined): boolean {
  return owner !== undefined && owner.installation !== installation && owner.installation !== former?.installation;
}

/** True for a record that adopts and only observes: another installation's server stays that one's, and is watched. */
export function isWatcher({ spec }: VirtualMachine): boolean {
  return spec.management === 'Observe' && spec.adopt !== undefined;
}
