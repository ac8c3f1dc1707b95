import type { Environment } from '../../src/environment.js';
import { formatKey, keyOf, type Resource, type ResourceKey } from '../../src/resources/metadata.js';
import type {
  DeleteOptions,
  Draft,
  LeaseStore,
  Listing,
  Selection,
  Store,
  WatchEvent,
  WriteOptions,
} from '../../src/store/store.js';

/** The calls of a store that have an effect. */
export type WriteOperation = 'create' | 'update' | 'updateStatus' | 'delete' | 'acquire' | 'release';
/** The calls of a store that have none. */
export type ReadOperation = 'get' | 'list' | 'watch';

/**
 * What one process suffers at the hands of its store. Every hook may throw (an Unavailable store), resolve late (a slow one)
 * or never (the process is dead). Keys of leases have the kind `Lease` and no namespace; a draft without a name has name ''.
 */
export interface StoreFaults {
  beforeRead?(operation: ReadOperation, key: ResourceKey): void | Promise<void>;
  /** Throwing here: the write did not happen. */
  beforeWrite?(operation: WriteOperation, key: ResourceKey): void | Promise<void>;
  /** Throwing here: the write happened, its reply is lost. */
  afterWrite?(operation: WriteOperation, key: ResourceKey): void | Promise<void>;
  /**
   * How late a watch tells a change. Changes of one resource keep their order, those of different resources may overtake each
   * other: so a watch that suffers this must not be resumed, only ever ended with Expired (MemoryStore.dropWatches), unless:
   */
  delayEvent?(event: WatchEvent): number;
  /** All changes of a watch keep their order, as an API server's do: it may be resumed. */
  readonly keepsOrder?: boolean;
}

/** One process's connection to a store that others may share: all that it asks for passes through its own faults. */
export class FaultyStore implements Store {
  readonly leases: LeaseStore;

  constructor(
    private readonly store: Store,
    private readonly environment: Environment,
    private readonly faults: StoreFaults,
  ) {
    const key = (name: string): ResourceKey => ({ kind: 'Lease', namespace: '', name });
    this.leases = {
      acquire: (name, holder, durationMs) =>
        this.#write('acquire', key(name), () => store.leases.acquire(name, holder, durationMs)),
      release: (name, holder) => this.#write('release', key(name), () => store.leases.release(name, holder)),
    };
  }

  async get(key: ResourceKey): Promise<Resource | undefined> {
    await this.faults.beforeRead?.('get', key);
    return this.store.get(key);
  }

  async list(kind: string, selection?: Selection, page?: { limit?: number; continue?: string }): Promise<Listing> {
    await this.faults.beforeRead?.('list', { kind, namespace: selection?.namespace ?? '', name: '' });
    return this.store.list(kind, selection, page);
  }

  create(draft: Draft, options?: WriteOptions): Promise<Resource> {
    return this.#write('create', keyOfDraft(draft), () => this.store.create(draft, options));
  }

  update(draft: Draft, options?: WriteOptions): Promise<Resource> {
    return this.#write('update', keyOfDraft(draft), () => this.store.update(draft, options));
  }

  updateStatus(draft: Draft, options?: WriteOptions): Promise<Resource> {
    return this.#write('updateStatus', keyOfDraft(draft), () => this.store.updateStatus(draft, options));
  }

  delete(key: ResourceKey, options?: DeleteOptions): Promise<Resource> {
    return this.#write('delete', key, () => this.store.delete(key, options));
  }

  async *watch(
    kind: string,
    from: string | undefined,
    signal: AbortSignal,
    selection?: Selection,
  ): AsyncGenerator<WatchEvent, void, void> {
    await this.faults.beforeRead?.('watch', { kind, namespace: selection?.namespace ?? '', name: '' });
    const events = this.store.watch(kind, from, signal, selection);
    const { delayEvent, keepsOrder = false } = this.faults;
    if (delayEvent) yield* this.#delayed(events, delayEvent, keepsOrder);
    else yield* events;
  }

  /** Reads ahead, and hands each event on when its time has come. */
  async *#delayed(
    events: AsyncIterable<WatchEvent>,
    delayOf: (event: WatchEvent) => number,
    keepsOrder: boolean,
  ): AsyncGenerator<WatchEvent> {
    const ready: WatchEvent[] = [];
    const notBefore = new Map<string, number>();
    let late = 0;
    let ended: { readonly failure?: unknown } | undefined;
    let wake = () => undefined as undefined;
    /** By path: what is on its way. A timer hands on the first: timers of one moment may fire in any order. */
    const underWay = new Map<string, WatchEvent[]>();
    const deliver = (path: string) => {
      const event = underWay.get(path)?.shift();
      late--;
      if (event) ready.push(event);
      wake();
    };
    const readAhead = async () => {
      for await (const event of events) {
        // A bookmark vouches for all changes before it, so it must not overtake any; it may always be left out.
        if (event.type === 'Bookmark' && late > 0 && !keepsOrder) continue;
        const path = keepsOrder || event.type === 'Bookmark' ? '' : formatKey(keyOf(event.object));
        const now = this.environment.now().getTime();
        const at = Math.max(now + delayOf(event), notBefore.get(path) ?? 0);
        notBefore.set(path, at);
        underWay.set(path, [...(underWay.get(path) ?? []), event]);
        late++;
        this.environment.after(at - now, () => deliver(path));
      }
    };
    readAhead().then(
      () => {
        ended = {};
        wake();
      },
      (failure: unknown) => {
        ended = { failure };
        wake();
      },
    );
    for (;;) {
      const event = ready.shift();
      if (event) yield event;
      else if (ended && 'failure' in ended) throw ended.failure;
      else if (ended) return;
      else {
        await new Promise<void>((resolve) => {
          wake = () => void resolve();
        });
      }
    }
  }

  async #write<Result>(operation: WriteOperation, key: ResourceKey, effect: () => Promise<Result>): Promise<Result> {
    await this.faults.beforeWrite?.(operation, key);
    const result = await effect();
    await this.faults.afterWrite?.(operation, key);
    return result;
  }
}

function keyOfDraft({ kind, metadata }: Draft): ResourceKey {
  return { kind, namespace: metadata.namespace ?? '', name: metadata.name ?? '' };
}
