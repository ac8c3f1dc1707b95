import type { ProposedCondition } from '../../resources/conditions.js';
import type { Pool, PoolStatus } from '../../resources/pool.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { LAST_USER_ANNOTATION } from './membership.js';
import { planReclaim, type Reclaim } from './reclaim.js';
import type { Standing, Verdict } from './standing.js';

/** Kept on a pool while there may be machines of it. */
export const FINALIZER = 'dispatcher.dev/pool';

/** So many machines are made in one pass at most: the next pass looks again at what there is. */
const MOST_CREATES = 50;
const MOST_NAMED = 5;

/** A machine of a pool, and what is known of it. */
export interface Member {
  readonly vm: VirtualMachine;
  readonly standing: Standing;
  readonly verdict: Verdict;
  /** True if it was made from what the template or recipe was before. False while what that is now is not known. */
  readonly outdated: boolean;
  /** True if it bears a claim, and the assignment that it names is certainly gone. */
  readonly abandoned: boolean;
  /** True if it was made a moment ago: it is not surplus yet, since two who see different things must not undo each other at once. */
  readonly young: boolean;
  /** Who has it by the inventory; undefined: nobody, or it does not say. */
  readonly user: string | undefined;
}

/** Why no machine can be made. Reason and message are those of a condition. */
export interface PoolProblem {
  readonly reason: string;
  readonly message: string;
}

/** What is known of a pool. */
export interface PoolObservation {
  /** What `replicas` is now. */
  readonly wanted: number;
  readonly members: readonly Member[];
  /** Names of the pool's machines whose spec cannot be read: they take room, and are left alone. */
  readonly unreadable: readonly string[];
  /** Whether the namespace has a machine of that name, whoever's. */
  isTaken(name: string): boolean;
  readonly problem: PoolProblem | undefined;
}

/** One thing to do for a pool. */
export type PoolStep =
  | { readonly kind: 'AddFinalizer' | 'RemoveFinalizer' }
  | { readonly kind: 'Create'; readonly name: string; readonly powerState: 'Running' | 'Stopped' }
  | { readonly kind: 'SetPower'; readonly vm: VirtualMachine; readonly to: 'Running' | 'Stopped' }
  | { readonly kind: 'GiveBack'; readonly vm: VirtualMachine; readonly how: Reclaim }
  /** Tells the inventory that nobody has a machine: it was told so before, or is to be, and says otherwise. */
  | { readonly kind: 'TellReleased'; readonly vm: VirtualMachine }
  | { readonly kind: 'Delete'; readonly vm: VirtualMachine; readonly reason: DeleteReason; readonly why: string };

/** Why a machine is deleted: the reason of the event. */
export type DeleteReason = 'DeletedFaulty' | 'DeletedOutdated' | 'ScaledDown' | 'DeletedWithPool';

/** The numbers of a status. */
export type PoolCounts = Record<
  keyof Pick<PoolStatus, 'replicas' | 'wanted' | 'free' | 'assigned' | 'creating' | 'standby' | 'faulty' | 'outdated' | 'total'>,
  number
>;

/** What would be done, and what holds now. */
export interface PoolPlan {
  /** In order. Each may fail by itself: the others are right all the same. */
  readonly steps: readonly PoolStep[];
  readonly conditions: readonly ProposedCondition[];
  readonly counts: PoolCounts;
}

/**
 * What to do for a pool. Pure.
 *
 * A machine that is not claimed counts as soon as it is declared, whether it is there, on its way, or being made again after its server was
 * lost: so deaths make nobody over-create. What is claimed is never touched, but to give back what nobody has any more.
 */
export function plan(pool: Pool, seen: PoolObservation): PoolPlan {
  const counts = count(seen);
  if (pool.metadata.deletionTimestamp) return { ...planDeletion(pool, seen), counts };
  const conflict = conflictOf(seen);
  if (pool.spec.paused) return { steps: [], conditions: [paused(counts), ...conflict], counts };
  const { steps, stuck } = planPresent(pool, seen);
  const making = steps.some(({ kind }) => kind === 'Create') || seen.members.length > 0;
  const hold: PoolStep[] = making && !isHeld(pool) ? [{ kind: 'AddFinalizer' }] : [];
  return { steps: [...hold, ...steps], conditions: [...conditionsOf(seen, counts, stuck), ...conflict], counts };
}

