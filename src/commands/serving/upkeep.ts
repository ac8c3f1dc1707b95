import type { Logger } from 'pino';
import type { Environment } from '../../environment.js';

/** A chore that is done now and then. */
export interface Chore {
  readonly name: string;
  readonly everyMs: number;
  run(): Promise<unknown>;
}

/**
 * Does each chore again and again, the first time after its interval. A chore that fails is logged and tried at its next turn.
 * @returns what ends it, when the chores in hand are done.
 */
export function startUpkeep(chores: readonly Chore[], environment: Environment, log: Logger): () => Promise<void> {
  const running = new Set<Promise<void>>();
  const timers = new Map<Chore, () => void>();
  const schedule = (chore: Chore) => {
    timers.set(
      chore,
      environment.after(chore.everyMs, () => {
        const run = perform(chore, log).finally(() => running.delete(run));
        running.add(run);
        schedule(chore);
      }),
    );
  };
  for (const chore of chores) schedule(chore);
  return async () => {
    for (const cancel of timers.values()) cancel();
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
