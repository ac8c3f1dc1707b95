import type { Logger } from 'pino';
import type { Connection } from '../../clouds/connection.js';
import { isCloudError } from '../../clouds/errors.js';
import type { Recorder } from '../../controllers/events.js';
import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { Environment } from '../../environment.js';
import { formatKey, keyOf, type Resource, type ResourceKey } from '../../resources/metadata.js';
import type { Volume } from '../../resources/volume.js';
import type { Store } from '../../store/store.js';
import type { Records } from '../records.js';
import { cloudFacts, gather, type Surroundings } from './gather.js';
import { readVolume, type VolumeInput } from './input.js';
import type { Observation } from './observation.js';
import { Pass } from './pass.js';
import { plan } from './plan.js';
import { failureConditions, sameStatus, withConditions, withObservation } from './status.js';
import { describeStep, eventOf, type Step } from './steps.js';
import type { Plan } from './verdict.js';

/** Steps in one pass at most: more than any honest plan has; a guard against a plan that turns in a circle. */
const MOST_STEPS = 24;

/** What the reconciler of Volumes works with. */
export interface VolumeTools {
  readonly store: Pick<Store, 'get'>;
  readonly records: Records;
  /** The connection to the Cloud of that name, if there is one now. */
  connection(cloud: string): Connection | undefined;
  /** Tells all connections that nothing more is expected for that key. */
  forget(key: string): void;
  readonly events: Pick<Recorder, 'record'>;
  readonly environment: Environment;
  readonly installation: string;
  readonly log: Logger;
}

/** Makes one volume agree with one Volume: observe, plan, take the first step, again, until nothing is left but to wait. */
export class VolumeReconciler implements Reconciler {
  readonly kind = 'Volume';

  constructor(private readonly tools: VolumeTools) {}

  async reconcile(key: ResourceKey, signal: AbortSignal): Promise<Outcome> {
    const stored = this.tools.records.get(key);
    if (!stored) {
      this.tools.forget(formatKey(key));
      return { kind: 'settled' };
    }
    const input = readVolume(stored);
    if (input.kind === 'invalid') return this.#refuse(stored, input);
    const { volume } = input;
    const connection = this.tools.connection(volume.spec.cloudRef.name);
    const pass = new Pass(volume, connection, { ...this.tools, log: this.tools.log.child({ key: formatKey(key) }) });
    return this.#converge(key, pass, connection, signal);
  }

  async #converge(key: ResourceKey, pass: Pass, connection: Connection | undefined, signal: AbortSignal): Promise<Outcome> {
    const { records, environment } = this.tools;
    const around = this.#surroundings(pass.record);
    const { name } = pass.record.spec.cloudRef;
    for (let taken = 0; ; taken += 1) {
      const facts = cloudFacts(pass.record, records.get({ kind: 'Cloud', namespace: '', name }), connection);
      const observation = gather(pass.record, connection, facts, around, pass.findings);
      const made = plan(pass.record, observation, environment.now());
      const [step] = made.steps;
      if (!step || signal.aborted || taken === MOST_STEPS) return this.#finish(key, pass, made, observation, connection);
      await this.#take(step, made, pass, observation, signal);
      if (step.kind === 'RemoveFinalizer') {
        connection?.forget(formatKey(key));
        return { kind: 'settled' };
      }
    }
  }

  async #take(step: Step, made: Plan, pass: Pass, observation: Observation, signal: AbortSignal): Promise<void> {
    const { environment, log, events } = this.tools;
    // These write the status, so what they write shall say what is about to happen.
    if (step.kind.startsWith('Record')) pass.status = withConditions(pass.record, made.conditions, environment.now());
    try {
      await pass.perform(step, observation, signal);
    } catch (error) {
      if (!isCloudError(error) || signal.aborted) throw error;
      const message = `could not ${describeStep(step)}: ${error.message}`;
      events.record(pass.record, { type: 'Warning', reason: error.code, message, action: step.kind });
      pass.status = withConditions(pass.record, failureConditions(step, error), environment.now());
      await pass.flush();
      throw error;
    }
    const { unanswered = false } = pass.findings;
    delete pass.findings.unanswered;
    const event = eventOf(step, !unanswered);
    if (!event || (step.kind === 'Extend' && pass.findings.cannotGrow !== undefined)) return;
    log.info({ key: formatKey(keyOf(pass.record)), step: step.kind, detail: describeStep(step) }, 'step taken');
    events.record(pass.record, { ...event, message: describeStep(step), action: step.kind });
  }

  async #finish(
    key: ResourceKey,
    pass: Pass,
    made: Plan,
    observation: Observation,
    connection: Connection | undefined,
  ): Promise<Outcome> {
    const now = this.tools.environment.now();
    const status = withObservation(pass.record.status ?? {}, observation);
    pass.status = withConditions({ ...pass.record, status }, made.conditions, now);
    if (made.conditions.length > 0) await pass.flush();
    const { wait } = made;
    connection?.volumes.setPace(formatKey(key), wait?.moving ? 'moving' : 'watching');
    if (!wait) return { kind: 'settled' };
    if (wait.completeAfter) connection?.volumes.wantComplete(formatKey(key), wait.completeAfter);
    return {
      kind: 'waiting',
      on: wait.on,
      ...(wait.until ? { recheckAfterMs: Math.max(0, wait.until.getTime() - now.getTime()) } : {}),
    };
  }

  async #refuse(stored: Resource, input: Extract<VolumeInput, { kind: 'invalid' }>): Promise<Outcome> {
    const { records, environment } = this.tools;
    const status = withConditions({ metadata: stored.metadata, status: input.status }, input.conditions, environment.now());
    if (!sameStatus(input.status, status)) await records.updateStatus({ ...stored, status });
    return { kind: 'settled' };
  }

  #surroundings({ spec }: Volume): Surroundings {
    const { records, installation } = this.tools;
    const cloud = spec.cloudRef.name;
    return {
      installation,
      get: (key) => records.get(key),
      hasRecord: (uid) => records.volumeWithUid(uid) !== undefined,
      othersBoundTo: (id) => records.volumesBoundTo(cloud, id),
      machinesBoundTo: (serverId) => records.virtualMachinesBoundTo(cloud, serverId),
    };
  }
}
