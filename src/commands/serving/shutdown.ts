import type { Logger } from 'pino';

/** How long draining may take, in milliseconds: under the 30 s that most supervisors wait before they kill. */
const DRAIN_LIMIT_MS = 25_000;
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Something that runs until it is told to stop. */
export interface Running {
  /** Resolves when its work is done by itself, and rejects when it cannot go on. */
  readonly ended: Promise<void>;
  /** Drains and ends it. */
  close(): Promise<void>;
}

/**
 * Starts something, and closes it after a signal or when it has ended.
 *
 * A signal that comes while it starts counts. A second signal, or a drain that takes longer than 25 s, ends the process at once
 * with status 1: nothing is lost by that, it only has to be found again at the next start.
 * @returns the exit status: 0 after a signal or when the work was done, 1 if it could not go on or the drain failed.
 * @throws what `start` throws.
 */
export async function runUntilStopped(start: () => Promise<Running>, log: Logger): Promise<number> {
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
  try {
    const running = await start();
    const status = await Promise.race([signalled, running.ended]).then(
      () => 0,
      (error: unknown) => {
        log.fatal({ err: error }, 'cannot go on');
        return 1;
      },
    );
    return (await drain(running, log)) ? status : 1;
  } finally {
    for (const signal of SIGNALS) process.off(signal, onSignal);
  }
}

async function drain(running: Running, log: Logger): Promise<boolean> {
  const timer = setTimeout(() => {
    log.error({ limitMs: DRAIN_LIMIT_MS }, 'draining took too long; ending at once');
    process.exit(1);
  }, DRAIN_LIMIT_MS);
  try {
    await running.close();
    log.info('stopped');
    return true;
  } catch (error) {
    log.error({ err: error }, 'draining failed');
    return false;
  } finally {
    clearTimeout(timer);
  }
}
