import type { Resource, ResourceKey } from '../resources/metadata.js';

/** Which resources of a kind are meant. Absent parts choose all. */
export interface Selection {
  readonly namespace?: string;
  readonly labels?: LabelSelector;
}

/** What `kubectl -l` says, parsed: all requirements must hold. */
export type LabelSelector = readonly LabelRequirement[];

/** One requirement of a selector. `values` holds one value for = and !=, none for Exists and DoesNotExist. */
export interface LabelRequirement {
  readonly key: string;
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist';
  readonly values: readonly string[];
}

/** One page of a list. */
export interface Listing {
  /** In one namespace, ordered by name. */
  readonly items: readonly Resource[];
  /** A watch from here misses nothing that is not in `items`; it MAY repeat what is. */
  readonly resourceVersion: string;
  /** Present if there is more: what `list` takes as `continue`. */
  readonly continue?: string;
  /** How many follow, where the plane knows. */
  readonly remaining?: number;
}

/**
 * One change seen by a watch. `Deleted` bears the last state with the version of the deletion.
 * `Bookmark` bears no object: all changes up to `resourceVersion` have been told.
 */
export type WatchEvent =
  | { readonly type: 'Added' | 'Modified' | 'Deleted'; readonly object: Resource; readonly previous?: Resource }
  | { readonly type: 'Bookmark'; readonly resourceVersion: string };

/** What a caller hands in to be created; what a server sets is set by the store. `name` or `generateName` must be there. */
export interface Draft {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Partial<Resource['metadata']>;
  readonly [field: string]: unknown;
}

/** What a delete may ask for. */
export interface DeleteOptions {
  /** Only if the resource still has this uid. */
  readonly uid?: string;
  /** Only if the resource still has this version. */
  readonly resourceVersion?: string;
  /** Orphan: what it owns is kept (its owner reference taken away). Default Background: what it owns goes after it. */
  readonly propagation?: 'Background' | 'Foreground' | 'Orphan';
  readonly dryRun?: boolean;
}

/** Common to all writes. */
export interface WriteOptions {
  /** Everything is checked and the result returned, nothing is kept. */
  readonly dryRun?: boolean;
  /** Somebody waits for it: it is not held back for others to be written along with it. */
  readonly urgent?: boolean;
}

/**
 * Where resources live: a plane. All planes behave alike; `test/contract/store.ts` is this comment as tests.
 *
 * Every method MAY throw {@link StoreError} with code `Unavailable`; what was asked for may then have happened.
 * No method validates a spec: that is for who accepts it from a person. Objects handed out are frozen in spirit:
 * callers MUST NOT change them, since caches share them.
 */
export interface Store {
  /** The resource as it stands now (not from a cache), or undefined. */
  get(key: ResourceKey): Promise<Resource | undefined>;

  /**
   * The resources of a kind. Pages survive writes: what stood throughout comes exactly once.
   * @throws StoreError Expired for a `continue` that is too old; Invalid for one that is not ours.
   */
  list(kind: string, selection?: Selection, page?: { readonly limit?: number; readonly continue?: string }): Promise<Listing>;

  /**
   * Creates. Sets uid, resourceVersion, generation 1 and creationTimestamp; drops `status`; makes a name from `generateName`.
   * @throws StoreError AlreadyExists; NotFound if the namespace is not there (but for Namespace kinds); Forbidden while it terminates.
   */
  create(draft: Draft, options?: WriteOptions): Promise<Resource>;

  /**
   * Replaces all but `status` (for kinds with a status subresource) and what a server sets. The generation goes up if `spec`
   * changed. A write that changes nothing keeps the version. A resource being deleted takes changes of finalizers, and goes
   * when the last one does.
   * @throws StoreError Conflict if `metadata.resourceVersion` or `metadata.uid` is given and no longer true; NotFound;
   *   Forbidden for a finalizer added to a resource that is being deleted.
   */
  update(resource: Draft, options?: WriteOptions): Promise<Resource>;

  /**
   * Replaces `status` (and nothing else), whoever wrote what stands there; an empty list or object MAY come back as none. Many
   * calls at once MAY be grouped into few writes; one MAY show an intermediate state to those who watch.
   * A write that changes nothing keeps the version.
   * @throws StoreError Conflict as for update; NotFound.
   */
  updateStatus(resource: Draft, options?: WriteOptions): Promise<Resource>;

  /**
   * Deletes: at once without finalizers, else sets deletionTimestamp. What the resource owns goes after it.
   * Idempotent while the resource is terminating.
   * @returns the resource as it was left: with deletionTimestamp, or its last state.
   * @throws StoreError NotFound; Conflict for a precondition that does not hold.
   */
  delete(key: ResourceKey, options?: DeleteOptions): Promise<Resource>;

  /**
   * Changes of a kind after `from`, in the order of their versions, none missed, none twice; several changes of one resource in quick
   * succession MAY come as one. Without `from`: from now on. Ends when `signal` is aborted.
   * A selection is applied as Kubernetes does: what starts to match is Added, what ceases to is Deleted.
   * @throws StoreError Expired (410) if the history no longer reaches back to `from`: list again.
   */
  watch(kind: string, from: string | undefined, signal: AbortSignal, selection?: Selection): AsyncIterable<WatchEvent>;

  /** The leases of this plane. */
  readonly leases: LeaseStore;
}

/** A lease as it stands. `transitions` rises with each new holder: a fencing number. */
export interface Lease {
  readonly name: string;
  readonly holder: string;
  readonly transitions: number;
}

/**
 * Leases, for which the clocks of replicas need not agree: time is the plane's own, or for each candidate that which went by since
 * it saw the lease change. In the latter case one who has just begun to ask waits for a whole duration.
 */
export interface LeaseStore {
  /** Takes a free or expired lease, or renews one's own. @returns the lease as it stands after it, whoever holds it. */
  acquire(name: string, holder: string, durationMs: number): Promise<Lease>;
  /** Gives one's own lease up at once; nothing happens if another holds it. */
  release(name: string, holder: string): Promise<void>;
}
