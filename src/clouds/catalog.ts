import type { Environment } from '../environment.js';
import type { CloudDriver, Named } from './driver.js';

/** What a name or id in a declaration stands for in a cloud. `message` says what was looked for and what was found. */
export type Resolution<Value = Named> =
  | { readonly kind: 'found'; readonly value: Value }
  | { readonly kind: 'missing' | 'ambiguous'; readonly message: string };

/** The lists a catalog keeps. */
export type CatalogList = 'image' | 'flavor' | 'network';

/** How long a list serves. */
const KEEP_MS = 300_000;
/** How soon a list is asked for again for the sake of a name that it lacks. */
const MISS_KEEP_MS = 5_000;

interface Kept {
  readonly at: Date;
  readonly items: readonly Named[];
}

/**
 * Images, flavors and networks of one cloud by name or id: one list serves every object. A name that the kept list lacks causes a new
 * list, at most one every five seconds, so what has just been made is found. An id goes before a name.
 */
export class Catalog {
  readonly #kept = new Map<CatalogList, Kept>();
  readonly #inFlight = new Map<CatalogList, Promise<Kept>>();

  constructor(
    private readonly driver: Pick<CloudDriver, 'listImages' | 'listFlavors' | 'listNetworks'>,
    private readonly environment: Environment,
  ) {}

  /** @throws CloudError as the list does. */
  async resolve(list: CatalogList, nameOrId: string): Promise<Resolution> {
    const found = find(list, await this.#list(list, KEEP_MS), nameOrId);
    if (found.kind === 'found') return found;
    return find(list, await this.#list(list, MISS_KEEP_MS), nameOrId);
  }

  async #list(list: CatalogList, keepMs: number): Promise<readonly Named[]> {
    const kept = this.#kept.get(list);
    if (kept && this.environment.now().getTime() - kept.at.getTime() < keepMs) return kept.items;
    const flight = this.#inFlight.get(list) ?? this.#ask(list);
    this.#inFlight.set(list, flight);
    return (await flight).items;
  }

  async #ask(list: CatalogList): Promise<Kept> {
    try {
      const items = await this.#call(list);
      const kept = { at: this.environment.now(), items };
      this.#kept.set(list, kept);
      return kept;
    } finally {
      this.#inFlight.delete(list);
    }
  }

  #call(list: CatalogList): Promise<readonly Named[]> {
    switch (list) {
      case 'image':
        return this.driver.listImages();
      case 'flavor':
        return this.driver.listFlavors();
      case 'network':
        return this.driver.listNetworks();
    }
  }
}

function find(list: CatalogList, items: readonly Named[], nameOrId: string): Resolution {
  const byId = items.find(({ id }) => id === nameOrId);
  if (byId) return { kind: 'found', value: byId };
  const [first, ...others] = items.filter(({ name }) => name === nameOrId);
  if (!first) return { kind: 'missing', message: `no ${list} has the name or id "${nameOrId}"` };
  if (others.length === 0) return { kind: 'found', value: first };
  return { kind: 'ambiguous', message: `${others.length + 1} ${list}s have the name "${nameOrId}": declare one by its id` };
}
