import type { Logger } from 'pino';
import { type Environment, sleep } from '../environment.js';
import { CloudError } from './errors.js';
import type { CloudHealth, ObserverSettings } from './observer.js';

/** Whom a {@link ListObserver} wakes. Called after the view holds what is told. */
export interface ListListener<Item> {
  /** Items that are other than they were: `current` is undefined for one that is gone. Never empty. */
  changed(changes: readonly { readonly previous: Item | undefined; readonly current: Item | undefined }[]): void;
  /** Keys that waited for a complete list (see {@link ListObserver.wantComplete}). */
  completed(keys: readonly string[]): void;
  /** The first complete list came, or the cloud has begun or ceased to answer. */
  healthChanged(): void;
}

/** What is observed, and how it is found again. */
export interface ListOptions<Item> {
  /** For logs: `ports`. */
  readonly what: string;
  readonly list: (signal: AbortSignal) => Promise<readonly Item[]>;
  /** The values that an item is found by with {@link ListObserver.by}. */
  readonly index?: (item: Item) => readonly string[];
  readonly same: (a: Item, b: Item) => boolean;
}

/** How often somebody needs to look: something is under way, or what others change is to be seen within seconds. */
export type Pace = 'moving' | 'watching';

const IDLE_FACTOR = 5;
/** While nobody has anything there, it is only looked for what was left behind. */
const UNUSED_FACTOR = 10;
/** At most one part in so many of the time is spent on listing. */
const SHARE = 10;
const LONGEST_BACKOFF_MS = 30_000;
/** How long a deletion is remembered: longer than any list that began before it can take. */
const GONE_MEMORY_MS = 600_000;
/** Timers take no longer wait. */
const LONGEST_SLEEP_MS = 3_600_000;

/**
 * The shared view of one list of a cloud that tells no changes: its ports, security groups or volumes. All objects read it, and it alone
 * lists them: each look is one walk over all pages.
 *
 * A look comes every `intervalMs` while any key is moving, five times as rarely while any is watching, and every ten `auditIntervalMs`
 * otherwise; never so often that more than a tenth of the time goes into it (a complete list that somebody waits for comes sooner), and
 * none at all before anybody needs one. Each look holds for the time at which it began: what was noted since is kept. One that fails
 * changes nothing and is tried again.
 */
export class ListObserver<Item extends { readonly id: string }> {
  readonly #entries = new Map<string, { readonly item: Item; readonly asOf: Date }>();
  readonly #index = new Map<string, Set<string>>();
  readonly #gone = new Map<string, Date>();
  readonly #paces = new Map<string, Pace>();
  readonly #waiting = new Map<string, Date>();
  #settings: ObserverSettings;
  #completeAt: Date | undefined;
  #error: CloudHealth['error'];
  #failures = 0;
  #lookedAt: Date | undefined;
  #tookMs = 0;
  #notBefore: Date | undefined;
  #wake: AbortController = new AbortController();

  constructor(
    private readonly options: ListOptions<Item>,
    settings: ObserverSettings,
    private readonly environment: Environment,
    private readonly log: Logger,
    private readonly listener: ListListener<Item>,
  ) {
    this.#settings = settings;
  }

  /** Looks until `signal` is aborted. Never rejects. To be called once. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake.abort(), { once: true });
    while (!signal.aborted) {
      const waitMs = this.#nextDue() - this.environment.now().getTime();
      if (waitMs > 0) {
        this.#wake = new AbortController();
        await sleep(this.environment, Math.min(waitMs, LONGEST_SLEEP_MS), this.#wake.signal).catch(() => undefined);
        continue;
      }
      await this.#look(signal);
    }
  }

  /** What is known of one, true at `asOf` or later; undefined if it is not known to be there. */
  get(id: string): { readonly item: Item; readonly asOf: Date } | undefined {
    return this.#entries.get(id);
  }

  /** True if it is known not to be there, by the cloud's own word. Never forgets sooner than ten minutes. */
  isGone(id: string): boolean {
    return this.#gone.has(id);
  }

