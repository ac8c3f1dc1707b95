import type { Environment } from '../../environment.js';
import { formatKey, keyOf, type Resource } from '../../resources/metadata.js';
import type { StoreError } from '../errors.js';

/** One change of a kind. */
export interface Change {
  /** A deletion bears the last state, with the version of the deletion. */
  readonly object: Resource;
  readonly version: number;
  readonly createdVersion: number;
  readonly deleted: boolean;
  /** The state as of version `since`: nothing is known between that and this change. */
  readonly previous?: Resource;
  readonly since: number;
}

/** Changes kept of each kind. Beyond them a watch reads the database. */
const CAPACITY = 8_192;
/** Writes of this process remembered at most until they come back as changes. */
const MOST_OWN = 8_192;

/**
 * The last changes of one kind, and its resources as of `position`. It holds every change after `start` (several of one
 * resource between two reads count as one). Bounded: it forgets the oldest.
 */
export class History {
  /** Changes after this version are all here, */
  start: number;
  /** up to this one. */
  position: number;
  #changes: Change[] = [];
  #failure: StoreError | undefined;
  /** What writes of this process gave, by version. */
  readonly #own = new Map<number, Resource>();
  readonly #latest = new Map<string, Resource>();
  readonly #waiting = new Set<() => void>();

  /** @param resources all of the kind, as of `version`. */
  constructor(resources: Iterable<Resource>, version: number) {
    this.start = version;
    this.position = version;
    for (const resource of resources) this.#latest.set(formatKey(keyOf(resource)), resource);
  }

  /** The very object that this holds, if it is the same state: so that caches and this share memory. */
  intern(resource: Resource): Resource {
    const held = this.#latest.get(formatKey(keyOf(resource)));
    return held?.metadata.resourceVersion === resource.metadata.resourceVersion ? held : resource;
  }

  /**
   * Takes note of what a write of this process gave, so that the change which tells of it is that very object.
   * @returns it, sharing its spec with what is held if that is the same: who has looked at one has looked at both.
   */
  written(resource: Resource): Resource {
    const held = this.#latest.get(formatKey(keyOf(resource)));
    if (held?.metadata.resourceVersion === resource.metadata.resourceVersion) return held;
    const shared = withSpecOf(held, resource);
    const version = Number(resource.metadata.resourceVersion);
    if (version > this.position && this.#own.size < MOST_OWN) this.#own.set(version, shared);
    return shared;
  }

  /** Takes in what changed between `position` and `upTo`, in order. */
  add(changes: readonly Omit<Change, 'previous' | 'since'>[], upTo: number): void {
    const since = this.position;
    for (const change of changes) {
      const key = formatKey(keyOf(change.object));
      const held = this.#latest.get(key);
      // One of the same name made anew is another resource.
      const isSame = held?.metadata.uid === change.object.metadata.uid;
      const object = this.#own.get(change.version) ?? withSpecOf(held, change.object);
      this.#changes.push({ ...change, object, since, ...(isSame && { previous: held }) });
      if (!change.deleted) this.#latest.set(key, object);
      else if (isSame) this.#latest.delete(key);
    }
    this.position = Math.max(upTo, since);
    for (const version of this.#own.keys()) if (version <= this.position) this.#own.delete(version);
    if (this.#changes.length > CAPACITY * 1.25) this.forget(this.#changes.at(-CAPACITY)?.version ?? upTo);
    this.#wake();
  }

  /** Forgets the changes up to `version`. */
  forget(version: number): void {
    if (version <= this.start) return;
    this.start = Math.min(version, this.position);
    this.#changes = this.#changes.slice(this.#indexAfter(this.start));
  }

  /** The changes after `version`, which MUST NOT be before `start`. @throws what {@link end} was given. */
  after(version: number): readonly Change[] {
    if (this.#failure) throw this.#failure;
    return this.#changes.slice(this.#indexAfter(version));
  }

  /** Ends all watches: with `failure`. */
  end(failure: StoreError): void {
    this.#failure = failure;
    this.#wake();
  }

  /** Resolves when something was added or the history ended, the signal is aborted, or `ms` have passed. */
  changed(environment: Environment, ms: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        cancel();
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      const cancel = environment.after(ms, done);
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
      if (signal.aborted || this.#failure) done();
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }

  #indexAfter(version: number): number {
    let [low, high] = [0, this.#changes.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#changes[middle]?.version ?? 0) > version) high = middle;
      else low = middle + 1;
    }
    return low;
  }
}

/** The resource with the spec of an earlier state of it, if the generation says that they are equal. */
function withSpecOf(earlier: Resource | undefined, resource: Resource): Resource {
  const { uid, generation } = resource.metadata;
  if (earlier?.metadata.uid !== uid || earlier.metadata.generation !== generation || !earlier.spec) return resource;
  return { ...resource, spec: earlier.spec };
}
