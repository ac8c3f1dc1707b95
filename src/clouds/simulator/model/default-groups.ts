import { CONTENT_SINCE, type ProjectContent } from './content.js';
import type { GroupRecord, RuleRecord } from './records.js';

const ETHERTYPES = ['IPv4', 'IPv6'] as const;

/** A project's group `default` as Neutron makes it: everything out, and in from who has the group too. */
export function defaultGroup({ id: projectId, defaultGroupId: id }: ProjectContent): GroupRecord {
  const since = Date.parse(CONTENT_SINCE);
  let number = 0;
  const newId = () => `${id.slice(0, -1)}${number++}`;
  return {
    id,
    name: 'default',
    description: 'Default security group',
    tags: [],
    projectId,
    rules: [...egressRules(newId, since), ...openRules(newId, since, 'ingress', id)],
    created: since,
    updated: since,
    revision: 1,
  };
}

/** What Neutron puts into every new group: everything out. */
export function egressRules(newId: () => string, now: number): RuleRecord[] {
  return openRules(newId, now, 'egress', null);
}

function openRules(
  newId: () => string,
  created: number,
  direction: RuleRecord['direction'],
  remoteGroupId: string | null,
): RuleRecord[] {
  const any = { protocol: null, from: null, to: null, prefix: null, description: null };
  return ETHERTYPES.map((ethertype) => ({ id: newId(), direction, ethertype, ...any, remoteGroupId, created }));
}
