import { type Environment, sleep } from '../environment.js';
import type { ResourceKey } from '../resources/metadata.js';

/** The part of an interval that chance may add to it, so that replicas and kinds drift apart. */
const JITTER = 0.1;
/** Keys are told in as many steps as they are, but not more often than this. Milliseconds. */
const STEP = 100;

/** What a resync needs. */
export interface ResyncOptions {
  /** The keys as they are when a round begins. */
  keys(): readonly ResourceKey[];
  /** Wishes that a key be examined: MUST use the resync lane. */
  enqueue(key: ResourceKey): void;
  /** How long a round takes, at least; a tenth more at most. Milliseconds. */
  readonly intervalMs: number;
  readonly environment: Environment;
}

/**
 * Has every key examined once a round, spread evenly over it, round after round, until `signal` is aborted. The first key
 * comes a step after the start, since whoever starts has just examined all. Never rejects.
 */
export async function resync({ keys, enqueue, intervalMs, environment }: ResyncOptions, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const roundMs = intervalMs * (1 + JITTER * environment.random());
    const round = keys();
    const steps = Math.max(1, Math.min(round.length, Math.floor(roundMs / STEP)));
    for (let step = 0; step < steps; step++) {
      try {
        await sleep(environment, roundMs / steps, signal);
      } catch {
        return;
      }
      const [begin, end] = [step, step + 1].map((each) => Math.floor((each * round.length) / steps));
      for (const key of round.slice(begin, end)) enqueue(key);
    }
  }
}
