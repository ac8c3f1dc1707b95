import type { Environment } from '../environment.js';
import { CloudError } from './errors.js';

/** How much a cloud account may be asked at most. */
export interface Limits {
  /** More than 0. */
  readonly requestsPerSecond: number;
  /** Calls at once: at least 1. */
  readonly inFlight: number;
}

/** Changes go before reads. */
export type Lane = 'change' | 'read';

/**
 * How a call went. `congested`: refused for load (429, 503) or not answered in time; fewer are made at once.
 * `other`: says nothing of load.
 */
export interface Feedback {
  readonly load: 'fine' | 'congested' | 'other';
  /** The whole account waits so long. Milliseconds. */
  readonly retryAfterMs?: number | undefined;
}

/** What a limiter is doing. */
export interface LimiterCounters {
  readonly inFlight: number;
  readonly waiting: number;
  /** Calls at once just now: between 1 and {@link Limits.inFlight}. */
  readonly window: number;
  /** Since it was made. */
  readonly admitted: number;
  readonly congested: number;
}

/** Leave to make one call; to be given back exactly once, when it has ended. */
export type Permit = (feedback: Feedback) => void;

interface Waiter {
  readonly grant: () => void;
  readonly refuse: (error: CloudError) => void;
}

/** Tokens gather for so long at most: what may burst out after a rest. */
const BURST_SECONDS = 0.1;
/** A pause longer than this is told to the callers rather than waited out: they know what else to do. */
const LONGEST_WAIT_MS = 10_000;
/** However long a cloud asks us to wait, it is asked again after this. */
const LONGEST_PAUSE_MS = 10 * 60_000;
/** Of so many permits under contention one goes to a read, so that changes never blind us. */
const READ_EVERY = 8;

/**
 * One cloud account's throttle: a token bucket, and a number of calls in flight that halves when the cloud shows strain and
 * grows by one a round of successes (AIMD). One slot of the window is kept from reads, so that a change never waits for one to end.
 */
