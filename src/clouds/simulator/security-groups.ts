import { CONTENT_SINCE, PROJECTS } from './model/content.js';

/** A security group as Neutron shows it. Each project has its `default`, and nobody makes others. */
export function groupsOf(projectIds: ReadonlySet<string>) {
  return PROJECTS.filter(({ id }) => projectIds.has(id)).map(({ id, defaultGroupId }) => ({
    id: defaultGroupId,
    name: 'default',
    stateful: true,
    tenant_id: id,
    description: 'Default security group',
    shared: false,
    security_group_rules: defaultRules(id, defaultGroupId),
    tags: [],
    created_at: CONTENT_SINCE,
    updated_at: CONTENT_SINCE,
    revision_number: 1,
    project_id: id,
  }));
}

/** As Neutron makes them: everything out, and in from who has the group too. */
function defaultRules(projectId: string, groupId: string) {
  const kinds = ['IPv4', 'IPv6'].flatMap((ethertype) => [
    { ethertype, direction: 'egress', from: null },
    { ethertype, direction: 'ingress', from: groupId },
  ]);
  return kinds.map(({ ethertype, direction, from }, index) => ({
    id: `${groupId.slice(0, -1)}${index}`,
    tenant_id: projectId,
    security_group_id: groupId,
    ethertype,
    direction,
    protocol: null,
    port_range_min: null,
    port_range_max: null,
    remote_ip_prefix: null,
    remote_address_group_id: null,
    normalized_cidr: null,
    remote_group_id: from,
    standard_attr_id: index + 1,
    description: null,
    tags: [],
    created_at: CONTENT_SINCE,
    updated_at: CONTENT_SINCE,
    revision_number: 0,
    project_id: projectId,
  }));
}
