import type { Logger } from 'pino';
import { type Environment, sleep } from '../environment.js';
import { aborted } from './aborted.js';
import type { Cache } from './cache.js';
import type { EventRecorder } from './events.js';
import { type Candidacy, elect } from './leases.js';
import type { EngineMetrics } from './metrics.js';

/** Something that runs until it is told to stop: a controller, a resync, an observer. */
export interface Runnable {
  readonly name: string;
  /**
   * Resolves when all is finished after `signal` was aborted. Rejecting (but with the
   * signal's reason), or resolving before, stops the whole manager.
   */
  run(signal: AbortSignal): Promise<void>;
}

/** What a manager is made of. */
export interface ManagerOptions {
  /** Started first, and stopped last; they run whether this process leads or not. */
  readonly caches: readonly Cache[];
  /** Started once all caches are synced, and, with an election, only while this process leads. */
  readonly runnables: readonly Runnable[];
  readonly recorder?: EventRecorder;
  /** Without one, this process always leads. */
  readonly election?: Omit<Candidacy, 'environment' | 'log' | 'onStarted' | 'onStopped'>;
  /** How long the events recorded last may take to be written. Milliseconds; default 5 s. */
  readonly flushMs?: number;
  readonly environment: Environment;
  readonly log: Logger;
  readonly metrics?: EngineMetrics;
}

/**
 * Runs an engine as one. Starts in this order: caches, election, runnables; and stops in this one: no new keys are taken,
 * those in hand are finished, events are written, the lease is given up, caches end.
 */
export class Manager {
  #leading = false;

  constructor(private readonly options: ManagerOptions) {}

  /** Whether every cache has been filled: what `/readyz` asks. */
  get synced(): boolean {
    return this.options.caches.every((cache) => cache.synced);
  }

  /** Whether the runnables run. */
  get leading(): boolean {
    return this.#leading;
  }

  /** Runs until `signal` is aborted and all is finished. @throws what a runnable rejected with, once all others are finished. */
  async run(signal: AbortSignal): Promise<void> {
    const { caches, election, environment, log } = this.options;
    const end = new AbortController();
    const filling = Promise.all(caches.map((cache) => cache.run(end.signal)));
    this.#lead(false);
    try {
      await Promise.all(caches.map((cache) => cache.whenSynced(signal)));
      log.info({ caches: caches.length }, 'caches synced');
      if (election) {
        await elect({ ...election, environment, log, onStarted: (term) => this.#term(term) }, signal);
      } else {
        await this.#term(signal);
      }
    } catch (error) {
      // Stopped before the caches were synced: nothing has begun.
      if (!signal.aborted || error !== signal.reason) throw error;
    } finally {
      end.abort(new Error('the manager has stopped'));
      await filling;
    }
  }

  async #term(signal: AbortSignal): Promise<void> {
    const { runnables, log } = this.options;
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    if (signal.aborted) onAbort();
    signal.addEventListener('abort', onAbort, { once: true });
    const failures: unknown[] = [];
    this.#lead(true);
    await Promise.all(
      runnables.map(async (runnable) => {
        try {
          await runnable.run(stop.signal);
          if (!stop.signal.aborted) throw new Error(`${runnable.name} ended by itself`);
        } catch (error) {
          if (stop.signal.aborted && error === stop.signal.reason) return;
          log.error({ err: error, runnable: runnable.name, stopping: stop.signal.aborted }, 'runnable failed');
          failures.push(error);
          stop.abort(error);
        }
      }),
    );
    await aborted(stop.signal);
    signal.removeEventListener('abort', onAbort);
    this.#lead(false);
    await this.#flush();
    if (failures.length > 0) throw failures[0];
  }

  async #flush(): Promise<void> {
    const { recorder, environment, flushMs = 5_000 } = this.options;
    if (!recorder) return;
    const done = new AbortController();
    const patience = sleep(environment, flushMs, done.signal).then(
      () => done.abort(),
      () => undefined,
    );
    await recorder.flush(done.signal);
    done.abort();
    await patience;
  }

  #lead(leading: boolean): void {
    const { election, metrics } = this.options;
    this.#leading = leading;
    if (election) metrics?.leading(election.name, leading);
  }
}
