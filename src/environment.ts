/**
 * Time, chance and names: all that a run takes from outside. Handed in everywhere, so that a simulation can own them.
 * Nothing in src/controllers, src/reconcilers, src/clouds and src/store reads Date, Math.random or timers by itself.
 */
export interface Environment {
  /** The time now. */
  now(): Date;
  /** Calls `callback` once, `ms` milliseconds from now (at once for 0 or less). @returns what cancels it. */
  after(ms: number, callback: () => void): () => void;
  /** A number in [0, 1). */
  random(): number;
  /** A new unique id: a lower-case UUID. */
  id(): string;
}

/** Resolves after `ms`, or rejects with the signal's reason as soon as it is aborted. */
export function sleep(environment: Environment, ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const onAbort = () => {
      cancel();
      reject(signal?.reason);
    };
    const cancel = environment.after(ms, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** The real thing. Timers do not keep the process alive. */
export const systemEnvironment: Environment = {
  now: () => new Date(),
  after: (ms, callback) => {
    let timer: NodeJS.Timeout;
    // Node fires a longer timer at once.
    const wait = (left: number) => {
      const now = Math.min(left, LONGEST_TIMER_MS);
      timer = setTimeout(() => (left > now ? wait(left - now) : callback()), now);
      timer.unref();
    };
    wait(ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
  id: () => crypto.randomUUID(),
};
