import type { OwnCall, Routes } from '../http/service.js';
import { CONTENT_SINCE, NETWORKS, type NetworkContent } from '../model/content.js';
import { networksOf } from '../model/ports.js';
import { Refusal } from '../model/refusal.js';
import { type Collection, list, one, type Row } from './listing.js';

/** The networks of content.ts and their subnets, to be read. */
export function neutronNetworks(): Routes<OwnCall> {
  const subnets = (call: OwnCall) => visibleNetworks(call).map((network) => ({ id: network.subnet.id, network }));
  return {
    'GET /v2.0/networks': (call) => list(call, NETWORK_LIST, visibleNetworks(call), showNetwork),
    'GET /v2.0/networks/:id': (call) => {
      const network = visibleNetworks(call).find(({ id }) => id === call.params.id);
      if (network === undefined) throw networkNotFound(call.params.id);
      return one(call, 'network', showNetwork(network));
    },
    'GET /v2.0/subnets': (call) => list(call, SUBNET_LIST, subnets(call), ({ network }) => showSubnet(network)),
    'GET /v2.0/subnets/:id': (call) => {
      const found = subnets(call).find(({ id }) => id === call.params.id);
      if (found === undefined) throw SUBNET_LIST.notFound(call.params.id);
      return one(call, 'subnet', showSubnet(found.network));
    },
  };
}

/** The networks that a call may see. */
export function visibleNetworks({ asker, isAdmin }: OwnCall): readonly NetworkContent[] {
  return isAdmin ? NETWORKS : networksOf(asker.projectId);
}

/** What is answered for a network that is not there. */
export function networkNotFound(id: string | undefined): Refusal {
  return new Refusal(404, `Network ${id} could not be found.`, 'NetworkNotFound');
}

const NETWORK_LIST: Collection = { name: 'networks', notFound: networkNotFound };
const SUBNET_LIST: Collection = {
  name: 'subnets',
  notFound: (id) => new Refusal(404, `Subnet ${id} could not be found.`, 'SubnetNotFound'),
};

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
