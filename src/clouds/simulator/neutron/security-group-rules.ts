import { z } from 'zod';
import type { OwnCall, Routes } from '../http/service.js';
import { requireRoom } from '../model/quotas.js';
import type { GroupRecord, RuleRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import { checkRule } from '../model/security-group-rules.js';
import { addRules, changeGroup } from '../model/security-groups.js';
import type { State } from '../model/state.js';
import { readMany } from './body.js';
import { type Collection, list, one } from './listing.js';
import { findGroup, showRule, visibleGroups } from './security-groups.js';

const newRule = z.strictObject({
  security_group_id: z.string(),
  direction: z.enum(['ingress', 'egress']),
  ethertype: z.unknown().optional(),
  protocol: z.unknown().optional(),
  port_range_min: z.unknown().optional(),
  port_range_max: z.unknown().optional(),
  remote_ip_prefix: z.string().nullish(),
  remote_group_id: z.string().nullish(),
  remote_address_group_id: z.null().optional(),
  description: z.string().max(255).nullish(),
  project_id: z.string().optional(),
  tenant_id: z.string().optional(),
});

const RULES: Collection = {
  name: 'security_group_rules',
  notFound: (id) => new Refusal(404, `Security group rule ${id} does not exist`, 'SecurityGroupRuleNotFound'),
  lenient: true,
  filters: new Set(
    `description direction ethertype id port_range_max port_range_min project_id protocol remote_address_group_id remote_group_id
    remote_ip_prefix revision_number security_group_id tenant_id`.split(/\s+/),
  ),
};

/** Rules of security groups: lists, create (one or many of one group), show, delete. */
export function neutronRules(state: State): Routes<OwnCall> {
  const find = (call: OwnCall): { readonly group: GroupRecord; readonly rule: RuleRecord } => {
    for (const group of visibleGroups(state, call)) {
      const rule = group.rules.find(({ id }) => id === call.params.id);
      if (rule !== undefined) return { group, rule };
    }
    throw RULES.notFound(call.params.id);
  };
  return {
    'GET /v2.0/security-group-rules': (call) => {
      const groups = visibleGroups(state, call);
      const rules = groups.flatMap((group) => group.rules.map((rule) => ({ id: rule.id, group, rule })));
      return list(call, RULES, rules, ({ group, rule }) => showRule(group, rule));
    },
    'GET /v2.0/security-group-rules/:id': (call) => {
      const { group, rule } = find(call);
      return one(call, 'security_group_rule', showRule(group, rule));
    },
    'POST /v2.0/security-group-rules': (call) => {
      const { bulk, items } = readMany(call, 'security_group_rule', newRule);
      requireRoom(state, call.asker.projectId, { security_group_rule: items.length });
      const wanted = items.map((item) =>
        checkRule({
          direction: item.direction,
          ethertype: item.ethertype ?? 'IPv4',
          protocol: item.protocol ?? null,
          from: item.port_range_min ?? null,
          to: item.port_range_max ?? null,
          prefix: item.remote_ip_prefix ?? null,
          remoteGroupId: item.remote_group_id ?? null,
          description: item.description ?? '',
        }),
      );
      const [groupId, another] = new Set(items.map((item) => item.security_group_id));
      if (another !== undefined) {
        const message = 'Only allowed to update rules for one security profile at a time';
        throw new Refusal(400, message, 'SecurityGroupNotSingleGroupRules');
      }
      for (const { remoteGroupId } of wanted) if (remoteGroupId !== null) findGroup(state, call, remoteGroupId);
      const group = findGroup(state, call, groupId);
      const made = addRules(state, group, wanted, call.now).map((rule) => showRule(group, rule));
      return { status: 201, json: bulk ? { security_group_rules: made } : { security_group_rule: made[0] } };
    },
    'DELETE /v2.0/security-group-rules/:id': (call) => {
      const { group, rule } = find(call);
      changeGroup(state, group, { rules: group.rules.filter(({ id }) => id !== rule.id) }, call.now);
      return { status: 204 };
    },
  };
}
