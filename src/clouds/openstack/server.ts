import { z } from 'zod';
import type { Server, ServerAddress } from '../driver.js';
import { readOwnership } from './ownership.js';
import { serverState } from './states.js';

/**
 * A server as nova's detailed lists show it. Of a server whose cell is down nova gives id, status UNKNOWN and little else
 * (no name, no metadata): see {@link isPart}.
 */
export const novaServerSchema = z.object({
  id: z.string(),
  name: z.string().optional(),
  status: z.string(),
  created: z.string(),
  updated: z.string().nullish(),
  metadata: z.record(z.string(), z.string()).optional(),
  tags: z.array(z.string()).optional(),
  key_name: z.string().nullish(),
  // '' for a server that boots from a volume.
  image: z.union([z.object({ id: z.string() }), z.string()]).nullish(),
  // The id before 2.47, the name from then on.
  flavor: z.object({ id: z.string().optional(), original_name: z.string().optional() }).optional(),
  addresses: z.record(z.string(), z.array(z.object({ addr: z.string(), 'OS-EXT-IPS:type': z.string().optional() }))).optional(),
  fault: z.object({ message: z.string() }).optional(),
  'OS-EXT-STS:task_state': z.string().nullish(),
});

/** A get of one. */
export const oneServerSchema = z.object({ server: novaServerSchema });

/** See {@link novaServerSchema}. */
type NovaServer = z.infer<typeof novaServerSchema>;

/** True if so much is missing that nobody can say whose it is. */
export function isPart(server: NovaServer): boolean {
  return server.metadata === undefined || server.name === undefined;
}

/** @param installation our own, to complete an owner tag of which only nova's tag is left. */
export function toServer(server: NovaServer, installation: string | undefined): Server {
  const task = server['OS-EXT-STS:task_state'];
  const state = serverState(server.status, task);
  const imageId = typeof server.image === 'object' ? server.image?.id : undefined;
  // A deleted one is shown without metadata and tags, whatever it had; for a moment it may still have them.
  const gone = state === 'Deleted';
  const shown = readOwnership(gone ? {} : (server.metadata ?? {}), gone ? undefined : server.tags, installation);
  const { owner, ownerTagWhole, metadata, tags: ownTags } = shown;
  // Without spreads, which are slow enough to be seen in an audit.
  const read: { -readonly [Field in keyof Server]: Server[Field] } = {
    id: server.id,
    name: server.name ?? '',
    state,
    ownerTagWhole,
    metadata,
    addresses: addressesOf(server),
    createdAt: server.created,
  };
  if (owner !== undefined) read.owner = owner;
  if (ownTags !== undefined) read.tags = ownTags;
  if (typeof task === 'string') read.task = task;
  if (imageId !== undefined) read.imageId = imageId;
  if (server.flavor?.id !== undefined) read.flavorId = server.flavor.id;
  if (server.flavor?.original_name !== undefined) read.flavorName = server.flavor.original_name;
  if (typeof server.key_name === 'string') read.keyName = server.key_name;
  if (typeof server.updated === 'string') read.updatedAt = server.updated;
  if (server.fault !== undefined) read.fault = server.fault.message;
  return read;
}

function addressesOf(server: NovaServer): ServerAddress[] {
  return Object.entries(server.addresses ?? {}).flatMap(([network, all]) =>
    all.map(({ addr, 'OS-EXT-IPS:type': type }) => ({
      network,
      address: addr,
      type: type === 'floating' ? 'Floating' : 'Fixed',
    })),
  );
}
