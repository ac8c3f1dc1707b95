import type { Connection } from '../../clouds/connection.js';
import type { Port, SecurityGroup } from '../../clouds/network-driver.js';
import { notReady, type ProposedCondition, unknown } from '../../resources/conditions.js';
import {
  type FirewallRule,
  firewallRuleKind,
  firewallRuleSpecSchema,
  firewallRuleStatusSchema,
} from '../../resources/firewall-rule.js';
import type { Resource } from '../../resources/metadata.js';
import { makeReader } from '../../resources/reader.js';
import { type FieldError, validate } from '../../resources/validate.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { readAssignment } from '../assignment/input.js';
import { cloudProblem } from '../cloud/problem.js';
import { invalidSpec } from '../invalid-spec.js';
import { INDEXES, type Records } from '../records.js';
import { isAcknowledged } from '../virtual-machine/assignee.js';
import { readVirtualMachine } from '../virtual-machine/input.js';
import { eldest, type Observation, type ObservedPort } from './plan.js';
import { type Machine, targetOf } from './target.js';
import { type Wish, wishesOf } from './wishes.js';

/** Kept on a FirewallRule from before it is opened until it is closed. */
export const FINALIZER = 'dispatcher.dev/firewall';

/** One FirewallRule of a Cloud. */
export interface RuleSight {
  readonly stored: Resource;
  /** Undefined if its spec cannot be read. */
  readonly rule: FirewallRule | undefined;
  /** In force: to be kept open. */
  readonly live: boolean;
  /** Why it is not: as conditions. Empty for one that is being deleted. */
  readonly said: readonly ProposedCondition[];
}

/** All that a plan for a Cloud's firewall looks at, and whose it is. */
export interface Sight {
  readonly rules: readonly RuleSight[];
  readonly wishes: ReadonlyMap<string, Wish>;
  readonly observation: Observation;
  /** The ports of each machine, by its uid. */
  readonly portsOf: ReadonlyMap<string, readonly ObservedPort[]>;
  /** Keys whose groups nobody may decide about now: a spec that cannot be read, a Cloud that may not be used. */
  readonly withheld: ReadonlySet<string>;
  /** Groups of ours that no rule of any Cloud is about. */
  readonly abandoned: readonly SecurityGroup[];
}

/** What is looked at beside the Cloud. */
export interface Surroundings {
  readonly records: Records;
  readonly installation: string;
  /** Every FirewallRule there is. */
  readonly all: readonly Resource[];
  /** True for a group of {@link Sight.abandoned} that has been one for long enough to go. */
  isRipe(id: string): boolean;
}

const readRule = makeReader(firewallRuleSpecSchema, firewallRuleStatusSchema);

/** Gathers what is known now, without asking anybody. */
export function gather(cloud: string, connection: Connection, around: Surroundings): Sight {
  const rules = around.all
    .filter((stored) => INDEXES.cloud(stored).includes(cloud))
    .map((stored) => sightOf(stored, cloud, around.records));
  const groupsByKey = ourGroups(connection, around.installation);
  const machines = around.records.ofCloud('VirtualMachine', cloud).flatMap((stored) => asMachine(stored, around.records));
  const live = rules.flatMap(({ rule, live: isLive }) => (rule && isLive ? [rule] : []));
  const wishes = wishesOf(live, machines, (key) => eldest(groupsByKey.get(key) ?? [])?.id);
  const groups = new Map<string, readonly SecurityGroup[]>();
  const abandoned: SecurityGroup[] = [];
  const withheld = new Set<string>();
  const decided = decidedKeys(rules);
  const former = new Set(rules.flatMap(({ rule, live, stored }) => (rule && live ? groupIdsIn(stored) : [])));
  const known = new Set(around.all.flatMap((stored) => keyOfRule(stored)));
  const untouchable = new Set(
    rules.flatMap(({ rule, stored }) => (rule || stored.metadata.deletionTimestamp ? [] : groupIdsIn(stored))),
  );
  for (const [key, all] of groupsByKey) {
    if (all.some(({ id }) => untouchable.has(id))) withheld.add(key);
    else if (wishes.has(key) || decided.has(key)) groups.set(key, all);
    else if (known.has(key)) withheld.add(key);
    // A rule that was in it is for other machines now.
    else if (all.some(({ id }) => former.has(id))) groups.set(key, all);
    else {
      abandoned.push(...all);
      if (all.every(({ id }) => around.isRipe(id))) groups.set(key, all);
    }
  }
  const { ports, portsOf } = observePorts(cloud, connection, around, machines, wishes, groups);
  return { rules, wishes, observation: { groups, ports }, portsOf, withheld, abandoned };
}

