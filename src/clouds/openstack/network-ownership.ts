import type { NetworkOwner } from '../network-driver.js';

/*
 * neutron takes no tags in a create, so the owner tag stands at the beginning of what it does take: the description.
 * `dispatcher:INSTALLATION:KEY`, and after a space words for people.
 */
const PREFIX = 'dispatcher:';
/** neutron's limit for a description. */
const LENGTH = 255;

/** The description of what this owner has. `words` are cut to what fits. */
export function ownedDescription({ installation, key }: NetworkOwner, words = ''): string {
  return `${PREFIX}${installation}:${key} ${words}`.trimEnd().slice(0, LENGTH);
}

/** Whose it is that has this description; undefined: nobody's, as far as can be told. */
export function ownerInDescription(description: string | null | undefined): NetworkOwner | undefined {
  const [, installation, key] = /^dispatcher:([^:\s]+):(\S+)/.exec(description ?? '') ?? [];
  return installation === undefined || key === undefined ? undefined : { installation, key };
}
