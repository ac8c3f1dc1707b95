import type { Recorder } from '../../controllers/events.js';
import { withFinalizer, withoutFinalizer } from '../../controllers/finalizer.js';
import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { Environment } from '../../environment.js';
import { mergeConditions, type ProposedCondition } from '../../resources/conditions.js';
import type { Resource, ResourceKey } from '../../resources/metadata.js';
import type { Pool, PoolStatus } from '../../resources/pool.js';
import { sameJson } from '../../resources/same-json.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { isStoreError } from '../../store/errors.js';
import { checkPool } from './input.js';
import type { Making } from './made-from.js';
import { MADE_FROM_ANNOTATION, ownedByPool, POOL_LABEL } from './membership.js';
import { nextReadyAt, observe, recipesOf, type Sight } from './observe.js';
import { FINALIZER, type PoolStep, plan } from './plan.js';
import { reclaim } from './reclaim.js';
import { effective } from './schedule.js';
import { tellSteps } from './tell.js';

const OWNED: ReadonlySet<string> = new Set(['Ready', 'Reconciling', 'Stalled', 'ObservationsConflict']);
/** Writes at once. */
const AT_ONCE = 10;
/** How soon it is looked again when not all could be done: too much for one pass, or another one was quicker. */
const SOON_MS = 1_000;
/** The same while something is missing whose coming nobody tells. */
const PROBLEM_RECHECK_MS = 30_000;
/** How often a pool is looked at without a cause. */
const RECHECK_MS = 600_000;

/** What the reconciler of pools works with. */
export interface PoolTools extends Sight {
  readonly events: Pick<Recorder, 'record'>;
  readonly environment: Environment;
  /** Tells the inventory of a machine's Cloud that nobody has it. @throws CisternError. */
  release(vm: VirtualMachine, signal: AbortSignal): Promise<void>;
}

/** Keeps the machines of each VirtualMachinePool: their records only, since each record sees to its own server. */
export class PoolReconciler implements Reconciler {
  readonly kind = 'VirtualMachinePool';

  constructor(private readonly tools: PoolTools) {}

  async reconcile(key: ResourceKey, signal: AbortSignal): Promise<Outcome> {
    const { records, environment } = this.tools;
    const stored = records.get(key);
    if (!stored) return { kind: 'settled' };
    const input = checkPool(stored);
    if (input.kind === 'invalid') {
      await this.#report(stored, input.status, input.status, input.conditions);
      return { kind: 'settled' };
    }
    const { pool } = input;
    const now = environment.now();
    const { replicas, scheduled, next } = effective(pool.spec, pool.status, new Date(pool.metadata.creationTimestamp), now);
    const recipes = recipesOf(pool, this.tools);
    const before = await observe(pool, recipes, replicas, this.tools, now);
    const { steps } = plan(pool, before);

    const work = new Work(pool, recipes.making, this.tools);
    await work.takeAll(steps, signal);
    if (work.ended) return { kind: 'settled' };
    if (scheduled && !sameJson(scheduled, pool.status.scheduled)) this.#tellSchedule(pool, scheduled);

    const after = await observe(pool, recipes, replicas, this.tools, now, work.deleted);
    const { conditions, counts, steps: left } = plan({ ...pool, metadata: work.pool.metadata }, after);
    const { scheduled: _before, ...kept } = pool.status;
    const facts: PoolStatus = {
      ...kept,
      ...counts,
      selector: `${POOL_LABEL}=${pool.metadata.name}`,
      ...(scheduled ? { scheduled } : {}),
    };
    await this.#report({ ...stored, metadata: work.pool.metadata }, pool.status, facts, conditions);
    const waits = [
      RECHECK_MS,
      ...(left.length > 0 || work.refused || after.members.some(({ young }) => young) ? [SOON_MS] : []),
      ...(recipes.problem ? [PROBLEM_RECHECK_MS] : []),
      ...[next?.getTime(), nextReadyAt(after, recipes, now)].flatMap((at) => (at === undefined ? [] : [at - now.getTime()])),
    ];
    return { kind: 'waiting', on: 'its machines', recheckAfterMs: Math.max(0, Math.min(...waits)) };
  }

