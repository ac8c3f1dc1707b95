import cron from 'node-cron';
import type { Logger } from 'pino';

/** A chore that is done now and then. */
export interface Chore {
  readonly name: string;
  /** When, as cron has it, seconds first if there are six fields. UTC. */
  readonly schedule: string;
  run(): Promise<unknown>;
}

/**
 * Does each chore at its times; not again while it is still being done. A chore that fails is logged and tried at its next time.
 * @returns what ends it, when the chores in hand are done.
 */
export function startUpkeep(chores: readonly Chore[], log: Logger): () => Promise<void> {
  const running = new Set<Promise<void>>();
  const tasks = chores.map((chore) =>
    cron.schedule(
      chore.schedule,
      () => {
        const run = perform(chore, log).finally(() => running.delete(run));
        running.add(run);
        return run;
      },
      { name: chore.name, timezone: 'UTC', noOverlap: true },
    ),
  );
  return async () => {
    for (const task of tasks) await task.destroy();
    await Promise.all(running);
  };
}

async function perform({ name, run }: Chore, log: Logger): Promise<void> {
  try {
    await run();
  } catch (error) {
    log.warn({ err: error, chore: name }, 'a chore failed');
  }
}
