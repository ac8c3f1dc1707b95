import { z } from 'zod';
import { isText } from './http/body.js';
import { unauthorized } from './http/replies.js';
import { type Call, type OwnCall, type Reply, type Service, sessionOf } from './http/service.js';
import { seconds } from './http/times.js';
import { CONTENT_SINCE, NETWORKS, type NetworkContent, PROJECTS } from './model/content.js';
import { changePort, createPort, deletePort, networksOf } from './model/ports.js';
import type { PortRecord } from './model/records.js';
import { Refusal } from './model/refusal.js';
import type { State } from './model/state.js';
import { groupsOf } from './security-groups.js';

const portFields = z.object({
  name: z.string().max(255).optional(),
  device_id: z.string().max(255).optional(),
  security_groups: z.array(z.string()).optional(),
});
const newPort = portFields.extend({
  network_id: z.string(),
  fixed_ips: z.array(z.object({ ip_address: z.string().optional() })).optional(),
});
const portBody = z.object({ port: portFields });
const portsBody = z.union([z.object({ port: newPort }), z.object({ ports: z.array(newPort).min(1) })]);

type Row = Readonly<Record<string, unknown>>;

/** Neutron v2.0: the networks of content.ts to be read, and ports. */
export function neutron(state: State): Service<OwnCall> {
  const ports = ({ asker, isAdmin }: OwnCall) =>
    [...state.ports.values()].filter((port) => isAdmin || port.projectId === asker.projectId);
  const groups = ({ asker, isAdmin }: OwnCall) => groupsOf(new Set(isAdmin ? PROJECTS.map(({ id }) => id) : [asker.projectId]));
  const networks = ({ asker, isAdmin }: OwnCall) => (isAdmin ? NETWORKS : networksOf(asker.projectId));
  return {
    name: 'neutron',
    admit: (call) => {
      const session = sessionOf(state, call);
      if (session !== undefined) return { ...call, ...session };
      if (!/^\/network\/?$/.test(call.target)) return unauthorized(call);
      return { ...call, asker: { projectId: '', userId: '', requestId: call.requestId }, isAdmin: false };
    },
    decline: (_call, status, message, type) => ({ status, json: { NeutronError: { type, message, detail: '' } } }),
    headers: (call) => ({ 'x-openstack-request-id': call.requestId }),
    routes: {
      'GET /': ({ origin }) => {
        const links = [{ rel: 'self', href: `${origin}/network/v2.0/` }];
        return { status: 200, json: { versions: [{ id: 'v2.0', status: 'CURRENT', links }] } };
      },
      'GET /v2.0': ({ origin }) => {
        const resources = ['network', 'subnet', 'port'].map((name) => ({
          name,
          collection: `${name}s`,
          links: [{ rel: 'self', href: `${origin}/network/v2.0/${name}s` }],
        }));
        return { status: 200, json: { resources } };
      },
      'GET /v2.0/networks': (call) => list(call, 'networks', networks(call).map(showNetwork)),
      'GET /v2.0/networks/:id': (call) => one(call, 'network', 'NetworkNotFound', networks(call).map(showNetwork)),
      'GET /v2.0/subnets': (call) => list(call, 'subnets', networks(call).map(showSubnet)),
      'GET /v2.0/subnets/:id': (call) => one(call, 'subnet', 'SubnetNotFound', networks(call).map(showSubnet)),
      'GET /v2.0/security-groups': (call) => list(call, 'security_groups', groups(call)),
      'GET /v2.0/security-groups/:id': (call) => one(call, 'security_group', 'SecurityGroupNotFound', groups(call)),
      'GET /v2.0/security-group-rules': (call) =>
        list(
          call,
          'security_group_rules',
          groups(call).flatMap((group) => group.security_group_rules),
        ),
      'GET /v2.0/quotas/:project': () => ({
        status: 200,
        json: {
          quota: {
            network: -1,
            subnet: -1,
            subnetpool: -1,
            port: -1,
            router: -1,
            floatingip: -1,
            rbac_policy: 10,
            security_group: -1,
            security_group_rule: -1,
          },
        },
      }),
      'GET /v2.0/routers': (call) => list(call, 'routers', []),
      'GET /v2.0/floatingips': (call) => list(call, 'floatingips', []),
      'GET /v2.0/extensions': () => ({ status: 200, json: { extensions: EXTENSIONS } }),
      'GET /v2.0/ports': (call) => list(call, 'ports', ports(call).map(showPort)),
      'GET /v2.0/ports/:id': (call) => one(call, 'port', 'PortNotFound', ports(call).map(showPort)),
      'POST /v2.0/ports': (call) => {
        const body = read(portsBody, call);
        const wanted = 'ports' in body ? body.ports : [body.port];
        const chosen = wanted.map((port) => ({ port, network: networks(call).find(({ id }) => id === port.network_id) }));
        // All or none, as in Neutron's bulk call: nothing is made before every network was found.
        const made = chosen.map(({ port, network }) => {
          if (network === undefined) throw notFound('Network', port.network_id);
          return { port, network };
        });
        const shown = made.map(({ port, network }) => {
          const address = port.fixed_ips?.[0]?.ip_address;
          const request = {
            network,
            projectId: call.asker.projectId,
            owned: false,
            ...(port.name !== undefined && { name: port.name }),
            ...(port.device_id !== undefined && { deviceId: port.device_id }),
            ...(port.security_groups !== undefined && { groupIds: port.security_groups }),
            ...(address !== undefined && { address }),
          };
          return showPort(createPort(state, request, call.now));
        });
        return { status: 201, json: 'ports' in body ? { ports: shown } : { port: shown[0] } };
      },
      'PUT /v2.0/ports/:id': (call) => {
        const port = findPort(call, ports(call));
        const expected = /^revision_number=(\d+)$/.exec(call.header('if-match') ?? '')?.[1];
        if (expected !== undefined && Number(expected) !== port.revision) {
          throw new Refusal(
            412,
            `Constrained to ${expected}, but current revision is ${port.revision}`,
            'RevisionNumberConstraintFailed',
          );
        }
        const { name, device_id: deviceId, security_groups: groupIds } = read(portBody, call).port;
        const change: Partial<PortRecord> = {
          ...(name !== undefined && { name }),
          ...(deviceId !== undefined && { deviceId }),
          ...(groupIds !== undefined && { groupIds }),
        };
        return { status: 200, json: { port: showPort(changePort(state, port, change, call.now)) } };
      },
      'DELETE /v2.0/ports/:id': (call) => {
        deletePort(state, findPort(call, ports(call)));
        return { status: 204 };
      },
    },
  };
}

