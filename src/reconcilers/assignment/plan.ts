import type { Assignment, AssignmentStatus } from '../../resources/assignment.js';
import type { ProposedCondition } from '../../resources/conditions.js';
import { milliseconds } from '../../resources/duration.js';
import { poolOf } from '../../resources/machine-facts.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { planReclaim, type Reclaim } from '../pool/reclaim.js';
import { type Failure, failureOf, serverChanged } from './failure.js';
import type { Held, Observation } from './observation.js';

/** Kept on an assignment while a machine may bear its claim. */
export const FINALIZER = 'dispatcher.dev/assignment';

/** One thing to do for an assignment. */
export type Step =
  | { readonly kind: 'AddFinalizer' }
  | { readonly kind: 'RemoveFinalizer' }
  /**
   * Writes this assignment into the machine, if nobody has meanwhile: the act that decides who may have it. `hold`: the finalizer is put
   * on in the same moment; one alone is borne, since the pool takes a machine back whose assignment is gone.
   */
  | { readonly kind: 'Claim'; readonly vm: VirtualMachine; readonly epoch: number; readonly hold: boolean }
  /** Tells the inventory that the user has the machine. */
  | { readonly kind: 'TellAssigned'; readonly vm: VirtualMachine }
  /** Tells the inventory that nobody has it any more. */
  | { readonly kind: 'TellReleased'; readonly vm: VirtualMachine }
  /** Writes the machine into the status: from now on it is handed out. `why`: the reason for another one than before. */
  | { readonly kind: 'Bind'; readonly vm: VirtualMachine; readonly epoch: number; readonly why?: string }
  /** Takes the machine out of the status: from now on it is not handed out. MUST come before it goes back. */
  | { readonly kind: 'Lose'; readonly name: string; readonly why: string }
  /** Gives up an epoch that a machine was claimed for. MUST come before its claim is taken back: nobody can bind for it after that. */
  | { readonly kind: 'Skip'; readonly epoch: number; readonly why: string }
  /** Reads the machine that the status names from the store. */
  | { readonly kind: 'Look'; readonly name: string }
  | { readonly kind: 'GiveBack'; readonly vm: VirtualMachine; readonly how: Reclaim }
  | { readonly kind: 'End'; readonly why: string };

/** What would be done, and what holds now. */
export interface Plan {
  /** In order. Only the first is sure: plans are made anew after it. */
  readonly steps: readonly Step[];
  readonly conditions: readonly ProposedCondition[];
  /** Its place among those that wait; undefined: it does not wait. */
  readonly place?: number;
  /** A time at which something is due though nothing changes. */
  readonly until?: Date;
}

/**
 * What to do next for an assignment, and what to say of it. Pure: same inputs, same plan.
 *
 * The order that keeps a machine to one: the claim, written into a machine that bears none (compare and set); the inventory told, where
 * there is one; then the machine into the status (compare and set). A machine is handed out only while both records say so with the same
 * epoch. It goes back in the other order: out of the status, or the epoch given up, first. A claim that the status does not acknowledge is
 * taken back, whoever made it. So it holds with several controllers at once, whatever of the two records each has seen.
 */
export function plan(assignment: Assignment, observation: Observation, now: Date): Plan {
  const { metadata, spec, status = {} } = assignment;
  if (metadata.deletionTimestamp || status.ended) return planEnd(assignment, observation);
  const expiry = expiryOf(assignment, observation.activeAt);
  if (expiry && expiry.at <= now) return { steps: [{ kind: 'End', why: expiry.why }], conditions: [] };

  const failure = failureOf(status, observation.bound);
  const { bound, served } = observation;
  if (failure && status.virtualMachine && !observation.confirmed)
    return working(failure.reason, [{ kind: 'Look', name: status.virtualMachine.name }]);
  // One that is faulty beyond dispute is kept while another is at hand, and no longer: it may take the very room that another needs.
  const useless = failure && (failure.lost || (!failure.disputed && served?.kind !== 'offered'));
  if (useless && spec.onFailure !== 'Hold' && status.virtualMachine)
    return working(failure.reason, [{ kind: 'Lose', name: status.virtualMachine.name, why: failure.why }]);
  const content = bound !== undefined && status.virtualMachine !== undefined && !failure;
  const returned = returnStrays(assignment, observation, content);
  const made = () => {
    if (returned.steps.length > 0) return working('GivingBack', returned.steps);
    if (content) return planBound(spec.user, bound);
    if (failure && spec.onFailure === 'Hold') return stalled(failure.reason, `${failure.why}; spec.onFailure is Hold`);
    return planUnbound(assignment, observation, failure ?? lossOf(status));
  };
  const disputes = [...returned.disputes, ...(failure?.disputed ? [failure.why] : [])];
  const { conditions, until, ...rest } = made();
  const next = [until, expiry?.at].filter((at) => at !== undefined).toSorted((a, b) => a.getTime() - b.getTime())[0];
  return { ...rest, conditions: [...conditions, ...conflict(disputes)], ...(next ? { until: next } : {}) };
}

