import type { Resource } from '../../src/resources/metadata.js';
import { StoreError } from '../../src/store/errors.js';
import type { WatchEvent } from '../../src/store/store.js';

type Change = Exclude<WatchEvent, { type: 'Bookmark' }>;
type Selects = (resource: Resource) => boolean;

interface KindHistory {
  changes: Array<{ readonly version: number; readonly change: Change }>;
  /** Changes up to this version are no longer known. */
  forgotten: number;
  readonly watches: Set<MemoryWatch>;
}

/** What happened to the resources of a memory store, and who watches it. Versions are the store's own, rising. */
export class MemoryHistory {
  readonly #kinds = new Map<string, KindHistory>();

  /** @param limit how many changes of each kind are kept at least. */
  constructor(private readonly limit: number) {}

  /** Keeps a change and tells it to those who watch. */
  add(version: number, change: Change): void {
    const history = this.#ofKind(change.object.kind);
    history.changes.push({ version, change });
    if (history.changes.length > 2 * this.limit) {
      const gone = history.changes.splice(0, history.changes.length - this.limit);
      history.forgotten = gone.at(-1)?.version ?? history.forgotten;
    }
    for (const watch of history.watches) watch.tell(change);
  }

  /** Whether all changes after `version` are still known. */
  reaches(kind: string, version: number): boolean {
    return version >= this.#ofKind(kind).forgotten;
  }

  /** Watches all changes after `from`; `now` is the store's version. */
  watch(kind: string, from: number, now: number, signal: AbortSignal, selects: Selects): AsyncIterable<WatchEvent> {
    const history = this.#ofKind(kind);
    const watch = new MemoryWatch(selects, signal, () => history.watches.delete(watch));
    if (signal.aborted) {
      watch.end();
    } else if (!(from >= history.forgotten && from <= now)) {
      watch.end(new StoreError('Expired', `the history of ${kind} reaches from ${history.forgotten} to ${now}, not to ${from}`));
    } else {
      history.watches.add(watch);
      for (const { change } of history.changes.slice(firstAfter(history.changes, from))) watch.tell(change);
    }
    return watch;
  }

  /** Forgets all changes so far. */
  forget(version: number): void {
    for (const history of this.#kinds.values()) {
      history.changes = [];
      history.forgotten = version;
    }
  }

  /** Ends all watches, or those of one kind, with that failure. */
  drop(code: 'Expired' | 'Unavailable', kind?: string): void {
    for (const [name, history] of this.#kinds) {
      if (kind !== undefined && name !== kind) continue;
      for (const watch of [...history.watches]) watch.end(new StoreError(code, `the watch of ${name} was cut`));
    }
  }

  bookmark(version: number): void {
    for (const history of this.#kinds.values()) {
      for (const watch of history.watches) watch.push({ type: 'Bookmark', resourceVersion: String(version) });
    }
  }

  #ofKind(kind: string): KindHistory {
    const known = this.#kinds.get(kind);
    if (known) return known;
    const history: KindHistory = { changes: [], forgotten: 0, watches: new Set() };
    this.#kinds.set(kind, history);
    return history;
  }
}

/** One watch: a queue with one reader. */
class MemoryWatch implements AsyncIterableIterator<WatchEvent> {
  #events: WatchEvent[] = [];
  #next = 0;
  #wake: (() => void) | undefined;
  #ended = false;
  #failure: StoreError | undefined;
  readonly #onAbort = () => this.end();

  constructor(
    private readonly selects: Selects,
    private readonly signal: AbortSignal,
    private readonly unsubscribe: () => void,
  ) {
    signal.addEventListener('abort', this.#onAbort, { once: true });
  }

  /** Tells a change as this watch's selection sees it, if it does. */
  tell(change: Change): void {
    const { type, object, previous } = change;
    const before = previous !== undefined && this.selects(previous);
    const after = type !== 'Deleted' && this.selects(object);
    if (after) this.push(before ? change : { type: 'Added', object });
    else if (before && type === 'Deleted') this.push(change);
    else if (before) this.push({ type: 'Deleted', object: withVersionOf(previous, object), previous });
  }

  push(event: WatchEvent): void {
    this.#events.push(event);
    this.#wake?.();
  }

  /** What was not read is discarded: as when a connection breaks. */
  end(failure?: StoreError): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#failure = failure;
    this.#events = [];
    this.#next = 0;
    this.unsubscribe();
    this.signal.removeEventListener('abort', this.#onAbort);
    this.#wake?.();
  }

  async next(): Promise<IteratorResult<WatchEvent>> {
    for (;;) {
      const event = this.#events[this.#next];
      if (event) {
        this.#next++;
        return { done: false, value: event };
      }
      this.#events = [];
      this.#next = 0;
      if (this.#failure) {
        const failure = this.#failure;
        this.#failure = undefined;
        throw failure;
      }
      if (this.#ended) return { done: true, value: undefined };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      this.#wake = undefined;
    }
  }

  async return(): Promise<IteratorResult<WatchEvent>> {
    this.end();
    return { done: true, value: undefined };
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}

function withVersionOf(resource: Resource, later: Resource): Resource {
  return { ...resource, metadata: { ...resource.metadata, resourceVersion: later.metadata.resourceVersion } };
}

function firstAfter(changes: KindHistory['changes'], version: number): number {
  let low = 0;
  let high = changes.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((changes[middle]?.version ?? 0) > version) high = middle;
    else low = middle + 1;
  }
  return low;
}
