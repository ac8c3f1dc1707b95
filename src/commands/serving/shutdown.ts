import type { Logger } from 'pino';

/** How long draining may take, in milliseconds: under the 30 s that most supervisors wait before they kill. */
const DRAIN_LIMIT_MS = 25_000;
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * Waits for a signal, or for `ended`, and then drains.
 *
 * A second signal, or a drain that takes longer than 25 s, ends the process at once with status 1: nothing is lost by that, it only
 * has to be found again at the next start.
 * @param ended resolves when the work is done by itself, and rejects when it cannot go on.
 * @returns the exit status: 0 after a signal or when the work was done, 1 if it could not go on or the drain failed.
 */
export async function runUntilStopped(ended: Promise<void>, drain: () => Promise<void>, log: Logger): Promise<number> {
  let status = 0;
  let stop: () => void = () => undefined;
  const signalled = new Promise<void>((resolve) => {
    stop = resolve;
  });
  let signals = 0;
  const onSignal = (signal: NodeJS.Signals) => {
    signals += 1;
    if (signals > 1) {
      log.warn({ signal }, 'ending at once');
      process.exit(1);
    }
    log.info({ signal }, 'draining');
    stop();
  };
  for (const signal of SIGNALS) process.on(signal, onSignal);
  await Promise.race([signalled, ended]).catch((error: unknown) => {
    log.fatal({ err: error }, 'cannot go on');
    status = 1;
  });
  const timer = setTimeout(() => {
    log.error({ limitMs: DRAIN_LIMIT_MS }, 'draining took too long; ending at once');
    process.exit(1);
  }, DRAIN_LIMIT_MS);
  try {
    await drain();
    log.info('stopped');
  } catch (error) {
    log.error({ err: error }, 'draining failed');
    status = 1;
  } finally {
    clearTimeout(timer);
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
  return status;
}
