import type { Server } from '../clouds/driver.js';
import type { Port } from '../clouds/network-driver.js';
import type { CloudVolume } from '../clouds/volume-driver.js';
import { poolOf } from '../resources/machine-facts.js';
import { keyOf, type Resource, type ResourceKey } from '../resources/metadata.js';
import { sameJson } from '../resources/same-json.js';
import { INDEXES, type Records } from './records.js';

// Whom a change of a resource, or of something in a cloud, concerns: the keys that are to be looked at for it.

/** The VirtualMachines that a server concerns: those bound to it, and the one whose owner tag it bears. */
export function keysOfServer(records: Records, cloud: string, server: Server): ResourceKey[] {
  const owners = server.owner ? records.virtualMachinesOfOwner(server.owner) : [];
  return [...records.virtualMachinesBoundTo(cloud, server.id), ...owners].map(keyOf);
}

/** The Volumes that a server concerns: those that are attached to it, and those that its machine shall have. */
export function volumesOfServer(records: Records, cloud: string, { id }: Server): ResourceKey[] {
  const declared = records.virtualMachinesBoundTo(cloud, id).flatMap((machine) => records.volumesConcerned(machine));
  return [...records.volumesAttachedTo(cloud, id), ...declared].map(keyOf);
}

/** The VirtualMachines that a port concerns: the one whose it is, and those bound to the server that has it. */
export function keysOfPort(records: Records, cloud: string, { owner, serverId }: Port): ResourceKey[] {
  const owners = owner ? records.virtualMachinesOfOwner({ installation: owner.installation, uid: owner.key }) : [];
  const bound = serverId === undefined ? [] : records.virtualMachinesBoundTo(cloud, serverId);
  return [...owners, ...bound].map(keyOf);
}

/** The Volumes that a volume in the cloud concerns. */
export function keysOfVolume(records: Records, cloud: string, { id, owner }: CloudVolume): ResourceKey[] {
  const own = owner && records.volumeWithUid(owner.uid);
  return [...records.volumesBoundTo(cloud, id), ...(own ? [own] : [])].map(keyOf);
}

/** The assignment that a machine's claim names. */
export function assignmentOf(machine: Resource | undefined): ResourceKey[] {
  if (!machine) return [];
  const { namespace = '' } = machine.metadata;
  return INDEXES.claimName(machine).map((name) => ({ kind: 'VirtualMachineAssignment', namespace, name }));
}

/** The machine that an assignment says it has. */
export function machineOf(assignment: Resource | undefined): ResourceKey[] {
  if (!assignment) return [];
  const { namespace = '' } = assignment.metadata;
  return INDEXES.boundMachine(assignment).map((name) => ({ kind: 'VirtualMachine', namespace, name }));
}

/** The Secrets of the credentials that a Cloud names. */
export function credentialsOf(cloud: Resource | undefined): ResourceKey[] {
  return (cloud ? INDEXES.credentials(cloud) : []).map((path) => parseKey(`Secret/${path}`));
}

/** The Cloud that a resource names. */
export function cloudOf(resource: Resource): ResourceKey[] {
  return INDEXES.cloud(resource).map((name) => ({ kind: 'Cloud', namespace: '', name }));
}

/** The pool that a machine belongs to. */
export function poolKeys(machine: Resource | undefined): ResourceKey[] {
  const owner = machine && poolOf(machine);
  return owner ? [{ kind: owner.kind, namespace: machine.metadata.namespace ?? '', name: owner.name }] : [];
}

/** The Recipes whose users a change of a pool makes others. */
export function recipeKeys(previous: Resource | undefined, current: Resource | undefined): ResourceKey[] {
  const [before, after] = [previous, current].map((pool) => (pool ? INDEXES.recipe(pool) : []));
  if (sameJson(before, after)) return [];
  return [...(before ?? []), ...(after ?? [])].map((path) => parseKey(`Recipe/${path}`));
}

/** The key that `formatKey` has written. */
export function parseKey(text: string): ResourceKey {
  const [kind = '', namespace = '', name = ''] = text.split('/');
  return { kind, namespace, name };
}
