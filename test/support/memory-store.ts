import type { Environment } from '../../src/environment.js';
import { formatKey, keyOf, type ObjectMeta, type Resource, type ResourceKey } from '../../src/resources/metadata.js';
import { kindNamed } from '../../src/resources/registry.js';
import { StoreError } from '../../src/store/errors.js';
import type { DeleteOptions, Draft, Listing, Selection, Store, WatchEvent, WriteOptions } from '../../src/store/store.js';
import { MemoryHistory } from './memory-history.js';
import { MemoryLeases } from './memory-leases.js';
import { readContinue, same, selects, withoutOwner, writeContinue } from './memory-values.js';

/** Held by an owner that is deleted in the foreground, until all that it owns is gone. */
const FOREGROUND = 'foregroundDeletion';
const NAME_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/**
 * A {@link Store} in this process's memory: the truth of simulations and fast tests. Every write happens at once and whole,
 * so nothing is ever seen half done; what is owned by a deleted resource is gone when `delete` returns, unless `collect` puts
 * that off, as Kubernetes' garbage collector does. The namespace `default` is there from the start. Resources are shared with callers, never copied. Faults: see FaultyStore.
 */
export class MemoryStore implements Store {
  readonly leases: MemoryLeases;
  readonly #kinds = new Map<string, Map<string, Resource>>();
  readonly #byUid = new Map<string, Resource>();
  /** The uid of an owner -> the uids of what it owns. */
  readonly #owned = new Map<string, Set<string>>();
  /** How many resources stand in each namespace. */
  readonly #population = new Map<string, number>();
  readonly #history: MemoryHistory;
  #version = 0;

  /**
   * @param historyLimit how many changes of each kind a watch can reach back at least.
   * @param collect calls what deletes resources whose owner or namespace goes, when it sees fit.
   */
  constructor(
    readonly environment: Environment,
    historyLimit = 10_000,
    private readonly collect: (act: () => void) => void = (act) => act(),
  ) {
    this.leases = new MemoryLeases(environment);
    this.#history = new MemoryHistory(historyLimit);
    this.#create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'default' } }, 'default', {});
  }

  async get(key: ResourceKey): Promise<Resource | undefined> {
    return this.#find(key);
  }

