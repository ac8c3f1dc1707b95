import { z } from 'zod';
import { parseBody } from '../http/body.js';
import type { Routes } from '../http/service.js';
import { NETWORKS } from '../model/content.js';
import { createPort, networksOf, plugPort, portsOf, unplugPort } from '../model/ports.js';
import type { PortRecord, ServerRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import { requireState } from '../model/server-actions.js';
import type { State } from '../model/state.js';
import type { NovaCall } from './call.js';
import { findServer } from './servers.js';

const attachBody = z.object({
  interfaceAttachment: z
    .strictObject({ port_id: z.guid().optional(), net_id: z.guid().optional(), tag: z.string().optional() })
    .optional(),
});

/** Which ports a server has. */
export function novaInterfaces(state: State): Routes<NovaCall> {
  const path = '/v2.1/servers/:id/os-interface';
  return {
    [`GET ${path}`]: (call) => {
      const server = findServer(state, call);
      const ports = portsOf(state, server).filter(({ deviceId }) => deviceId === server.id);
      return { status: 200, json: { interfaceAttachments: ports.map((port) => show(port, call)) } };
    },
    [`GET ${path}/:port`]: (call) => {
      const server = findServer(state, call);
      const port = findPort(state, server, call.params.port ?? '');
      if (port.deviceId !== server.id) {
        throw new Refusal(404, `Instance ${server.id} does not have a port with id ${port.id}`);
      }
      return { status: 200, json: { interfaceAttachment: show(port, call) } };
    },
    [`POST ${path}`]: (call) => {
      const server = findServer(state, call);
      const wanted = parseBody(attachBody, call.body).interfaceAttachment ?? {};
      if (wanted.port_id !== undefined && wanted.net_id !== undefined) {
        throw new Refusal(400, 'Must not input both network_id and port_id');
      }
      requireChangeable(server, 'attach_interface');
      const port =
        wanted.port_id === undefined ? newPort(state, server, wanted.net_id, call) : findPort(state, server, wanted.port_id);
      return { status: 200, json: { interfaceAttachment: show(plugPort(state, server, port, call.now), call) } };
    },
    [`DELETE ${path}/:port`]: (call) => {
      const server = findServer(state, call);
      requireChangeable(server, 'detach_interface');
      const port = portsOf(state, server).find(({ id }) => id === call.params.port);
      // As in Nova, which looks for the port when it has answered: 202 even for one that the server does not have.
      if (port !== undefined) unplugPort(state, server, port, call.now);
      return { status: 202 };
    },
  };
}

function requireChangeable(server: ServerRecord, verb: string): void {
  if (server.locked) throw new Refusal(409, `Instance ${server.id} is locked`);
  requireState(server, verb, ['active', 'paused', 'stopped']);
}

function findPort(state: State, server: ServerRecord, id: string): PortRecord {
  const port = state.ports.get(id);
  if (port === undefined || port.projectId !== server.projectId) throw new Refusal(404, `Port id ${id} could not be found.`);
  return port;
}

function newPort(state: State, server: ServerRecord, networkId: string | undefined, { now }: NovaCall): PortRecord {
  const { projectId } = server;
  const network = networksOf(projectId).find(({ id, external }) => (networkId === undefined ? !external : id === networkId));
  if (network === undefined) throw new Refusal(400, `Network ${networkId} could not be found.`);
  return createPort(state, { network, projectId, owned: true }, now);
}

function show(port: PortRecord, { view }: NovaCall): object {
  const subnet = NETWORKS.find(({ id }) => id === port.networkId)?.subnet.id ?? '';
  return {
    net_id: port.networkId,
    port_id: port.id,
    mac_addr: port.mac,
    port_state: port.status,
    fixed_ips: [{ subnet_id: subnet, ip_address: port.address }],
    ...(view.minor >= 70 && { tag: null }),
  };
}
