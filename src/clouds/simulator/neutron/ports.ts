import { z } from 'zod';
import type { OwnCall, Routes } from '../http/service.js';
import { seconds } from '../http/times.js';
import { NETWORKS } from '../model/content.js';
import { changePort, createPorts, deletePort } from '../model/ports.js';
import { requireRoom } from '../model/quotas.js';
import type { PortRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import type { State } from '../model/state.js';
import { readMany, readOne } from './body.js';
import { type Collection, guardRevision, list, one, type Row } from './listing.js';
import { networkNotFound, visibleNetworks } from './networks.js';
import { findGroup } from './security-groups.js';
import { tagRoutes } from './tags.js';

const groupIds = z.array(z.guid()).superRefine((ids, context) => {
  const twice = ids.find((id, index) => ids.indexOf(id) !== index);
  if (twice !== undefined) context.addIssue({ code: 'custom', message: `Duplicate items in the list: '${twice}'` });
});
const changeable = {
  name: z.string().max(255).optional(),
  description: z.string().max(255).optional(),
  device_id: z.string().max(255).optional(),
  device_owner: z.string().max(255).optional(),
  security_groups: groupIds.optional(),
};
/** Taken, and without effect here. As in a Neutron without the extension for it, tags are not taken at the creation. */
const unused = Object.fromEntries(
  ['admin_state_up', 'allowed_address_pairs', 'binding:vnic_type', 'extra_dhcp_opts', 'port_security_enabled'].map((name) => [
    name,
    z.unknown().optional(),
  ]),
);
const portChange = z.strictObject({ ...changeable, ...unused, fixed_ips: z.unknown().optional() });
const newPort = z.strictObject({
  ...changeable,
  ...unused,
  network_id: z.string(),
  fixed_ips: z.array(z.object({ ip_address: z.string().optional() })).optional(),
  mac_address: z.unknown().optional(),
  tags: z.unknown().optional(),
  project_id: z.string().optional(),
  tenant_id: z.string().optional(),
});

const PORTS: Collection = {
  name: 'ports',
  notFound: (id) => new Refusal(404, `Port ${id} could not be found.`, 'PortNotFound'),
  filters: new Set(
    `admin_state_up binding:vnic_type description device_id device_owner fixed_ips id mac_address name network_id project_id
    revision_number security_groups status tenant_id`.split(/\s+/),
  ),
};

/** Ports: lists, create (one or many), show, change, tag, delete. */
export function neutronPorts(state: State): Routes<OwnCall> {
  const visible = (port: PortRecord, { asker, isAdmin }: OwnCall) => isAdmin || port.projectId === asker.projectId;
  const find = (call: OwnCall): PortRecord => {
    const port = state.ports.get(call.params.id ?? '');
    if (port === undefined || !visible(port, call)) throw PORTS.notFound(call.params.id);
    return port;
  };
  return {
    'GET /v2.0/ports': (call) => {
      const ports = [...state.ports.values()].filter((port) => visible(port, call));
      return list(call, PORTS, ports, showPort);
    },
    'GET /v2.0/ports/:id': (call) => one(call, 'port', showPort(find(call))),
    'POST /v2.0/ports': (call) => {
      const { bulk, items } = readMany(call, 'port', newPort);
      const requests = items.map((item) => {
        const network = visibleNetworks(call).find(({ id }) => id === item.network_id);
        if (network === undefined) throw networkNotFound(item.network_id);
        if (network.projectId !== call.asker.projectId && !call.isAdmin) {
          const message = `Tenant ${call.asker.projectId} not allowed to create port on this network`;
          throw new Refusal(403, message, 'HTTPForbidden');
        }
        for (const id of item.security_groups ?? []) findGroup(state, call, id);
        const address = item.fixed_ips?.[0]?.ip_address;
        return {
          network,
          projectId: call.asker.projectId,
          owned: false,
          ...(item.name !== undefined && { name: item.name }),
          ...(item.description !== undefined && { description: item.description }),
          ...(item.device_id !== undefined && { deviceId: item.device_id }),
          ...(item.device_owner !== undefined && { deviceOwner: item.device_owner }),
          ...(item.security_groups !== undefined && { groupIds: item.security_groups }),
          ...(address !== undefined && { address }),
        };
      });
      requireRoom(state, call.asker.projectId, { port: items.length });
      const shown = createPorts(state, requests, call.now).map(showPort);
      return { status: 201, json: bulk ? { ports: shown } : { port: shown[0] } };
    },
    'PUT /v2.0/ports/:id': (call) => {
      const port = find(call);
      const item = readOne(call, 'port', portChange);
      for (const id of item.security_groups ?? []) findGroup(state, call, id);
      guardRevision(call, port.revision);
      const { name, device_id: deviceId, device_owner: deviceOwner, description, security_groups: groups } = item;
      const row = { ...(name !== undefined && { name }), ...(deviceId !== undefined && { deviceId }) };
      const change: Partial<PortRecord> = {
        ...row,
        ...(description !== undefined && { description }),
        ...(deviceOwner !== undefined && { deviceOwner }),
        ...(groups !== undefined && { groupIds: groups }),
      };
      return one(call, 'port', showPort(changePort(state, port, change, call.now, raiseOf(port, row, groups))));
    },
    'DELETE /v2.0/ports/:id': (call) => {
      const port = find(call);
      guardRevision(call, port.revision);
      deletePort(state, port);
      return { status: 204 };
    },
    ...tagRoutes('/v2.0/ports/:id', (call) => {
      const port = find(call);
      return { tags: port.tags, put: (tags) => changePort(state, port, { tags }, call.now) };
    }),
  };
}

/** How much Neutron raises the revision: once for the port's own row, twice for nothing but other groups. */
function raiseOf(port: PortRecord, row: Partial<PortRecord>, groups: readonly string[] | undefined): number {
  if (groups === undefined || Object.keys(row).length > 0) return 1;
  const same = groups.length === port.groupIds.length && groups.every((id) => port.groupIds.includes(id));
  return same ? 0 : 2;
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
    description: port.description,
    'binding:vnic_type': 'normal',
    port_security_enabled: true,
    tags: port.tags,
    created_at: seconds(port.created),
    updated_at: seconds(port.updated),
    revision_number: port.revision,
    project_id: port.projectId,
  };
}