function planPresent(pool: Pool, seen: PoolObservation): { steps: PoolStep[]; stuck: string | undefined } {
  const { maxSize, standby = 0, maxUnavailable = 1, reclaim = 'Delete', scaleDownOrder = 'Newest' } = pool.spec;
  const { wanted, members, problem } = seen;
  const order = removalOrder(scaleDownOrder);
  const faulty = members.filter(({ standing, verdict }) => standing === 'Faulty' && verdict.kind === 'faulty');
  const rolls = problem ? [] : members.filter(isReplaceable);
  const sound = members.filter((member) => isSound(member) && !rolls.includes(member));
  const running = sound.filter((member) => !isStopped(member)).sort(order);
  const stopped = sound.filter(isStopped).sort(order);

  // Those that cannot be sent away take their room; those on their way out will leave it.
  const kept = members.filter(({ standing }) => standing === 'Claimed' || standing === 'Faulty').length - faulty.length;
  const capacity = Math.max(0, maxSize - kept - seen.unreadable.length);
  const outdated = problem ? [] : running.filter((member) => member.outdated);
  // With no machine to spare, a new one has to be there before an old one goes.
  const ahead = maxUnavailable === 0 && wanted > 0 && outdated.length > 0 ? 1 : 0;
  const target = Math.min(wanted + ahead, capacity);
  const targetStandby = Math.min(standby, capacity - target);

  const missing = Math.max(0, target - running.length);
  // Those that are stopped already before those that are still to be; both lists end with what should go last.
  const started = stopped.toReversed().slice(0, missing);
  const reserve = stopped.filter((member) => !started.includes(member));
  const surplus = running.slice(0, Math.max(0, running.length - target));
  const shortOfStandby = Math.max(0, targetStandby - reserve.length);
  const put = surplus
    .filter((member) => !member.outdated)
    .toReversed()
    .slice(0, shortOfStandby);
  const removed = [
    ...surplus.filter((member) => !put.includes(member)),
    ...reserve.slice(0, Math.max(0, reserve.length - targetStandby)),
  ].filter(({ young }) => !young);

  const room = Math.max(0, maxSize - members.length - seen.unreadable.length);
  const make = problem ? 0 : Math.min(missing - started.length, room, MOST_CREATES);
  const makeStandby = problem ? 0 : Math.min(shortOfStandby - put.length, room - make, MOST_CREATES - make);
  const names = freeNames(pool, seen, make + makeStandby);
  const rolling = roll(
    running.filter((member) => !surplus.includes(member)),
    outdated,
    Math.min(wanted, capacity) - maxUnavailable,
  );

  const steps: PoolStep[] = [
    ...members.filter(({ abandoned }) => abandoned).map((member) => giveBack(member, reclaim)),
    ...members.filter(isForgotten).map(({ vm }): PoolStep => ({ kind: 'TellReleased', vm })),
    ...faulty.map(({ vm, verdict }) => remove(vm, 'DeletedFaulty', verdict.kind === 'sound' ? '' : verdict.why)),
    ...removed.map(({ vm }) => remove(vm, 'ScaledDown', 'there are more than are wanted')),
    ...[...rolls, ...rolling].map(({ vm }) => remove(vm, 'DeletedOutdated', 'it was made from what the template was before')),
    ...started.map(({ vm }): PoolStep => ({ kind: 'SetPower', vm, to: 'Running' })),
    ...put.map(({ vm }): PoolStep => ({ kind: 'SetPower', vm, to: 'Stopped' })),
    ...names.map((name, index): PoolStep => ({ kind: 'Create', name, powerState: index < make ? 'Running' : 'Stopped' })),
  ];
  const stuck =
    capacity < wanted
      ? `maxSize is ${maxSize}, and ${kept + seen.unreadable.length} are assigned or faulty: ${capacity} can be free of ${wanted} that are wanted`
      : capacity < wanted + ahead
        ? `maxSize is ${maxSize} and maxUnavailable 0: there is no room for a new machine before an old one goes`
        : undefined;
  return { steps, stuck };
}

/** What an inventory says a user has who gave it back. */
function isForgotten({ vm, standing, user }: Member): boolean {
  return standing === 'Coming' && user !== undefined && vm.metadata.annotations?.[LAST_USER_ANNOTATION] === user;
}

