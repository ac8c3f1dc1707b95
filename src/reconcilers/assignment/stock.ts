import type { Environment } from '../../environment.js';
import type { Assignment } from '../../resources/assignment.js';
import { cloudSpecSchema } from '../../resources/cloud.js';
import { milliseconds } from '../../resources/duration.js';
import { isReady, poolOf } from '../../resources/machine-facts.js';
import type { Resource } from '../../resources/metadata.js';
import type { Pool } from '../../resources/pool.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { volumeSpecSchema } from '../../resources/volume.js';
import type { InventoryPort } from '../inventory/view.js';
import { readPool, readRecipe } from '../pool/input.js';
import { MADE_FROM_ANNOTATION } from '../pool/membership.js';
import { readyAt, standingOf, verdictOf } from '../pool/standing.js';
import type { Records } from '../records.js';
import { readVirtualMachine } from '../virtual-machine/input.js';
import { failureOf } from './failure.js';
import { readAssignment } from './input.js';
import type { Held, Obstacle } from './observation.js';
import { lastEpoch } from './plan.js';
import { type FreeMachine, isFreeFor, mayTake, type Served, serve, type Waiting } from './queue.js';

/** What {@link Stock} is made from. */
export interface StockTools {
  readonly records: Records;
  readonly inventories: Pick<InventoryPort, 'view'>;
  readonly environment: Pick<Environment, 'now'>;
  /** The digest of what a pool's machines are made from now; undefined while that cannot be told. */
  digestOf(pool: Pool): string | undefined;
}

/** A pool and what follows from its recipe. */
interface PoolFacts {
  readonly pool: Pool;
  /** Undefined: any, since it is made from a template. */
  readonly applications: readonly string[] | undefined;
  readonly recipe: 'none' | 'there' | 'missing';
  readonly delayMs: number;
  readonly digest: string | undefined;
}

interface Withheld {
  readonly machine: FreeMachine;
  readonly reason: 'InventoryUnknown' | 'VolumeAttached';
  readonly why: string;
}

/** What is there in a namespace, and who is offered what. */
interface NamespaceView {
  readonly waiting: ReadonlyMap<string, Waiting>;
  readonly served: ReadonlyMap<string, Served>;
  /** Machines that are through with everything but their readiness delay, and when they are. */
  readonly coming: readonly { readonly machine: FreeMachine; readonly at: Date }[];
  /** Machines that are ready, and given to nobody. `why`: the end of a sentence. */
  readonly withheld: readonly Withheld[];
}

/** How long a view may serve though nothing changed: what inventories say grows old. */
const VIEW_MS = 1000;

/**
 * The machines of each namespace that could be given, and the queue for them. What follows from all records of a namespace is worked out
 * once for all who ask, until {@link changed}.
 */
export class Stock {
  readonly #views = new Map<string, { readonly view: NamespaceView; readonly until: number }>();
  readonly #pools = new Map<string, ReadonlyMap<string, PoolFacts>>();
  /** By assignment and machine, as they stand in the store: whether the machine fails it. */
  #failing = new WeakMap<Resource, { readonly machine: Resource | undefined; readonly fails: boolean }>();

  constructor(private readonly tools: StockTools) {}

  /** To be called when a machine, pool, recipe or assignment changed: what was worked out counts no more. */
  changed(): void {
    this.#views.clear();
  }

  /** To be called when what a pool or recipe declares has changed, or one of them is to go. */
  poolsChanged(): void {
    this.#pools.clear();
    this.changed();
  }

  /** To be called when what an inventory says has changed. */
  inventoryChanged(): void {
    this.#failing = new WeakMap();
    this.changed();
  }