  /** All that are known. */
  *items(): Iterable<Item> {
    for (const { item } of this.#entries.values()) yield item;
  }

  /** Those with this value in the index. */
  by(value: string): readonly Item[] {
    return [...(this.#index.get(value) ?? [])].flatMap((id) => this.#entries.get(id)?.item ?? []);
  }

  /** When the last complete list began, and the last failure while it has not answered since. */
  get health(): CloudHealth {
    return { completeAt: this.#completeAt, error: this.#error };
  }

  /** Takes in what an answer to a call of ours has just told. */
  note(item: Item): void {
    const previous = this.#entries.get(item.id)?.item;
    if (this.#put(item, this.environment.now())) this.listener.changed([{ previous, current: item }]);
  }

  /** Takes in that one is gone: deleted by us, or the cloud has answered NotFound. */
  noteGone(id: string): void {
    const previous = this.#entries.get(id)?.item;
    this.#drop(id);
    this.#gone.set(id, this.environment.now());
    if (previous) this.listener.changed([{ previous, current: undefined }]);
  }

  /** Says how often `key` needs a look from now on; undefined: not at all. */
  setPace(key: string, pace: Pace | undefined): void {
    if (this.#paces.get(key) === pace) return;
    if (pace === undefined) this.#paces.delete(key);
    else {
      this.#paces.set(key, pace);
      this.#wake.abort();
    }
  }

  /** Asks for a complete list that begins at `after` or later; the listener is told when there is one. */
  wantComplete(key: string, after: Date): void {
    if (this.#completeAt && this.#completeAt >= after) {
      this.listener.completed([key]);
      return;
    }
    this.#waiting.set(key, after);
    this.#wake.abort();
  }

  /** Takes over new settings at once. */
  configure(settings: ObserverSettings): void {
    this.#settings = settings;
    this.#wake.abort();
  }

  #nextDue(): number {
    const { intervalMs, auditIntervalMs } = this.#settings;
    const paces = [...this.#paces.values()];
    const looked = this.#lookedAt?.getTime();
    const notBefore = this.#notBefore?.getTime() ?? 0;
    if (looked === undefined) {
      const soonest = paces.length > 0 ? 0 : Math.min(...[...this.#waiting.values()].map((after) => after.getTime()));
      return Math.max(soonest, notBefore);
    }
    const paceMs = paces.includes('moving')
      ? intervalMs
      : paces.includes('watching')
        ? intervalMs * IDLE_FACTOR
        : auditIntervalMs * UNUSED_FACTOR;
    const soonest = looked + Math.max(intervalMs, this.#tookMs * (SHARE - 1));
    const waited = [...this.#waiting.values()].map((after) => Math.max(after.getTime(), looked + intervalMs));
    return Math.max(Math.min(Math.max(looked + paceMs, soonest), ...waited), notBefore);
  }

  async #look(signal: AbortSignal): Promise<void> {
    const began = this.environment.now();
    try {
      const items = await this.options.list(signal);
      this.#lookedAt = this.environment.now();
      this.#tookMs = this.#lookedAt.getTime() - began.getTime();
      const news = this.#completeAt === undefined || this.#error !== undefined;
      this.#completeAt = began;
      this.#error = undefined;
      this.#failures = 0;
      this.#notBefore = undefined;
      const changes = this.#replaceAll(items, began);
      if (changes.length > 0) this.listener.changed(changes);
      if (news) this.listener.healthChanged();
      this.#tellCompleted(began);
    } catch (error) {
      if (signal.aborted) return;
      this.#fail(began, error);
    }
  }

  #fail(began: Date, error: unknown): void {
    const { what } = this.options;
    const known =
      error instanceof CloudError
        ? error
        : new CloudError('Unavailable', `listing ${what} failed: ${String(error)}`, { cause: error });
    const news = this.#error?.error.code !== known.code;
    this.#failures += 1;
    this.#error = { at: began, error: known };
    const backoff = Math.min(this.#settings.intervalMs * 2 ** Math.min(this.#failures, 10), LONGEST_BACKOFF_MS);
    // A service that a cloud does not have may be added to it some day: that is all there is to look for.
    const pauseMs = known.code === 'Unsupported' ? this.#settings.auditIntervalMs * UNUSED_FACTOR : backoff;
    this.#notBefore = new Date(this.environment.now().getTime() + Math.max(known.retryAfterMs ?? 0, pauseMs));
    this.log.warn({ err: known, what, failures: this.#failures }, 'listing failed');
    if (news) this.listener.healthChanged();
  }

  #tellCompleted(began: Date): void {
    const keys = [...this.#waiting].filter(([, after]) => after <= began).map(([key]) => key);
    for (const key of keys) this.#waiting.delete(key);
    if (keys.length > 0) this.listener.completed(keys);
  }

  #replaceAll(items: readonly Item[], began: Date): { previous: Item | undefined; current: Item | undefined }[] {
    const changes: { previous: Item | undefined; current: Item | undefined }[] = [];
    for (const item of items) {
      const known = this.#entries.get(item.id);
      if (known && known.asOf >= began) continue;
      if (this.#put(item, began)) changes.push({ previous: known?.item, current: item });
    }
    const listed = new Set(items.map(({ id }) => id));
    for (const [id, { item, asOf }] of this.#entries) {
      // Noted in the millisecond in which the list began, it may have come too late for it.
      if (listed.has(id) || asOf >= began) continue;
      this.#drop(id);
      this.#gone.set(id, began);
      changes.push({ previous: item, current: undefined });
    }
    for (const [id, at] of this.#gone) {
      if (began.getTime() - at.getTime() > GONE_MEMORY_MS) this.#gone.delete(id);
    }
    return changes;
  }

  /** @returns whether something new was learned. */
  #put(item: Item, asOf: Date): boolean {
    const known = this.#entries.get(item.id);
    const gone = this.#gone.get(item.id);
    if (gone && gone >= asOf) return false;
    this.#gone.delete(item.id);
    const news = !known || !this.options.same(known.item, item);
    if (news) {
      this.#drop(item.id);
      for (const value of this.options.index?.(item) ?? [])
        this.#index.set(value, (this.#index.get(value) ?? new Set()).add(item.id));
    }
    this.#entries.set(item.id, { item, asOf });
    return news;
  }

  #drop(id: string): void {
    const known = this.#entries.get(id);
    if (!known) return;
    this.#entries.delete(id);
    for (const value of this.options.index?.(known.item) ?? []) {
      const ids = this.#index.get(value);
      ids?.delete(id);
      if (ids?.size === 0) this.#index.delete(value);
    }
  }
}
