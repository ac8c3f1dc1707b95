import { z } from 'zod';

/**
 * The one that this driver is written for and tested with. Of it is used: tags (2.26), the networks of a create (2.37), a
 * flavor by its name in the server (2.47), tags in the create itself (2.52), and unknown parameters refused (2.75).
 */
const WANTED = 79;
const FROM_TAGS = 26;
const FROM_REQUIRED_NETWORKS = 37;
const FROM_TAGS_AT_CREATE = 52;

/** What this nova can do. */
export interface NovaVersion {
  /** For nova's calls alone: other services refuse or ignore it. */
  readonly headers: Readonly<Record<string, string>>;
  readonly hasTags: boolean;
  readonly tagsAtCreate: boolean;
  /** A create has to say `networks`, and may say 'none'. */
  readonly networksAtCreate: boolean;
}

/** The version document at the root of nova's endpoint. Empty strings: a nova without microversions. */
export const versionDocumentSchema = z.object({ version: z.object({ version: z.string(), min_version: z.string() }) });

/** The version to speak: 2.79, or the nearest that the cloud has. */
export function chooseVersion(document: z.infer<typeof versionDocumentSchema>): NovaVersion {
  const highest = minorOf(document.version.version) ?? 1;
  const lowest = minorOf(document.version.min_version) ?? 1;
  const minor = Math.max(lowest, Math.min(WANTED, highest));
  const version = `2.${minor}`;
  return {
    // The older header is the only one that is understood before 2.27.
    headers: { 'openstack-api-version': `compute ${version}`, 'x-openstack-nova-api-version': version },
    hasTags: minor >= FROM_TAGS,
    tagsAtCreate: minor >= FROM_TAGS_AT_CREATE,
    networksAtCreate: minor >= FROM_REQUIRED_NETWORKS,
  };
}

/** Where the version document is: `https://nova/v2.1/PROJECT` and `https://nova/v2.1` both have it at `https://nova/v2.1/`. */
export function versionDocumentPath(endpoint: string): string {
  return `${/^(.*\/v2(?:\.\d+)?)(?:\/.*)?$/.exec(endpoint)?.[1] ?? endpoint}/`;
}

function minorOf(version: string): number | undefined {
  const found = /^2\.(\d+)$/.exec(version)?.[1];
  return found === undefined ? undefined : Number(found);
}
