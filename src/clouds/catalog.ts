import type { Environment } from '../environment.js';
import type { CloudDriver, Flavor, Image, Named } from './driver.js';
import { SharedList } from './shared-list.js';

/** What a name or id in a declaration stands for in a cloud. `message` says what was looked for and what was found. */
export type Resolution<Value = Named> =
  | { readonly kind: 'found'; readonly value: Value }
  | { readonly kind: 'missing' | 'ambiguous'; readonly message: string };

/** How long a list serves. */
const KEEP_MS = 300_000;
/** How soon a list is asked for again for the sake of a name that it lacks. */
const MISS_KEEP_MS = 5_000;

/**
 * Images, flavors and networks of one cloud by name or id: one list serves every object. A name that the kept list lacks causes a new
 * list, at most one every five seconds, so what has just been made is found. An id goes before a name.
 */
export class Catalog {
  readonly images: SharedList<Image>;
  readonly flavors: SharedList<Flavor>;
  readonly #networks: SharedList<Named>;

  constructor(driver: Pick<CloudDriver, 'listImages' | 'listFlavors' | 'listNetworks'>, environment: Environment) {
    this.images = new SharedList(() => driver.listImages(), environment);
    this.flavors = new SharedList(() => driver.listFlavors(), environment);
    this.#networks = new SharedList(() => driver.listNetworks(), environment);
  }

  /** @throws CloudError as the list does. */
  async resolve(what: 'image' | 'flavor' | 'network', nameOrId: string): Promise<Resolution> {
    const list: SharedList<Named> = { image: this.images, flavor: this.flavors, network: this.#networks }[what];
    const found = find(what, await list.get(KEEP_MS), nameOrId);
    if (found.kind === 'found') return found;
    return find(what, await list.get(MISS_KEEP_MS), nameOrId);
  }
}

function find(list: string, items: readonly Named[], nameOrId: string): Resolution {
  const byId = items.find(({ id }) => id === nameOrId);
  if (byId) return { kind: 'found', value: byId };
  const [first, ...others] = items.filter(({ name }) => name === nameOrId);
  if (!first) return { kind: 'missing', message: `no ${list} has the name or id "${nameOrId}"` };
  if (others.length === 0) return { kind: 'found', value: first };
  return { kind: 'ambiguous', message: `${others.length + 1} ${list}s have the name "${nameOrId}": declare one by its id` };
}
