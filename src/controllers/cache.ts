import type { Logger } from 'pino';
import { type Environment, sleep } from '../environment.js';
import { formatKey, keyOf, type Resource, type ResourceKey } from '../resources/metadata.js';
import { isStoreError } from '../store/errors.js';
import type { Selection, Store, WatchEvent } from '../store/store.js';
import { backoffMs, STORE_BACKOFF } from './backoff.js';
import { Index, type IndexFunction } from './index-by.js';

/** Failures of a watch in a row after which its version is no longer trusted, and all is listed again. */
const RELIST_AFTER = 3;
/** How long a watch has to stand to count as a success though it told nothing. Milliseconds. */
const STOOD_WELL = 10_000;

/** What became of one resource; one of the two is there at least. Without `previous` it is new, without `current` gone. */
export interface Change {
  readonly previous?: Resource;
  readonly current?: Resource;
  /** True if {@link Cache.write} brought it: a write of this process. */
  readonly own: boolean;
}

/** Is told of every change of a cache, in order, at once. What it throws is logged and harms nothing else. */
type ChangeHandler = (change: Change) => void;

/** What a cache is made of. */
export interface CacheOptions {
  readonly store: Store;
  readonly kind: string;
  readonly environment: Environment;
  readonly log: Logger;
  /** Which resources of the kind; default all. */
  readonly selection?: Selection;
  /** Resources in one page of a list. Default 500. */
  readonly pageSize?: number;
}

/**
 * What a store holds of one kind, kept up to date by list and watch in {@link run}, which outlives every failure of the store.
 *
 * It may lag behind the store, but never goes back: a resource is only ever replaced by a later version of itself, and one
 * that vanished unseen is told as gone with the next list. It says nothing before {@link synced}: an empty cache that is not
 * synced means nothing.
 */
export class Cache {
  readonly kind: string;
  readonly #resources = new Map<string, Resource>();
  readonly #indexes = new Map<string, Index>();
  readonly #handlers = new Set<ChangeHandler>();
  readonly #waiters = new Set<() => void>();
  /** By key: writes of our own that are under way, and what the watch told of that resource meanwhile. */
  readonly #writes = new Map<string, { underWay: number; readonly told: WatchEvent[] }>();
  readonly #log: Logger;
  /** Everything up to this version is known; undefined: list. */
  #version: string | undefined;
  #synced = false;

  constructor(private readonly options: CacheOptions) {
    this.kind = options.kind;
    this.#log = options.log.child({ kind: options.kind });
  }

  /** Whether the cache has held everything once. */
  get synced(): boolean {
    return this.#synced;
  }

  /** How many resources it holds. */
  get size(): number {
    return this.#resources.size;
  }

