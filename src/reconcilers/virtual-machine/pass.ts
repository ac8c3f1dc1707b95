import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { Connection } from '../../clouds/connection.js';
import { CLOUD_ERRORS, CloudError, isCloudError } from '../../clouds/errors.js';
import { withFinalizer, withoutFinalizer } from '../../controllers/finalizer.js';
import type { Environment } from '../../environment.js';
import { formatKey, keyOf, type Resource } from '../../resources/metadata.js';
import type { VirtualMachine, VirtualMachineStatus } from '../../resources/virtual-machine.js';
import { sendBy } from '../ledger.js';
import type { Records } from '../records.js';
import { sendingTime } from '../sending-time.js';
import { wantedMetadata } from './assignee.js';
import { type Findings, resolve } from './gather.js';
import { type Observation, ownerTag } from './observation.js';
import { isOwnedBy, withOwnerAnnotation } from './owner.js';
import { performPortStep } from './ports.js';
import { clip, rebuildsOf, sameStatus, withBound, withoutRebuild, withoutServer, withRebuilt } from './status.js';
import type { PortStep, Step } from './steps.js';
import { FINALIZER, hasFinalizer, networksOf, serverName } from './verdict.js';

type Rebuild = Extract<Step, { kind: 'Rebuild' }>;

/** What a pass needs for its effects. */
export interface PassTools {
  readonly records: Pick<Records, 'get' | 'update' | 'updateStatus'>;
  readonly environment: Environment;
  readonly log: Logger;
}

/**
 * One pass over one VirtualMachine: the hands of the plan. Holds the record as it will be written and what was found out on the way.
 * The status is written where an effect must not come before it (the ledger), and at the end.
 */
export class Pass {
  readonly findings: Findings = {};
  #stored: VirtualMachine;
  #status: VirtualMachineStatus;

  constructor(
    vm: VirtualMachine,
    private readonly connection: Connection | undefined,
    private readonly installation: string,
    private readonly tools: PassTools,
  ) {
    this.#stored = vm;
    this.#status = vm.status ?? {};
  }