/** A VirtualMachine as firewall rules see it; none for one whose spec cannot be read. */
export function asMachine(stored: Resource, records: Records): Machine[] {
  const input = readVirtualMachine(stored);
  if (input.kind === 'invalid') return [];
  const { vm } = input;
  const { claimRef } = vm.spec;
  const assignment =
    claimRef && records.get({ kind: 'VirtualMachineAssignment', namespace: vm.metadata.namespace ?? '', name: claimRef.name });
  const read = assignment && readAssignment(assignment);
  const acknowledged = read && isAcknowledged(vm, read.metadata.uid, read.status ?? {});
  return [{ record: vm, assignment: acknowledged ? claimRef?.name : undefined }];
}

/** The FirewallRules of a namespace and Cloud that are in force. */
export function liveRules(stored: readonly Resource[], cloud: string, records: Records): FirewallRule[] {
  return stored
    .filter((each) => INDEXES.cloud(each).includes(cloud))
    .map((each) => sightOf(each, cloud, records))
    .flatMap(({ rule, live }) => (rule && live ? [rule] : []));
}

/** The groups in a cloud that bear our owner tag, by its key. */
function ourGroups({ groups }: Connection, installation: string): ReadonlyMap<string, readonly SecurityGroup[]> {
  const byKey = new Map<string, SecurityGroup[]>();
  for (const group of groups.items()) {
    if (group.owner?.installation !== installation) continue;
    byKey.set(group.owner.key, [...(byKey.get(group.owner.key) ?? []), group]);
  }
  return byKey;
}

/** True for a machine whose ports are not to be touched. */
export function isHandsOff({ spec }: VirtualMachine): boolean {
  return spec.management === 'Observe' || spec.paused === true;
}

function sightOf(stored: Resource, cloud: string, records: Records): RuleSight {
  const errors = errorsOf(stored);
  const rule = readRule(stored);
  if (!rule || errors.length > 0) return { stored, rule: undefined, live: false, said: invalidSpec(errors) };
  const problem = cloudProblem(rule, cloud, records.get({ kind: 'Cloud', namespace: '', name: cloud }), true);
  // What is to go goes, whoever may use the Cloud now; only a pause holds that too.
  const goes = stored.metadata.deletionTimestamp !== undefined;
  if (problem && !(goes && problem.reason !== 'CloudPaused'))
    return { stored, rule, live: false, said: unknown(problem.reason, problem.message) };
  if (goes) return { stored, rule, live: false, said: [] };
  const message = missingReference(rule, records);
  if (message === undefined) return { stored, rule, live: true, said: [] };
  return { stored, rule, live: false, said: notReady('Stalled', 'ReferenceNotFound', message) };
}

/** What stands in a store never changes in place: each spec is validated once. */
const validated = new WeakMap<object, readonly FieldError[]>();

function errorsOf({ status: _status, ...declared }: Resource): readonly FieldError[] {
  const { spec } = declared;
  const known = typeof spec === 'object' && spec !== null ? validated.get(spec) : undefined;
  if (known) return known;
  const errors = validate(firewallRuleKind, declared);
  if (typeof spec === 'object' && spec !== null) validated.set(spec, errors);
  return errors;
}

