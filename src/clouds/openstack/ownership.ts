import type { OwnerTag, Server } from '../driver.js';

/*
 * The owner tag is written twice, so that a server whose metadata or whose tags somebody removed is still known:
 * - metadata `dispatcher.installation`, `dispatcher.uid`, `dispatcher.attempt`: all of it;
 * - the tag `dispatcher:UID:INSTALLATION`, the installation cut to what fits nova's 60 characters.
 * From the tag alone `attempt` is '', and `installation` is our own if that begins so, else the part that fitted.
 */
const METADATA_PREFIX = 'dispatcher.';
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
  const ourKeys = Object.keys(metadata).filter((key) => key.startsWith(METADATA_PREFIX));
  const ourTags = tags?.filter((tag) => tag.startsWith(TAG_PREFIX));
  return {
    ...(owner === undefined ? {} : { owner }),
    ownerTagWhole: owner !== undefined && isWhole(owner, metadata, ourKeys, ourTags),
    metadata: Object.fromEntries(Object.entries(metadata).filter(([key]) => !key.startsWith(METADATA_PREFIX))),
    ...(tags === undefined ? {} : { tags: tags.filter((tag) => !tag.startsWith(TAG_PREFIX)) }),
  };
}

/** A server's whole metadata: what was asked for, and the owner tag if it has an owner. */
export function ownedMetadata(metadata: Readonly<Record<string, string>>, owner: OwnerTag | undefined): Record<string, string> {
  if (owner === undefined) return { ...metadata };
  return {
    ...metadata,
    [`${METADATA_PREFIX}installation`]: owner.installation,
    [`${METADATA_PREFIX}uid`]: owner.uid,
    [`${METADATA_PREFIX}attempt`]: owner.attempt,
  };
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
  const uid = metadata[`${METADATA_PREFIX}uid`];
  if (uid === undefined || uid === '') return undefined;
  const installation = metadata[`${METADATA_PREFIX}installation`];
  const attempt = metadata[`${METADATA_PREFIX}attempt`] ?? '';
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

function isWhole(
  owner: OwnerTag,
  metadata: Readonly<Record<string, string>>,
  ourKeys: readonly string[],
  ourTags: readonly string[] | undefined,
): boolean {
  const expected = ownedMetadata({}, owner);
  const keys = Object.keys(expected);
  const metadataWhole = ourKeys.length === keys.length && keys.every((key) => metadata[key] === expected[key]);
  const tagsWhole = ourTags === undefined || (ourTags.length === 1 && ourTags[0] === ownerTag(owner));
  return metadataWhole && tagsWhole && owner.attempt !== '';
}