  /** The assignments of a namespace that are offered a machine, or whose place is not what their status says. */
  concerned(namespace: string): { readonly offered: readonly Assignment[]; readonly moved: readonly Assignment[] } {
    const { waiting, served } = this.#view(namespace);
    const offered: Assignment[] = [];
    const moved: Assignment[] = [];
    for (const [uid, { assignment }] of waiting) {
      const what = served.get(uid);
      if (what?.kind === 'offered') offered.push(assignment);
      else if (what?.place !== assignment.status?.place || this.#isKeptBack(assignment) !== saysKeptBack(assignment))
        moved.push(assignment);
    }
    return { offered, moved };
  }

  /** The assignments of a namespace that wait. */
  waiting(namespace: string): readonly Assignment[] {
    return [...this.#view(namespace).waiting.values()].map(({ assignment }) => assignment);
  }

  /** What the queue has for an assignment; undefined: it does not wait. */
  served({ metadata }: Assignment): Served | undefined {
    return this.#view(metadata.namespace ?? '').served.get(metadata.uid);
  }

  /** When the next machine that an assignment could have is through with its readiness delay; undefined: none is on its way there. */
  soonest({ metadata }: Assignment): Date | undefined {
    const { waiting, coming } = this.#view(metadata.namespace ?? '');
    const one = waiting.get(metadata.uid);
    if (!one) return undefined;
    return coming.filter(({ machine }) => mayTake(one, machine)).toSorted((a, b) => a.at.getTime() - b.at.getTime())[0]?.at;
  }

  /** Why a machine that an assignment could have is ready, and yet given to nobody; undefined: none is so. */
  withheld({ metadata }: Assignment): Obstacle | undefined {
    const { waiting, withheld } = this.#view(metadata.namespace ?? '');
    const one = waiting.get(metadata.uid);
    const found = one && withheld.find(({ machine }) => mayTake(one, machine) && !(machine.keptFor && isFreeFor(one, machine)));
    if (!found) return undefined;
    const { machine, reason, why } = found;
    return { reason, message: `VirtualMachine ${machine.vm.metadata.name} is ready, but ${why}` };
  }

  /** Why an assignment can have no machine, whatever becomes free. */
  obstacle({ metadata, spec }: Assignment): Obstacle | undefined {
    const namespace = metadata.namespace ?? '';
    const { poolRef, virtualMachineRef, selector, application } = spec;
    const pools = this.#poolsOf(namespace);
    if (virtualMachineRef) {
      const { name } = virtualMachineRef;
      if (this.tools.records.get({ kind: 'VirtualMachine', namespace, name })) return undefined;
      return {
        reason: 'MachineNotFound',
        message: `spec.virtualMachineRef.name: there is no VirtualMachine ${namespace}/${name}`,
      };
    }
    if (selector) return undefined;
    if (!poolRef) {
      if ([...pools.values()].some((facts) => serves(facts, application))) return undefined;
      const message = `spec.application: no pool of namespace ${namespace} has a recipe that serves "${application}"`;
      return { reason: 'ApplicationNotServed', message };
    }
    const facts = [...pools.values()].find(({ pool }) => pool.metadata.name === poolRef.name);
    if (!facts)
      return {
        reason: 'PoolNotFound',
        message: `spec.poolRef.name: there is no VirtualMachinePool ${namespace}/${poolRef.name}`,
      };
    if (facts.pool.metadata.deletionTimestamp)
      return { reason: 'PoolTerminating', message: `VirtualMachinePool ${poolRef.name} is being deleted: it gives nothing more` };
    if (facts.recipe === 'missing') {
      const message = `spec.poolRef.name: VirtualMachinePool ${poolRef.name} names a Recipe that is not there, or has an invalid spec`;
      return { reason: 'RecipeNotFound', message };
    }
    if (facts.applications && !facts.applications.includes(application)) {
      const message = `spec.application: the recipe of VirtualMachinePool ${poolRef.name} does not serve "${application}", but ${facts.applications.join(', ')}`;
      return { reason: 'ApplicationNotServed', message };
    }
    return undefined;
  }

  /** A machine that an assignment claims or has; undefined for a record that cannot be read. */
  held(resource: Resource, { metadata, spec }: Assignment, released: boolean): Held | undefined {
    const vm = machineOf(resource);
    if (!vm) return undefined;
    const { opinion, holder } = this.tools.inventories.view(vm);
    const owner = poolOf(vm);
    const facts = owner && this.#poolsOf(metadata.namespace ?? '').get(owner.uid);
    const going = facts?.pool.metadata.deletionTimestamp !== undefined;
    return {
      vm,
      claimed: vm.spec.claimRef?.uid === metadata.uid,
      verdict: verdictOf(vm, opinion),
      holder,
      outdated: facts !== undefined && isOutdated(vm, facts),
      pooled: owner !== undefined,
      policy: going ? 'Delete' : (spec.release ?? (facts ? (facts.pool.spec.reclaim ?? 'Delete') : 'Keep')),
      released,
    };
  }

  #isKeptBack(assignment: Assignment): boolean {
    return this.withheld(assignment)?.reason === 'VolumeAttached';
  }

  #view(namespace: string): NamespaceView {
    const now = this.tools.environment.now();
    const known = this.#views.get(namespace);
    if (known && now.getTime() < known.until) return known.view;
    const pools = this.#poolsOf(namespace);
    const { free, coming, withheld, claimed } = this.#machines(namespace, pools, now);
    const until = Math.min(now.getTime() + VIEW_MS, ...coming.map(({ at }) => at.getTime()));
    const waiting = this.#waiting(namespace, pools);
    const served = serve([...waiting.values()], free, this.#room(claimed, waiting));
    const view = { waiting, served, coming, withheld };
    this.#views.set(namespace, { view, until });
    return view;
  }

  #poolsOf(namespace: string): ReadonlyMap<string, PoolFacts> {
    const known = this.#pools.get(namespace);
    if (known) return known;
    const { records } = this.tools;
    const pools = records.inNamespace('VirtualMachinePool', namespace).flatMap((resource): PoolFacts[] => {
      const pool = readPool(resource);
      if (!pool) return [];
      const { recipeRef } = pool.spec;
      const stored = recipeRef && records.get({ kind: 'Recipe', namespace, name: recipeRef.name });
      const recipe = stored && readRecipe(stored);
      return [
        {
          pool,
          recipe: recipeRef ? (recipe ? 'there' : 'missing') : 'none',
          applications: recipeRef ? (recipe?.spec.applications ?? []) : undefined,
          delayMs: milliseconds(recipe?.spec.readiness?.delay ?? '0s'),
          digest: this.tools.digestOf(pool),
        },
      ];
    });
    const byUid = new Map(pools.map((facts) => [facts.pool.metadata.uid, facts]));
    this.#pools.set(namespace, byUid);
    return byUid;
  }

