import { z } from 'zod';
import type { CreateSecurityGroupRequest, SecurityGroup, SecurityGroupRule, SecurityGroupTraffic } from '../network-driver.js';
import { ownedDescription, ownerInDescription } from './network-ownership.js';
import type { Neutron } from './neutron.js';
import { neutronTrafficSchema, readTraffic, writeTraffic } from './traffic.js';

const ruleSchema = neutronTrafficSchema.extend({ id: z.string().min(1) });
const groupSchema = z.object({
  id: z.string().min(1),
  name: z.string(),
  description: z.string().nullish(),
  security_group_rules: z.array(ruleSchema).default([]),
});
const groupsSchema = z.object({ security_groups: z.array(groupSchema) });
const rulesSchema = z.object({ security_group_rules: z.array(ruleSchema.extend({ security_group_id: z.string() })) });
const FIELDS = Object.keys(groupSchema.shape).map((field): [string, string] => ['fields', field]);
/** neutron makes one of this name in each project, and lets nobody make another. */
const DEFAULT_NAME = 'default';

/** The project's own: not those that others share with it. */
export async function listSecurityGroups(neutron: Neutron, signal?: AbortSignal): Promise<SecurityGroup[]> {
  const query = new URLSearchParams([['project_id', await neutron.projectId()], ...FIELDS]);
  return (await neutron.list('listSecurityGroups', 'security-groups', query, groupSchema, signal)).map(toGroup);
}

/** All or none. */
export async function createSecurityGroups(
  neutron: Neutron,
  requests: readonly CreateSecurityGroupRequest[],
  signal?: AbortSignal,
): Promise<SecurityGroup[]> {
  if (requests.length === 0) return [];
  const groups = requests.map(({ name, description, owner }) => ({ name, description: ownedDescription(owner, description) }));
  const call = {
    operation: 'createSecurityGroups',
    method: 'POST',
    path: '/security-groups',
    effect: true,
    creates: true,
  } as const;
  const made = await neutron.ask({ ...call, body: { security_groups: groups }, signal }, groupsSchema);
  return made.security_groups.map(toGroup);
}

export async function deleteSecurityGroup(neutron: Neutron, id: string, signal?: AbortSignal): Promise<void> {
  const path = `/security-groups/${encodeURIComponent(id)}`;
  await neutron.call({ operation: 'deleteSecurityGroup', method: 'DELETE', path, effect: true, signal });
}

/** All or none; neutron refuses rules of several groups at once. */
export async function createSecurityGroupRules(
  neutron: Neutron,
  rules: readonly (SecurityGroupTraffic & { readonly inGroup: string })[],
  signal?: AbortSignal,
): Promise<(SecurityGroupRule & { readonly inGroup: string })[]> {
  if (rules.length === 0) return [];
  const body = { security_group_rules: rules.map((rule) => ({ security_group_id: rule.inGroup, ...writeTraffic(rule) })) };
  const call = { operation: 'createSecurityGroupRules', method: 'POST', path: '/security-group-rules', effect: true } as const;
  const made = await neutron.ask({ ...call, body, creates: true, signal }, rulesSchema);
  return made.security_group_rules.map((rule) => ({ ...toRule(rule), inGroup: rule.security_group_id }));
}

export async function deleteSecurityGroupRule(neutron: Neutron, id: string, signal?: AbortSignal): Promise<void> {
  const path = `/security-group-rules/${encodeURIComponent(id)}`;
  await neutron.call({ operation: 'deleteSecurityGroupRule', method: 'DELETE', path, effect: true, signal });
}

function toGroup(group: z.infer<typeof groupSchema>): SecurityGroup {
  const owner = ownerInDescription(group.description);
  return {
    id: group.id,
    name: group.name,
    ...(owner === undefined ? {} : { owner }),
    rules: group.security_group_rules.map(toRule),
    isDefault: group.name === DEFAULT_NAME,
  };
}

function toRule(rule: z.infer<typeof ruleSchema>): SecurityGroupRule {
  return { id: rule.id, ...readTraffic(rule) };
}