  /** The record as this pass knows it: with the status that is still to be written. */
  get vm(): VirtualMachine {
    return { ...this.#stored, status: this.#status };
  }

  /** Sets the status that {@link flush} is to write. */
  set status(status: VirtualMachineStatus) {
    this.#status = status;
  }

  /** Writes the status if it says something new. @throws StoreError Conflict if the record was changed meanwhile. */
  async flush(): Promise<void> {
    if (sameStatus(this.#stored.status, this.#status)) return;
    this.#status = { ...this.#status, observedAt: this.tools.environment.now().toISOString() };
    const status = this.#status;
    const { metadata } = await this.tools.records.updateStatus({ ...this.#stored, status });
    this.#stored = { ...this.#stored, metadata, status };
  }

  /** To be called when the pass ends, however it does: an attempt that may still bring a server counts towards the Cloud's limit. */
  end(): void {
    const { uid } = this.#stored.metadata;
    const key = formatKey(keyOf(this.#stored));
    const written = this.#stored.status?.ledger;
    const attempted = written !== undefined && written.closed === undefined && hasFinalizer(this.#stored);
    if (attempted && this.#status.ledger?.closed === undefined && this.#status.id === undefined)
      this.connection?.reserve(key, uid);
    else this.connection?.free(key);
  }

  /**
   * Takes one step. Each branch is safe to be killed at any point: what it leaves behind is found by the next observation.
   * @throws CloudError, StoreError. A create of unknown outcome is not thrown: the next plan waits for it.
   */
  async perform(step: Step, observation: Observation, signal: AbortSignal): Promise<void> {
    switch (step.kind) {
      case 'AddFinalizer':
        await this.#setFinalizer((record, finalizer) => withOwnerAnnotation(withFinalizer(record, finalizer), this.installation));
        this.findings.fresh = true;
        return;
      case 'RemoveFinalizer':
        return this.#setFinalizer(withoutFinalizer);
      case 'RecordAttempt':
        return this.#recordAttempt(step.attempt, observation);
      case 'NoteRebuild':
        this.#status = withRebuilt(this.#status, step.number);
        return;
      case 'Bind':
        return this.#bind(step.id, step.adopted, observation);
      case 'Unbind':
        this.#status = withoutServer(this.#status, step.why);
        return;
      case 'RecordFailure':
        this.#status = { ...this.#status, failures: this.#nextFailure(step.id, step.message) };
        return this.flush();
      default:
        return this.#performInCloud(step, observation, signal);
    }
  }

  async #performInCloud(step: Step, observation: Observation, signal: AbortSignal): Promise<void> {
    const { connection } = this;
    if (!connection) throw new CloudError('Unavailable', `no connection to Cloud ${this.#stored.spec.cloudRef.name}`);
    const { driver, observer } = connection;
    const owner = ownerTag(
      this.installation,
      this.#stored.metadata.uid,
      this.#status.applied?.attempt ?? this.#status.ledger?.token ?? '',
    );
    const { tags = [] } = this.#stored.spec;
    const metadata = wantedMetadata(this.#stored, observation.assignee);
    switch (step.kind) {
      case 'AskByName': {
        const servers = await driver.findServersByName(step.name, signal);
        for (const server of servers) observer.note(server);
        const { former } = observation;
        this.findings.askedByName = servers.filter((one) => isOwnedBy(one, owner) || (former && isOwnedBy(one, former)));
        return;
      }
      case 'KeepPorts':
      case 'MakePorts':
      case 'AttachPort':
      case 'DisownPorts':
      case 'DeletePorts':
        return this.#performPorts(connection, step, observation, signal);
      case 'Resolve':
        this.findings.resolved = await resolve(this.#stored, connection);
        return;
      case 'Create':
        return this.#create(connection, observation, signal);
      case 'AskById':
        this.findings.askedById = true;
        return this.#look(connection, step.id, signal);
      case 'Delete':
        return this.#change(connection, step.id, 'Deleting', () => driver.deleteServer(step.id, signal));
      case 'Start':
        return this.#change(connection, step.id, 'starting', () => driver.startServer(step.id, signal));
      case 'Stop':
        return this.#change(connection, step.id, 'stopping', () => driver.stopServer(step.id, signal));
      case 'Resume':
        return this.#change(connection, step.id, 'resuming', () => driver.resumeServer(step.id, step.from, signal));
      case 'Resize':
        return this.#change(connection, step.id, 'resizing', () => driver.resizeServer(step.id, step.flavorId, signal));
      case 'Rebuild':
        return this.#rebuild(connection, step, signal);
      case 'ConfirmResize':
        return this.#change(connection, step.id, 'confirming the resize', () => driver.confirmResize(step.id, signal));
      case 'Own':
        await driver.setServerMetadata(step.id, metadata, owner, signal);
        await driver.setServerTags(step.id, tags, owner, signal);
        return this.#look(connection, step.id, signal);
      case 'Disown':
        await driver.setServerMetadata(step.id, metadata, undefined, signal);
        await driver.setServerTags(step.id, tags, undefined, signal);
        return this.#look(connection, step.id, signal);
      case 'Rename':
        await driver.renameServer(step.id, step.to, signal);
        return this.#look(connection, step.id, signal);
      case 'SetMetadata':
        await driver.setServerMetadata(step.id, metadata, owner, signal);
        return this.#look(connection, step.id, signal);
      case 'SetTags':
        await driver.setServerTags(step.id, tags, owner, signal);
        return this.#look(connection, step.id, signal);
    }
  }

  async #create(connection: Connection, observation: Observation, signal: AbortSignal): Promise<void> {
    const { ledger } = this.#status;
    const { resolved, userData, groups } = observation;
    if (!ledger || resolved?.image.kind !== 'found' || resolved.flavor.kind !== 'found' || resolved.networks.kind !== 'found') {
      throw new CloudError('Unavailable', 'a create was planned without a ledger entry or before names were looked up');
    }
    const { metadata, spec } = this.#stored;
    delete this.findings.held;
    const networks = Array.isArray(resolved.networks.value)
      ? { portIds: (this.#status.ports ?? []).map(({ id }) => id) }
      : resolved.networks.value;
    const sending = sendingTime(sendBy(ledger, connection.settings.settleMs), signal, this.tools.environment);
    try {
      const server = await connection.driver.createServer(
        {
          name: ledger.serverName,
          imageId: resolved.image.value.id,
          flavorId: resolved.flavor.value.id,
          ...(spec.keyName ? { keyName: spec.keyName } : {}),
          ...(userData.kind === 'found' ? { userData: userData.text } : {}),
          ...(networks === undefined ? {} : { networks }),
          // A port has its own from when it was made.
          ...(networks === undefined && groups.kind === 'ready' ? { groupIds: groups.groupIds } : {}),
          metadata: wantedMetadata(this.#stored, observation.assignee),
          tags: spec.tags ?? [],
        },
        ownerTag(this.installation, metadata.uid, ledger.token),
        sending.signal,
      );
      connection.observer.note(server);
      this.#status = withBound(this.vm, server, false, userData);
    } catch (error) {
      if (!(error instanceof CloudError) || CLOUD_ERRORS[error.code].outcome === 'unknown') {
        this.tools.log.warn({ err: error, attempt: ledger.attempt }, 'create of unknown outcome');
        if (error instanceof CloudError) return;
        throw error;
      }
      this.#status = { ...this.#status, ledger: { ...ledger, closed: clip(`refused: ${error.message}`) } };
      throw error;
    } finally {
      sending.done();
    }
  }

  async #performPorts(connection: Connection, step: PortStep, observation: Observation, signal: AbortSignal): Promise<void> {
    const { installation } = this;
    const { environment } = this.tools;
    // As with the ledger: in the same turn in which the plan saw room.
    if (step.kind === 'MakePorts' && this.#status.id === undefined)
      connection.reserve(formatKey(keyOf(this.#stored)), this.#stored.metadata.uid);
    this.#status = await performPortStep(
      this.vm,
      step,
      { connection, installation, environment, groups: observation.groups },
      signal,
    );
    // Before a create it is written with the ledger, in one.
    if (step.kind === 'MakePorts' && this.#status.id !== undefined) await this.flush();
  }

  /** What is asked for is durable before it is, so that whoever comes after knows that it may still begin. */
  async #rebuild(connection: Connection, { id, number, imageId }: Rebuild, signal: AbortSignal): Promise<void> {
    this.#status = { ...this.#status, rebuild: { number, at: this.tools.environment.now().toISOString() } };
    await this.flush();
    try {
      await this.#change(connection, id, 'rebuilding', () => connection.driver.rebuildServer(id, imageId, signal));
    } catch (error) {
      // Refused is refused: nothing will begin.
      if (isCloudError(error) && CLOUD_ERRORS[error.code].outcome !== 'unknown') this.#status = withoutRebuild(this.#status);
      throw error;
    }
    const rebuilt = withRebuilt(this.#status, number);
    const { image } = this.#stored.spec;
    this.#status = { ...rebuilt, applied: { ...rebuilt.applied, image, imageId } };
    // Durable at once: a rebuild that is asked for twice would be of a machine that somebody may have by then.
    await this.flush();
  }

  /** The ledger entry: durable before the request, so that whoever comes after knows that there may be a server. */
  async #recordAttempt(attempt: number, { resolved, userData }: Observation): Promise<void> {
    const { spec } = this.#stored;
    const token = this.tools.environment.id();
    this.#status = {
      ...this.#status,
      ledger: {
        attempt,
        token,
        serverName: serverName(this.#stored),
        specHash: createHash('sha256').update(JSON.stringify(spec)).digest('hex').slice(0, 16),
        at: this.tools.environment.now().toISOString(),
      },
      applied: {
        attempt: token,
        image: spec.image,
        ...(resolved?.image.kind === 'found' ? { imageId: resolved.image.value.id } : {}),
        keyName: spec.keyName ?? '',
        networks: networksOf(this.#stored),
        ...(userData.kind === 'found' ? { userDataHash: userData.hash } : {}),
        ...rebuildsOf(spec),
      },
      ...(resolved?.image.kind === 'found' ? { image: { id: resolved.image.value.id, name: resolved.image.value.name } } : {}),
      ...(resolved?.flavor.kind === 'found'
        ? { flavor: { id: resolved.flavor.value.id, name: resolved.flavor.value.name } }
        : {}),
    };
    // In the same turn in which the plan saw room, so that no other pass sees it too.
    this.connection?.reserve(formatKey(keyOf(this.#stored)), this.#stored.metadata.uid);
    await this.flush();
    this.findings.held = token;
  }

  #bind(id: string, adopted: boolean, { owned, adoptable, askedByName, userData }: Observation): void {
    const server = [...owned, ...adoptable, ...(askedByName ?? [])].find((one) => one.id === id);
    if (!server) throw new CloudError('NotFound', `server ${id} vanished before it was bound`);
    this.#status = withBound(this.vm, server, adopted, userData);
    if (!adopted || this.#status.ledger) return;
    const now = this.tools.environment.now().toISOString();
    const token = server.owner?.attempt ?? this.tools.environment.id();
    this.#status = {
      ...this.#status,
      applied: { ...this.#status.applied, attempt: token },
      ledger: { attempt: 1, token, serverName: server.name, specHash: '', at: now },
      builtAt: now,
    };
  }

  /** Sets something going. Until the next poll tells more, the server counts as changing, so that the step is not taken twice. */
  async #change(connection: Connection, id: string, doing: string, call: () => Promise<void>): Promise<void> {
    await call();
    const known = connection.observer.sighting(id);
    if (!known) return;
    const updatedAt = this.tools.environment.now().toISOString();
    const server = { ...known.server, updatedAt };
    connection.observer.note(doing === 'Deleting' ? { ...server, state: 'Deleting' } : { ...server, task: doing });
  }

  async #look(connection: Connection, id: string, signal: AbortSignal): Promise<void> {
    try {
      connection.observer.note(await connection.driver.getServer(id, signal));
    } catch (error) {
      if (!isCloudError(error, 'NotFound')) throw error;
      connection.observer.noteGone(id);
    }
  }

  #nextFailure(id: string, message: string): NonNullable<VirtualMachineStatus['failures']> {
    const count = (this.#status.failures?.count ?? 0) + 1;
    return { count, at: this.tools.environment.now().toISOString(), message: clip(message), id };
  }

  async #setFinalizer(change: (resource: Resource, finalizer: string) => Resource): Promise<void> {
    // The spec as it stands: of a bad one this pass has read only a part.
    const { spec } = this.tools.records.get(keyOf(this.#stored)) ?? this.#stored;
    const { metadata } = await this.tools.records.update(change({ ...this.#stored, spec }, FINALIZER));
    this.#stored = { ...this.#stored, metadata };
  }
}