const EXTENSIONS = ['external-net', 'port-security', 'security-group', 'standard-attr-tag', 'revision-if-match', 'quotas'].map(
  (alias) => ({ name: alias, alias, description: '', updated: '2020-01-01T00:00:00-00:00', links: [] }),
);

function read<T>(schema: z.ZodType<T>, { body }: Call): T {
  const result = schema.safeParse(body);
  if (result.success && isText(body)) return result.data;
  const why = result.success ? 'it has a character that cannot be kept' : z.prettifyError(result.error);
  throw new Refusal(400, `Invalid input for operation: ${why}.`, 'InvalidInput');
}

function notFound(what: string, id: string | undefined): Refusal {
  return new Refusal(404, `${what} ${id} could not be found.`, `${what}NotFound`);
}

function findPort({ params }: OwnCall, ports: readonly PortRecord[]): PortRecord {
  const port = ports.find(({ id }) => id === params.id);
  if (port === undefined) throw notFound('Port', params.id);
  return port;
}

function one({ params }: OwnCall, name: string, type: string, rows: readonly Row[]): Reply {
  const row = rows.find(({ id }) => id === params.id);
  if (row !== undefined) return { status: 200, json: { [name]: row } };
  throw new Refusal(
    404,
    `${type
      .replace('NotFound', '')
      .replace(/(?<=.)[A-Z]/g, ' $&')
      .replace(' Group', ' group')} ${params.id} could not be found.`,
    type,
  );
}

