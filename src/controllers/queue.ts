import type { Environment } from '../environment.js';
import { formatKey, type ResourceKey } from '../resources/metadata.js';
import { type BackoffPolicy, backoffMs, KEY_BACKOFF } from './backoff.js';

/** Why a key is looked at: something changed (or is being waited for), or it is only its turn to be examined again. */
export type Lane = 'change' | 'resync';

/** A key in the hand of a worker, who MUST give it back with {@link WorkQueue.done}. */
export interface Work {
  readonly key: ResourceKey;
  readonly lane: Lane;
}

/** Is told what happens in a queue. Durations in milliseconds. */
export interface QueueObserver {
  /** A key became ready: it was neither ready before nor remembered for later. */
  added(): void;
  taken(waitedMs: number): void;
  done(workedMs: number): void;
  retried(): void;
}

/** What a queue may be told to do otherwise. */
export interface QueueOptions {
  readonly backoff?: BackoffPolicy;
  /** While changes wait, one take in so many is of the resync lane. Default 10. */
  readonly resyncEvery?: number;
  readonly observer?: QueueObserver;
}

/** A wish that a key be worked on: `due` is a time in milliseconds, or NOW. */
interface Wish {
  readonly due: number;
  readonly lane: Lane;
}

interface Entry {
  readonly key: ResourceKey;
  readonly id: string;
  /** The one wish that stands: of a ready key, a delayed one, or a key in hand that is to come again. */
  wish: Wish | undefined;
  /** Its place in a lane, while it is ready; places that are not an entry's own any more are skipped. */
  place: Place | undefined;
  cancelTimer: (() => void) | undefined;
  inHandSince: number | undefined;
}

interface Place {
  readonly entry: Entry;
  readonly since: number;
}

const NOW = 0;
/** A day: timers of the system fire at once when they are set for longer than 24 days. Milliseconds. */
const LONGEST_TIMER = 86_400_000;

/**
 * The keys that have to be worked on.
 *
 * A key is in one of four states. *Absent*: nobody wishes it. *Delayed*: a timer stands for it. *Ready*: it stands in a lane,
 * once. *In hand*: a worker has it; wishes for it are remembered, and count from the moment it is given back. So a key is
 * never in two hands, and a wish made after a key was taken always leads to another look at it.
 *
 * Of several wishes for one key the soonest stands, and at equal times a change before a resync: so an immediate add
 * cancels a delay, and a change lifts a ready key out of the resync lane. Lanes are first come, first served; a change
 * waits for a resync in one take of ten only, which keeps resyncs from starving.
 */
export class WorkQueue {
  readonly #entries = new Map<string, Entry>();
  readonly #failures = new Map<string, number>();
  readonly #lanes: Record<Lane, Fifo> = { change: new Fifo(), resync: new Fifo() };
  readonly #takers = new Set<() => void>();
  readonly #backoff: BackoffPolicy;
  readonly #resyncEvery: number;
  readonly #observer: QueueObserver | undefined;
  readonly #depth: Record<Lane, number> = { change: 0, resync: 0 };
  #changesInARow = 0;
  #closed = false;

  constructor(
    private readonly environment: Environment,
    options: QueueOptions = {},
  ) {
    this.#backoff = options.backoff ?? KEY_BACKOFF;
    this.#resyncEvery = options.resyncEvery ?? 10;
    this.#observer = options.observer;
  }

