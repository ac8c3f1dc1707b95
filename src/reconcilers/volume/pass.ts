import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Connection } from '../../clouds/connection.js';
import { CLOUD_ERRORS, CloudError, isCloudError } from '../../clouds/errors.js';
import type { CloudVolume, VolumeState } from '../../clouds/volume-driver.js';
import { withFinalizer, withoutFinalizer } from '../../controllers/finalizer.js';
import type { Environment } from '../../environment.js';
import { keyOf, type Resource } from '../../resources/metadata.js';
import type { Volume, VolumeStatus } from '../../resources/volume.js';
import { StoreError } from '../../store/errors.js';
import type { Store } from '../../store/store.js';
import { sendBy } from '../ledger.js';
import type { Records } from '../records.js';
import { sendingTime } from '../sending-time.js';
import { clip } from '../virtual-machine/status.js';
import { type Findings, readTarget, resolveType } from './gather.js';
import type { Observation } from './observation.js';
import { sameStatus, withBound, withoutAttachment, withoutVolume } from './status.js';
import type { Step } from './steps.js';
import { FINALIZER } from './verdict.js';

/** What a pass needs for its effects. */
export interface PassTools {
  readonly store: Pick<Store, 'get'>;
  readonly records: Pick<Records, 'get' | 'update' | 'updateStatus'>;
  readonly environment: Environment;
  readonly installation: string;
  readonly log: Logger;
}

/**
 * One pass over one Volume: the hands of the plan. Holds the record as it will be written and what was found out on the way.
 * The status is written where an effect must not come before it, and at the end.
 */
export class Pass {
  readonly findings: Findings = {};
  #stored: Volume;
  #status: VolumeStatus;

  constructor(
    volume: Volume,
    private readonly connection: Connection | undefined,
    private readonly tools: PassTools,
  ) {
    this.#stored = volume;
    this.#status = volume.status ?? {};
  }

