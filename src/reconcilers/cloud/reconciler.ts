import type { Logger } from 'pino';
import { CisternError } from '../../cistern/errors.js';
import type { Connection } from '../../clouds/connection.js';
import type { Quota, Server } from '../../clouds/driver.js';
import { CloudError } from '../../clouds/errors.js';
import type { Port } from '../../clouds/network-driver.js';
import type { Recorder } from '../../controllers/events.js';
import { hasFinalizer, withFinalizer, withoutFinalizer } from '../../controllers/finalizer.js';
import type { Outcome, Reconciler } from '../../controllers/reconciler.js';
import type { Environment } from '../../environment.js';
import {
  type Cloud,
  type CloudSpec,
  type CloudStatus,
  cloudKind,
  cloudSpecSchema,
  cloudStatusSchema,
} from '../../resources/cloud.js';
import { mergeConditions, type ProposedCondition } from '../../resources/conditions.js';
import { secretValues } from '../../resources/core.js';
import { fieldOf } from '../../resources/field-of.js';
import { formatKey, keyOf, type Resource, type ResourceKey } from '../../resources/metadata.js';
import { sameJson } from '../../resources/same-json.js';
import { validate } from '../../resources/validate.js';
import { listAll } from '../../store/list-all.js';
import type { Store } from '../../store/store.js';
import { invalidSpec } from '../invalid-spec.js';
import type { Inventories } from '../inventory/inventories.js';
import { type InventoryObservation, reportInventory } from '../inventory/report.js';
import type { Records } from '../records.js';
import type { CloudConnections } from './connections.js';
import { type OrphanMemory, planOrphans, policyOf } from './orphans.js';
import { type CloudObservation, reportCloud } from './plan.js';

/** Kept on a Cloud while a resource names it: without it, servers could not be deleted any more. */
const FINALIZER = 'dispatcher.dev/in-use';
const OWNED: ReadonlySet<string> = new Set(['Ready', 'Reconciling', 'Stalled', 'Paused', 'Terminating', 'InventoryReady']);
/** How long a quota that was read serves. */
const QUOTA_KEEP_MS = 300_000;

/** What the reconciler of Clouds works with. */
export interface CloudTools {
  readonly store: Pick<Store, 'list'>;
  readonly records: Records;
  readonly connections: CloudConnections;
  readonly inventories: Pick<Inventories, 'ensure' | 'drop' | 'observation'>;
  readonly events: Pick<Recorder, 'record'>;
  readonly environment: Environment;
  readonly installation: string;
  readonly log: Logger;
}

interface Memory {
  quota?: { readonly at: Date; readonly value: Quota };
  orphans: OrphanMemory;
  /** The last complete observation that orphans were looked for in. */
  scanned?: Date;
  ports: OrphanMemory['sightings'];
  /** The last complete list of ports that orphans were looked for in. */
  portsScanned?: Date;
}

const NO_ORPHANS: Pick<Memory, 'orphans' | 'ports'> = { orphans: { sightings: new Map(), deletions: [] }, ports: new Map() };

/** Connects clouds as they are declared, says how they are, and deletes orphans. Woken by each complete observation. */
export class CloudReconciler implements Reconciler {
  readonly kind = 'Cloud';
  readonly #memory = new Map<string, Memory>();

  constructor(private readonly tools: CloudTools) {}

  async reconcile(key: ResourceKey, signal: AbortSignal): Promise<Outcome> {
    const { records } = this.tools;
    const stored = records.get(key);
    if (!stored) {
      this.#drop(key.name);
      this.#memory.delete(key.name);
      return { kind: 'settled' };
    }
    const terminating = stored.metadata.deletionTimestamp !== undefined;
    if (terminating && this.#users(key.name) === undefined) {
      await records.update(withoutFinalizer(stored, FINALIZER));
      return { kind: 'settled' };
    }
    // One that is in use stays connected, though it is to go: its servers are deleted through it.
    const held = terminating ? stored : await this.#hold(stored);
    const spec = cloudSpecSchema.safeParse(held.spec);
    const { status: _status, ...declared } = held;
    const errors = validate(cloudKind, declared);
    if (!spec.success || errors.length > 0) {
      this.#drop(key.name);
      return this.#report(held, { conditions: invalidSpec(errors), facts: {} }, { kind: 'undeclared' });
    }
    const inventory = this.#inventory(key.name, spec.data);
    const connection = this.#connect(key.name, spec.data);
    if (connection instanceof Error) {
      const { message } = connection;
      return this.#report(held, reportCloud({ kind: 'unconnected', reason: 'CredentialsInvalid', message }), inventory);
    }
    const memory = this.#memory.get(key.name) ?? { ...NO_ORPHANS };
    this.#memory.set(key.name, memory);
    await this.#collectOrphans(held, spec.data, connection, memory, signal);
    const observation = await this.#observe(key.name, spec.data, connection, memory, signal);
    await this.#collectPorts(held, spec.data, connection, memory, signal);
    return this.#report(held, reportCloud(observation), inventory);
  }