/** What is outdated and serves nobody: it goes at once. */
function isReplaceable(member: Member): boolean {
  if (!member.outdated || !isSound(member)) return false;
  return isStopped(member) || member.vm.status?.builtAt === undefined;
}

/**
 * Which outdated ones go now, so that no fewer than `floor` are free.
 *
 * One that is not free takes nothing away. But where fewer are free than should be, as when an inventory cannot be asked, they do not go all
 * at once: one goes when none is on its way.
 */
function roll(running: readonly Member[], outdated: readonly Member[], floor: number): Member[] {
  const spare = running.filter(({ standing }) => standing === 'Free').length - Math.max(0, floor);
  const candidates = outdated.filter((member) => running.includes(member));
  const idle = candidates.filter(({ standing }) => standing !== 'Free');
  const free = candidates.filter(({ standing }) => standing === 'Free');
  if (spare >= 0) return [...idle, ...free.slice(0, spare)];
  const coming = running.some((member) => member.standing === 'Coming' && !member.outdated);
  return coming ? [] : idle.slice(0, 1);
}

/** A pool that is being deleted goes after its last machine; those that are assigned stay until they are given back. */
function planDeletion(pool: Pool, { members, unreadable }: PoolObservation): Pick<PoolPlan, 'steps' | 'conditions'> {
  if (!isHeld(pool)) return { steps: [], conditions: [] };
  if (members.length === 0 && unreadable.length === 0) return { steps: [{ kind: 'RemoveFinalizer' }], conditions: [] };
  if (pool.spec.paused)
    return { steps: [], conditions: stalled('Paused', 'spec.paused is true: set it to false to let the deletion go on') };
  const assigned = members.filter(({ standing, abandoned }) => standing === 'Claimed' && !abandoned).length;
  const waits = [
    ...(assigned > 0 ? [`waits for ${assigned} assigned machines`] : []),
    ...(unreadable.length > 0 ? [`waits for machines with an invalid spec: ${listed(unreadable)}`] : []),
  ];
  return {
    steps: [
      ...members.filter(({ abandoned }) => abandoned).map((member) => giveBack(member, 'Delete')),
      ...members
        .filter(({ standing }) => standing !== 'Claimed' && standing !== 'Going')
        .map(({ vm }) => remove(vm, 'DeletedWithPool', 'the pool is deleted')),
    ],
    conditions: [
      ...reconciling('Deleting', waits.length > 0 ? waits.join('; ') : `${members.length} machines are being deleted`),
      ...conflictOf({ members: members.filter(({ abandoned }) => abandoned) }),
    ],
  };
}

function giveBack({ vm, verdict, outdated }: Member, policy: 'Delete' | 'Recycle'): PoolStep {
  return { kind: 'GiveBack', vm, how: planReclaim(policy, { verdict, outdated, used: true }) };
}

function remove(vm: VirtualMachine, reason: DeleteReason, why: string): PoolStep {
  return { kind: 'Delete', vm, reason, why };
}

/** The lowest names that nobody has: two who make one at once choose the same, and the second is refused. */
function freeNames({ metadata }: Pool, { isTaken }: PoolObservation, wanted: number): string[] {
  const names: string[] = [];
  for (let slot = 0; names.length < wanted; slot += 1) {
    const name = `${metadata.name}-${slot}`;
    if (!isTaken(name)) names.push(name);
  }
  return names;
}

/** What should go first: on its way before ready, and the newest of those; outdated before current; then as the pool says. */
function removalOrder(scaleDownOrder: 'Newest' | 'Oldest'): (a: Member, b: Member) => number {
  const rank = ({ standing, outdated }: Member) => (standing === 'Coming' ? 0 : outdated ? 1 : 2);
  return (a, b) => {
    const ranks = rank(a) - rank(b);
    if (ranks !== 0) return ranks;
    return scaleDownOrder === 'Oldest' && a.standing !== 'Coming' ? age(b, a) : age(a, b);
  };
}

/** Negative if `a` is newer. */
function age({ vm: a }: Member, { vm: b }: Member): number {
  const time = Date.parse(b.metadata.creationTimestamp) - Date.parse(a.metadata.creationTimestamp);
  return time !== 0 ? time : slotOf(b) - slotOf(a);
}

