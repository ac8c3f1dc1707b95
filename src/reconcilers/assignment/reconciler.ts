import type { Logger } from 'pino';
import { CISTERN_ERRORS, type CisternError, isCisternError } from '../../cistern/errors.js';
import type { Recorder } from '../../controllers/events.js';
import { withFinalizer, withoutFinalizer } from '../../controllers/finalizer.js';
import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { Environment } from '../../environment.js';
import { type Assignment, type AssignmentStatus, assignmentKind, assignmentStatusSchema } from '../../resources/assignment.js';
import { mergeConditions, type ProposedCondition } from '../../resources/conditions.js';
import { formatKey, keyOf, type Resource, type ResourceKey } from '../../resources/metadata.js';
import { sameJson } from '../../resources/same-json.js';
import { validate } from '../../resources/validate.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Store } from '../../store/store.js';
import { invalidSpec } from '../invalid-spec.js';
import type { InventoryPort } from '../inventory/view.js';
import { reclaim } from '../pool/reclaim.js';
import type { Records } from '../records.js';
import { activityOf } from './activity.js';
import { failureOf } from './failure.js';
import { readAssignment } from './input.js';
import type { Held, Observation } from './observation.js';
import { describeStep, expiryOf, FINALIZER, lastEpoch, type Plan, plan, type Step } from './plan.js';
import { type PortsPlan, planPorts, portsRuleKeys } from './ports.js';
import type { Stock } from './stock.js';

/** The conditions that this reconciler writes; others are left alone. */
const OWNED: ReadonlySet<string> = new Set(['Ready', 'Reconciling', 'Stalled', 'ObservationsConflict']);
/** The same with that of the ports, of which only the end of a pass tells. */
const OWNED_IN_ALL: ReadonlySet<string> = new Set([...OWNED, 'PortsOpen']);
/** Steps in one pass at most: a guard against a plan that turns in a circle. */
const MOST_STEPS = 32;
const LONGEST_TEXT = 2048;

/** What the reconciler of assignments works with. */
export interface AssignmentTools {
  readonly records: Records;
  readonly store: Pick<Store, 'get'>;
  readonly stock: Stock;
  readonly inventories: InventoryPort;
  readonly events: Pick<Recorder, 'record'>;
  readonly environment: Environment;
  readonly log: Logger;
}

/** One pass: the assignment as it will be written, and the uids of machines that something was done with which the caches do not tell yet. */
interface Pass {
  assignment: Assignment;
  /** Their inventory was told that nobody has them. */
  readonly released: Set<string>;
  readonly deleted: Set<string>;
  /** The machine that the status names, as the store has it; undefined: not looked at. */
  read?: { readonly resource: Resource | undefined };
}

/** Gives one machine to one assignment, another when that fails, and takes it back in the end. */
export class AssignmentReconciler implements Reconciler {
  readonly kind = 'VirtualMachineAssignment';

  constructor(private readonly tools: AssignmentTools) {}

  async reconcile(key: ResourceKey, signal: AbortSignal): Promise<Outcome> {
    const stored = this.tools.records.get(key);
    if (!stored) return { kind: 'settled' };
    const errors = errorsOf(stored);
    const assignment = readAssignment(stored);
    // One that is deleted goes, whatever else is wrong with it.
    if (!assignment || (errors.length > 0 && !stored.metadata.deletionTimestamp)) return this.#refuse(stored, errors);
    const pass: Pass = { assignment, released: new Set(), deleted: new Set() };
    for (let taken = 0; ; taken += 1) {
      const observation = this.#observe(pass);
      const made = plan(pass.assignment, observation, this.tools.environment.now());
      const [step] = made.steps;
      if (!step || signal.aborted || taken === MOST_STEPS) return this.#finish(pass, made, observation);
      // After that nobody would come back to a rule that could not be deleted just now.
      if (step.kind === 'RemoveFinalizer') await this.#keepPorts(this.#planPorts(pass.assignment));
      try {
        await this.#perform(step, made, pass, signal);
      } catch (error) {
        if (isCisternError(error)) await this.#reportFailure(pass, step, error);
        throw error;
      }
      this.#tell(step, pass.assignment);
      if (step.kind === 'RemoveFinalizer') return { kind: 'settled' };
    }
  }