  async list(kind: string, selection: Selection = {}, page: { limit?: number; continue?: string } = {}): Promise<Listing> {
    const start = page.continue === undefined ? undefined : readContinue(page.continue);
    if (start && !this.#history.reaches(kind, start.version)) {
      throw new StoreError('Expired', `the list of ${kind} from version ${start.version} can no longer be continued`);
    }
    const found = [...this.#ofKind(kind)]
      .filter(([path, resource]) => (!start || path > start.after) && selects(selection, resource))
      .sort(([a], [b]) => (a < b ? -1 : 1));
    const items = page.limit ? found.slice(0, page.limit) : found;
    const version = start?.version ?? this.#version;
    const after = items.at(-1)?.[0];
    const remaining = found.length - items.length;
    return {
      items: items.map(([, resource]) => resource),
      resourceVersion: String(version),
      ...(remaining > 0 && after !== undefined ? { continue: writeContinue({ version, after }), remaining } : {}),
    };
  }

  async create(draft: Draft, options: WriteOptions = {}): Promise<Resource> {
    const { name, generateName, namespace = '' } = draft.metadata;
    if (name) return this.#create(draft, name, options);
    if (!generateName) throw new StoreError('Invalid', `${draft.kind} needs metadata.name or metadata.generateName`);
    for (;;) {
      const letters = Array.from({ length: 5 }, () => NAME_LETTERS[Math.floor(this.environment.random() * NAME_LETTERS.length)]);
      const made = generateName + letters.join('');
      if (!this.#find({ kind: draft.kind, namespace, name: made })) return this.#create(draft, made, options);
    }
  }

  async update(draft: Draft, options: WriteOptions = {}): Promise<Resource> {
    const current = this.#current(draft);
    const old = current.metadata;
    const added = (draft.metadata.finalizers ?? []).filter((each) => !old.finalizers?.includes(each));
    if (old.deletionTimestamp && added.length > 0) {
      const text = `${formatKey(keyOf(current))} is being deleted: the finalizer ${added.join(', ')} cannot be added`;
      throw new StoreError('Forbidden', text);
    }
    const { status: given, ...fields } = draft;
    const { deletionTimestamp: _deletion, ...metadata } = draft.metadata;
    const status = kindNamed(current.kind).statusSubresource ? current.status : given;
    const next: Resource = {
      ...fields,
      metadata: {
        ...metadata,
        ...serverSet(old),
        generation: same(draft.spec, current.spec) ? old.generation : old.generation + 1,
      },
      ...(status === undefined ? {} : { status }),
    };
    return this.#replace(current, next, options);
  }

  async updateStatus(draft: Draft, options: WriteOptions = {}): Promise<Resource> {
    const current = this.#current(draft);
    const { status: _old, ...fields } = current;
    return this.#replace(current, draft.status === undefined ? fields : { ...fields, status: draft.status }, options);
  }

  async delete(key: ResourceKey, options: DeleteOptions = {}): Promise<Resource> {
    const current = this.#find(key);
    if (!current) throw notFound(key);
    checkPreconditions(current, options);
    return this.#delete(current, options);
  }

  watch(kind: string, from: string | undefined, signal: AbortSignal, selection: Selection = {}): AsyncIterable<WatchEvent> {
    const start = from === undefined ? this.#version : Number(from);
    return this.#history.watch(kind, start, this.#version, signal, (resource) => selects(selection, resource));
  }

  /** All resources of a kind as they are, at once: for whoever judges a world from outside. */
  everything(kind: string): Resource[] {
    return [...this.#ofKind(kind).values()];
  }

  /** Forgets all changes so far: watches and continued lists from before end with Expired; open watches go on. */
  forgetHistory(): void {
    this.#history.forget(this.#version);
  }

  /** Ends all open watches, or those of one kind, with Expired; events not yet read are lost. */
  dropWatches(kind?: string): void {
    this.#history.drop('Expired', kind);
  }

  /** As when a connection breaks: the same with Unavailable, so that a reader may resume at the last version it was told. */
  breakWatches(kind?: string): void {
    this.#history.drop('Unavailable', kind);
  }

  /** Sends a bookmark to all open watches. */
  bookmark(): void {
    this.#history.bookmark(this.#version);
  }

  #create(draft: Draft, name: string, options: WriteOptions): Resource {
    const { namespaced, statusSubresource } = kindNamed(draft.kind);
    const { namespace: given, deletionTimestamp: _deletion, ...metadata } = draft.metadata;
    const key = { kind: draft.kind, namespace: namespaced ? (given ?? '') : '', name };
    if (namespaced) this.#checkNamespace(key);
    if (this.#find(key)) throw new StoreError('AlreadyExists', `${formatKey(key)} already exists`);
    const { status, ...fields } = draft;
    const resource: Resource = {
      ...fields,
      metadata: {
        ...metadata,
        name,
        ...(namespaced ? { namespace: key.namespace } : {}),
        uid: this.environment.id(),
        resourceVersion: String(this.#version),
        generation: 1,
        creationTimestamp: this.#time(),
      },
      ...(status === undefined || statusSubresource ? {} : { status }),
    };
    return options.dryRun ? resource : this.#put(resource, undefined);
  }

  #checkNamespace(key: ResourceKey): void {
    if (key.namespace === '') throw new StoreError('Invalid', `${key.kind} ${key.name} needs metadata.namespace`);
    const namespace = this.#find({ kind: 'Namespace', namespace: '', name: key.namespace });
    if (!namespace) throw new StoreError('NotFound', `namespace ${key.namespace} of ${formatKey(key)} is not there`);
    if (!namespace.metadata.deletionTimestamp) return;
    throw new StoreError('Forbidden', `namespace ${key.namespace} is being deleted: ${formatKey(key)} cannot be created in it`);
  }

  #replace(current: Resource, next: Resource, options: WriteOptions): Resource {
    if (same(next, current)) return current;
    if (options.dryRun) return next;
    return next.metadata.deletionTimestamp && !this.#isHeld(next) ? this.#remove(current, next) : this.#put(next, current);
  }

  #delete(current: Resource, options: DeleteOptions): Resource {
    if (current.metadata.deletionTimestamp) return current;
    const { uid, finalizers = [] } = current.metadata;
    const foreground = options.propagation === 'Foreground' && this.#owned.has(uid);
    const terminating: Resource = {
      ...current,
      metadata: {
        ...current.metadata,
        deletionTimestamp: this.#time(),
        ...(foreground ? { finalizers: [...finalizers, FOREGROUND] } : {}),
      },
    };
    const held = this.#isHeld(terminating);
    if (options.dryRun) return held ? terminating : current;
    if (options.propagation === 'Orphan') for (const each of this.#ownedBy(uid)) this.#put(withoutOwner(each, uid), each);
    if (!held) return this.#remove(current);
    const marked = this.#put(terminating, current);
    if (foreground) for (const each of this.#ownedBy(uid)) this.#delete(each, { propagation: 'Foreground' });
    if (current.kind === 'Namespace') this.collect(() => this.#empty(current.metadata.name));
    return this.#byUid.get(uid) ?? marked;
  }

  /** Whether something keeps a terminating resource from going: a finalizer, or what stands in a namespace. */
  #isHeld({ kind, metadata }: Resource): boolean {
    return !!metadata.finalizers?.length || (kind === 'Namespace' && !!this.#population.get(metadata.name));
  }

  #empty(namespace: string): void {
    for (const resources of this.#kinds.values()) {
      for (const { metadata } of [...resources.values()]) {
        const current = metadata.namespace === namespace ? this.#byUid.get(metadata.uid) : undefined;
        if (current) this.#delete(current, {});
      }
    }
  }

  #put(next: Resource, previous: Resource | undefined): Resource {
    const written = this.#numbered(next);
    const key = keyOf(written);
    this.#ofKind(key.kind).set(pathOf(key), written);
    this.#index(previous, written);
    this.#history.add(
      this.#version,
      previous ? { type: 'Modified', object: written, previous } : { type: 'Added', object: written },
    );
    return written;
  }

  #remove(previous: Resource, last = previous): Resource {
    const removed = this.#numbered(last);
    const key = keyOf(removed);
    const { uid, ownerReferences = [] } = removed.metadata;
    this.#ofKind(key.kind).delete(pathOf(key));
    this.#index(previous, undefined);
    this.#history.add(this.#version, { type: 'Deleted', object: removed, previous });
    if (this.#owned.has(uid)) this.collect(() => this.#release(uid));
    for (const owner of ownerReferences) if (!this.#owned.has(owner.uid)) this.#finish(this.#byUid.get(owner.uid));
    this.#finish(this.#find({ kind: 'Namespace', namespace: '', name: key.namespace }));
    return removed;
  }

  /** What an owner leaves behind that is gone: deleted, unless another owner is left. */
  #release(uid: string): void {
    for (const each of this.#ownedBy(uid)) {
      const orphaned = !each.metadata.ownerReferences?.some((owner) => this.#byUid.has(owner.uid));
      if (orphaned) this.#delete(each, {});
      else this.#put(withoutOwner(each, uid), each);
    }
  }

  /** Removes a terminating owner or namespace for which this was the last to wait for. */
  #finish(waiting: Resource | undefined): void {
    if (!waiting?.metadata.deletionTimestamp) return;
    const finalizers = (waiting.metadata.finalizers ?? []).filter((each) => each !== FOREGROUND);
    const next: Resource = { ...waiting, metadata: { ...waiting.metadata, finalizers } };
    if (!this.#isHeld(next)) this.#remove(waiting, next);
    else if (finalizers.length !== waiting.metadata.finalizers?.length) this.#put(next, waiting);
  }

  /** What a resource owns, each as it stands when its turn comes. */
  *#ownedBy(uid: string): Iterable<Resource> {
    for (const each of [...(this.#owned.get(uid) ?? [])]) {
      const resource = this.#byUid.get(each);
      if (resource) yield resource;
    }
  }

  #index(previous: Resource | undefined, next: Resource | undefined): void {
    const { uid, namespace = '' } = (next ?? previous)?.metadata ?? { uid: '' };
    for (const owner of previous?.metadata.ownerReferences ?? []) {
      this.#owned.get(owner.uid)?.delete(uid);
      if (this.#owned.get(owner.uid)?.size === 0) this.#owned.delete(owner.uid);
    }
    for (const owner of next?.metadata.ownerReferences ?? []) {
      this.#owned.set(owner.uid, (this.#owned.get(owner.uid) ?? new Set()).add(uid));
    }
    if (next) this.#byUid.set(uid, next);
    else this.#byUid.delete(uid);
    this.#population.set(namespace, (this.#population.get(namespace) ?? 0) + (next ? 1 : 0) - (previous ? 1 : 0));
  }

  #current(draft: Draft): Resource {
    const key = { kind: draft.kind, namespace: draft.metadata.namespace ?? '', name: draft.metadata.name ?? '' };
    const current = this.#find(key);
    if (!current) throw notFound(key);
    checkPreconditions(current, draft.metadata);
    return current;
  }

  #find(key: ResourceKey): Resource | undefined {
    return this.#ofKind(key.kind).get(pathOf(key));
  }

  #ofKind(kind: string): Map<string, Resource> {
    const known = this.#kinds.get(kind);
    if (known) return known;
    const made = new Map<string, Resource>();
    this.#kinds.set(kind, made);
    return made;
  }

