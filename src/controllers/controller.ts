import { setMaxListeners } from 'node:events';
import type { Logger } from 'pino';
import { type Environment, sleep } from '../environment.js';
import { formatKey, keyOf, type ResourceKey } from '../resources/metadata.js';
import { aborted } from './aborted.js';
import type { Cache, Change } from './cache.js';
import type { EngineMetrics, ReconcileResult } from './metrics.js';
import { type Lane, type Work, WorkQueue } from './queue.js';
import type { Outcome, Reconciler } from './reconciler.js';
import { retryOf } from './retry.js';

/** How long workers may keep the event loop busy with reconciles that wait for nothing. Milliseconds. */
const BREATHE_AFTER = 3;

/** What a controller is made of. */
export interface ControllerOptions {
  /** Tells it apart in logs and metrics: `virtualmachine`. */
  readonly name: string;
  readonly reconciler: Reconciler;
  /** Keys worked on at once. */
  readonly workers: number;
  /** How long keys in hand may take to finish when it drains. Milliseconds; default 30 s. */
  readonly graceMs?: number;
  readonly environment: Environment;
  readonly log: Logger;
  readonly metrics?: EngineMetrics;
}

/**
 * Calls one reconciler for the keys that are wished for: several keys at once, never one key twice at once.
 *
 * Keys are taken only while {@link run} runs; what is wished for before or between runs waits, in the resync lane, so that
 * real changes go first when it starts. A failure never ends it: {@link retryOf} says how it is tried again.
 */
export class Controller {
  readonly name: string;
  readonly #queue: WorkQueue;
  readonly #log: Logger;
  #running = false;
  #lastBreath = 0;
  #breath: Promise<void> | undefined;

  constructor(private readonly options: ControllerOptions) {
    const { name, environment, metrics, workers } = options;
    this.name = name;
    this.#log = options.log.child({ controller: name });
    this.#queue = new WorkQueue(environment, metrics ? { observer: metrics.queue(name) } : {});
    metrics?.depth(name, () => this.#queue.depth);
    metrics?.workers(name, workers);
  }

  /** Keys that wait for a worker, by lane. */
  get depth(): Readonly<Record<Lane, number>> {
    return this.#queue.depth;
  }

  /** How long the key that waits longest has waited. Milliseconds. */
  get oldestAgeMs(): number {
    return this.#queue.oldestAgeMs;
  }

  /** Wishes that a key be reconciled now; equal wishes become one. */
  enqueue(key: ResourceKey, lane: Lane = 'change'): void {
    this.#queue.add(key, this.#running ? lane : 'resync');
  }

  /** Wishes that a key be reconciled `ms` milliseconds from now at the latest. */
  enqueueAfter(key: ResourceKey, ms: number): void {
    this.#queue.addAfter(key, ms);
  }

  /**
   * Enqueues a key for every change in a cache, and for all that is in it now.
   * @param keysOf whom a change concerns; default the changed resource itself, which must then be of the reconciler's kind.
   * @param lane resync where one change may concern so many that single changes must not wait behind them.
   */
  follow(cache: Cache, keysOf: (change: Change) => readonly ResourceKey[] = ownKey, lane: Lane = 'change'): void {
    cache.onChange((change) => {
      for (const key of keysOf(change)) this.enqueue(key, lane);
    });
  }

  /**
   * Works until `signal` is aborted, then drains: takes no new key, and resolves when those in hand are finished or the grace
   * period is over, whichever is first. Never rejects. May be called again afterwards.
   */
  async run(signal: AbortSignal): Promise<void> {
    const { workers, environment, graceMs = 30_000 } = this.options;
    // Every waiting worker listens to it: many listeners are no leak, and Node need not warn of one.
    setMaxListeners(0, signal);
    this.#running = true;
    this.#log.info({ workers }, 'controller started');
    const working = Promise.all(Array.from({ length: workers }, () => this.#work(signal)));
    await Promise.race([working, aborted(signal)]);
    this.#running = false;
    const finished = new AbortController();
    const inTime = await Promise.race([
      working.then(() => true),
      sleep(environment, graceMs, finished.signal).then(
        () => false,
        () => true,
      ),
    ]);
    finished.abort();
    if (!inTime) {
      for (const key of this.#queue.inHand) this.#log.error({ key: formatKey(key), graceMs }, 'gave up waiting for a reconcile');
    }
    this.#log.info('controller stopped');
  }

  async #work(signal: AbortSignal): Promise<void> {
    for (;;) {
      await this.#breathe();
      const work = await this.#queue.take(signal);
      if (!work) return;
      await this.#process(work, signal);
    }
  }

  async #process(work: Work, signal: AbortSignal): Promise<void> {
    const { metrics, reconciler } = this.options;
    const key = formatKey(work.key);
    const began = this.#now();
    let result: ReconcileResult = 'error';
    metrics?.began(this.name);
    try {
      const outcome = await reconciler.reconcile(work.key, signal);
      result = this.#conclude(work, outcome);
      this.#log.debug({ key, lane: work.lane, ms: this.#now() - began, ...outcome }, 'reconciled');
    } catch (error) {
      this.#retry(work, error, signal);
    } finally {
      metrics?.ended(this.name, result, this.#now() - began);
      this.#queue.done(work);
    }
  }

  #conclude({ key }: Work, outcome: Outcome): ReconcileResult {
    const recheckAfterMs = outcome.kind === 'waiting' ? outcome.recheckAfterMs : undefined;
    if (recheckAfterMs !== undefined) this.#queue.addAfter(key, recheckAfterMs);
    this.#queue.forget(key);
    return recheckAfterMs === undefined ? 'success' : 'requeue_after';
  }

  /** The retry policy of the whole product. */
  #retry({ key, lane }: Work, error: unknown, signal: AbortSignal): void {
    const hint = retryOf(error);
    const log = { key: formatKey(key), err: error, retry: hint.kind };
    // What draining cut short is no failure of the key; whoever leads next looks at it.
    if (signal.aborted) {
      this.#queue.add(key, lane);
      this.#log.debug(log, 'reconcile cut short');
      return;
    }
    switch (hint.kind) {
      case 'backoff':
        this.#log.warn({ ...log, waitMs: this.#queue.retry(key, lane) }, 'reconcile failed');
        return;
      case 'conflict':
        // At once, but not again and again: who else writes may be busy, or our view late.
        this.#log.debug({ ...log, waitMs: this.#queue.retry(key, lane, 1) }, 'reconcile met a conflict');
        return;
      case 'after':
        this.#queue.addAfter(key, hint.ms, lane);
        this.#log.info({ ...log, waitMs: hint.ms }, 'reconcile told to wait');
        return;
      case 'change':
        this.#queue.forget(key);
        this.#log.warn(log, 'reconcile failed until something changes');
        return;
    }
  }

  /** Lets events in from time to time, though every reconcile be settled without waiting for anything. */
  async #breathe(): Promise<void> {
    const now = this.#now();
    if (!this.#breath && now - this.#lastBreath > BREATHE_AFTER) {
      this.#breath = sleep(this.options.environment, 0).then(() => {
        this.#breath = undefined;
        this.#lastBreath = this.#now();
      });
    }
    await this.#breath;
  }

  #now(): number {
    return this.options.environment.now().getTime();
  }
}

function ownKey({ previous, current }: Change): readonly ResourceKey[] {
  const resource = current ?? previous;
  return resource ? [keyOf(resource)] : [];
}