/** When an assignment ends, and why; undefined: not by the clock, or it was never bound. */
export function expiryOf({ spec, status }: Assignment, activeAt: Date | undefined): { at: Date; why: string } | undefined {
  const first = Date.parse(status?.firstBoundAt ?? '');
  if (Number.isNaN(first)) return undefined;
  const { ttl, idleTimeout } = spec;
  const active = Math.max(first, Date.parse(status?.boundAt ?? '') || 0, activeAt?.getTime() ?? 0);
  const ends = [
    ...(ttl === undefined ? [] : [{ at: new Date(first + milliseconds(ttl)), why: `its ttl of ${ttl} is over` }]),
    ...(idleTimeout === undefined
      ? []
      : [{ at: new Date(active + milliseconds(idleTimeout)), why: `it was idle for ${idleTimeout}` }]),
  ];
  return ends.toSorted((a, b) => a.at.getTime() - b.at.getTime())[0];
}

/** The failure that an assignment without a machine still waits for another one because of. */
function lossOf({ virtualMachine, epoch, move }: AssignmentStatus): Failure | undefined {
  if (virtualMachine || epoch === undefined || !move) return undefined;
  return { reason: 'MachineLost', why: move.why, lost: true, disputed: false };
}

function planBound(user: string, { vm, holder }: Held): Plan {
  const bound = condition('Ready', 'True', 'Bound', `${user} has VirtualMachine ${vm.metadata.name}`);
  // An inventory that forgot is told again.
  if (holder.kind === 'nobody') return { steps: [{ kind: 'TellAssigned', vm }], conditions: [bound] };
  const taken = holder.kind === 'user' && holder.user !== user;
  const dispute = taken ? [`the inventory says that "${holder.user}" has VirtualMachine ${vm.metadata.name}`] : [];
  return { steps: [], conditions: [bound, ...conflict(dispute)] };
}

/** No machine serves: take up a claim that was made, or make one, or wait. */
function planUnbound(assignment: Assignment, observation: Observation, failure: Failure | undefined): Plan {
  const { metadata, status = {} } = assignment;
  const { served, obstacle, soonest, withheld } = observation;
  const epoch = lastEpoch(status) + 1;
  const [claim] = observation.claims.filter((held) => isAhead(held, status) && !held.vm.metadata.deletionTimestamp);
  if (claim) return planClaimed(assignment, claim, failure);
  if (obstacle) return { ...stalled(obstacle.reason, obstacle.message), ...(soonest ? { until: soonest } : {}) };
  if (served?.kind === 'offered') {
    const { vm } = served;
    const held = metadata.finalizers?.includes(FINALIZER) ?? false;
    const before: Step[] = held || poolOf(vm) ? [] : [{ kind: 'AddFinalizer' }];
    return working('Claiming', [...before, { kind: 'Claim', vm, epoch, hold: !held && before.length === 0 }]);
  }
  const place = served?.place ?? 1;
  const turn = `number ${place} among those that wait for the same machines`;
  const [reason, what] =
    served?.quota !== undefined
      ? ['QuotaExceeded', `Cloud ${served.quota} allows this namespace no more machines (limits.assignmentsPerNamespace)`]
      : withheld === undefined
        ? ['Waiting', turn]
        : [withheld.reason, `${turn}; ${withheld.message}`];
  const said = failure ? progressing(failure.reason, `${failure.why}; ${what}`) : progressing(reason, what);
  return { ...said, place, ...(soonest ? { until: soonest } : {}) };
}