/** What a rule refers to and is not there, as a sentence. */
function missingReference({ metadata, spec }: FirewallRule, records: Records): string | undefined {
  const { namespace = '' } = metadata;
  const references = [
    { field: 'virtualMachineRef', kind: 'VirtualMachine', name: spec.virtualMachineRef?.name },
    { field: 'assignmentRef', kind: 'VirtualMachineAssignment', name: spec.assignmentRef?.name },
    { field: 'peerRef', kind: 'FirewallRule', name: spec.peerRef?.name },
  ];
  for (const { field, kind, name } of references) {
    if (name === undefined) continue;
    const there = records.get({ kind, namespace, name });
    if (!there) return `spec.${field}.name: there is no ${kind} ${namespace}/${name}`;
    if (kind === 'FirewallRule' && there.metadata.deletionTimestamp)
      return `spec.${field}.name: ${kind} ${namespace}/${name} is being deleted`;
    const [elsewhere] = INDEXES.cloud(there);
    if (elsewhere !== undefined && elsewhere !== spec.cloudRef.name)
      return `spec.${field}.name: ${kind} ${namespace}/${name} is in Cloud ${elsewhere}, and this rule in ${spec.cloudRef.name}`;
  }
  return undefined;
}

/** Keys of rules that are not in force by a person's own word: what stands for them is to go. */
function decidedKeys(rules: readonly RuleSight[]): ReadonlySet<string> {
  const undecided = new Set<string>();
  const keys = new Set<string>();
  for (const { rule, live, said } of rules) {
    if (!rule || live) continue;
    const { key } = targetOf(rule);
    // A Cloud that may not be used just now decides nothing.
    if (said.some(({ type, status }) => type === 'Ready' && status === 'Unknown')) undecided.add(key);
    else keys.add(key);
  }
  for (const key of undecided) keys.delete(key);
  return keys;
}

function observePorts(
  cloud: string,
  connection: Connection,
  { records, installation }: Surroundings,
  machines: readonly Machine[],
  wishes: ReadonlyMap<string, Wish>,
  groups: ReadonlyMap<string, readonly SecurityGroup[]>,
): { ports: ObservedPort[]; portsOf: Map<string, ObservedPort[]> } {
  const wantedOf = new Map<string, string[]>(machines.map(({ record }) => [record.metadata.uid, []]));
  for (const { target, machines: chosen } of wishes.values())
    for (const { record } of chosen) wantedOf.get(record.metadata.uid)?.push(target.key);
  const handsOff = new Set(machines.flatMap(({ record }) => (isHandsOff(record) ? [record.metadata.uid] : [])));
  const ours = new Set([...groups.values()].flat().map(({ id }) => id));
  const ports: ObservedPort[] = [];
  const portsOf = new Map<string, ObservedPort[]>();
  for (const port of connection.ports.items()) {
    const uid = machineOf(port, cloud, connection, records, installation);
    const worn = port.groupIds.some((id) => ours.has(id));
    const keys = uid === undefined ? undefined : wantedOf.get(uid);
    if (!worn && (keys === undefined || keys.length === 0)) continue;
    const wanted = uid !== undefined && handsOff.has(uid) ? undefined : (keys ?? (isNobodys(port, connection) ? [] : undefined));
    const observed = { port, wanted };
    ports.push(observed);
    if (uid !== undefined) portsOf.set(uid, [...(portsOf.get(uid) ?? []), observed]);
  }
  return { ports, portsOf };
}

/** The uid of the machine whose a port is: by the port's own tag, by the server that a record is bound to, or by that server's tag. */
function machineOf(
  port: Port,
  cloud: string,
  { observer }: Connection,
  records: Records,
  installation: string,
): string | undefined {
  if (port.owner) return port.owner.installation === installation ? port.owner.key : undefined;
  if (port.serverId === undefined) return undefined;
  const [bound] = records.virtualMachinesBoundTo(cloud, port.serverId);
  if (bound) return bound.metadata.uid;
  const owner = observer.sighting(port.serverId)?.server.owner;
  return owner?.installation === installation ? owner.uid : undefined;
}

/** True for a port that a group of ours was put on by hand: no server has it, or a server that is known and nobody declares. */
function isNobodys({ serverId, owner }: Port, { observer }: Connection): boolean {
  if (owner) return false;
  return serverId === undefined || observer.sighting(serverId) !== undefined;
}

function keyOfRule(stored: Resource): string[] {
  const rule = readRule(stored);
  return rule ? [targetOf(rule).key] : [];
}

/** The groups that a rule is known to be in, or to have been in. */
function groupIdsIn({ status }: Resource): string[] {
  const { securityGroup, formerGroups = [] } = firewallRuleStatusSchema.safeParse(status ?? {}).data ?? {};
  return securityGroup ? [securityGroup.id, ...formerGroups] : [...formerGroups];
}