function slotOf({ metadata }: VirtualMachine): number {
  return Number(/\d+$/.exec(metadata.name)?.[0] ?? 0);
}

function isSound({ standing }: Member): boolean {
  return standing === 'Free' || standing === 'Standby' || standing === 'Coming';
}

function isStopped({ vm }: Member): boolean {
  return vm.spec.powerState === 'Stopped';
}

function isHeld({ metadata }: Pool): boolean {
  return metadata.finalizers?.includes(FINALIZER) ?? false;
}

function count({ wanted, members, unreadable }: PoolObservation): PoolCounts {
  const those = (holds: (member: Member) => boolean) => members.filter(holds).length;
  return {
    replicas: those((member) => isSound(member) && !isStopped(member)),
    wanted,
    free: those(({ standing }) => standing === 'Free'),
    assigned: those(({ standing }) => standing === 'Claimed'),
    creating: those(({ standing }) => standing === 'Coming'),
    standby: those(({ standing }) => standing === 'Standby'),
    faulty: those(({ standing }) => standing === 'Faulty') + unreadable.length,
    outdated: those((member) => isSound(member) && member.outdated),
    total: members.length + unreadable.length,
  };
}

function conditionsOf(seen: PoolObservation, counts: PoolCounts, stuck: string | undefined): ProposedCondition[] {
  const { free, wanted, creating, outdated } = counts;
  if (seen.problem) return stalled(seen.problem.reason, seen.problem.message);
  const told = `${free} of ${wanted} wanted machines are free`;
  if (free >= wanted && outdated === 0) return [{ type: 'Ready', status: 'True', reason: 'PoolReady', message: told }];
  if (stuck !== undefined) return stalled('MaxSizeReached', `${told}; ${stuck}`);
  if (outdated > 0) return reconciling('RollingOut', `${told}; ${outdated} are still to be replaced by new ones`);
  const coming = seen.members.filter(({ standing }) => standing === 'Coming');
  const reason = coming.length > 0 && coming.every(isRecycled) ? 'Recycling' : 'Creating';
  return reconciling(reason, `${told}, and ${creating} on their way${trouble(coming)}`);
}

function isRecycled({ vm }: Member): boolean {
  return (vm.spec.rebuilds ?? 0) > (vm.status?.applied?.rebuilds ?? 0);
}

/** The first thing that keeps a machine from coming, in its own words. */
function trouble(coming: readonly Member[]): string {
  for (const { vm } of coming) {
    const said = vm.status?.conditions?.find(({ type }) => type === 'Stalled');
    if (said) return `; VirtualMachine ${vm.metadata.name} is stalled: ${said.message}`;
  }
  return '';
}

function paused({ free, wanted }: PoolCounts): ProposedCondition {
  const message = `${free} of ${wanted} wanted machines are free; spec.paused is true: nothing is made, changed or deleted`;
  return free >= wanted
    ? { type: 'Ready', status: 'True', reason: 'PoolReady', message }
    : { type: 'Ready', status: 'False', reason: 'Paused', message };
}

/** Shown while cloud and inventory disagree on a machine that nobody has. */
function conflictOf({ members }: Pick<PoolObservation, 'members'>): ProposedCondition[] {
  const disputed = members.flatMap(({ vm, verdict, standing, abandoned, user }) => {
    const { name } = vm.metadata;
    if (verdict.kind === 'disputed' && (standing === 'Faulty' || abandoned)) return [`${name}: ${verdict.why}`];
    if (standing !== 'Coming' || user === undefined) return [];
    return [`${name}: the inventory says that "${user}" has it, and no assignment does`];
  });
  if (disputed.length === 0) return [];
  return [{ type: 'ObservationsConflict', status: 'True', reason: 'CloudAndInventoryDisagree', message: listed(disputed) }];
}

function listed(all: readonly string[]): string {
  const more = all.length - MOST_NAMED;
  return `${all.slice(0, MOST_NAMED).join('; ')}${more > 0 ? `; and ${more} more` : ''}`;
}

function reconciling(reason: string, message: string): ProposedCondition[] {
  return said('Reconciling', reason, message);
}

function stalled(reason: string, message: string): ProposedCondition[] {
  return said('Stalled', reason, message);
}

function said(type: 'Reconciling' | 'Stalled', reason: string, message: string): ProposedCondition[] {
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type, status: 'True', reason, message },
  ];
}