/** A machine bears the claim for the next epoch. */
function planClaimed(assignment: Assignment, held: Held, failure: Failure | undefined): Plan {
  const { vm, verdict, holder } = held;
  const { user } = assignment.spec;
  const epoch = vm.spec.claimRef?.epoch ?? 1;
  const unfit = (why: string) =>
    working('Claiming', [{ kind: 'Skip', epoch, why: `VirtualMachine ${vm.metadata.name}: ${why}` }]);
  if (verdict.kind !== 'sound') return unfit(verdict.why);
  switch (holder.kind) {
    case 'unknown':
      return progressing('InventoryUnknown', `VirtualMachine ${vm.metadata.name} is claimed; ${holder.why}`);
    case 'nobody':
      return working('Claiming', [{ kind: 'TellAssigned', vm }]);
    case 'user':
      if (holder.user !== user) return unfit(`the inventory says that "${holder.user}" has it`);
  }
  return working('Binding', [{ kind: 'Bind', vm, epoch, ...(failure ? { why: failure.why } : {}) }]);
}

/** The assignment is deleted, or has ended: its machines go back first. */
function planEnd(assignment: Assignment, observation: Observation): Plan {
  const { metadata, status = {} } = assignment;
  const why = status.ended?.why ?? 'the assignment is deleted';
  if (status.virtualMachine) return working('Releasing', [{ kind: 'Lose', name: status.virtualMachine.name, why }]);
  const { steps, disputes } = giveBackAll(assignment, observation.claims);
  const said = status.ended
    ? stalled('Ended', `${status.ended.why}: it is not bound again; delete it`).conditions
    : progressing('Releasing', steps[0] ? describeStep(steps[0]) : 'giving its machine back').conditions;
  const conditions = [...said, ...conflict(disputes)];
  if (steps.length > 0) return { steps, conditions };
  // One in a pool is left to the pool, with its claim; of any other nobody would take care.
  const held = observation.claims.some(({ vm, pooled }) => !vm.metadata.deletionTimestamp && !pooled);
  const goes = metadata.deletionTimestamp && metadata.finalizers?.includes(FINALIZER) && !held;
  return { steps: goes ? [{ kind: 'RemoveFinalizer' }] : [], conditions };
}

/** What goes back while the assignment stands: claims that its status does not acknowledge. */
function returnStrays(assignment: Assignment, { claims }: Observation, content: boolean) {
  const { status = {} } = assignment;
  const [first, second] = claims.filter((held) => isAhead(held, status));
  // Its machine came right while another was claimed for it.
  if (first && content) {
    const why = `${first.vm.metadata.name} is not needed any more`;
    return { steps: [{ kind: 'Skip', epoch: first.vm.spec.claimRef?.epoch ?? 0, why } satisfies Step], disputes: [] };
  }
  // Only several controllers at once claim two. Which of them will be bound is not known, so neither is.
  if (first && second) {
    const epoch = Math.max(...claims.map(({ vm }) => vm.spec.claimRef?.epoch ?? 0));
    const why = `${first.vm.metadata.name} and ${second.vm.metadata.name} were claimed at once`;
    return { steps: [{ kind: 'Skip', epoch, why } satisfies Step], disputes: [] };
  }
  return giveBackAll(
    assignment,
    claims.filter((held) => held !== first && !isCurrent(held, status)),
  );
}

