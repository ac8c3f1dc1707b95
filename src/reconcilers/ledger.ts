import type { Ledger } from '../resources/virtual-machine.js';

/**
 * The part of the settle time within which a create must be on its way after its ledger entry was written. One that could not be sent by then
 * (a full limiter, a process that stood still) is not sent: others may already count the attempt as settled.
 */
const SEND_WITHIN = 1 / 3;

/** Where the last attempt of a record stands, while nothing that it made is known. */
export type Attempt =
  /** There was none, or nothing more can come of it. */
  | { readonly kind: 'closed' }
  /** Written down by this very reconcile, and still to be sent. */
  | { readonly kind: 'unsent' }
  /** Its outcome is not known: what it made may still appear. `message` says so. */
  | { readonly kind: 'unsettled'; readonly until: Date; readonly message: string }
  /** A complete observation after the settle time has not shown it. Before another is made the cloud itself is to be asked by name. */
  | { readonly kind: 'settled' };

/**
 * See {@link Attempt}. Pure.
 * @param given `held`: the token of the attempt that this reconcile wrote down; `what`: the thing asked for, for the message.
 */
export function attemptOf(
  ledger: Ledger | undefined,
  { settleMs, completeAt }: { readonly settleMs: number; readonly completeAt: Date },
  { held, what, now }: { readonly held?: string | undefined; readonly what: string; readonly now?: Date },
): Attempt {
  if (!ledger || ledger.closed !== undefined) return { kind: 'closed' };
  if (now && ledger.token === held && now < sendBy(ledger, settleMs)) return { kind: 'unsent' };
  const until = new Date(Date.parse(ledger.at) + settleMs);
  if (completeAt >= until) return { kind: 'settled' };
  const message = `attempt ${ledger.attempt} has no known outcome; its ${what} may still appear until ${until.toISOString()}`;
  return { kind: 'unsettled', until, message };
}

/** Until when the request of an attempt may be sent. */
export function sendBy({ at }: Pick<Ledger, 'at'>, settleMs: number): Date {
  return new Date(Date.parse(at) + settleMs * SEND_WITHIN);
}
