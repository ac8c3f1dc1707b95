import { egressRules } from './default-groups.js';
import { showAnew } from './ports.js';
import type { GroupRecord, RuleRecord } from './records.js';
import { Refusal } from './refusal.js';
import { type RuleFields, sameTraffic } from './security-group-rules.js';
import type { State } from './state.js';

/** The name of the group that each project has from the beginning. */
export const DEFAULT_GROUP = 'default';

/** The security groups of a project. */
export function groupsOf(state: State, projectId: string): GroupRecord[] {
  return [...state.groups.values()].filter((group) => group.projectId === projectId);
}

/** The group of a project that a name or id means; undefined if there is none. @throws Refusal 409 if several have the name. */
export function meantGroup(state: State, projectId: string, nameOrId: string): GroupRecord | undefined {
  const meant = state.groups.get(nameOrId);
  if (meant?.projectId === projectId) return meant;
  const [group, another] = groupsOf(state, projectId).filter(({ name }) => name === nameOrId);
  if (another === undefined) return group;
  throw new Refusal(409, `Multiple security_group matches found for name '${nameOrId}', use an ID to be more specific.`);
}

/** Makes a group with the two rules that every new one has. */
export function createGroup(
  state: State,
  request: Pick<GroupRecord, 'name' | 'description' | 'projectId'>,
  now: number,
): GroupRecord {
  const group: GroupRecord = {
    ...request,
    id: state.environment.id(),
    tags: [],
    rules: egressRules(() => state.environment.id(), now),
    created: now,
    updated: now,
    revision: 1,
  };
  state.putGroup(group);
  return group;
}

/** Changes a group as it stands. @returns the new record. */
export function changeGroup(state: State, group: GroupRecord, change: Partial<GroupRecord>, now: number): GroupRecord {
  const changed = { ...group, ...change, updated: now, revision: group.revision + 1 };
  state.putGroup(changed);
  if (changed.name !== group.name) {
    for (const port of state.ports.values()) if (port.groupIds.includes(group.id)) showAnew(state, port.deviceId);
  }
  return changed;
}

/** Removes a group, and the rules of others that name it. @throws Refusal 409 while a port has it, and for the project's own. */
export function deleteGroup(state: State, group: GroupRecord, now: number): void {
  for (const port of state.ports.values()) {
    if (port.groupIds.includes(group.id)) throw new Refusal(409, `Security Group ${group.id} in use.`, 'SecurityGroupInUse');
  }
  if (group.name === DEFAULT_GROUP) {
    throw new Refusal(409, 'Insufficient rights for removing default security group.', 'SecurityGroupCannotRemoveDefault');
  }
  state.removeGroup(group.id);
  for (const other of state.groups.values()) {
    const rules = other.rules.filter(({ remoteGroupId }) => remoteGroupId !== group.id);
    if (rules.length < other.rules.length) changeGroup(state, other, { rules }, now);
  }
}

/** Puts rules into a group, all or none. @throws Refusal 409 if one of them allows what another does. */
export function addRules(state: State, group: GroupRecord, wanted: readonly RuleFields[], now: number): RuleRecord[] {
  for (const [index, fields] of wanted.entries()) {
    if (wanted.slice(0, index).some((other) => sameTraffic(other, fields))) {
      throw new Refusal(409, 'Duplicate Security Group Rule in POST.', 'DuplicateSecurityGroupRuleInPost');
    }
  }
  for (const fields of wanted) {
    const twin = group.rules.find((rule) => sameTraffic(rule, fields));
    if (twin === undefined) continue;
    throw new Refusal(409, `Security group rule already exists. Rule id is ${twin.id}.`, 'SecurityGroupRuleExists');
  }
  const made = wanted.map((fields) => ({ ...fields, id: state.environment.id(), created: now }));
  changeGroup(state, group, { rules: [...group.rules, ...made] }, now);
  return made;
}