  /** Resolves once {@link synced}; rejects with the signal's reason if that comes first. */
  whenSynced(signal: AbortSignal): Promise<void> {
    if (this.#synced) return Promise.resolve();
    return new Promise((resolve, reject) => {
      if (signal.aborted) return reject(signal.reason);
      const onAbort = () => {
        this.#waiters.delete(onSynced);
        reject(signal.reason);
      };
      const onSynced = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(onSynced);
    });
  }

  /** The resource as it was last seen; undefined if there is none, or for a key of another kind. */
  get(key: ResourceKey): Resource | undefined {
    return this.#resources.get(formatKey(key));
  }

  /** All resources, or those of a namespace, in no order. */
  list(namespace?: string): Resource[] {
    const all = [...this.#resources.values()];
    return namespace === undefined ? all : all.filter(({ metadata }) => metadata.namespace === namespace);
  }

  /** Adds an index, at any time. What makes `valuesOf` fail stands under no value. @throws RangeError for a taken name. */
  index(name: string, valuesOf: IndexFunction): void {
    if (this.#indexes.has(name)) throw new RangeError(`the cache of ${this.kind} has an index ${name} already`);
    const index = new Index((resource) => {
      try {
        return valuesOf(resource);
      } catch (error) {
        this.#log.error({ err: error, index: name, key: formatKey(keyOf(resource)) }, 'index function failed');
        return [];
      }
    });
    for (const [path, resource] of this.#resources) index.replace(path, undefined, resource);
    this.#indexes.set(name, index);
  }

  /** The resources that an index holds under a value. @throws RangeError for an index that was never added. */
  byIndex(name: string, value: string): Resource[] {
    const index = this.#indexes.get(name);
    if (!index) throw new RangeError(`the cache of ${this.kind} has no index ${name}`);
    return index.get(value);
  }

  /** Tells `handler` of what is there (as new) and of every change from now on. @returns what ends it. */
  onChange(handler: ChangeHandler): () => void {
    for (const current of [...this.#resources.values()]) this.#tell(handler, { current, own: false });
    this.#handlers.add(handler);
    return () => this.#handlers.delete(handler);
  }

  /**
   * Makes a write of one's own and takes its answer (see {@link write}). What the watch tells of that resource meanwhile waits
   * for the answer: so the change is known as our own, however quick the watch is.
   * @throws as the write does.
   */
  async writing(key: ResourceKey, write: () => Promise<Resource>): Promise<Resource> {
    const path = formatKey(key);
    const writes = this.#writes.get(path) ?? { underWay: 0, told: [] };
    this.#writes.set(path, writes);
    writes.underWay++;
    try {
      const written = await write();
      this.write(written);
      return written;
    } finally {
      if (--writes.underWay === 0) {
        this.#writes.delete(path);
        for (const event of writes.told) this.#take(event);
      }
    }
  }

  /**
   * Takes the answer of a write of one's own, so that the next look sees it before the watch tells it. What is not certain to
   * be later than what the cache knows is ignored: the watch will tell.
   */
  write(resource: Resource): void {
    const path = formatKey(keyOf(resource));
    const known = this.#resources.get(path);
    // Nothing is there: it is new, or the watch has already told that it is gone.
    const floor = known ? known.metadata.resourceVersion : this.#version;
    if (floor === undefined || !isLater(resource.metadata.resourceVersion, floor)) return;
    this.#replace(path, resource, true);
  }

  /** Keeps the cache up to date until `signal` is aborted. Never rejects. Called once. */
  async run(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted) {
      const began = this.#now();
      let progress = false;
      try {
        if (this.#version === undefined) await this.#listAll();
        progress = await this.#follow(signal);
      } catch (error) {
        if (signal.aborted) return;
        progress = error instanceof Interrupted && error.progress;
        const cause = error instanceof Interrupted ? error.cause : error;
        if (isStoreError(cause, 'Expired')) this.#version = undefined;
        else this.#log.warn({ err: cause, failures }, 'watch interrupted');
      }
      failures = progress || this.#now() - began >= STOOD_WELL ? 1 : failures + 1;
      if (failures >= RELIST_AFTER) this.#version = undefined;
      await this.#pause(failures, signal);
    }
  }

  async #pause(failures: number, signal: AbortSignal): Promise<void> {
    const { environment } = this.options;
    const ms = backoffMs(failures, environment.random(), STORE_BACKOFF);
    await sleep(environment, ms, signal).catch(() => undefined);
  }

  async #listAll(): Promise<void> {
    const { store, selection, pageSize: limit = 500 } = this.options;
    const found = new Map<string, Resource>();
    let version: string | undefined;
    let next: string | undefined;
    do {
      const listing = await store.list(this.kind, selection, next === undefined ? { limit } : { limit, continue: next });
      for (const item of listing.items) found.set(formatKey(keyOf(item)), item);
      // The first page's version: a watch from there tells what was written behind the later pages.
      version ??= listing.resourceVersion;
      next = listing.continue;
    } while (next !== undefined);
    this.#adopt(found, version);
    this.#version = version;
    if (this.#synced) return;
    this.#synced = true;
    this.#log.debug({ size: this.size }, 'cache synced');
    for (const resolve of this.#waiters) resolve();
    this.#waiters.clear();
  }

  /** Makes the cache what a list says, but for writes of our own that came after it. */
  #adopt(found: ReadonlyMap<string, Resource>, version: string): void {
    // What waits for answers was told before the list: that a resource went since is in the list alone.
    for (const { told } of this.#writes.values()) told.length = 0;
    // What waits for answers was told before the list: that a resource went since is in the list alone.
    for (const { told } of this.#writes.values()) told.length = 0;
    for (const [path, known] of [...this.#resources]) {
      const written = isLater(known.metadata.resourceVersion, version);
      if (!found.has(path) && !written) this.#replace(path, undefined, false);
    }
    for (const [path, resource] of found) this.#replaceIfLater(path, resource);
  }

  /** Reads a watch until it ends. @returns whether it told anything. @throws Interrupted with what it failed with. */
  async #follow(signal: AbortSignal): Promise<boolean> {
    const { store, selection } = this.options;
    let progress = false;
    try {
      for await (const event of store.watch(this.kind, this.#version, signal, selection)) {
        if (signal.aborted) break;
        this.#take(event);
        progress = true;
      }
    } catch (cause) {
      throw new Interrupted(progress, cause);
    }
    return progress;
  }

  #take(event: WatchEvent): void {
    if (event.type === 'Bookmark') {
      this.#reach(event.resourceVersion);
      return;
    }
    const { object, type } = event;
    const path = formatKey(keyOf(object));
    const known = this.#resources.get(path);
    const writes = this.#writes.get(path);
    if (writes) writes.told.push(event);
    else if (type !== 'Deleted') this.#replaceIfLater(path, object);
    else if (known && !isLater(known.metadata.resourceVersion, object.metadata.resourceVersion))
      this.#replace(path, undefined, false);
    this.#reach(object.metadata.resourceVersion);
  }

  #reach(version: string): void {
    if (this.#version === undefined || !isLater(this.#version, version)) this.#version = version;
  }

  #replaceIfLater(path: string, resource: Resource): void {
    const known = this.#resources.get(path)?.metadata.resourceVersion;
    const version = resource.metadata.resourceVersion;
    if (known === version || (known !== undefined && isLater(known, version))) return;
    this.#replace(path, resource, false);
  }

  #replace(path: string, current: Resource | undefined, own: boolean): void {
    const previous = this.#resources.get(path);
    if (current) this.#resources.set(path, current);
    else this.#resources.delete(path);
    for (const index of this.#indexes.values()) index.replace(path, previous, current);
    const change = { ...(previous ? { previous } : {}), ...(current ? { current } : {}), own };
    for (const handler of this.#handlers) this.#tell(handler, change);
  }

  #tell(handler: ChangeHandler, change: Change): void {
    try {
      handler(change);
    } catch (error) {
      const resource = change.current ?? change.previous;
      this.#log.error({ err: error, key: resource && formatKey(keyOf(resource)) }, 'change handler failed');
    }
  }

  #now(): number {
    return this.options.environment.now().getTime();
  }
}

/** A watch that failed, and whether it had told anything before. */
class Interrupted extends Error {
  override readonly name = 'Interrupted';
  constructor(
    readonly progress: boolean,
    cause: unknown,
  ) {
    super('the watch failed', { cause });
  }
}

/** Whether version `a` is certain to be later than `b`: both are integers, of any size, and `a` is larger. */
function isLater(a: string, b: string): boolean {
  if (!/^\d+$/.test(a) || !/^\d+$/.test(b)) return false;
  return a.length === b.length ? a > b : a.length > b.length;
}