  #tellSchedule(pool: Pool, { at, replicas, over }: NonNullable<PoolStatus['scheduled']>): void {
    this.tools.events.record(pool, {
      type: 'Normal',
      reason: 'ScheduleTookEffect',
      message: `by the schedule of ${at} replicas are ${replicas}, in place of spec.replicas ${over}`,
      action: 'Schedule',
    });
  }

  async #report(pool: Resource, known: PoolStatus, facts: PoolStatus, conditions: readonly ProposedCondition[]): Promise<void> {
    const { generation } = pool.metadata;
    const merged = mergeConditions(known.conditions ?? [], conditions, OWNED, generation, this.tools.environment.now());
    const status = { ...facts, observedGeneration: generation, conditions: merged };
    if (!sameJson(status, known)) await this.tools.records.updateStatus({ ...pool, status });
  }
}

/** The steps of one pass, and what became of them. */
class Work {
  /** The pool as it was last written. */
  pool: Resource;
  /** The uids of machines that were deleted. */
  readonly deleted = new Set<string>();
  /** True if some step met a machine that had changed, or was there already: the next look shows what it is now. */
  refused = false;
  /** True if nothing holds the pool any more. */
  ended = false;

  constructor(
    private readonly declared: Pool,
    private readonly making: Making | undefined,
    private readonly tools: PoolTools,
  ) {
    this.pool = declared;
  }

  /** Takes the steps that are for the pool itself one by one, then all others, some at once. What was done is told as events. */
  async takeAll(steps: readonly PoolStep[], signal: AbortSignal): Promise<void> {
    const done: PoolStep[] = [];
    const others: PoolStep[] = [];
    for (const step of steps) {
      if (step.kind === 'AddFinalizer' || step.kind === 'RemoveFinalizer') await this.#hold(step.kind);
      else others.push(step);
    }
    try {
      for (let index = 0; index < others.length && !signal.aborted; index += AT_ONCE) {
        const results = await Promise.allSettled(
          others.slice(index, index + AT_ONCE).map(async (step) => {
            if (await this.#take(step, signal)) done.push(step);
          }),
        );
        for (const result of results) if (result.status === 'rejected') throw result.reason;
      }
    } finally {
      tellSteps(this.declared, done, this.tools.events);
    }
  }

  /** @returns false if it was refused since the machine is not what it was. */
  async #take(step: PoolStep, signal: AbortSignal): Promise<boolean> {
    const { records } = this.tools;
    try {
      switch (step.kind) {
        case 'Create':
          await this.#create(step.name, step.powerState);
          break;
        case 'SetPower':
          await records.update({ ...step.vm, spec: { ...step.vm.spec, powerState: step.to } });
          break;
        case 'GiveBack':
          if (step.how.kind === 'Hold') return false;
          await this.tools.release(step.vm, signal);
          await reclaim(step.vm, step.how, undefined, records);
          if (step.how.kind === 'Delete') this.deleted.add(step.vm.metadata.uid);
          break;
        case 'TellReleased':
          await this.tools.release(step.vm, signal);
          break;
        case 'Delete':
          await records.delete(step.vm);
          this.deleted.add(step.vm.metadata.uid);
          break;
        default:
      }
      return true;
    } catch (error) {
      // Somebody claimed it, or made one of that name, or the view of it was late.
      const late = ['Conflict', 'NotFound', 'AlreadyExists'] as const;
      if (!late.some((code) => isStoreError(error, code))) throw error;
      this.refused = true;
      return false;
    }
  }

  async #hold(kind: 'AddFinalizer' | 'RemoveFinalizer'): Promise<void> {
    const change = kind === 'AddFinalizer' ? withFinalizer : withoutFinalizer;
    // The spec as it stands: of a bad one only a part was read.
    const { spec } = this.tools.records.get({ ...KEY, ...nameOf(this.declared) }) ?? this.declared;
    const changed = await this.tools.records.update(change({ ...this.declared, spec }, FINALIZER));
    this.pool = changed;
    if (kind === 'RemoveFinalizer') this.ended = true;
  }

  async #create(name: string, powerState: 'Running' | 'Stopped'): Promise<void> {
    const { declared, making } = this;
    if (!making) return;
    const { namespace } = nameOf(declared);
    await this.tools.records.create({
      apiVersion: declared.apiVersion,
      kind: 'VirtualMachine',
      metadata: {
        name,
        namespace,
        labels: { ...making.labels, [POOL_LABEL]: declared.metadata.name },
        annotations: { [MADE_FROM_ANNOTATION]: making.digest },
        ownerReferences: [ownedByPool(declared)],
      },
      spec: { ...making.spec, ...(powerState === 'Stopped' ? { powerState } : {}) },
    });
  }
}

const KEY = { kind: 'VirtualMachinePool' };

function nameOf({ metadata }: Resource): { readonly namespace: string; readonly name: string } {
  return { namespace: metadata.namespace ?? '', name: metadata.name };
}