  /** The record as this pass knows it: with the status that is still to be written. */
  get record(): Volume {
    return { ...this.#stored, status: this.#status };
  }

  /** Sets the status that {@link flush} is to write. */
  set status(status: VolumeStatus) {
    this.#status = status;
  }

  /** Writes the status if it says something new. @throws StoreError Conflict if the record was changed meanwhile. */
  async flush(): Promise<void> {
    if (sameStatus(this.#stored.status, this.#status)) return;
    this.#status = { ...this.#status, observedAt: this.#now().toISOString() };
    const status = this.#status;
    const { metadata } = await this.tools.records.updateStatus({ ...this.#stored, status });
    this.#stored = { ...this.#stored, metadata, status };
  }

  /**
   * Takes one step. Each branch is safe to be killed at any point: what it leaves behind is found by the next observation.
   * @throws CloudError, StoreError. A create or an attachment of unknown outcome is not thrown: the next plan waits for it.
   */
  async perform(step: Step, observation: Observation, signal: AbortSignal): Promise<void> {
    switch (step.kind) {
      case 'AddFinalizer':
        await this.#setFinalizer(withFinalizer);
        this.findings.fresh = true;
        return;
      case 'RemoveFinalizer':
        return this.#setFinalizer(withoutFinalizer);
      case 'RecordAttempt':
        return this.#recordAttempt(step.attempt);
      case 'Bind':
        return this.#bind(step.id, observation);
      case 'Unbind':
        this.#status = withoutVolume(this.#status, step.why);
        return;
      case 'RecordFailure': {
        const count = (this.#status.failures?.count ?? 0) + 1;
        const failures = { count, at: this.#now().toISOString(), message: clip(step.message), id: step.id };
        this.#status = { ...this.#status, failures };
        return this.flush();
      }
      case 'NoteBuilt': {
        const { failures: _past, ...status } = this.#status;
        this.#status = { ...status, builtAt: this.#now().toISOString() };
        return this.flush();
      }
      case 'RecordAttachment':
        this.#status = {
          ...this.#status,
          attachment: { virtualMachine: step.machine, serverId: step.serverId, askedAt: this.#now().toISOString() },
        };
        await this.flush();
        this.findings.intended = step.serverId;
        return;
      case 'ForgetAttachment':
        this.#status = withoutAttachment(this.#status);
        delete this.findings.intended;
        return this.flush();
      case 'Confirm':
        return this.#confirm();
      default:
        return this.#performInCloud(step, signal);
    }
  }

  async #performInCloud(step: Step, signal: AbortSignal): Promise<void> {
    const { connection } = this;
    if (!connection) throw new CloudError('Unavailable', `no connection to Cloud ${this.#stored.spec.cloudRef.name}`);
    const { driver, volumes } = connection;
    const { uid } = this.#stored.metadata;
    const { installation } = this.tools;
    switch (step.kind) {
      case 'AskByName': {
        const found = await driver.findVolumesByName(step.name, signal);
        for (const volume of found) volumes.note(volume);
        this.findings.askedByName = found.filter(({ owner }) => owner?.installation === installation && owner.uid === uid);
        return;
      }
      case 'AskById':
        this.findings.askedById = true;
        return this.#look(connection, step.id, signal);
      case 'ResolveType':
        this.findings.type = await resolveType(this.#stored, connection);
        return;
      case 'Create':
        return this.#create(connection, signal);
      case 'Attach':
        return this.#attach(connection, step.id, step.serverId, signal);
      case 'Detach':
        return this.#change(connection, step.id, 'Detaching', () => driver.detachVolume(step.serverId, step.id, signal));
      case 'Delete':
        return this.#change(connection, step.id, 'Deleting', () => driver.deleteVolume(step.id, signal));
      case 'Extend':
        return this.#extend(connection, step, signal);
      case 'Own':
        await driver.setVolumeOwner(step.id, { installation, uid, attempt: this.#status.attempt ?? '' }, signal);
        return this.#look(connection, step.id, signal);
      case 'Disown':
        await driver.setVolumeOwner(step.id, undefined, signal).catch((error: unknown) => {
          if (!isCloudError(error, 'NotFound')) throw error;
        });
        return this.#look(connection, step.id, signal);
      case 'Rename':
        await driver.renameVolume(step.id, step.to, signal);
        return this.#look(connection, step.id, signal);
    }
  }

  async #create(connection: Connection, signal: AbortSignal): Promise<void> {
    const { ledger } = this.#status;
    const { type } = this.findings;
    const { metadata, spec } = this.#stored;
    if (!ledger || (spec.type !== undefined && type?.kind !== 'found'))
      throw new CloudError('Unavailable', 'a create was planned without a ledger entry or before the type was looked up');
    delete this.findings.held;
    const typeId = type?.kind === 'found' ? type.id : undefined;
    const request = { name: ledger.serverName, sizeGiB: spec.sizeGiB, ...(typeId === undefined ? {} : { type: typeId }) };
    const owner = { installation: this.tools.installation, uid: metadata.uid, attempt: ledger.token };
    const created = await this.#sent(
      ledger.at,
      signal,
      (sending) => connection.driver.createVolume(request, owner, sending),
      (error) => {
        this.#status = { ...this.#status, ledger: { ...ledger, closed: clip(`refused: ${error.message}`) } };
      },
    );
    if (!created) return;
    connection.volumes.note(created);
    this.#status = { ...this.#status, id: created.id, attempt: ledger.token };
  }

  async #attach(connection: Connection, id: string, serverId: string, signal: AbortSignal): Promise<void> {
    const { askedAt } = this.#status.attachment ?? {};
    if (askedAt === undefined) throw new CloudError('Unavailable', 'an attachment was planned and not written down');
    delete this.findings.intended;
    const attach = async (sending: AbortSignal) => {
      await connection.driver.attachVolume(serverId, id, sending);
      return true;
    };
    const done = await this.#sent(askedAt, signal, attach, () => {
      this.#status = withoutAttachment(this.#status);
    });
    if (done) await this.#change(connection, id, 'Attaching', () => Promise.resolve());
  }

  /**
   * Sends what was written down at `at`, within the part of the settle time that is for sending.
   * @param refused is called before a failure is thrown of which nothing can come any more.
   * @returns undefined if the outcome is unknown.
   */
  async #sent<Result>(
    at: string,
    signal: AbortSignal,
    send: (signal: AbortSignal) => Promise<Result>,
    refused: (error: CloudError) => void,
  ): Promise<Result | undefined> {
    const { environment, log } = this.tools;
    const settleMs = this.connection?.settings.settleMs ?? 0;
    const sending = sendingTime(sendBy({ at }, settleMs), signal, environment);
    try {
      return await send(sending.signal);
    } catch (error) {
      if (!(error instanceof CloudError)) throw error;
      if (CLOUD_ERRORS[error.code].outcome === 'unknown') {
        log.warn({ err: error }, 'call of unknown outcome');
        this.findings.unanswered = true;
        return undefined;
      }
      refused(error);
      throw error;
    } finally {
      sending.done();
    }
  }

  async #extend(
    connection: Connection,
    { id, to, inUse }: Extract<Step, { kind: 'Extend' }>,
    signal: AbortSignal,
  ): Promise<void> {
    try {
      await this.#change(connection, id, 'Changing', () => connection.driver.extendVolume(id, to, inUse, signal));
    } catch (error) {
      if (!inUse || !isCloudError(error, 'Unsupported')) throw error;
      this.findings.cannotGrow = error.message;
    }
  }

  /** The ledger entry: durable before the request, so that whoever comes after knows that there may be a volume. */
  async #recordAttempt(attempt: number): Promise<void> {
    const { spec, metadata } = this.#stored;
    const token = this.tools.environment.id();
    this.#status = {
      ...this.#status,
      ledger: {
        attempt,
        token,
        serverName: metadata.name,
        specHash: createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 16),
        at: this.#now().toISOString(),
      },
    };
    await this.flush();
    this.findings.held = token;
  }

  #bind(id: string, { owned, adoptable, askedByName }: Observation): void {
    const volume = [...owned, ...adoptable, ...(askedByName ?? [])].find((one) => one.id === id);
    if (!volume) throw new CloudError('NotFound', `volume ${id} vanished before it was bound`);
    this.#status = withBound(this.#status, volume, this.#now(), this.tools.environment.id());
  }

  /** The caches of several kinds may be of different times: what is taken from a machine, or given to it, is decided by the store. */
  async #confirm(): Promise<void> {
    const { store } = this.tools;
    const current = await store.get(keyOf(this.#stored));
    const { uid, generation, deletionTimestamp } = this.#stored.metadata;
    const same = current?.metadata.uid === uid && current.metadata.generation === generation;
    if (!same || current.metadata.deletionTimestamp !== deletionTimestamp)
      throw new StoreError('Conflict', `Volume ${this.#stored.metadata.name} was changed meanwhile`);
    this.findings.read = await readTarget(this.#stored, (key) => store.get(key));
  }

  /** Sets something going. Until the next list tells more, the volume counts as changing, so that the step is not taken twice. */
  async #change(connection: Connection, id: string, state: VolumeState, call: () => Promise<void>): Promise<void> {
    await call();
    const known: CloudVolume | undefined = connection.volumes.get(id)?.item;
    if (known) connection.volumes.note({ ...known, state });
  }

  async #look(connection: Connection, id: string, signal: AbortSignal): Promise<void> {
    try {
      connection.volumes.note(await connection.driver.getVolume(id, signal));
    } catch (error) {
      if (!isCloudError(error, 'NotFound')) throw error;
      connection.volumes.noteGone(id);
    }
  }

  async #setFinalizer(change: (resource: Resource, finalizer: string) => Resource): Promise<void> {
    // The spec as it stands: of a bad one this pass has read only a part.
    const { spec } = this.tools.records.get(keyOf(this.#stored)) ?? this.#stored;
    const { metadata } = await this.tools.records.update(change({ ...this.#stored, spec }, FINALIZER));
    this.#stored = { ...this.#stored, metadata };
  }

  #now(): Date {
    return this.tools.environment.now();
  }
}
