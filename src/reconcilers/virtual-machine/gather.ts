import { createHash } from 'node:crypto';
import type { Catalog, Resolution } from '../../clouds/catalog.js';
import type { Connection } from '../../clouds/connection.js';
import type { Server } from '../../clouds/driver.js';
import type { Assignment } from '../../resources/assignment.js';
import { type Secret, secretValues } from '../../resources/core.js';
import type { Resource } from '../../resources/metadata.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { cloudProblem } from '../cloud/problem.js';
import type { GroupsAtCreation } from '../firewall/firewall.js';
import type { Owner } from '../records.js';
import { type Assignee, isAcknowledged } from './assignee.js';
import type { Bound, CloudFacts, Observation, PortFact, PortsView, Resolved, UserData } from './observation.js';
import { formerOwner } from './owner.js';
import { serverName } from './verdict.js';

/** How long a list of key pairs serves; and how soon one is asked for again for the sake of a name that it lacks. */
const KEY_PAIRS_KEEP_MS = 300_000;
const KEY_PAIRS_MISS_MS = 5_000;

/** What one reconcile pass has found out by itself. Gone when the pass ends: nothing in it is older than the pass. */
export interface Findings {
  held?: string;
  askedById?: boolean;
  askedByName?: readonly Server[];
  resolved?: Resolved;
  fresh?: boolean;
}

/** What is looked at beside the cloud. All lookups are in memory. */
export interface Surroundings {
  readonly installation: string;
  /** The Secret of that name in the record's namespace, or undefined. */
  secret(name: string): Secret | undefined;
  /** Other records of the same Cloud that are bound to the server of that id. */
  othersBoundTo(id: string): readonly Resource[];
  /** The assignment of that name in the record's namespace, as far as its spec and status can be read. */
  assignment(name: string): Pick<Assignment, 'metadata' | 'spec' | 'status'> | undefined;
  /** Whether a record of that uid is here. */
  hasRecord(uid: string): boolean;
  /** The security groups that its ports are to have. */
  groups(vm: VirtualMachine, connection: Connection): GroupsAtCreation;
}

/** The Cloud as far as a plan must know it. `cloud` is the resource of the name that the spec gives, as last seen. */
export function cloudFacts(
  vm: VirtualMachine,
  cloud: Resource | undefined,
  connection: Connection | undefined,
  installation: string,
): CloudFacts {
  const { name } = vm.spec.cloudRef;
  const problem = cloudProblem(vm, name, cloud, connection !== undefined);
  if (problem) return { kind: 'unusable', ...problem };
  if (!connection) return { kind: 'connecting' };
  const { health } = connection.observer;
  if (!health.completeAt) return { kind: 'connecting', trouble: health.error?.error.message };
  return {
    kind: 'usable',
    completeAt: health.completeAt,
    settleMs: connection.settings.settleMs,
    buildTimeoutMs: connection.settings.buildTimeoutMs,
    full: !connection.hasRoomFor(installation, vm.metadata.uid),
    trouble: health.error?.error.message,
  };
}

/** All that the plan looks at, as it is known now, without asking anybody. */
export function gather(
  vm: VirtualMachine,
  connection: Connection | undefined,
  cloud: CloudFacts,
  around: Surroundings,
  findings: Findings,
): Observation {
  const observer = connection?.observer;
  const adoptable = vm.spec.adopt && observer ? [...observer.servers()].filter((server) => matches(server, vm)) : [];
  const former = formerOf(vm, around);
  const bound = boundOf(vm, connection);
  const ports = portsOf(vm, connection, around.installation);
  const lacking = ports.completeAt !== undefined && ports.known.length < (vm.status?.ports?.length ?? 0);
  const making = !vm.metadata.deletionTimestamp && (bound.kind !== 'present' || lacking);
  const id = vm.status?.id ?? (adoptable.length === 1 ? adoptable[0]?.id : undefined);
  return {
    cloud,
    installation: around.installation,
    bound,
    former,
    owned: ownedOf(vm, observer, around.installation, former),
    adoptable,
    claimedBy: id === undefined ? undefined : claimant(vm, around.othersBoundTo(id)),
    userData: userDataOf(vm, around),
    assignee: assigneeOf(vm, around),
    ports,
    groups: connection && making ? around.groups(vm, connection) : { kind: 'unneeded' },
    resolved: findings.resolved,
    held: findings.held,
    askedById: findings.askedById ?? false,
    askedByName: findings.askedByName,
    fresh: findings.fresh ?? false,
  };
}

/** Looks up what names in the spec stand for. @throws CloudError as the lists do. */
export async function resolve(vm: VirtualMachine, { catalog, keyPairs }: Connection): Promise<Resolved> {
  const [image, flavor, networks, keyName] = await Promise.all([
    catalog.resolve('image', vm.spec.image),
    catalog.resolve('flavor', vm.spec.flavor),
    resolveNetworks(vm.spec.networks, catalog),
    resolveKeyName(vm.spec.keyName, keyPairs),
  ]);
  return { image, flavor, networks, keyName };
}

async function resolveKeyName(keyName: string | undefined, keyPairs: Connection['keyPairs']): Promise<Resolved['keyName']> {
  if (keyName === undefined) return { kind: 'found', value: undefined };
  for (const maxAgeMs of [KEY_PAIRS_KEEP_MS, KEY_PAIRS_MISS_MS]) {
    if ((await keyPairs.get(maxAgeMs)).some(({ name }) => name === keyName)) return { kind: 'found', value: keyName };
  }
  return { kind: 'missing', message: `no key pair has the name "${keyName}"` };
}

