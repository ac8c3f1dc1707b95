import type { State } from '../model/state.js';

/** What goes wrong with a request. */
export type Fault =
  | { readonly kind: 'none' | 'lost' }
  | { readonly kind: 'late'; readonly delay: number }
  | { readonly kind: 'refused'; readonly status: number; readonly message: string; readonly headers: Record<string, string> };

/** Chooses by the knobs what goes wrong. */
export class FaultInjector {
  /** Requests that may be served at once: a bucket that a second fills. Undefined until the limit is first looked at. */
  #tokens: number | undefined;
  #filledAt = 0;

  constructor(private readonly state: State) {}

  /** The fault of one request; changes (all methods but GET and HEAD) can be lost or late, all can be refused. */
  choose(method: string, now: number): Fault {
    const { knobs, chance } = this.state;
    const wait = this.#overLimit(now);
    if (wait > 0) {
      const headers = { 'retry-after': String(wait) };
      return { kind: 'refused', status: 429, message: 'This request was rate-limited.', headers };
    }
    if (chance.happens(knobs.errorRate)) {
      return { kind: 'refused', status: 503, message: 'The service is unavailable (simulated).', headers: {} };
    }
    if (method === 'GET' || method === 'HEAD') return { kind: 'none' };
    if (chance.happens(knobs.lateEffectRate)) return { kind: 'late', delay: knobs.lateEffectDelay };
    return { kind: chance.happens(knobs.lostReplyRate) ? 'lost' : 'none' };
  }

  /** @returns after how many seconds there is room again; 0: now. */
  #overLimit(now: number): number {
    const limit = this.state.knobs.rateLimit;
    if (limit === 0) {
      this.#tokens = undefined;
      return 0;
    }
    const size = Math.max(1, limit);
    const before = this.#tokens ?? size;
    this.#tokens = Math.min(size, before + ((now - this.#filledAt) / 1000) * limit);
    this.#filledAt = now;
    if (this.#tokens < 1) return Math.max(1, Math.ceil((1 - this.#tokens) / limit));
    this.#tokens -= 1;
    return 0;
  }
}
