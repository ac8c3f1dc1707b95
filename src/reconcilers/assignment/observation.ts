import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Holder } from '../inventory/view.js';
import type { ReleasePolicy } from '../pool/reclaim.js';
import type { Verdict } from '../pool/standing.js';
import type { Served } from './queue.js';

/** A machine that the assignment claims or has, and what is known of it. */
export interface Held {
  readonly vm: VirtualMachine;
  /** Whether its claimRef names this assignment. */
  readonly claimed: boolean;
  readonly verdict: Verdict;
  readonly holder: Holder;
  readonly outdated: boolean;
  /** True if it is in a pool, which gives it back if this assignment does not. */
  readonly pooled: boolean;
  /** What becomes of it in the end. */
  readonly policy: ReleasePolicy;
  /** True if its inventory was told in this very reconcile that nobody has it. */
  readonly released: boolean;
}

/** Why no machine can be given, whatever becomes free. Reason and message are those of a condition. */
export interface Obstacle {
  readonly reason: string;
  readonly message: string;
}

/** All that a plan for an assignment looks at beside the declaration and the time. Facts only. */
export interface Observation {
  /** The machines whose claimRef names this assignment, by name. */
  readonly claims: readonly Held[];
  /** The machine that the status names, if its record is there, whether it still claims this assignment or not. */
  readonly bound: Held | undefined;
  /** True if `bound` was read from the store in this very reconcile: the caches of two kinds may be of different times. */
  readonly confirmed: boolean;
  /** What the queue offers. Undefined: it does not stand in the queue. */
  readonly served: Served | undefined;
  readonly obstacle: Obstacle | undefined;
  /** The last activity that the inventory or a person reported. */
  readonly activeAt: Date | undefined;
  /** When the next machine that it could have is through its readiness delay. */
  readonly soonest: Date | undefined;
  /** Why a machine that it could have is ready, and yet not given to it: its inventory does not know it, or another's disk is in it. */
  readonly withheld: Obstacle | undefined;
}
