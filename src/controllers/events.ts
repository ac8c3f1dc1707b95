import type { Logger } from 'pino';
import { type Environment, sleep } from '../environment.js';
import type { Resource } from '../resources/metadata.js';
import { isStoreError } from '../store/errors.js';
import type { Draft, Store } from '../store/store.js';
import { backoffMs, STORE_BACKOFF } from './backoff.js';
import { TokenBuckets } from './token-buckets.js';

/** Repeats of an event within this time count as one more of it. Milliseconds. */
const SAME_WITHIN = 600_000;
/** Events that wait to be written at most; what comes on top is dropped. */
const MAX_WAITING = 1_000;
/** Events remembered for their repeats at most. */
const MAX_REMEMBERED = 4_096;
/** For one resource: so many at once, then one in so many milliseconds. */
const BURST = 25;
const REFILL_MS = 10_000;
/** Writes of one event at most, before it is dropped. */
const ATTEMPTS = 4;

/** Something that happened to a resource, for people. */
export interface Happening {
  readonly type: 'Normal' | 'Warning';
  /** CamelCase, from a list that the reconciler keeps; programs switch on it. At most 128 characters. */
  readonly reason: string;
  /** A sentence. Never a secret. Cut at 1024 characters. */
  readonly message: string;
  /** What was done about it, CamelCase. */
  readonly action?: string;
}

/** Tells people what happened. */
export interface Recorder {
  /** Returns at once and never throws; events are for people, and may be dropped. */
  record(object: Resource, happening: Happening): void;
}

/** What a recorder is made of. */
export interface EventRecorderOptions {
  readonly store: Store;
  readonly environment: Environment;
  readonly log: Logger;
  /** Who reports: `dispatcher`. */
  readonly component: string;
  /** Which of its replicas. */
  readonly instance: string;
}

/** What of an object stands in its events. Series outlive many versions of it, and must not keep those in memory. */
interface InvolvedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
}

/** One event and its repeats. */
interface Series {
  readonly object: InvolvedObject;
  readonly happening: Happening;
  readonly name: string;
  readonly firstAt: Date;
  lastAt: Date;
  count: number;
  /** It stands in the store, as far as is known. */
  written: boolean;
}

/**
 * Writes core/v1 Events into the namespace of their object (`default` for cluster-scoped ones). The same event again within
 * ten minutes raises the count of the first. One group is written at a time; repeats that come meanwhile cost no more.
 */
export class EventRecorder implements Recorder {
  readonly #series = new Map<string, Series>();
  readonly #waiting = new Set<Series>();
  readonly #buckets: TokenBuckets;
  readonly #idle: Array<() => void> = [];
  #writing = false;

  constructor(private readonly options: EventRecorderOptions) {
    this.#buckets = new TokenBuckets({ burst: BURST, refillMs: REFILL_MS, environment: options.environment });
  }

  record(object: Resource, happening: Happening): void {
    const { uid, name } = object.metadata;
    if (!this.#buckets.take(uid)) {
      this.options.log.debug({ object: name, reason: happening.reason }, 'event dropped: too many of this resource');
      return;
    }
    const series = this.#remember(object, happening);
    if (!this.#waiting.has(series) && this.#waiting.size >= MAX_WAITING) {
      this.options.log.warn({ object: name, reason: happening.reason }, 'event dropped: too many wait to be written');
      return;
    }
    this.#waiting.add(series);
    if (!this.#writing) void this.#writeAll();
  }

  /** Resolves when all that was recorded is written or given up, or with the signal's abortion. Never rejects. */
  flush(signal: AbortSignal): Promise<void> {
    if (!this.#writing || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.#idle.push(resolve);
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /** The series of an event: the one that it repeats, or a new one. */
  #remember(object: Resource, happening: Happening): Series {
    const now = this.options.environment.now();
    const id = JSON.stringify([object.metadata.uid, happening.type, happening.reason, happening.message]);
    const known = this.#series.get(id);
    this.#series.delete(id);
    if (known && now.getTime() - known.lastAt.getTime() <= SAME_WITHIN) {
      known.count++;
      known.lastAt = now;
      this.#series.set(id, known);
      return known;
    }
    const suffix = this.options.environment.id().replaceAll('-', '').slice(0, 16);
    const name = `${object.metadata.name.slice(0, 236)}.${suffix}`;
    const series = { object: involved(object), happening, name, firstAt: now, lastAt: now, count: 1, written: false };
    this.#series.set(id, series);
    const [oldest] = this.#series.keys();
    if (this.#series.size > MAX_REMEMBERED && oldest !== undefined) this.#series.delete(oldest);
    return series;
  }

  async #writeAll(): Promise<void> {
    this.#writing = true;
    while (this.#waiting.size > 0) {
      const group = [...this.#waiting];
      // Taken out first: a repeat that comes while these are written is written after them.
      this.#waiting.clear();
      await Promise.all(group.map((series) => this.#writePatiently(series)));
    }
    this.#writing = false;
    for (const resolve of this.#idle.splice(0)) resolve();
  }

  async #writePatiently(series: Series): Promise<void> {
    const { environment, log } = this.options;
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#write(series);
        return;
      } catch (error) {
        // The namespace is gone or going, or the store refuses it: it will not get better.
        const final = isStoreError(error) && error.code !== 'Unavailable';
        if (final || attempt === ATTEMPTS) {
          log.warn({ err: error, object: series.object.name, reason: series.happening.reason }, 'event not written');
          return;
        }
        await sleep(environment, backoffMs(attempt, environment.random(), STORE_BACKOFF));
      }
    }
  }

  async #write(series: Series): Promise<void> {
    const { store } = this.options;
    const draft = this.#draft(series);
    if (series.written) {
      try {
        await store.update(draft);
        return;
      } catch (error) {
        // Events are kept for a while only: this one begins anew.
        if (!isStoreError(error, 'NotFound')) throw error;
      }
    }
    try {
      await store.create(draft);
    } catch (error) {
      // The name is ours alone, so an earlier write happened though its answer was lost.
      if (!isStoreError(error, 'AlreadyExists')) throw error;
      await store.update(draft);
    }
    series.written = true;
  }

  #draft({ object, happening, name, firstAt, lastAt, count }: Series): Draft {
    const { component, instance } = this.options;
    const { type, reason, message, action } = happening;
    return {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace: object.namespace ?? 'default' },
      involvedObject: object,
      type,
      reason: reason.slice(0, 128),
      message: message.slice(0, 1024),
      ...(action === undefined ? {} : { action: action.slice(0, 128) }),
      source: { component },
      reportingComponent: component,
      reportingInstance: instance,
      count,
      firstTimestamp: rfc3339(firstAt),
      lastTimestamp: rfc3339(lastAt),
    };
  }
}

function involved({ apiVersion, kind, metadata }: Resource): InvolvedObject {
  const { namespace, name, uid, resourceVersion } = metadata;
  return { apiVersion, kind, ...(namespace === undefined ? {} : { namespace }), name, uid, resourceVersion };
}

function rfc3339(time: Date): string {
  return time.toISOString().replace(/\.\d+Z$/, 'Z');
}
