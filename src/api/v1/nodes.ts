import { createHash } from 'node:crypto';
import { BlockList, isIPv6 } from 'node:net';
import { z } from 'zod';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { SeenServer } from './cloud-reader.js';
import type { ServedCloud } from './clouds.js';

/** What stands at the end of everything that a cloud has. */
export const provided = {
  provider: z.string().describe('The engine of the cloud.'),
  cloud_type: z.string().describe('The engine of the cloud.'),
};

/** A server as Libcloud shows a Node. */
export const nodeSchema = z.object({
  name: z.string(),
  uuid: z.string().describe('The SHA-1 of "{id}:{provider}", in hexadecimal.'),
  id: z.string().describe("The server's id in the cloud."),
  provider: provided.provider,
  public_ips: z.array(z.string()),
  private_ips: z.array(z.string()),
  cloud_type: provided.cloud_type,
  state: z
    .string()
    .describe("Libcloud's name of the state: running, stopped, pending, rebooting, terminated, error, unknown, ..."),
  extra: z
    .record(z.string(), z.unknown())
    .describe('What more is known; virtual_machine is the declaration, where there is one.'),
});

/** {@link nodeSchema}. */
export type Node = z.infer<typeof nodeSchema>;

/** Libcloud's names for our states. */
const STATES: Readonly<Record<string, string>> = {
  Building: 'pending',
  Running: 'running',
  Stopped: 'stopped',
  Paused: 'paused',
  Suspended: 'suspended',
  Rebooting: 'rebooting',
  Rebuilding: 'pending',
  Resizing: 'reconfiguring',
  AwaitingConfirmation: 'running',
  Error: 'error',
  Deleting: 'terminated',
  Deleted: 'terminated',
};

/** Libcloud's name of a state of ours. */
export function stateName(state: string | undefined): string {
  return STATES[state ?? ''] ?? 'unknown';
}

/** A server as a Node. Pure. @param declaration the VirtualMachine that it is bound to. */
export function nodeOf(server: SeenServer, { engine }: ServedCloud, declaration?: VirtualMachine): Node {
  const { id, name, state, addresses, metadata, imageId, flavorId, keyName, createdAt, updatedAt } = server;
  const isPublic = ({ address, type }: SeenServer['addresses'][number]) => type === 'Floating' || !isPrivate(address);
  return {
    name,
    uuid: createHash('sha1').update(`${id}:${engine}`).digest('hex'),
    id,
    provider: engine,
    public_ips: addresses.filter(isPublic).map(({ address }) => address),
    private_ips: addresses.filter((each) => !isPublic(each)).map(({ address }) => address),
    cloud_type: engine,
    state: stateName(state),
    extra: {
      metadata,
      ...(imageId !== undefined && { imageId }),
      ...(flavorId !== undefined && { flavorId }),
      ...(keyName !== undefined && { key_name: keyName }),
      ...(createdAt !== undefined && { created: createdAt }),
      ...(updatedAt !== undefined && { updated: updatedAt }),
      ...(declaration && { virtual_machine: { namespace: declaration.metadata.namespace, name: declaration.metadata.name } }),
    },
  };
}

/** The server of a record, as the record tells of it; undefined while it has none. Pure. */
export function serverOf({ metadata, spec, status }: VirtualMachine): SeenServer | undefined {
  if (status?.id === undefined) return undefined;
  return {
    id: status.id,
    name: spec.hostname ?? metadata.name,
    state: status.state ?? 'Building',
    addresses: status.addresses ?? [],
    metadata: spec.metadata ?? {},
    ...(status.image && { imageId: status.image.id }),
    ...(status.flavor && { flavorId: status.flavor.id }),
    ...(spec.keyName !== undefined && { keyName: spec.keyName }),
  };
}

const PRIVATE = new BlockList();
PRIVATE.addSubnet('10.0.0.0', 8);
PRIVATE.addSubnet('172.16.0.0', 12);
PRIVATE.addSubnet('192.168.0.0', 16);
PRIVATE.addSubnet('127.0.0.0', 8);
PRIVATE.addSubnet('169.254.0.0', 16);
PRIVATE.addSubnet('fc00::', 7, 'ipv6');
PRIVATE.addSubnet('fe80::', 10, 'ipv6');

function isPrivate(address: string): boolean {
  return PRIVATE.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
}