  #machines(namespace: string, pools: ReadonlyMap<string, PoolFacts>, now: Date) {
    const free: FreeMachine[] = [];
    const coming: { machine: FreeMachine; at: Date }[] = [];
    const withheld: Withheld[] = [];
    const claimed: VirtualMachine[] = [];
    for (const resource of this.tools.records.inNamespace('VirtualMachine', namespace)) {
      const vm = machineOf(resource);
      if (!vm) continue;
      const owner = poolOf(vm);
      const facts = owner && pools.get(owner.uid);
      const delayMs = facts?.delayMs ?? 0;
      const { opinion } = this.tools.inventories.view(vm);
      const standing = standingOf(vm, opinion, delayMs, now);
      const machine = { vm, pool: owner?.uid, outdated: facts !== undefined && isOutdated(vm, facts) };
      if (standing === 'Claimed') claimed.push(vm);
      const volumes = standing === 'Free' ? this.#volumesAt(vm) : [];
      if (standing === 'Free') free.push({ ...machine, keptFor: volumes.map(({ assignment }) => assignment) });
      for (const { name, assignment } of volumes)
        withheld.push({
          machine: { ...machine, keptFor: [assignment] },
          reason: 'VolumeAttached',
          why: `Volume ${name} is still attached to it`,
        });
      if (standing === 'Coming' && isReady(vm) && opinion.kind === 'unknown')
        withheld.push({ machine, reason: 'InventoryUnknown', why: opinion.why });
      const at = readyAt(vm, delayMs);
      if (standing === 'Coming' && isReady(vm) && at > now.getTime() && Number.isFinite(at))
        coming.push({ machine, at: new Date(at) });
    }
    return { free, coming, withheld, claimed };
  }

  /** The Volumes that are attached to a machine for somebody's sake: whoever else had the machine would have their disk. */
  #volumesAt({ metadata, spec, status }: VirtualMachine): { readonly name: string; readonly assignment: string }[] {
    const attached = status?.id === undefined ? [] : this.tools.records.volumesAttachedTo(spec.cloudRef.name, status.id);
    return attached.flatMap((volume) => {
      const { attachTo } = volumeSpecSchema.safeParse(volume.spec).data ?? {};
      const here = volume.metadata.namespace === metadata.namespace ? attachTo : undefined;
      if (here?.virtualMachineRef?.name === metadata.name) return [];
      return [{ name: volume.metadata.name, assignment: here?.assignmentRef?.name ?? '' }];
    });
  }

  /** By uid: those that have no machine that serves, and have not claimed one yet. */
  #waiting(namespace: string, pools: ReadonlyMap<string, PoolFacts>): ReadonlyMap<string, Waiting> {
    const waiting = this.tools.records.inNamespace('VirtualMachineAssignment', namespace).flatMap((resource): Waiting[] => {
      const assignment = readAssignment(resource);
      if (!assignment || !this.#waits(assignment, resource)) return [];
      return [{ assignment, pools: reachable(assignment, pools) }];
    });
    return new Map(waiting.map((one) => [one.assignment.metadata.uid, one]));
  }

  #waits(assignment: Assignment, resource: Resource): boolean {
    const { metadata, spec, status = {} } = assignment;
    if (metadata.deletionTimestamp || status.ended) return false;
    if (status.virtualMachine && (spec.onFailure === 'Hold' || !this.#fails(assignment, resource))) return false;
    const claims = this.tools.records.virtualMachinesClaimedBy(metadata.uid);
    if (claims.some((resource) => (machineOf(resource)?.spec.claimRef?.epoch ?? 0) > lastEpoch(status))) return false;
    return true;
  }

  /** Whether the machine that an assignment has does not serve any more. */
  #fails(assignment: Assignment, resource: Resource): boolean {
    const { metadata, status = {} } = assignment;
    const name = status.virtualMachine?.name ?? '';
    const machine = this.tools.records.get({ kind: 'VirtualMachine', namespace: metadata.namespace ?? '', name });
    const known = this.#failing.get(resource);
    if (known && known.machine === machine) return known.fails;
    const fails = failureOf(status, machine && this.held(machine, assignment, false)) !== undefined;
    this.#failing.set(resource, { machine, fails });
    return fails;
  }

  /** What each Cloud with a limit has left for the namespace. Those that are to have another machine for theirs do not count. */
  #room(claimed: readonly VirtualMachine[], waiting: ReadonlyMap<string, Waiting>): ReadonlyMap<string, number> {
    const counts = new Map<string, number>();
    for (const { spec } of claimed) {
      if (waiting.has(spec.claimRef?.uid ?? '')) continue;
      counts.set(spec.cloudRef.name, (counts.get(spec.cloudRef.name) ?? 0) + 1);
    }
    return new Map(
      this.tools.records.clouds().flatMap(({ metadata, spec }): [string, number][] => {
        const limit = cloudSpecSchema.safeParse(spec).data?.limits?.assignmentsPerNamespace;
        return limit === undefined ? [] : [[metadata.name, limit - (counts.get(metadata.name) ?? 0)]];
      }),
    );
  }
}