  /** Keys that are ready, by lane. Neither delayed keys nor those in hand are counted. */
  get depth(): Readonly<Record<Lane, number>> {
    return { ...this.#depth };
  }

  /** How long the key that has been ready longest has waited; 0 when none is. Milliseconds. Looks at every key. */
  get oldestAgeMs(): number {
    const now = this.#now();
    let oldest = now;
    for (const { place } of this.#entries.values()) oldest = Math.min(oldest, place?.since ?? now);
    return now - oldest;
  }

  /** The keys that workers have in hand now. */
  get inHand(): ResourceKey[] {
    return [...this.#entries.values()].flatMap(({ key, inHandSince }) => (inHandSince === undefined ? [] : [key]));
  }

  /** Wishes that a key be worked on now. */
  add(key: ResourceKey, lane: Lane = 'change'): void {
    this.#wish(key, { due: NOW, lane });
  }

  /** Wishes that a key be worked on `ms` milliseconds from now, at the latest. @throws RangeError if that is not a number. */
  addAfter(key: ResourceKey, ms: number, lane: Lane = 'change'): void {
    if (Number.isNaN(ms)) throw new RangeError(`${formatKey(key)} cannot be worked on in NaN milliseconds`);
    this.#wish(key, { due: ms > 0 ? this.#now() + ms : NOW, lane });
  }

  /**
   * Wishes a key again after a failure: later with each failure since {@link forget}.
   * @param free how many failures in a row cost no wait.  @returns how long it is made to wait. Milliseconds.
   */
  retry(key: ResourceKey, lane: Lane = 'change', free = 0): number {
    const id = formatKey(key);
    const failures = (this.#failures.get(id) ?? 0) + 1;
    this.#failures.set(id, failures);
    const ms = backoffMs(failures - free, this.environment.random(), this.#backoff);
    this.#observer?.retried();
    this.addAfter(key, ms, lane);
    return ms;
  }

  /** Forgets the failures of a key: the next one is its first. */
  forget(key: ResourceKey): void {
    this.#failures.delete(formatKey(key));
  }

  /** How often a key has failed since it was last forgotten. */
  failures(key: ResourceKey): number {
    return this.#failures.get(formatKey(key)) ?? 0;
  }

  /** Waits for a key to be ready and takes it. @returns undefined as soon as the signal is aborted or the queue shut down. */
  async take(signal: AbortSignal): Promise<Work | undefined> {
    while (!signal.aborted && !this.#closed) {
      const place = this.#next();
      if (place) return this.#hand(place);
      await this.#somethingReady(signal);
    }
    // It may have been woken for a key that it does not take any more: another shall.
    this.#wakeOne();
    return undefined;
  }

  /** Gives a key back; if it was wished for meanwhile, it becomes ready or delayed again. */
  done({ key }: Work): void {
    const entry = this.#entries.get(formatKey(key));
    if (entry?.inHandSince === undefined) return;
    this.#observer?.done(this.#now() - entry.inHandSince);
    entry.inHandSince = undefined;
    if (entry.wish) this.#schedule(entry, entry.wish);
    else this.#entries.delete(entry.id);
  }

  /** For good: whoever waits in {@link take} gets undefined, timers are cancelled, adds from now on do nothing. */
  shutDown(): void {
    this.#closed = true;
    for (const entry of this.#entries.values()) {
      entry.cancelTimer?.();
      entry.wish = undefined;
    }
    for (const wake of [...this.#takers]) wake();
  }

  #wish(key: ResourceKey, wish: Wish): void {
    if (this.#closed) return;
    const id = formatKey(key);
    const known = this.#entries.get(id);
    if (known?.wish && !isBefore(wish, known.wish)) return;
    const entry = known ?? { key, id, wish, place: undefined, cancelTimer: undefined, inHandSince: undefined };
    if (!known) this.#entries.set(id, entry);
    const previous = known?.wish;
    entry.wish = wish;
    if (entry.inHandSince === undefined) this.#schedule(entry, wish, previous);
  }

  #schedule(entry: Entry, wish: Wish, previous?: Wish): void {
    entry.cancelTimer?.();
    entry.cancelTimer = undefined;
    const wait = wish.due - this.#now();
    if (wish.due === NOW || wait <= 0) {
      this.#makeReady(entry, wish.lane, previous);
      return;
    }
    entry.cancelTimer = this.environment.after(Math.min(wait, LONGEST_TIMER), () => this.#schedule(entry, wish));
  }

  #makeReady(entry: Entry, lane: Lane, previous?: Wish): void {
    const since = entry.place?.since ?? this.#now();
    if (entry.place && previous) this.#depth[previous.lane]--;
    else this.#observer?.added();
    entry.wish = { due: NOW, lane };
    entry.place = { entry, since };
    this.#lanes[lane].push(entry.place);
    this.#depth[lane]++;
    this.#wakeOne();
  }

  #wakeOne(): void {
    const [wake] = this.#takers;
    wake?.();
  }

  #next(): Place | undefined {
    const resyncsTurn = this.#changesInARow >= this.#resyncEvery - 1;
    const order: readonly Lane[] = resyncsTurn ? ['resync', 'change'] : ['change', 'resync'];
    for (const lane of order) {
      const place = this.#lanes[lane].shift((each) => each.entry.place === each);
      if (!place) continue;
      this.#changesInARow = lane === 'change' ? this.#changesInARow + 1 : 0;
      return place;
    }
    return undefined;
  }

  #hand({ entry, since }: Place): Work {
    const lane = entry.wish?.lane ?? 'change';
    this.#depth[lane]--;
    entry.wish = undefined;
    entry.place = undefined;
    entry.inHandSince = this.#now();
    this.#observer?.taken(entry.inHandSince - since);
    return { key: entry.key, lane };
  }

  #somethingReady(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#takers.delete(wake);
        signal.removeEventListener('abort', wake);
        resolve();
      };
      this.#takers.add(wake);
      signal.addEventListener('abort', wake, { once: true });
    });
  }

  #now(): number {
    return this.environment.now().getTime();
  }
}

function isBefore(a: Wish, b: Wish): boolean {
  return a.due < b.due || (a.due === b.due && a.lane === 'change' && b.lane === 'resync');
}

/** First in, first out, without moving what stands. */
class Fifo {
  #places: Place[] = [];
  #head = 0;

  push(place: Place): void {
    this.#places.push(place);
  }

  /** Takes the first place that is `valid`; those before it are dropped. */
  shift(valid: (place: Place) => boolean): Place | undefined {
    for (;;) {
      const place = this.#places[this.#head];
      if (!place) {
        this.#places = [];
        this.#head = 0;
        return undefined;
      }
      this.#head++;
      if (this.#head > 1024 && this.#head * 2 > this.#places.length) {
        this.#places = this.#places.slice(this.#head);
        this.#head = 0;
      }
      if (valid(place)) return place;
    }
  }
}
