import type { Logger } from 'pino';
import type { Connection } from '../../clouds/connection.js';
import { isCloudError } from '../../clouds/errors.js';
import type { Recorder } from '../../controllers/events.js';
import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { Environment } from '../../environment.js';
import { formatKey, keyOf, type Resource, type ResourceKey } from '../../resources/metadata.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { readAssignment } from '../assignment/input.js';
import type { Firewall } from '../firewall/firewall.js';
import type { Records } from '../records.js';
import { cloudFacts, gather, type Surroundings } from './gather.js';
import { readVirtualMachine, type VirtualMachineInput } from './input.js';
import type { Observation } from './observation.js';
import { Pass } from './pass.js';
import { plan } from './plan.js';
import { usesPorts } from './plan-ports.js';
import { failureConditions, sameStatus, withAssignee, withConditions, withPlan, withServer } from './status.js';
import { describeStep, type Step } from './steps.js';
import type { Plan } from './verdict.js';

/** Steps in one pass at most: more than any honest plan has; a guard against a plan that turns in a circle. */
const MOST_STEPS = 24;

/** What the reconciler of VirtualMachines works with. */
export interface VirtualMachineTools {
  readonly records: Records;
  /** The connection to the Cloud of that name, if there is one now. */
  connection(cloud: string): Connection | undefined;
  /** Tells all connections that nothing more is expected for that key. */
  forget(key: string): void;
  readonly firewall: Pick<Firewall, 'groupsAtCreation' | 'inForce'>;
  readonly events: Pick<Recorder, 'record'>;
  readonly environment: Environment;
  /** This installation's id: part of every owner tag. */
  readonly installation: string;
  readonly log: Logger;
}

/** Makes one server agree with one VirtualMachine: observe, plan, take the first step, again, until nothing is left but to wait. */
export class VirtualMachineReconciler implements Reconciler {
  readonly kind = 'VirtualMachine';

  constructor(private readonly tools: VirtualMachineTools) {}

  async reconcile(key: ResourceKey, signal: AbortSignal): Promise<Outcome> {
    const { environment } = this.tools;
    const stored = this.tools.records.get(key);
    if (!stored) {
      this.tools.forget(formatKey(key));
      return { kind: 'settled' };
    }
    const input = readVirtualMachine(stored);
    if (input.kind === 'invalid') return this.#refuse(stored, input);

    const { vm } = input;
    const connection = this.tools.connection(vm.spec.cloudRef.name);
    const pass = new Pass(vm, connection, this.tools.installation, {
      records: this.tools.records,
      environment,
      log: this.tools.log.child({ key: formatKey(key) }),
    });
    try {
      return await this.#converge(key, pass, connection, signal);
    } catch (error) {
      // What a port had to do with it shows in a list.
      if (usesPorts(pass.vm)) connection?.ports.setPace(formatKey(key), 'moving');
      throw error;
    } finally {
      pass.end();
    }
  }

