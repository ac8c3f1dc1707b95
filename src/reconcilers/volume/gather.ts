import type { Connection } from '../../clouds/connection.js';
import type { CloudVolume } from '../../clouds/volume-driver.js';
import { formatKey, type Resource, type ResourceKey } from '../../resources/metadata.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Volume } from '../../resources/volume.js';
import { readAssignment } from '../assignment/input.js';
import { cloudProblem } from '../cloud/problem.js';
import { isAcknowledged } from '../virtual-machine/assignee.js';
import { readVirtualMachine } from '../virtual-machine/input.js';
import type { Bound, CloudFacts, Observation, Place, ResolvedType, Target } from './observation.js';

/** How long a list of volume types serves; and how soon one is asked for again for the sake of a name that it lacks. */
const TYPES_KEEP_MS = 300_000;
const TYPES_MISS_MS = 5_000;

/** What one reconcile pass has found out by itself. Gone when the pass ends: nothing in it is older than the pass. */
export interface Findings {
  held?: string;
  intended?: string;
  askedById?: boolean;
  askedByName?: readonly CloudVolume[];
  type?: ResolvedType;
  cannotGrow?: string;
  /** True after a step whose call was not answered, until that is told. */
  unanswered?: boolean;
  fresh?: boolean;
  /** What the store says of the resources that spec.attachTo leads to, by key: it goes before what caches say. */
  read?: ReadonlyMap<string, Resource | undefined>;
}

/** What is looked at beside the cloud. All lookups are in memory. */
export interface Surroundings {
  readonly installation: string;
  get(key: ResourceKey): Resource | undefined;
  hasRecord(uid: string): boolean;
  /** Volumes of the same Cloud that are bound to the volume of that id. */
  othersBoundTo(id: string): readonly Resource[];
  /** VirtualMachines of the same Cloud that are bound to the server of that id. */
  machinesBoundTo(serverId: string): readonly Resource[];
}

/** The Cloud as far as a plan must know it. `cloud` is the resource of the name that the spec gives, as last seen. */
export function cloudFacts(volume: Volume, cloud: Resource | undefined, connection: Connection | undefined): CloudFacts {
  const problem = cloudProblem(volume, volume.spec.cloudRef.name, cloud, connection !== undefined);
  if (problem) return { kind: 'unusable', ...problem };
  if (!connection) return { kind: 'connecting', trouble: undefined };
  const { volumes, observer, settings } = connection;
  const { completeAt, error } = volumes.health;
  if (error?.error.code === 'Unsupported')
    return { kind: 'without', message: `${error.error.message}: declare it in another Cloud` };
  const trouble = (error ?? observer.health.error)?.error.message;
  if (!completeAt || !observer.health.completeAt) return { kind: 'connecting', trouble };
  return { kind: 'usable', completeAt, settleMs: settings.settleMs, buildTimeoutMs: settings.buildTimeoutMs, trouble };
}

/** All that the plan looks at, as it is known now, without asking anybody. */
export function gather(
  record: Volume,
  connection: Connection | undefined,
  cloud: CloudFacts,
  around: Surroundings,
  findings: Findings,
): Observation {
  const volumes = connection?.volumes;
  const adoptable = adoptableFor(record, volumes);
  const id = record.status?.id ?? (adoptable.length === 1 ? adoptable[0]?.id : undefined);
  const bound = boundOf(record, volumes);
  return {
    cloud,
    installation: around.installation,
    bound,
    owned: volumes?.by(`owner/${around.installation}/${record.metadata.uid}`) ?? [],
    adoptable,
    hasRecord: around.hasRecord,
    claimedBy: id === undefined ? undefined : claimant(record, around.othersBoundTo(id)),
    places: bound.kind === 'present' ? placesOf(record, bound.volume, connection, around) : [],
    target: targetOf(record, connection, around, findings),
    type: record.spec.type === undefined ? { kind: 'found', id: undefined } : findings.type,
    held: findings.held,
    intended: findings.intended,
    confirmed: findings.read !== undefined,
    askedByName: findings.askedByName,
    askedById: findings.askedById ?? false,
    cannotGrow: findings.cannotGrow,
    fresh: findings.fresh ?? false,
  };
}

/** Looks up spec.type. @throws CloudError as the list does. */
export async function resolveType({ spec: { type } }: Volume, { volumeTypes }: Connection): Promise<ResolvedType> {
  if (type === undefined) return { kind: 'found', id: undefined };
  for (const maxAgeMs of [TYPES_KEEP_MS, TYPES_MISS_MS]) {
    const types = await volumeTypes.get(maxAgeMs);
    const found = types.find(({ id }) => id === type) ?? types.find(({ name }) => name === type);
    if (found) return { kind: 'found', id: found.id };
  }
  return { kind: 'missing', message: `no volume type has the name or id "${type}"` };
}

/** The resources that decide where a volume is declared to be, read from the store. */
export async function readTarget(
  { metadata: { namespace = '' }, spec: { attachTo } }: Volume,
  get: (key: ResourceKey) => Promise<Resource | undefined>,
): Promise<ReadonlyMap<string, Resource | undefined>> {
  const read = new Map<string, Resource | undefined>();
  const ask = async (kind: string, name: string | undefined) => {
    if (name === undefined) return undefined;
    const key = { kind, namespace, name };
    const resource = await get(key);
    read.set(formatKey(key), resource);
    return resource;
  };
  const stored = await ask('VirtualMachineAssignment', attachTo?.assignmentRef?.name);
  const assignment = stored && readAssignment(stored);
  await ask('VirtualMachine', attachTo?.virtualMachineRef?.name ?? assignment?.status?.virtualMachine?.name);
  return read;
}

