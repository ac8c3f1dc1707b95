import { z } from 'zod';
import { CloudError, isCloudError } from '../errors.js';
import type { CreatePortRequest, Port } from '../network-driver.js';
import { ownedDescription, ownerInDescription } from './network-ownership.js';
import type { Neutron } from './neutron.js';
import { type Nova, serverPath } from './nova.js';
import { oneServerSchema } from './server.js';

const portSchema = z.object({
  id: z.string().min(1),
  network_id: z.string(),
  fixed_ips: z.array(z.object({ ip_address: z.string() })).default([]),
  device_id: z.string().nullish(),
  security_groups: z.array(z.string()).default([]),
  description: z.string().nullish(),
  // Absent in a neutron without the extension: all ports are secured.
  port_security_enabled: z.boolean().default(true),
  revision_number: z.int().optional(),
});
const onePortSchema = z.object({ port: portSchema });
const portsSchema = z.object({ ports: z.array(portSchema) });
const FIELDS = Object.keys(portSchema.shape).map((field): [string, string] => ['fields', field]);

/** The project's. */
export async function listPorts(neutron: Neutron, signal?: AbortSignal): Promise<Port[]> {
  const query = new URLSearchParams([['project_id', await neutron.projectId()], ...FIELDS]);
  return (await neutron.list('listPorts', 'ports', query, portSchema, signal)).map(toPort);
}

/** All or none. */
export async function createPorts(
  neutron: Neutron,
  requests: readonly CreatePortRequest[],
  signal?: AbortSignal,
): Promise<Port[]> {
  if (requests.length === 0) return [];
  const ports = requests.map(({ name, networkId, groupIds, owner }) => ({
    name,
    network_id: networkId,
    description: ownedDescription(owner),
    ...(groupIds === undefined ? {} : { security_groups: groupIds }),
  }));
  const call = {
    operation: 'createPorts',
    method: 'POST',
    path: '/ports',
    body: { ports },
    effect: true,
    creates: true,
  } as const;
  return (await neutron.ask({ ...call, signal }, portsSchema)).ports.map(toPort);
}

export async function setPortGroups(
  neutron: Neutron,
  { id, revision }: Pick<Port, 'id' | 'revision'>,
  groupIds: readonly string[],
  signal?: AbortSignal,
): Promise<Port> {
  // Without an answer it may come late, when others have changed the port since.
  const headers = revision === undefined ? {} : { 'if-match': `revision_number=${revision}` };
  const call = { operation: 'setPortGroups', method: 'PUT', path: portPath(id), effect: true, headers } as const;
  try {
    const { port } = await neutron.ask({ ...call, body: { port: { security_groups: groupIds } }, signal }, onePortSchema);
    return toPort(port);
  } catch (error) {
    // A group that is missing says nothing of the port.
    if (isCloudError(error, 'NotFound') && /security group/i.test(error.message))
      throw new CloudError('Conflict', error.message, { cause: error });
    throw error;
  }
}

export async function disownPort(neutron: Neutron, id: string, signal?: AbortSignal): Promise<void> {
  const call = { operation: 'disownPort', method: 'PUT', path: portPath(id), effect: true } as const;
  await neutron.call({ ...call, body: { port: { description: '' } }, signal });
}

export async function deletePort(neutron: Neutron, id: string, signal?: AbortSignal): Promise<void> {
  await neutron.call({ operation: 'deletePort', method: 'DELETE', path: portPath(id), effect: true, signal });
}

/**
 * nova does it: it alone can give the port to the machine. A server that has lost the port without nova's knowing (the loser of two creates
 * took it off) would get no more than half of it: nova fails with 500, shows no address, and takes the port away with the server. So nova
 * is first told to let go. @throws CloudError Conflict then: it is to be asked again, when it has.
 */
export async function attachPort(
  neutron: Neutron,
  nova: Nova,
  serverId: string,
  portId: string,
  signal?: AbortSignal,
): Promise<void> {
  const interfaces = `${serverPath(serverId)}/os-interface`;
  const { port } = await neutron.ask({ operation: 'getPort', path: portPath(portId), signal }, onePortSchema);
  const addresses = port.fixed_ips.map(({ ip_address }) => ip_address);
  if (!port.device_id && (await addressesOf(nova, serverId, signal)).some((address) => addresses.includes(address))) {
    const path = `${interfaces}/${encodeURIComponent(portId)}`;
    await nova.call({ operation: 'detachPort', method: 'DELETE', path, effect: true, signal });
    throw new CloudError(
      'Conflict',
      `attachPort: server ${serverId} is to let go of port ${portId}, which it has lost, before it gets it back`,
    );
  }
  const body = { interfaceAttachment: { port_id: portId } };
  await nova.call({ operation: 'attachPort', method: 'POST', path: interfaces, body, effect: true, signal });
}

/** What nova believes that a server has. */
async function addressesOf(nova: Nova, serverId: string, signal: AbortSignal | undefined): Promise<string[]> {
  const { data } = await nova.ask({ operation: 'getServer', path: serverPath(serverId), signal }, oneServerSchema);
  return Object.values(data.server.addresses ?? {}).flatMap((all) => all.map(({ addr }) => addr));
}

function portPath(id: string): string {
  return `/ports/${encodeURIComponent(id)}`;
}

function toPort(port: z.infer<typeof portSchema>): Port {
  const owner = ownerInDescription(port.description);
  return {
    id: port.id,
    networkId: port.network_id,
    addresses: port.fixed_ips.map(({ ip_address }) => ip_address),
    ...(port.device_id ? { serverId: port.device_id } : {}),
    groupIds: port.security_groups,
    ...(owner === undefined ? {} : { owner }),
    secured: port.port_security_enabled,
    ...(port.revision_number === undefined ? {} : { revision: String(port.revision_number) }),
  };
}