  #numbered(resource: Resource): Resource {
    return { ...resource, metadata: { ...resource.metadata, resourceVersion: String(++this.#version) } };
  }

  #time(): string {
    return this.environment
      .now()
      .toISOString()
      .replace(/\.\d+Z$/, 'Z');
  }
}

/** What no caller can change. */
function serverSet({ name, namespace, uid, resourceVersion, creationTimestamp, deletionTimestamp }: ObjectMeta) {
  return {
    name,
    uid,
    resourceVersion,
    creationTimestamp,
    ...(namespace === undefined ? {} : { namespace }),
    ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
  };
}

/** Sorts by namespace, then by name: no name holds a character below the separator. */
function pathOf(key: ResourceKey): string {
  return `${key.namespace}\u0000${key.name}`;
}

function checkPreconditions(current: Resource, given: { uid?: string; resourceVersion?: string }): void {
  const { uid, resourceVersion } = current.metadata;
  const name = formatKey(keyOf(current));
  if (given.uid && given.uid !== uid) throw new StoreError('Conflict', `${name} has the uid ${uid}, not ${given.uid}`);
  if (!given.resourceVersion || given.resourceVersion === resourceVersion) return;
  throw new StoreError('Conflict', `${name} is at version ${resourceVersion}, not ${given.resourceVersion}`);
}

function notFound(key: ResourceKey): StoreError {
  return new StoreError('NotFound', `${formatKey(key)} is not there`);
}