function giveBackAll(assignment: Assignment, claims: readonly Held[]): { steps: Step[]; disputes: string[] } {
  const { spec, status = {} } = assignment;
  const steps: Step[] = [];
  const disputes: string[] = [];
  for (const held of claims) {
    const { vm, verdict, outdated, policy, holder, released } = held;
    if (vm.metadata.deletionTimestamp) continue;
    const handedOut = !isAhead(held, status) && vm.spec.claimRef?.epoch !== status.skipped;
    const used = handedOut && !serverChanged(vm, status.move?.from === vm.metadata.name ? status.move.id : undefined);
    const others = holder.kind === 'user' && holder.user !== spec.user;
    // What the inventory says another has is not ours to destroy.
    const how: Reclaim = others ? { kind: 'Clear' } : planReclaim(policy, { verdict, outdated, used });
    if (how.kind === 'Hold') {
      disputes.push(`VirtualMachine ${vm.metadata.name} is not given back: ${how.why}`);
      continue;
    }
    // It may have been told before a kill, or before it fell silent.
    const toTell = (holder.kind === 'user' && holder.user === spec.user) || holder.kind === 'unknown';
    if (toTell && !released) steps.push({ kind: 'TellReleased', vm });
    steps.push({ kind: 'GiveBack', vm, how });
  }
  return { steps, disputes };
}

/** True for the claim that the status acknowledges. */
function isCurrent({ vm }: Held, { virtualMachine, epoch }: AssignmentStatus): boolean {
  return vm.metadata.uid === virtualMachine?.uid && vm.spec.claimRef?.epoch === epoch;
}

/** True for a claim that no status has acknowledged yet: nobody was ever given that machine by it. */
function isAhead({ vm, claimed }: Held, status: AssignmentStatus): boolean {
  return claimed && (vm.spec.claimRef?.epoch ?? 0) > lastEpoch(status);
}

/** The last epoch that was bound or given up. */
export function lastEpoch({ epoch = 0, skipped = 0 }: AssignmentStatus): number {
  return Math.max(epoch, skipped);
}

/** The step as a sentence, for conditions and events. */
export function describeStep(step: Step): string {
  switch (step.kind) {
    case 'AddFinalizer':
      return 'add the finalizer, so that deletion waits for the machine';
    case 'RemoveFinalizer':
      return 'remove the finalizer: no machine bears a claim of this assignment';
    case 'Claim':
      return `claim VirtualMachine ${step.vm.metadata.name}`;
    case 'TellAssigned':
      return `tell the inventory that VirtualMachine ${step.vm.metadata.name} is assigned`;
    case 'TellReleased':
      return `tell the inventory that VirtualMachine ${step.vm.metadata.name} is released`;
    case 'Bind':
      return step.why === undefined
        ? `give VirtualMachine ${step.vm.metadata.name}`
        : `give VirtualMachine ${step.vm.metadata.name} instead: ${step.why}`;
    case 'Skip':
      return `give up epoch ${step.epoch}: ${step.why}`;
    case 'Look':
      return `read VirtualMachine ${step.name} from the store`;
    case 'Lose':
      return `forget VirtualMachine ${step.name}: ${step.why}`;
    case 'GiveBack':
      return `give VirtualMachine ${step.vm.metadata.name} back: ${RETURNS[step.how.kind]}`;
    case 'End':
      return `end: ${step.why}`;
  }
}

const RETURNS: Readonly<Record<Reclaim['kind'], string>> = {
  Delete: 'it is deleted',
  Recycle: 'it is rebuilt',
  Keep: 'it is kept as it is',
  Clear: 'nobody used it',
  Hold: 'it is left until cloud and inventory agree',
};

function condition(type: string, status: ProposedCondition['status'], reason: string, message: string): ProposedCondition {
  return { type, status, reason, message };
}

function conflict(disputes: readonly string[]): ProposedCondition[] {
  return disputes.length === 0 ? [] : [condition('ObservationsConflict', 'True', 'Disagreement', disputes.join('; '))];
}

function working(reason: string, steps: readonly Step[]): Plan {
  const message = steps[0] ? describeStep(steps[0]) : reason;
  return { steps, conditions: progressing(reason, message).conditions };
}

function progressing(reason: string, message: string): Plan {
  return said('Reconciling', reason, message);
}

function stalled(reason: string, message: string): Plan {
  return said('Stalled', reason, message);
}

function said(type: 'Reconciling' | 'Stalled', reason: string, message: string): Plan {
  return { steps: [], conditions: [condition('Ready', 'False', reason, message), condition(type, 'True', reason, message)] };
}