function saysKeptBack({ status }: Assignment): boolean {
  return status?.conditions?.some(({ type, reason }) => type === 'Ready' && reason === 'VolumeAttached') ?? false;
}

function machineOf(resource: Resource): VirtualMachine | undefined {
  const input = readVirtualMachine(resource);
  return input.kind === 'valid' ? input.vm : undefined;
}

function isOutdated({ metadata }: VirtualMachine, { digest }: PoolFacts): boolean {
  return digest !== undefined && metadata.annotations?.[MADE_FROM_ANNOTATION] !== digest;
}

function serves({ pool, applications }: PoolFacts, application: string): boolean {
  return !pool.metadata.deletionTimestamp && (applications?.includes(application) ?? false);
}

/** The pools that an assignment may take from. */
function reachable({ spec }: Assignment, pools: ReadonlyMap<string, PoolFacts>): ReadonlySet<string> | undefined {
  const { poolRef, virtualMachineRef, selector, application } = spec;
  if (virtualMachineRef || selector) return undefined;
  const fitting = [...pools.values()].filter((facts) => {
    if (!poolRef) return serves(facts, application);
    const named = facts.pool.metadata.name === poolRef.name && !facts.pool.metadata.deletionTimestamp;
    return named && (facts.applications?.includes(application) ?? true);
  });
  return new Set(fitting.map(({ pool }) => pool.metadata.uid));
}