async function resolveNetworks(networks: VirtualMachine['spec']['networks'], catalog: Catalog): Promise<Resolved['networks']> {
  if (networks === undefined || networks === 'none') return { kind: 'found', value: networks };
  const all = await Promise.all(networks.map(({ name }) => catalog.resolve('network', name)));
  const bad = all.find((one): one is Exclude<Resolution, { kind: 'found' }> => one.kind !== 'found');
  if (bad) return bad;
  return { kind: 'found', value: all.flatMap((one) => (one.kind === 'found' ? [one.value.id] : [])) };
}

/** A record copied from one that is still here has a server of its own. */
function formerOf(vm: VirtualMachine, { installation, hasRecord }: Surroundings): Owner | undefined {
  const former = formerOwner(vm, installation);
  return former && former.installation === installation && hasRecord(former.uid) ? undefined : former;
}

function ownedOf(
  vm: VirtualMachine,
  observer: Connection['observer'] | undefined,
  installation: string,
  former: Owner | undefined,
): readonly Server[] {
  if (!observer) return [];
  const owned = observer.ownedBy(installation, vm.metadata.uid);
  if (!former || vm.status?.id !== undefined) return owned;
  const moved = observer.ownedBy(former.installation, former.uid).filter(({ name }) => name === serverName(vm));
  return [...owned, ...moved];
}

function matches(server: Server, { spec: { adopt } }: VirtualMachine): boolean {
  return adopt?.id === undefined ? server.name === adopt?.name : server.id === adopt.id;
}

function boundOf(vm: VirtualMachine, connection: Connection | undefined): Bound {
  const id = vm.status?.id;
  if (id === undefined) return { kind: 'none' };
  if (!connection) return { kind: 'unseen' };
  const sighting = connection.observer.sighting(id);
  if (sighting) return { kind: 'present', ...sighting };
  return connection.observer.isGone(id) ? { kind: 'gone' } : { kind: 'unseen' };
}

function portsOf(vm: VirtualMachine, connection: Connection | undefined, installation: string): PortsView {
  const named = (vm.status?.ports ?? []).map(({ id }) => id);
  if (!connection) return { completeAt: undefined, trouble: undefined, unsureSince: undefined, known: [], gone: [] };
  const { ports } = connection;
  const { completeAt, error } = ports.health;
  const owned = ports.by(`owner/${installation}/${vm.metadata.uid}`);
  // Of a record that was declared elsewhere before: they bear the tag that they were made with.
  const moved = ports.by(`server/${vm.status?.id}`).filter(({ owner }) => owner && owner.installation !== installation);
  return {
    completeAt,
    trouble: error && { lacking: error.error.code === 'Unsupported', message: error.error.message },
    unsureSince: connection.portsUnsureSince(vm.metadata.uid),
    known: [...new Set([...named, ...[...owned, ...moved].map(({ id }) => id)])].flatMap((id) => portFact(id, connection) ?? []),
    gone: named.filter((id) => ports.isGone(id)),
  };
}

function portFact(id: string, { ports, observer }: Connection): PortFact | undefined {
  const seen = ports.get(id);
  if (!seen) return undefined;
  const { item: port, asOf } = seen;
  if (port.serverId === undefined) return { port, asOf, holder: undefined };
  const holder = observer.sighting(port.serverId)?.server ?? (observer.isGone(port.serverId) ? 'gone' : 'unknown');
  return { port, asOf, holder };
}

/** The record that goes before this one in having a server: the one bound to it, and of two such the older. */
function claimant(vm: VirtualMachine, others: readonly Resource[]): string | undefined {
  const age = ({ metadata }: Resource) => `${metadata.creationTimestamp} ${metadata.uid}`;
  const rival = others.find(
    (other) => other.metadata.uid !== vm.metadata.uid && (vm.status?.id === undefined || age(other) < age(vm)),
  );
  return rival && `${rival.metadata.namespace}/${rival.metadata.name}`;
}

function assigneeOf(vm: VirtualMachine, around: Surroundings): Assignee | undefined {
  const { claimRef } = vm.spec;
  const assignment = claimRef && around.assignment(claimRef.name);
  if (!assignment || !isAcknowledged(vm, assignment.metadata.uid, assignment.status ?? {})) return undefined;
  const { user, application } = assignment.spec;
  return { name: claimRef.name, user, application };
}

function userDataOf(vm: VirtualMachine, around: Surroundings): UserData {
  const { userData, userDataFrom } = vm.spec;
  if (userData !== undefined) return found(userData);
  if (!userDataFrom) return { kind: 'none' };
  const { name, key } = userDataFrom.secretRef;
  const secret = around.secret(name);
  if (!secret) return { kind: 'missing', message: `there is no Secret ${vm.metadata.namespace}/${name}` };
  const text = secretValues(secret)[key];
  return text === undefined
    ? { kind: 'missing', message: `Secret ${vm.metadata.namespace}/${name} has no key ${key}` }
    : found(text);
}

function found(text: string): UserData {
  return { kind: 'found', text, hash: createHash('sha256').update(text).digest('hex') };
}
