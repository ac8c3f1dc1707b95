import { z } from 'zod';
import type { OwnCall, Routes } from '../http/service.js';
import { seconds } from '../http/times.js';
import { requireRoom } from '../model/quotas.js';
import type { GroupRecord, RuleRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import { normalizedPrefix } from '../model/security-group-rules.js';
import { changeGroup, createGroup, DEFAULT_GROUP, deleteGroup } from '../model/security-groups.js';
import type { State } from '../model/state.js';
import { readMany, readOne } from './body.js';
import { type Collection, guardRevision, list, one, type Row } from './listing.js';
import { tagRoutes } from './tags.js';

const fields = {
  name: z.string().max(255).optional(),
  description: z.string().max(255).optional(),
  stateful: z.unknown().optional(),
};
const groupChange = z.strictObject(fields);
const newGroup = z.strictObject({ ...fields, project_id: z.string().optional(), tenant_id: z.string().optional() });

const GROUPS: Collection = {
  name: 'security_groups',
  notFound: (id) => new Refusal(404, `Security group ${id} does not exist`, 'SecurityGroupNotFound'),
  lenient: true,
  filters: new Set('description id name project_id revision_number shared stateful tenant_id'.split(' ')),
};

/** Security groups: lists, create (one or many), show, change, tag, delete. */
export function neutronGroups(state: State): Routes<OwnCall> {
  const find = (call: OwnCall) => findGroup(state, call, call.params.id);
  return {
    'GET /v2.0/security-groups': (call) => list(call, GROUPS, visibleGroups(state, call), showGroup),
    'GET /v2.0/security-groups/:id': (call) => one(call, 'security_group', showGroup(find(call))),
    'POST /v2.0/security-groups': (call) => {
      const { bulk, items } = readMany(call, 'security_group', newGroup);
      const { projectId } = call.asker;
      requireRoom(state, projectId, { security_group: items.length });
      requireRoom(state, projectId, { security_group_rule: 2 * items.length });
      if (items.some(({ name }) => name === DEFAULT_GROUP)) throw secondDefault();
      const made = items.map(({ name = '', description = '' }) => {
        return showGroup(createGroup(state, { name, description, projectId }, call.now));
      });
      return { status: 201, json: bulk ? { security_groups: made } : { security_group: made[0] } };
    },
    'PUT /v2.0/security-groups/:id': (call) => {
      const group = find(call);
      const { name, description } = readOne(call, 'security_group', groupChange);
      if (group.name === DEFAULT_GROUP && name !== undefined) {
        throw new Refusal(409, 'Updating default security group not allowed.', 'SecurityGroupCannotUpdateDefault');
      }
      if (name === DEFAULT_GROUP) throw secondDefault();
      guardRevision(call, group.revision);
      const change = { ...(name !== undefined && { name }), ...(description !== undefined && { description }) };
      return one(call, 'security_group', showGroup(changeGroup(state, group, change, call.now)));
    },
    'DELETE /v2.0/security-groups/:id': (call) => {
      const group = find(call);
      guardRevision(call, group.revision);
      deleteGroup(state, group, call.now);
      return { status: 204 };
    },
    ...tagRoutes('/v2.0/security-groups/:id', (call) => {
      const group = find(call);
      return { tags: group.tags, put: (tags) => changeGroup(state, group, { tags }, call.now) };
    }),
  };
}

/** The groups that a call may see. */
export function visibleGroups(state: State, { asker, isAdmin }: OwnCall): GroupRecord[] {
  return [...state.groups.values()].filter((group) => isAdmin || group.projectId === asker.projectId);
}

/** A group that a call may see. @throws Refusal 404. */
export function findGroup(state: State, { asker, isAdmin }: OwnCall, id: string | undefined): GroupRecord {
  const group = state.groups.get(id ?? '');
  if (group === undefined || (group.projectId !== asker.projectId && !isAdmin)) throw GROUPS.notFound(id);
  return group;
}

/** A rule as it is shown by itself. */
export function showRule(group: GroupRecord, rule: RuleRecord): Row {
  return {
    id: rule.id,
    tenant_id: group.projectId,
    security_group_id: group.id,
    ethertype: rule.ethertype,
    direction: rule.direction,
    protocol: rule.protocol,
    port_range_min: rule.from,
    port_range_max: rule.to,
    remote_ip_prefix: rule.prefix,
    remote_address_group_id: null,
    normalized_cidr: normalizedPrefix(rule.prefix),
    remote_group_id: rule.remoteGroupId,
    description: rule.description,
    created_at: seconds(rule.created),
    updated_at: seconds(rule.created),
    revision_number: 0,
    project_id: group.projectId,
  };
}

function showGroup(group: GroupRecord): Row {
  return {
    id: group.id,
    name: group.name,
    stateful: true,
    tenant_id: group.projectId,
    description: group.description,
    shared: false,
    security_group_rules: group.rules.map((rule, index) => ({
      ...showRule(group, rule),
      standard_attr_id: index + 1,
      tags: [],
    })),
    tags: group.tags,
    created_at: seconds(group.created),
    updated_at: seconds(group.updated),
    revision_number: group.revision,
    project_id: group.projectId,
  };
}

function secondDefault(): Refusal {
  return new Refusal(409, 'Default security group already exists.', 'SecurityGroupDefaultAlreadyExists');
}