/** Filters by any field, chooses fields, pages by marker: the same for all of Neutron. */
function list({ query, origin, target }: OwnCall, name: string, rows: readonly Row[]): Reply {
  const special = new Set(['fields', 'limit', 'marker', 'page_reverse', 'sort_key', 'sort_dir']);
  const filters = [...new Set(query.keys())].filter((key) => !special.has(key));
  const matching = rows.filter((row) => filters.every((key) => query.getAll(key).some((value) => matches(row[key], value))));
  const marker = query.get('marker');
  const start = marker === null ? 0 : matching.findIndex(({ id }) => id === marker) + 1;
  if (marker !== null && start === 0) throw notFound(name, marker);
  const limit = Number(query.get('limit') ?? 0);
  const page = limit > 0 ? matching.slice(start, start + limit) : matching.slice(start);
  const fields = query.getAll('fields');
  const shown = page.map((row) =>
    fields.length === 0 ? row : Object.fromEntries(Object.entries(row).filter(([key]) => fields.includes(key))),
  );
  const last = page.at(-1);
  const next = new URLSearchParams(query);
  if (typeof last?.id === 'string') next.set('marker', last.id);
  const links = [{ rel: 'next', href: `${origin}${target.replace(/\?.*$/, '')}?${next}` }];
  return { status: 200, json: { [name]: shown, ...(limit > 0 && page.length === limit && { [`${name}_links`]: links }) } };
}

function matches(field: unknown, value: string): boolean {
  return typeof field === 'boolean' ? String(field) === value.toLowerCase() : String(field) === value;
}

function showNetwork({ id, name, projectId, external, subnet }: NetworkContent): Row {
  return {
    id,
    name,
    tenant_id: projectId,
    admin_state_up: true,
    mtu: 1500,
    status: 'ACTIVE',
    subnets: [subnet.id],
    shared: false,
    availability_zone_hints: [],
    availability_zones: [],
    ipv4_address_scope: null,
    ipv6_address_scope: null,
    'router:external': external,
    description: '',
    port_security_enabled: true,
    ...(external && { is_default: false }),
    tags: [],
    created_at: CONTENT_SINCE,
    updated_at: CONTENT_SINCE,
    revision_number: 2,
    project_id: projectId,
  };
}

function showSubnet({ id, projectId, subnet, pool }: NetworkContent): Row {
  return {
    id: subnet.id,
    name: subnet.name,
    tenant_id: projectId,
    network_id: id,
    ip_version: 4,
    subnetpool_id: null,
    enable_dhcp: false,
    ipv6_ra_mode: null,
    ipv6_address_mode: null,
    gateway_ip: subnet.gateway,
    cidr: subnet.cidr,
    allocation_pools: [{ start: pool.first, end: pool.last }],
    host_routes: [],
    dns_nameservers: [],
    description: '',
    service_types: [],
    tags: [],
    created_at: CONTENT_SINCE,
    updated_at: CONTENT_SINCE,
    revision_number: 0,
    project_id: projectId,
  };
}

function showPort(port: PortRecord): Row {
  const network = NETWORKS.find(({ id }) => id === port.networkId);
  return {
    id: port.id,
    name: port.name,
    network_id: port.networkId,
    tenant_id: port.projectId,
    mac_address: port.mac,
    admin_state_up: true,
    status: port.status,
    device_id: port.deviceId,
    device_owner: port.deviceOwner,
    fixed_ips: [{ subnet_id: network?.subnet.id ?? '', ip_address: port.address }],
    allowed_address_pairs: [],
    extra_dhcp_opts: [],
    security_groups: port.groupIds,
    description: '',
    'binding:vnic_type': 'normal',
    port_security_enabled: true,
    tags: [],
    created_at: seconds(port.created),
    updated_at: seconds(port.updated),
    revision_number: port.revision,
    project_id: port.projectId,
  };
}
