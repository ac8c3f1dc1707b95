import type { Logger } from 'pino';
import { type Environment, sleep } from '../environment.js';
import type { Lease, LeaseStore } from '../store/store.js';

/** What a candidate for leadership needs. */
export interface Candidacy {
  readonly leases: LeaseStore;
  /** The lease that is fought for. */
  readonly name: string;
  /** Who this is: unique among all that ever ran at the same time, such as host name and a UUID. */
  readonly holder: string;
  /** How long a lease lasts that is not renewed. Milliseconds; default 15 s. */
  readonly durationMs?: number;
  /** Between renewals, and between attempts of a candidate. Milliseconds; default a fifth of `durationMs`. */
  readonly renewMs?: number;
  readonly environment: Environment;
  readonly log: Logger;
  /**
   * Leads until `signal` is aborted, then finishes what it has in hand and resolves: only then is the lease given up (it is
   * renewed meanwhile, if it is not lost). Resolving earlier gives the lease up and ends {@link elect}; so does rejecting.
   */
  onStarted(signal: AbortSignal, lease: Lease): Promise<void>;
  /** Is told after each term, once the lease is given up or lost. */
  onStopped?(): void;
}

/** The part of a lease's duration after the last renewal at which its holder stops leading by itself, before it can expire. */
const DEADLINE = 2 / 3;

/**
 * Runs for leadership until `signal` is aborted, again after each term that was lost.
 *
 * Two never lead at once as long as clocks run at the same speed (within a third) and the process is not frozen: a holder
 * counts the lease from before it asked, and stops leading at two thirds of it when it could not be renewed, whatever the
 * store does meanwhile. A frozen process may still finish the step that it is in when it thaws; effects must bear that.
 *
 * @throws what `onStarted` rejects with.
 */
export async function elect(candidacy: Candidacy, signal: AbortSignal): Promise<void> {
  const { environment } = candidacy;
  const { renewMs } = timesOf(candidacy);
  const log = candidacy.log.child({ lease: candidacy.name, holder: candidacy.holder });
  while (!signal.aborted) {
    const asked = environment.now().getTime();
    const answer = await ask(candidacy, renewMs, log);
    if (answer.kind === 'ours') {
      log.info({ transitions: answer.lease.transitions }, 'leadership gained');
      if (await term(candidacy, answer.lease, asked, signal, log)) return;
    } else {
      await sleep(environment, renewMs * (1 + 0.2 * environment.random()), signal).catch(() => undefined);
    }
  }
}

function timesOf({ durationMs = 15_000, renewMs = durationMs / 5 }: Candidacy): { durationMs: number; renewMs: number } {
  if (renewMs > 0 && renewMs <= durationMs / 3) return { durationMs, renewMs };
  throw new RangeError(`renewMs ${renewMs} must be above 0 and at most a third of durationMs ${durationMs}`);
}

/** One term as leader. @returns true if there is to be no other. */
async function term(candidacy: Candidacy, first: Lease, asked: number, signal: AbortSignal, log: Logger): Promise<boolean> {
  const leading = new AbortController();
  const finished = new AbortController();
  const stop = () => leading.abort(signal.reason);
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop, { once: true });
  const kept = keep(candidacy, first, asked, finished.signal, log).then((held) => {
    if (!held) leading.abort(new Error(`the lease ${candidacy.name} was lost`));
    return held;
  });
  try {
    await candidacy.onStarted(leading.signal, first);
    return signal.aborted || !leading.signal.aborted;
  } finally {
    signal.removeEventListener('abort', stop);
    finished.abort();
    const held = await kept;
    if (held) await release(candidacy, log);
    log.info({ lost: !held }, 'leadership ended');
    candidacy.onStopped?.();
  }
}

/** Renews until `finished`. @returns false as soon as the lease is another's, or could not be renewed in time. */
async function keep(candidacy: Candidacy, first: Lease, asked: number, finished: AbortSignal, log: Logger): Promise<boolean> {
  const { environment } = candidacy;
  const { durationMs, renewMs } = timesOf(candidacy);
  let deadline = asked + durationMs * DEADLINE;
  for (;;) {
    const left = deadline - environment.now().getTime();
    try {
      await sleep(environment, Math.min(renewMs, left), finished);
    } catch {
      return true;
    }
    const now = environment.now().getTime();
    if (now >= deadline) {
      log.error('lease not renewed in time');
      return false;
    }
    const answer = await ask(candidacy, Math.min(renewMs, deadline - now), log);
    if (answer.kind === 'others' || (answer.kind === 'ours' && answer.lease.transitions !== first.transitions)) {
      log.error('lease lost to another');
      return false;
    }
    if (answer.kind === 'ours') deadline = now + durationMs * DEADLINE;
  }
}

type Answer = { readonly kind: 'ours'; readonly lease: Lease } | { readonly kind: 'others' | 'unknown' };

/** Asks for the lease, and gives up on an answer after `patienceMs`. Never rejects. */
async function ask(candidacy: Candidacy, patienceMs: number, log: Logger): Promise<Answer> {
  const { leases, name, holder, environment } = candidacy;
  try {
    const lease = await within(environment, patienceMs, leases.acquire(name, holder, timesOf(candidacy).durationMs));
    return lease.holder === holder ? { kind: 'ours', lease } : { kind: 'others' };
  } catch (error) {
    log.warn({ err: error }, 'lease not answered for');
    return { kind: 'unknown' };
  }
}

async function release(candidacy: Candidacy, log: Logger): Promise<void> {
  const { leases, name, holder, environment } = candidacy;
  try {
    await within(environment, timesOf(candidacy).renewMs, leases.release(name, holder));
  } catch (error) {
    log.warn({ err: error }, 'lease not released: it expires by itself');
  }
}

/** The promise, or a rejection if it takes longer than `ms`. */
function within<T>(environment: Environment, ms: number, promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const cancel = environment.after(ms, () => reject(new Error(`no answer within ${Math.round(ms)} ms`)));
    promise.then(resolve, reject).finally(cancel);
  });
}
