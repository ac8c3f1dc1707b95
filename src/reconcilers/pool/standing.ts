import { failedInCloud, isReady } from '../../resources/machine-facts.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';

/** What the inventory says of a machine. */
export type Opinion =
  /** Nothing against it: its Cloud names no inventory, and no person says that it is faulty. */
  | { readonly kind: 'none' }
  /** The Cloud's inventory does not list it, or could not be asked yet. */
  | { readonly kind: 'unknown'; readonly why: string }
  | { readonly kind: 'free' }
  | { readonly kind: 'taken'; readonly user: string }
  | { readonly kind: 'faulty'; readonly why: string };

/** Whether a machine is faulty. Destroying it takes both cloud and inventory, where there is one. */
export type Verdict =
  | { readonly kind: 'sound' }
  /** Cloud and inventory agree, or there is no inventory to ask. */
  | { readonly kind: 'faulty'; readonly why: string }
  /** One says that it is faulty, the other does not: nobody is given it, and nothing is destroyed. */
  | { readonly kind: 'disputed'; readonly why: string };

/**
 * What a machine of a stock is.
 * - Going: it is being deleted;  - Claimed: an assignment has it, or had it last;  - Faulty: see {@link Verdict};
 * - Free: it could be given to somebody now;  - Standby: stopped, as declared;  - Coming: it may become one of the two.
 */
export type Standing = 'Going' | 'Claimed' | 'Faulty' | 'Free' | 'Standby' | 'Coming';

/** Whether a machine is faulty, as cloud and inventory say. Pure. */
export function verdictOf(vm: VirtualMachine, opinion: Opinion): Verdict {
  const cloud = failedInCloud(vm) ? `the cloud reports its server ${vm.status?.id} in error` : undefined;
  const inventory = opinion.kind === 'faulty' ? `the inventory calls it faulty: ${opinion.why}` : undefined;
  if (cloud === undefined && inventory === undefined) return { kind: 'sound' };
  if (cloud !== undefined && inventory !== undefined) return { kind: 'faulty', why: `${cloud}, and ${inventory}` };
  if (cloud === undefined) return { kind: 'disputed', why: `${inventory}, and the cloud does not` };
  return opinion.kind === 'none'
    ? { kind: 'faulty', why: cloud }
    : { kind: 'disputed', why: `${cloud}, and the inventory does not` };
}

/**
 * What a machine is. Pure.
 * @param delayMs how long after its server was first seen running it counts as ready.
 */
export function standingOf(vm: VirtualMachine, opinion: Opinion, delayMs: number, now: Date): Standing {
  if (vm.metadata.deletionTimestamp) return 'Going';
  if (vm.spec.claimRef) return 'Claimed';
  if (verdictOf(vm, opinion).kind !== 'sound') return 'Faulty';
  if (!isReady(vm)) return 'Coming';
  if (vm.spec.powerState === 'Stopped') return 'Standby';
  const settled = opinion.kind === 'none' || opinion.kind === 'free';
  return settled && readyAt(vm, delayMs) <= now.getTime() ? 'Free' : 'Coming';
}

/** When a machine that runs counts as ready: milliseconds since 1970; infinite while that is not known. */
export function readyAt(vm: VirtualMachine, delayMs: number): number {
  const built = Date.parse(vm.status?.builtAt ?? '');
  return Number.isNaN(built) ? Number.POSITIVE_INFINITY : built + delayMs;
}