  #observe({ assignment, released, deleted, read }: Pass): Observation {
    const { records, stock, inventories } = this.tools;
    const { metadata, status } = assignment;
    const held = (resource: Resource | undefined): Held[] => {
      const there = resource && !deleted.has(resource.metadata.uid);
      const one = there && stock.held(resource, assignment, released.has(resource.metadata.uid));
      return one ? [one] : [];
    };
    const claims = records.virtualMachinesClaimedBy(metadata.uid).flatMap(held);
    const name = status?.virtualMachine?.name;
    const seen = () =>
      name === undefined ? undefined : records.get({ kind: 'VirtualMachine', namespace: metadata.namespace ?? '', name });
    const [bound] = held(read ? read.resource : seen());
    // Who has a machine that serves, or has claimed one, asks nothing of the queue.
    const has = status?.virtualMachine !== undefined && failureOf(status, bound) === undefined;
    const content = has || claims.some(({ vm }) => (vm.spec.claimRef?.epoch ?? 0) > lastEpoch(status ?? {}));
    const served = content ? undefined : stock.served(assignment);
    const waits = served?.kind === 'waits';
    return {
      claims: claims.toSorted((a, b) => (a.vm.metadata.name < b.vm.metadata.name ? -1 : 1)),
      bound,
      confirmed: read !== undefined,
      served,
      obstacle: content ? undefined : stock.obstacle(assignment),
      activeAt: activityOf(assignment, bound && inventories.view(bound.vm).activeAt),
      soonest: waits ? stock.soonest(assignment) : undefined,
      withheld: waits ? stock.withheld(assignment) : undefined,
    };
  }

  async #perform(step: Step, made: Plan, pass: Pass, signal: AbortSignal): Promise<void> {
    const { records, inventories } = this.tools;
    const { spec } = pass.assignment;
    switch (step.kind) {
      case 'AddFinalizer':
        return this.#setFinalizer(pass, withFinalizer);
      case 'RemoveFinalizer':
        return this.#setFinalizer(pass, withoutFinalizer);
      case 'Claim': {
        const { name, uid } = pass.assignment.metadata;
        const claimRef = { name, uid, epoch: step.epoch };
        const claiming = records.update({ ...step.vm, spec: { ...step.vm.spec, claimRef } }, { urgent: true });
        const [, held] = await Promise.allSettled([claiming, step.hold ? this.#setFinalizer(pass, withFinalizer) : undefined]);
        await claiming;
        if (held.status === 'rejected') throw held.reason;
        return;
      }
      case 'TellAssigned':
        return inventories.assign(step.vm, spec, signal);
      case 'TellReleased':
        await inventories.release(step.vm, signal);
        pass.released.add(step.vm.metadata.uid);
        return;
      case 'Skip':
        return this.#write(pass, { ...pass.assignment.status, skipped: step.epoch });
      case 'Look': {
        const { namespace = '' } = pass.assignment.metadata;
        pass.read = { resource: await this.tools.store.get({ kind: 'VirtualMachine', namespace, name: step.name }) };
        return;
      }
      case 'GiveBack':
        await reclaim(step.vm, step.how, spec.user, records);
        if (step.how.kind === 'Delete') pass.deleted.add(step.vm.metadata.uid);
        return;
      case 'Bind':
        delete pass.read;
        // Somebody waits for this one.
        return this.#write(pass, this.#bound(pass.assignment, step.vm, step.epoch, step.why), true);
      case 'Lose': {
        delete pass.read;
        const { virtualMachine: _gone, id, addresses: _addresses, boundAt: _at, ...rest } = pass.assignment.status ?? {};
        const lost = { ...rest, move: this.#move(step.name, id, step.why) };
        return this.#write(pass, this.#withConditions({ metadata: pass.assignment.metadata, status: lost }, made.conditions));
      }
      case 'End': {
        const { place: _place, waitingSince: _since, ...rest } = pass.assignment.status ?? {};
        return this.#write(pass, { ...rest, ended: { at: this.#now(), why: step.why } });
      }
    }
  }

  /** The status of one that was given a machine. It says at once that it is bound: nobody shall have to wait for another write. */
  #bound({ metadata, spec, status }: Assignment, vm: VirtualMachine, epoch: number, why: string | undefined): AssignmentStatus {
    const { place: _place, waitingSince: _since, id: lastId, addresses: _addresses, ...before } = status ?? {};
    const now = this.#now();
    const from = before.virtualMachine?.name;
    const said: ProposedCondition = {
      type: 'Ready',
      status: 'True',
      reason: 'Bound',
      message: `${spec.user} has VirtualMachine ${vm.metadata.name}`,
    };
    const bound = {
      ...before,
      virtualMachine: { name: vm.metadata.name, uid: vm.metadata.uid },
      epoch,
      cloud: vm.spec.cloudRef.name,
      ...(vm.status?.id === undefined ? {} : { id: vm.status.id }),
      ...(vm.status?.addresses === undefined ? {} : { addresses: vm.status.addresses }),
      boundAt: now,
      firstBoundAt: before.firstBoundAt ?? now,
      ...(why !== undefined && from !== undefined ? { move: this.#move(from, lastId, why) } : {}),
    };
    return this.#withConditions({ metadata, status: bound }, [said]);
  }

  #move(from: string, id: string | undefined, why: string): NonNullable<AssignmentStatus['move']> {
    return { from, ...(id === undefined ? {} : { id }), at: this.#now(), why: why.slice(0, LONGEST_TEXT) };
  }

  async #finish(pass: Pass, made: Plan, { bound, activeAt }: Observation): Promise<Outcome> {
    const { assignment } = pass;
    const { place: _place, expiresAt: _expires, waitingSince = this.#now(), ...known } = assignment.status ?? {};
    const ends = assignment.metadata.deletionTimestamp || known.ended ? undefined : expiryOf(assignment, activeAt);
    const addresses =
      known.virtualMachine && bound?.vm.metadata.uid === known.virtualMachine.uid ? bound.vm.status?.addresses : undefined;
    const status = {
      ...known,
      ...(addresses === undefined ? {} : { addresses }),
      ...(made.place === undefined ? {} : { place: made.place, waitingSince }),
      ...(ends ? { expiresAt: ends.at.toISOString() } : {}),
      ...(activeAt ? { activeAt: activeAt.toISOString() } : {}),
    };
    const ports = this.#planPorts(assignment);
    const said = [...made.conditions, ...ports.conditions];
    await this.#write(pass, this.#withConditions({ metadata: assignment.metadata, status }, said, OWNED_IN_ALL));
    // Last of all: nobody who waits for a machine shall wait for its ports.
    await this.#keepPorts(ports);
    if (!made.until) return { kind: 'settled' };
    const recheckAfterMs = Math.max(0, made.until.getTime() - this.tools.environment.now().getTime());
    return { kind: 'waiting', on: 'the clock', recheckAfterMs };
  }

  #planPorts(assignment: Assignment): PortsPlan {
    return planPorts(
      assignment,
      portsRuleKeys(assignment).flatMap((key) => this.tools.records.get(key) ?? []),
    );
  }

  /** Each change of a rule wakes the assignment again. @throws StoreError Conflict or AlreadyExists if what was seen is late. */
  async #keepPorts({ steps }: PortsPlan): Promise<void> {
    const { records, log } = this.tools;
    for (const step of steps) {
      if (step.kind === 'Open') await records.create(step.rule);
      else if (step.kind === 'Change') await records.update({ ...step.rule, spec: step.spec });
      else await records.delete(step.rule);
      log.info({ key: `FirewallRule/${step.rule.metadata.namespace}/${step.rule.metadata.name}`, step: step.kind }, 'step taken');
    }
  }

  /** Writes the status if it says something new. @throws StoreError Conflict if the assignment was changed meanwhile. */
  async #write(pass: Pass, status: AssignmentStatus, urgent = false): Promise<void> {
    if (sameJson(pass.assignment.status ?? {}, status)) return;
    const { metadata } = await this.tools.records.updateStatus({ ...pass.assignment, status }, { urgent });
    pass.assignment = { ...pass.assignment, metadata, status };
  }

  async #setFinalizer(pass: Pass, change: typeof withFinalizer): Promise<void> {
    // The spec as it stands: of a bad one a part may have been read only.
    const stored = this.tools.records.get(keyOf(pass.assignment)) ?? pass.assignment;
    const { metadata } = await this.tools.records.update(change({ ...stored, metadata: pass.assignment.metadata }, FINALIZER));
    pass.assignment = { ...pass.assignment, metadata };
  }

  async #reportFailure(pass: Pass, step: Step, error: CisternError): Promise<void> {
    const { advice } = CISTERN_ERRORS[error.code];
    const message = `could not ${describeStep(step)}: ${error.message}. To do: ${advice}`.slice(0, LONGEST_TEXT);
    const reason = `Inventory${error.code}`;
    const bound = pass.assignment.status?.conditions?.find(({ type, status }) => type === 'Ready' && status === 'True');
    const ready: ProposedCondition = bound ? { ...bound } : { type: 'Ready', status: 'False', reason, message };
    const said: ProposedCondition[] = [ready, { type: 'Reconciling', status: 'True', reason, message }];
    this.tools.events.record(pass.assignment, { type: 'Warning', reason, message, action: step.kind });
    await this.#write(pass, this.#withConditions(pass.assignment, said));
  }

  async #refuse(stored: Resource, errors: ReturnType<typeof validate>): Promise<Outcome> {
    const known = assignmentStatusSchema.safeParse(stored.status ?? {}).data ?? {};
    const status = this.#withConditions({ metadata: stored.metadata, status: known }, invalidSpec(errors));
    if (!sameJson(known, status)) await this.tools.records.updateStatus({ ...stored, status });
    return { kind: 'settled' };
  }

  #withConditions(
    { metadata, status = {} }: Pick<Assignment, 'metadata'> & { readonly status?: AssignmentStatus },
    proposed: readonly ProposedCondition[],
    owned = OWNED,
  ): AssignmentStatus {
    const { generation } = metadata;
    const now = this.tools.environment.now();
    const clipped = proposed.map((one) => ({ ...one, message: one.message.slice(0, LONGEST_TEXT) }));
    const conditions = mergeConditions(status.conditions ?? [], clipped, owned, generation, now);
    return { ...status, observedGeneration: generation, conditions };
  }

  #tell(step: Step, assignment: Assignment): void {
    const event = eventFor(step, assignment);
    if (!event) return;
    const message = describeStep(step);
    this.tools.log.info({ key: formatKey(keyOf(assignment)), step: step.kind, detail: message }, 'step taken');
    this.tools.events.record(assignment, { ...event, message, action: step.kind });
  }

  #now(): string {
    return this.tools.environment.now().toISOString();
  }
}

const known = new WeakMap<Resource, ReturnType<typeof validate>>();

/** What is wrong with a declaration. What stands in a store never changes in place, so each version is checked once. */
function errorsOf(stored: Resource): ReturnType<typeof validate> {
  const { status: _status, ...declared } = stored;
  const errors = known.get(stored) ?? validate(assignmentKind, declared);
  known.set(stored, errors);
  return errors;
}

/** The event that a step is told by. */
function eventFor(step: Step, assignment: Assignment): { type: 'Normal' | 'Warning'; reason: string } | undefined {
  switch (step.kind) {
    case 'Bind':
      return step.why === undefined ? { type: 'Normal', reason: 'Bound' } : { type: 'Warning', reason: 'Reassigned' };
    case 'Lose':
      return assignment.metadata.deletionTimestamp || assignment.status?.ended
        ? undefined
        : { type: 'Warning', reason: 'MachineLost' };
    case 'GiveBack':
      return { type: 'Normal', reason: 'GivenBack' };
    case 'End':
      return { type: 'Normal', reason: 'Ended' };
    default:
      return undefined;
  }
}