  #drop(name: string): void {
    this.tools.connections.drop(name);
    this.tools.inventories.drop(name);
  }

  /** Looks at the inventory as it is declared. Whatever comes of that, the Cloud itself is none the worse. */
  #inventory(name: string, { cistern }: CloudSpec): InventoryObservation {
    const { records, inventories } = this.tools;
    const reference = cistern?.credentialsRef;
    const secret = reference && records.secret(reference.namespace, reference.name);
    const token = secret && secretValues(secret).token?.trim();
    if (reference && !token) {
      inventories.drop(name);
      const named = `Secret ${reference.namespace}/${reference.name}`;
      const message = `spec.cistern.credentialsRef: ${secret ? `${named} has no token` : `there is no ${named}`}`;
      return { kind: 'unconnected', reason: 'CredentialsInvalid', message };
    }
    try {
      inventories.ensure(name, cistern, token);
    } catch (error) {
      if (!(error instanceof CisternError)) throw error;
      inventories.drop(name);
      return { kind: 'unconnected', reason: error.code, message: `spec.cistern.endpoint: ${error.message}` };
    }
    return inventories.observation(name) ?? { kind: 'undeclared' };
  }

  #connect(name: string, spec: CloudSpec): Connection | Error {
    const { records, connections } = this.tools;
    const reference = spec.credentialsRef;
    const secret = reference && records.secret(reference.namespace, reference.name);
    try {
      if (reference && !secret)
        throw new Error(`spec.credentialsRef: there is no Secret ${reference.namespace}/${reference.name}`);
      return connections.ensure(name, spec, secret && secretValues(secret));
    } catch (error) {
      connections.drop(name);
      return error instanceof Error ? error : new Error(String(error));
    }
  }

  async #observe(
    name: string,
    spec: CloudSpec,
    connection: Connection,
    memory: Memory,
    signal: AbortSignal,
  ): Promise<CloudObservation> {
    const now = this.tools.environment.now();
    const { health } = connection.observer;
    const stale = !memory.quota || now.getTime() - memory.quota.at.getTime() >= QUOTA_KEEP_MS;
    if (health.completeAt && !health.error && stale) {
      const value = await connection.driver.getQuota(signal).catch((error: unknown) => {
        if (!(error instanceof CloudError)) throw error;
        this.tools.log.warn({ err: error, cloud: name }, 'reading the quota failed');
        return undefined;
      });
      if (value) memory.quota = { at: now, value };
    }
    return {
      kind: 'connected',
      health,
      paused: spec.paused ?? false,
      servers: connection.observer.servers(),
      installation: this.tools.installation,
      orphans: memory.orphans.sightings.size,
      volumes: this.#countVolumes(connection),
      quota: memory.quota?.value,
      calls: this.tools.connections.calls(name) ?? { total: 0, failed: 0, throttled: 0 },
    };
  }

  #countVolumes({ volumes }: Connection): CloudStatus['volumes'] {
    if (!volumes.health.completeAt) return undefined;
    const { installation, records } = this.tools;
    const ours = [...volumes.items()].flatMap(({ owner }) => (owner?.installation === installation ? [owner.uid] : []));
    return { ours: ours.length, orphans: ours.filter((uid) => !records.volumeWithUid(uid)).length };
  }

  async #collectOrphans(
    cloud: Resource,
    spec: CloudSpec,
    { observer, driver }: Connection,
    memory: Memory,
    signal: AbortSignal,
  ): Promise<void> {
    const { completeAt } = observer.health;
    if (!completeAt || spec.paused || memory.scanned?.getTime() === completeAt.getTime()) return;
    memory.scanned = completeAt;
    const candidates = [...observer.servers()].filter((server) => this.#isUnowned(server));
    const records = candidates.length === 0 ? new Map<string, Resource>() : await this.#recordsByUid();
    const orphans = candidates.filter(({ owner }) => owner && !records.has(owner.uid));
    const planned = planOrphans(memory.orphans, orphans, policyOf(spec), this.tools.environment.now());
    memory.orphans = planned.memory;
    for (const { id, name } of planned.doomed) {
      this.tools.events.record(cloud, {
        type: 'Warning',
        reason: 'DeletingOrphan',
        message: `deleting server ${id} ("${name}"): it bears our owner tag, and no record has it`,
        action: 'Delete',
      });
      await driver.deleteServer(id, signal);
    }
  }

  /** As with servers, and under the same cap. While nobody has ports there, they are looked at now and then only. */
  async #collectPorts(
    cloud: Resource,
    spec: CloudSpec,
    { ports, driver }: Connection,
    memory: Memory,
    signal: AbortSignal,
  ): Promise<void> {
    const { completeAt } = ports.health;
    const seen = completeAt?.getTime() === memory.portsScanned?.getTime();
    if (!completeAt || (seen && memory.ports.size > 0)) ports.wantComplete(formatKey(keyOf(cloud)), this.tools.environment.now());
    if (!completeAt || seen || spec.paused) return;
    memory.portsScanned = completeAt;
    const candidates = [...ports.items()].filter((port) =>
      this.#isLeftOver(port, (uid) => this.tools.records.virtualMachineWithUid(uid)),
    );
    const records = candidates.length === 0 ? new Map<string, Resource>() : await this.#recordsByUid();
    const orphans = candidates.filter((port) => this.#isLeftOver(port, (uid) => records.get(uid)));
    const { deletions } = memory.orphans;
    const planned = planOrphans({ sightings: memory.ports, deletions }, orphans, policyOf(spec), this.tools.environment.now());
    memory.ports = planned.memory.sightings;
    memory.orphans = { ...memory.orphans, deletions: planned.memory.deletions };
    for (const { id, addresses } of planned.doomed) {
      this.tools.events.record(cloud, {
        type: 'Warning',
        reason: 'DeletingOrphan',
        message: `deleting port ${id} (${addresses.join(', ')}): it bears our owner tag, and no record and no server has it`,
        action: 'Delete',
      });
      await driver.deletePort(id, signal);
      ports.noteGone(id);
    }
  }

  /** True for a port of ours that no server has, and no record either: one without a server may yet take it. */
  #isLeftOver({ id, owner, serverId }: Port, recordOf: (uid: string) => Resource | undefined): boolean {
    if (owner?.installation !== this.tools.installation || serverId !== undefined) return false;
    const record = recordOf(owner.key);
    if (!record) return true;
    const named = fieldOf(record.status, 'ports');
    if (Array.isArray(named) && named.some((one) => fieldOf(one, 'id') === id)) return false;
    return fieldOf(record.status, 'id') !== undefined;
  }

  #isUnowned({ owner }: Server): boolean {
    return owner?.installation === this.tools.installation && !this.tools.records.virtualMachineWithUid(owner.uid);
  }

  /** All records, as they stand in the store now: younger than what was observed before. */
  async #recordsByUid(): Promise<ReadonlyMap<string, Resource>> {
    const records = await listAll(this.tools.store, 'VirtualMachine');
    return new Map(records.map((record) => [record.metadata.uid, record]));
  }

  /** A Cloud is held from the start: it is what deletions go through. */
  async #hold(cloud: Resource): Promise<Resource> {
    return hasFinalizer(cloud, FINALIZER) ? cloud : this.tools.records.update(withFinalizer(cloud, FINALIZER));
  }

  /** What still names a Cloud: `2 VirtualMachines and 1 KeyPair`; undefined if nothing does. */
  #users(name: string): string | undefined {
    const counts = (['VirtualMachine', 'KeyPair', 'FirewallRule', 'Volume'] as const).flatMap((kind) => {
      const { length } = this.tools.records.ofCloud(kind, name);
      return length > 0 ? [`${length} ${kind}${length > 1 ? 's' : ''}`] : [];
    });
    return counts.length > 0 ? counts.join(' and ') : undefined;
  }

  #terminating({ metadata }: Resource): ProposedCondition[] {
    if (!metadata.deletionTimestamp) return [];
    const message = `${this.#users(metadata.name) ?? 'nothing'} in it must be deleted first`;
    return [{ type: 'Terminating', status: 'True', reason: 'InUse', message }];
  }

  async #report(
    cloud: Resource,
    { conditions, facts }: { conditions: readonly ProposedCondition[]; facts: Partial<CloudStatus> },
    observation: InventoryObservation,
  ): Promise<Outcome> {
    const before = cloudStatusSchema.safeParse(cloud.status ?? {});
    const { cistern: _before, ...known }: NonNullable<Cloud['status']> = before.success ? before.data : {};
    const inventory = reportInventory(observation);
    const { generation } = cloud.metadata;
    const said = [...conditions, ...inventory.conditions, ...this.#terminating(cloud)];
    const { lastError: _lastError, ...rest } = known;
    const status: CloudStatus = {
      ...(facts.observedAt ? rest : known),
      ...facts,
      ...(inventory.cistern ? { cistern: inventory.cistern } : {}),
      observedGeneration: generation,
      conditions: mergeConditions(known.conditions ?? [], said, OWNED, generation, this.tools.environment.now()),
    };
    if (!sameJson(status, before.data ?? {})) await this.tools.records.updateStatus({ ...cloud, status });
    return { kind: 'settled' };
  }
}