  async #converge(key: ResourceKey, pass: Pass, connection: Connection | undefined, signal: AbortSignal): Promise<Outcome> {
    const { records, environment, installation } = this.tools;
    const { vm } = pass;
    const around = this.#surroundings(vm);
    for (let taken = 0; ; taken += 1) {
      const cloud = records.get({ kind: 'Cloud', namespace: '', name: vm.spec.cloudRef.name });
      const facts = cloudFacts(vm, cloud, connection, installation);
      const observation = gather(pass.vm, connection, facts, around, pass.findings);
      const made = plan(pass.vm, observation, environment.now());
      const [step] = made.steps;
      if (!step || !made.act || signal.aborted || taken === MOST_STEPS)
        return this.#finish(key, pass, made, observation, connection);
      await this.#take(step, made, pass, observation, signal);
      if (step.kind === 'RemoveFinalizer') {
        connection?.observer.setMoving(formatKey(key), false);
        connection?.ports.setPace(formatKey(key), undefined);
        connection?.groups.setPace(formatKey(key), undefined);
        return { kind: 'settled' };
      }
    }
  }

  async #take(step: Step, made: Plan, pass: Pass, observation: Observation, signal: AbortSignal): Promise<void> {
    const { environment, log, events } = this.tools;
    // These write the status, so what they write shall say what is about to happen.
    if (step.kind === 'RecordAttempt' || step.kind === 'RecordFailure') pass.status = withPlan(pass.vm, made, environment.now());
    try {
      await pass.perform(step, observation, signal);
    } catch (error) {
      if (!isCloudError(error) || signal.aborted) throw error;
      events.record(pass.vm, {
        type: 'Warning',
        reason: error.code,
        message: `could not ${describeStep(step)}: ${error.message}`,
        action: step.kind,
      });
      pass.status = withConditions(pass.vm, failureConditions(step, error), environment.now());
      await pass.flush();
      throw error;
    }
    const event = eventFor(step, pass.vm);
    if (!event) return;
    log.info({ key: formatKey(keyOf(pass.vm)), step: step.kind, detail: describeStep(step) }, 'step taken');
    events.record(pass.vm, { ...event, message: describeStep(step), action: step.kind });
  }

  async #finish(
    key: ResourceKey,
    pass: Pass,
    made: Plan,
    observation: Observation,
    connection: Connection | undefined,
  ): Promise<Outcome> {
    const now = this.tools.environment.now();
    const { bound, assignee } = observation;
    const known = withAssignee(pass.vm.status ?? {}, assignee);
    const seen = bound.kind === 'present' ? withServer(known, bound.server, bound.asOf) : known;
    const firewall = bound.kind === 'present' && connection && this.tools.firewall.inForce(bound.server.id, connection);
    const status = firewall ? { ...seen, firewall } : seen;
    pass.status = withPlan({ ...pass.vm, status }, made, now);
    if (made.conditions.length > 0) await pass.flush();
    const { wait } = made;
    connection?.observer.setMoving(formatKey(key), wait?.moving ?? false);
    connection?.ports.setPace(formatKey(key), usesPorts(pass.vm) ? (wait?.moving ? 'moving' : 'watching') : undefined);
    // What its ports let through is told with it.
    connection?.groups.setPace(formatKey(key), usesPorts(pass.vm) ? 'watching' : undefined);
    if (!wait) return { kind: 'settled' };
    if (wait.portsAfter) connection?.ports.wantComplete(formatKey(key), wait.portsAfter);
    if (wait.completeAfter) connection?.observer.wantComplete(formatKey(key), wait.completeAfter);
    return {
      kind: 'waiting',
      on: wait.on,
      ...(wait.until ? { recheckAfterMs: Math.max(0, wait.until.getTime() - now.getTime()) } : {}),
    };
  }

  async #refuse(stored: Resource, input: Extract<VirtualMachineInput, { kind: 'invalid' }>): Promise<Outcome> {
    const { records, environment } = this.tools;
    const status = withConditions({ metadata: stored.metadata, status: input.status }, input.conditions, environment.now());
    if (!sameStatus(input.status, status)) await records.updateStatus({ ...stored, status });
    return { kind: 'settled' };
  }

  #surroundings(vm: VirtualMachine): Surroundings {
    const { records, installation } = this.tools;
    return {
      installation,
      secret: (name) => records.secret(vm.metadata.namespace ?? '', name),
      hasRecord: (uid) => records.virtualMachineWithUid(uid) !== undefined,
      assignment: (name) => {
        const stored = records.get({ kind: 'VirtualMachineAssignment', namespace: vm.metadata.namespace ?? '', name });
        return stored && readAssignment(stored);
      },
      groups: (record, connection) => this.tools.firewall.groupsAtCreation(record, connection),
      othersBoundTo: (id) => records.virtualMachinesBoundTo(vm.spec.cloudRef.name, id),
    };
  }
}

/** The event that a step is told by; steps that only ask or write the ledger are not told. */
function eventFor(step: Step, vm: VirtualMachine): { type: 'Normal' | 'Warning'; reason: string } | undefined {
  switch (step.kind) {
    case 'AddFinalizer':
    case 'RemoveFinalizer':
    case 'RecordAttempt':
    case 'NoteRebuild':
    case 'AskById':
    case 'AskByName':
    case 'Resolve':
    case 'KeepPorts':
      return undefined;
    case 'MakePorts':
      // Before a create they are a part of it.
      return step.instead ? { type: 'Warning', reason: 'PortReplaced' } : undefined;
    case 'Unbind':
      return { type: 'Warning', reason: 'ServerGone' };
    case 'RecordFailure':
      return { type: 'Warning', reason: 'BuildFailed' };
    case 'Create':
      if (vm.status?.id === undefined) return { type: 'Warning', reason: 'OutcomeUnknown' };
      return { type: 'Normal', reason: 'Created' };
    case 'Bind':
      return { type: 'Normal', reason: step.adopted ? 'Adopted' : 'Bound' };
    default:
      return { type: 'Normal', reason: step.kind };
  }
}
