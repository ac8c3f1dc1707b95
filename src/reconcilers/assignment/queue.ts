import type { Assignment } from '../../resources/assignment.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';

/** A machine that could be given to somebody now. */
export interface FreeMachine {
  readonly vm: VirtualMachine;
  /** The uid of its pool; undefined: it is in none. */
  readonly pool: string | undefined;
  /** Made from what its pool's template was before: given only when there is no other. */
  readonly outdated: boolean;
  /** While disks of others are attached to it: the names of the assignments whose they are, '' for one that is no assignment's. */
  readonly keptFor?: readonly string[];
}

/** An assignment that has no machine, or none that serves, and where it may have one from. */
export interface Waiting {
  readonly assignment: Assignment;
  /** The uids of the pools that it may take from; undefined: not from pools, but what {@link mayTake} says. */
  readonly pools: ReadonlySet<string> | undefined;
}

/** How many machines of a Cloud the assignments of the namespace may have beside those that they have; absent: no limit. */
export type Room = ReadonlyMap<string, number>;

/** What becomes of one that waits, for now. */
export type Served =
  | { readonly kind: 'offered'; readonly vm: VirtualMachine }
  /** `place`: 1 is next. `quota`: the Cloud whose limit alone keeps it from a machine that is free. */
  | { readonly kind: 'waits'; readonly place: number; readonly quota?: string };

/**
 * Who is offered which machine: by priority, then age, each the first machine that it may take. Pure, and the same for all who ask, in
 * whatever order they know of things: so that many may claim at once, each its own. The claim itself decides.
 *
 * @param waiting all of one namespace that wait.
 * @returns by the uid of the assignment.
 */
export function serve(waiting: readonly Waiting[], machines: readonly FreeMachine[], room: Room): ReadonlyMap<string, Served> {
  const left = new Map(room);
  const free = new Set(machines.toSorted(byPreference));
  const queued = new Map<string, number>();
  const served = new Map<string, Served>();
  for (const one of waiting.toSorted(byTurn)) {
    const may = [...free].filter((machine) => mayTake(one, machine) && isFreeFor(one, machine));
    const machine = may.find(({ vm }) => (left.get(vm.spec.cloudRef.name) ?? 1) > 0);
    if (machine) {
      free.delete(machine);
      const cloud = machine.vm.spec.cloudRef.name;
      const before = left.get(cloud);
      if (before !== undefined) left.set(cloud, before - 1);
      served.set(one.assignment.metadata.uid, { kind: 'offered', vm: machine.vm });
      continue;
    }
    const reach = reachOf(one);
    const place = 1 + Math.max(0, ...reach.map((part) => queued.get(part) ?? 0));
    for (const part of reach) queued.set(part, place);
    const quota = may[0]?.vm.spec.cloudRef.name;
    served.set(one.assignment.metadata.uid, { kind: 'waits', place, ...(quota === undefined ? {} : { quota }) });
  }
  return served;
}

/** Whether no disk of another is still attached to a machine. */
export function isFreeFor({ assignment }: Waiting, { keptFor = [] }: FreeMachine): boolean {
  return keptFor.every((name) => name === assignment.metadata.name);
}

/** Whether an assignment may have a machine of its namespace. */
export function mayTake({ assignment, pools }: Waiting, { vm, pool }: Pick<FreeMachine, 'vm' | 'pool'>): boolean {
  const { virtualMachineRef, selector } = assignment.spec;
  if (virtualMachineRef) return vm.metadata.name === virtualMachineRef.name;
  if (selector) return Object.entries(selector.matchLabels).every(([key, value]) => vm.metadata.labels?.[key] === value);
  return pool !== undefined && (pools?.has(pool) ?? false);
}

function byTurn({ assignment: a }: Waiting, { assignment: b }: Waiting): number {
  const priority = (b.spec.priority ?? 0) - (a.spec.priority ?? 0);
  if (priority !== 0) return priority;
  return ageOf(a) < ageOf(b) ? -1 : 1;
}

/** Creation is told to the second only. What began to wait within one second comes in the order in which it began to. */
function ageOf({ metadata, status }: Assignment): string {
  return `${metadata.creationTimestamp} ${status?.waitingSince ?? '~'} ${metadata.uid}`;
}

/** Current ones first, and of these the one that has run for longest: it has shown that it does. */
function byPreference(a: FreeMachine, b: FreeMachine): number {
  const rank = ({ vm, outdated }: FreeMachine) => `${outdated ? 1 : 0} ${vm.status?.builtAt ?? '~'} ${vm.metadata.name}`;
  return rank(a) < rank(b) ? -1 : 1;
}

/** What those that wait for the same machines have in common. */
function reachOf({ assignment, pools }: Waiting): string[] {
  const { virtualMachineRef, selector, application } = assignment.spec;
  if (virtualMachineRef) return [`machine ${virtualMachineRef.name}`];
  if (selector) return [`labels ${JSON.stringify(Object.entries(selector.matchLabels).sort())}`];
  return pools && pools.size > 0 ? [...pools] : [`application ${application}`];
}