export class Limiter {
  readonly #environment: Environment;
  readonly #lanes: Record<Lane, Set<Waiter>> = { change: new Set(), read: new Set() };
  #limits: Limits;
  #tokens: number;
  #filledAt: number;
  #window: number;
  #shrinks = 0;
  #pausedUntil = Number.NEGATIVE_INFINITY;
  #inFlight = 0;
  #admitted = 0;
  #congested = 0;
  #sinceRead = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(environment: Environment, limits: Limits) {
    this.#environment = environment;
    this.#limits = limits;
    this.#window = limits.inFlight;
    this.#filledAt = this.#now();
    this.#tokens = this.#burst();
  }

  /** Takes effect at once, for those who wait too. */
  configure(limits: Limits): void {
    this.#refill();
    const wasFull = this.#window >= this.#limits.inFlight;
    this.#limits = limits;
    this.#window = wasFull ? limits.inFlight : Math.min(this.#window, limits.inFlight);
    this.#tokens = Math.min(this.#tokens, this.#burst());
    this.#admit();
  }

  /**
   * Waits for leave to call.
   * @throws CloudError Unavailable when `signal` is aborted; RateLimited when the cloud asked for a pause of over 10 seconds.
   */
  enter(lane: Lane, signal?: AbortSignal): Promise<Permit> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(calledOff());
      const pause = this.#pausedUntil - this.#now();
      if (pause > LONGEST_WAIT_MS) return reject(paused(pause));
      const waiters = this.#lanes[lane];
      const onAbort = () => {
        waiters.delete(waiter);
        reject(calledOff());
      };
      const waiter: Waiter = {
        grant: () => {
          signal?.removeEventListener('abort', onAbort);
          resolve(this.#permit());
        },
        refuse: (error) => {
          signal?.removeEventListener('abort', onAbort);
          reject(error);
        },
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      waiters.add(waiter);
      this.#admit();
    });
  }

  /** What it is doing now. */
  counters(): LimiterCounters {
    return {
      inFlight: this.#inFlight,
      waiting: this.#lanes.change.size + this.#lanes.read.size,
      window: Math.floor(this.#window),
      admitted: this.#admitted,
      congested: this.#congested,
    };
  }

  #permit(): Permit {
    const shrinks = this.#shrinks;
    let returned = false;
    return (feedback) => {
      if (returned) return;
      returned = true;
      this.#inFlight -= 1;
      this.#learn(feedback, shrinks);
      this.#admit();
    };
  }

  #learn({ load, retryAfterMs }: Feedback, shrinksBefore: number): void {
    if (load === 'fine') this.#window = Math.min(this.#limits.inFlight, this.#window + 1 / this.#window);
    if (load === 'congested') {
      this.#congested += 1;
      // Calls that were out together fail together: that is one sign of strain, not many.
      if (shrinksBefore === this.#shrinks) {
        this.#window = Math.max(1, this.#window / 2);
        this.#shrinks += 1;
      }
    }
    if (retryAfterMs !== undefined && retryAfterMs > 0) this.#pause(Math.min(retryAfterMs, LONGEST_PAUSE_MS));
  }

  #pause(ms: number): void {
    this.#pausedUntil = Math.max(this.#pausedUntil, this.#now() + ms);
    const left = this.#pausedUntil - this.#now();
    if (left <= LONGEST_WAIT_MS) return;
    for (const waiters of Object.values(this.#lanes)) {
      for (const waiter of waiters) waiter.refuse(paused(left));
      waiters.clear();
    }
  }

  /** Lets in whoever may go, and sets the clock for the next. */
  #admit(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
    this.#refill();
    const pause = this.#pausedUntil - this.#now();
    while (pause <= 0 && this.#tokens >= 1) {
      const lane = this.#nextLane();
      if (lane === undefined) return;
      const [waiter] = this.#lanes[lane];
      if (waiter === undefined) return;
      this.#lanes[lane].delete(waiter);
      this.#sinceRead = lane === 'read' ? 0 : this.#sinceRead + 1;
      this.#tokens -= 1;
      this.#inFlight += 1;
      this.#admitted += 1;
      waiter.grant();
    }
    if (this.#lanes.change.size + this.#lanes.read.size === 0) return;
    const untilToken = ((1 - this.#tokens) / this.#limits.requestsPerSecond) * 1000;
    this.#cancelTimer = this.#environment.after(Math.ceil(Math.max(pause, untilToken, 1)), () => this.#admit());
  }

  /** Undefined: nobody may go before a call in flight ends. */
  #nextLane(): Lane | undefined {
    const room = Math.floor(this.#window) - this.#inFlight;
    const mayRead = this.#lanes.read.size > 0 && (this.#window < 2 ? room > 0 : room > 1);
    if (mayRead && (this.#lanes.change.size === 0 || this.#sinceRead >= READ_EVERY - 1)) return 'read';
    return this.#lanes.change.size > 0 && room > 0 ? 'change' : undefined;
  }

  #refill(): void {
    const now = this.#now();
    // A clock that is set back must not stop the refilling.
    const elapsed = Math.max(0, now - this.#filledAt);
    this.#filledAt = now;
    this.#tokens = Math.min(this.#burst(), this.#tokens + (elapsed / 1000) * this.#limits.requestsPerSecond);
  }

  #burst(): number {
    return Math.max(1, this.#limits.requestsPerSecond * BURST_SECONDS);
  }

  #now(): number {
    return this.#environment.now().getTime();
  }
}

function calledOff(): CloudError {
  return new CloudError('Unavailable', 'the call was called off before it was sent');
}

function paused(ms: number): CloudError {
  return new CloudError('RateLimited', `the cloud asked for a pause; ${Math.ceil(ms / 1000)} s are left`, { retryAfterMs: ms });
}
