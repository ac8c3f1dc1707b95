import type { OwnerTag, Server } from '../driver.js';

/*
 * The owner tag of a volume is in its metadata alone. That of a server is written twice, so that a server whose metadata or whose tags somebody removed is still known:
 * - metadata `dispatcher.installation`, `dispatcher.uid`, `dispatcher.attempt`: all of it;
 * - the tag `dispatcher:UID:INSTALLATION`, the installation cut to what fits nova's 60 characters.
 * From the tag alone `attempt` is '', and `installation` is our own if that begins so, else the part that fitted.
 */
const METADATA_PREFIX = 'dispatcher.';
const INSTALLATION_KEY = `${METADATA_PREFIX}installation`;
const UID_KEY = `${METADATA_PREFIX}uid`;
const ATTEMPT_KEY = `${METADATA_PREFIX}attempt`;
const TAG_PREFIX = 'dispatcher:';
const TAG_LENGTH = 60;
const INSTALLATION_LENGTH = 8;

/** What of a server concerns ownership. */
type Ownership = Pick<Server, 'owner' | 'ownerTagWhole' | 'metadata' | 'tags'>;

/** Takes the owner tag out of a server's metadata and tags. `tags` undefined: this cloud has none. */
export function readOwnership(
  metadata: Readonly<Record<string, string>>,
  tags: readonly string[] | undefined,
  installation: string | undefined,
): Ownership {
  const owner = ownerInMetadata(metadata, tags, installation) ?? ownerInTags(tags, installation);
  // Asked of every server of every list, so nothing is made that is not kept.
  const others: Record<string, string> = {};
  let ourKeys = 0;
  for (const [key, value] of Object.entries(metadata)) {
    if (key.startsWith(METADATA_PREFIX)) ourKeys += 1;
    else others[key] = value;
  }
  const otherTags = tags?.filter((tag) => !tag.startsWith(TAG_PREFIX));
  const whole = owner !== undefined && ourKeys === 3 && holds(metadata, owner) && holdsTag(owner, tags, otherTags);
  // Without spreads, which are slow enough to be seen in an audit.
  const read: { -readonly [Part in keyof Ownership]: Ownership[Part] } = {
    ownerTagWhole: whole && owner.attempt !== '',
    metadata: others,
  };
  if (owner !== undefined) read.owner = owner;
  if (otherTags !== undefined) read.tags = otherTags;
  return read;
}

/** A server's whole metadata: what was asked for, and the owner tag if it has an owner. */
export function ownedMetadata(metadata: Readonly<Record<string, string>>, owner: OwnerTag | undefined): Record<string, string> {
  if (owner === undefined) return { ...metadata };
  return {
    ...metadata,
    [INSTALLATION_KEY]: owner.installation,
    [UID_KEY]: owner.uid,
    [ATTEMPT_KEY]: owner.attempt,
  };
}

/** Metadata without the owner tag's. */
export function withoutOwner(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(metadata).filter(([key]) => !key.startsWith(METADATA_PREFIX)));
}

/** A server's whole tags: what was asked for, and the owner's if it has one. */
export function ownedTags(tags: readonly string[], owner: OwnerTag | undefined): string[] {
  return owner === undefined ? [...tags] : [...tags, ownerTag(owner)];
}

function ownerTag({ uid, installation }: OwnerTag): string {
  return `${TAG_PREFIX}${uid}:${installation.slice(0, INSTALLATION_LENGTH)}`.slice(0, TAG_LENGTH);
}

function ownerInMetadata(
  metadata: Readonly<Record<string, string>>,
  tags: readonly string[] | undefined,
  ours: string | undefined,
): OwnerTag | undefined {
  const uid = metadata[UID_KEY];
  if (uid === undefined || uid === '') return undefined;
  const installation = metadata[INSTALLATION_KEY];
  const attempt = metadata[ATTEMPT_KEY] ?? '';
  if (installation !== undefined) return { installation, uid, attempt };
  // Another uid in the tag would tell of another server's installation.
  const tagged = ownerInTags(tags, ours);
  return tagged?.uid === uid ? { ...tagged, attempt } : undefined;
}

function ownerInTags(tags: readonly string[] | undefined, ours: string | undefined): OwnerTag | undefined {
  for (const tag of tags ?? []) {
    const [, uid, start] = /^dispatcher:([^:]+):(.+)$/.exec(tag) ?? [];
    if (uid === undefined || start === undefined) continue;
    return { installation: ours?.startsWith(start) ? ours : start, uid, attempt: '' };
  }
  return undefined;
}

function holds(metadata: Readonly<Record<string, string>>, { installation, uid, attempt }: OwnerTag): boolean {
  return metadata[INSTALLATION_KEY] === installation && metadata[UID_KEY] === uid && metadata[ATTEMPT_KEY] === attempt;
}

/** True if exactly the owner's tag stands beside the others, or this cloud has no tags. */
function holdsTag(owner: OwnerTag, tags: readonly string[] | undefined, others: readonly string[] | undefined): boolean {
  if (tags === undefined || others === undefined) return true;
  return tags.length === others.length + 1 && tags.includes(ownerTag(owner));
}
