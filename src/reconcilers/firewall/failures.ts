import type { CloudError } from '../../clouds/errors.js';

/** What failed, and when it may be tried again. */
export interface Failure {
  readonly error: CloudError;
  readonly at: Date;
  readonly count: number;
}

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 60_000;

/**
 * What could not be done for one Cloud's firewall, by subject (see `subjectOf`). In memory: a new process tries again at once. One thing
 * that fails keeps nothing else waiting.
 */
export class Failures {
  readonly #failures = new Map<string, Failure>();

  note(subject: string, error: CloudError, now: Date): void {
    this.#failures.set(subject, { error, at: now, count: (this.of(subject)?.count ?? 0) + 1 });
  }

  clear(subject: string): void {
    this.#failures.delete(subject);
  }

  of(subject: string): Failure | undefined {
    return this.#failures.get(subject);
  }

  /** Forgets all but these: what nobody wants any more needs no second try. */
  keep(subjects: ReadonlySet<string>): void {
    for (const subject of this.#failures.keys()) if (!subjects.has(subject)) this.#failures.delete(subject);
  }

  /**
   * When a subject may be tried again: later each time, up to a minute. Undefined: at once.
   * @param observedAt when the last complete look at the cloud began: what is of unknown outcome, or is otherwise than was thought, is looked
   * at before it is tried again.
   */
  retryAt(subject: string, observedAt: Date, now: Date): Date | undefined {
    const failure = this.of(subject);
    if (!failure) return undefined;
    const { error, at, count } = failure;
    const due = new Date(
      at.getTime() + Math.max(error.retryAfterMs ?? 0, Math.min(FIRST_RETRY_MS * 2 ** (count - 1), LONGEST_RETRY_MS)),
    );
    const unseen =
      (error.code === 'UnknownOutcome' || error.code === 'Conflict' || error.code === 'NotFound') && observedAt <= at;
    if (due <= now && !unseen) return undefined;
    return due > now ? due : new Date(now.getTime() + FIRST_RETRY_MS);
  }
}