function adoptableFor({ spec: { adopt } }: Volume, volumes: Connection['volumes'] | undefined): readonly CloudVolume[] {
  if (!adopt || !volumes) return [];
  if (adopt.name !== undefined) return volumes.by(`name/${adopt.name}`);
  const known = volumes.get(adopt.id ?? '');
  return known ? [known.item] : [];
}

function boundOf({ status }: Volume, volumes: Connection['volumes'] | undefined): Bound {
  const id = status?.id;
  if (id === undefined) return { kind: 'none' };
  const known = volumes?.get(id);
  if (known) return { kind: 'present', volume: known.item, asOf: known.asOf };
  return volumes?.isGone(id) ? { kind: 'gone' } : { kind: 'unseen' };
}

/** The record that goes before this one in having a volume: the one bound to it, and of two such the older. */
function claimant(record: Volume, others: readonly Resource[]): string | undefined {
  const age = ({ metadata }: Resource) => `${metadata.creationTimestamp} ${metadata.uid}`;
  const rival = others.find(
    (other) => other.metadata.uid !== record.metadata.uid && (record.status?.id === undefined || age(other) < age(record)),
  );
  return rival && `${rival.metadata.namespace}/${rival.metadata.name}`;
}

function placesOf(
  record: Volume,
  { attachments }: CloudVolume,
  connection: Connection | undefined,
  around: Surroundings,
): readonly Place[] {
  return attachments.map(({ serverId, device }) => {
    const server = connection?.observer.sighting(serverId)?.server;
    const [machine] = around
      .machinesBoundTo(serverId)
      .map(({ metadata: { namespace, name } }) => (namespace === record.metadata.namespace ? name : `${namespace}/${name}`));
    return {
      serverId,
      ...(device === undefined ? {} : { device }),
      machine,
      ours: server?.owner?.installation === around.installation || record.status?.attachment?.serverId === serverId,
      going: server?.state === 'Deleting' || server?.state === 'Deleted' || (connection?.observer.isGone(serverId) ?? false),
    };
  });
}

function targetOf(
  record: Volume,
  connection: Connection | undefined,
  around: Surroundings,
  { read }: Findings,
): Target | undefined {
  const { attachTo } = record.spec;
  if (!attachTo) return undefined;
  const { namespace = '' } = record.metadata;
  const get = (kind: string, name: string) => {
    const key = { kind, namespace, name };
    return read?.has(formatKey(key)) ? read.get(formatKey(key)) : around.get(key);
  };
  const { virtualMachineRef, assignmentRef } = attachTo;
  if (virtualMachineRef) {
    const { name } = virtualMachineRef;
    const stored = get('VirtualMachine', name);
    if (stored) return machineTarget(record, name, stored, connection);
    return missing(name, `spec.attachTo.virtualMachineRef.name: there is no VirtualMachine ${namespace}/${name}`);
  }
  const name = assignmentRef?.name ?? '';
  const stored = get('VirtualMachineAssignment', name);
  if (!stored)
    return missing(undefined, `spec.attachTo.assignmentRef.name: there is no VirtualMachineAssignment ${namespace}/${name}`);
  const { status = {} } = readAssignment(stored) ?? {};
  const machine = status.virtualMachine && get('VirtualMachine', status.virtualMachine.name);
  const input = machine && readVirtualMachine(machine);
  if (machine && input?.kind === 'valid' && isAcknowledged(input.vm, stored.metadata.uid, status))
    return machineTarget(record, machine.metadata.name, machine, connection);
  const obstacle = status.ended
    ? {
        reason: 'AssignmentEnded',
        message: `spec.attachTo.assignmentRef.name: VirtualMachineAssignment ${name} has ended`,
        lasting: true,
      }
    : { reason: 'AssignmentWaits', message: `VirtualMachineAssignment ${name} has no machine now`, lasting: false };
  return { machine: undefined, serverId: undefined, obstacle, gone: false };
}

function missing(machine: string | undefined, message: string): Target {
  return { machine, serverId: undefined, obstacle: { reason: 'ReferenceNotFound', message, lasting: true }, gone: true };
}

function machineTarget(record: Volume, name: string, stored: Resource, connection: Connection | undefined): Target {
  const input = readVirtualMachine(stored);
  const vm = input.kind === 'valid' ? input.vm : undefined;
  const { cloudRef } = record.spec;
  if (vm && vm.spec.cloudRef.name !== cloudRef.name) {
    const message = `VirtualMachine ${name} is in Cloud ${vm.spec.cloudRef.name}, and this volume in Cloud ${cloudRef.name}: declare a volume there, or attach this one to a machine of its own Cloud`;
    return { machine: name, serverId: undefined, obstacle: { reason: 'OtherCloud', message, lasting: true }, gone: false };
  }
  const why = obstacleAt(vm, connection);
  const obstacle =
    why === undefined
      ? undefined
      : {
          reason: 'MachineNotReady',
          message: `VirtualMachine ${name} ${why}: the volume is attached when it runs or is stopped`,
          lasting: false,
        };
  return { machine: name, serverId: vm?.status?.id, obstacle, gone: false };
}

/** Why a machine cannot be given a volume now. */
function obstacleAt(vm: VirtualMachine | undefined, connection: Connection | undefined): string | undefined {
  if (!vm) return 'has an invalid spec';
  if (vm.metadata.deletionTimestamp) return 'is being deleted';
  const id = vm.status?.id;
  if (id === undefined) return 'has no server yet';
  const server = connection?.observer.sighting(id)?.server;
  if (!server) return `has server ${id}, which is not seen in the cloud`;
  if (server.task !== undefined) return `has server ${id}, which is ${server.task}`;
  if (server.state !== 'Running' && server.state !== 'Stopped') return `has server ${id}, which is ${server.state}`;
  return undefined;
}
