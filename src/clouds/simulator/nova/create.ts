import { z } from 'zod';
import { parseBody } from '../http/body.js';
import { FLAVORS, IMAGES } from '../model/content.js';
import { createPort, networksOf } from '../model/ports.js';
import { limitsOf, networkUse } from '../model/quotas.js';
import type { ServerRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import { DEFAULT_GROUP, meantGroup } from '../model/security-groups.js';
import { createServer } from '../model/servers.js';
import type { State } from '../model/state.js';
import type { NovaCall } from './call.js';

/** Metadata as Nova takes it, wherever it does. */
export const metadataSchema = z.record(z.string().regex(/^[a-zA-Z0-9-_:. ]{1,255}$/), z.string().max(255));
/** Tags as Nova takes them. */
export const tagsSchema = z
  .array(
    z
      .string()
      .min(1)
      .max(60)
      .regex(/^[^,/]*$/),
  )
  .max(50);
/** A name as Nova takes it. */
export const nameSchema = z.string().trim().min(1).max(255);
/** An id of an image, which must look like one. */
export const imageIdSchema = z.union([z.guid(), z.literal('')]);
/** An id of a flavor. */
export const flavorIdSchema = z.union([z.string(), z.int().transform(String)]);

const networkList = z.array(
  z.union([
    z.strictObject({ uuid: z.guid(), fixed_ip: z.string().optional(), tag: z.string().optional() }),
    z.strictObject({ port: z.guid(), tag: z.string().optional() }),
  ]),
);
type Networks = z.infer<typeof networkList> | 'auto' | 'none' | undefined;

const base = {
  name: nameSchema,
  flavorRef: flavorIdSchema,
  imageRef: imageIdSchema.optional(),
  key_name: z.string().min(1).max(255).nullish(),
  metadata: metadataSchema.default({}),
  user_data: z.string().max(65_535).nullish(),
  security_groups: z.array(z.object({ name: z.string() })).optional(),
  min_count: z.coerce.number().int().min(1).default(1),
  max_count: z.coerce.number().int().min(1).optional(),
  availability_zone: z.string().nullish(),
  config_drive: z.unknown().optional(),
  adminPass: z.string().optional(),
  accessIPv4: z.string().optional(),
  accessIPv6: z.string().optional(),
  'OS-DCF:diskConfig': z.enum(['AUTO', 'MANUAL']).optional(),
};

/** The body of a create by the microversion: fields that came later are refused before. */
function bodySchema(minor: number) {
  return z.object({
    server: z.strictObject({
      ...base,
      networks: minor >= 37 ? z.union([z.literal(['auto', 'none']), networkList]) : networkList.optional(),
      ...(minor >= 19 && { description: z.string().max(255).nullish() }),
      ...(minor >= 52 && { tags: tagsSchema.optional() }),
      ...(minor >= 90 && { hostname: z.string().max(255).optional() }),
    }),
  });
}

const schemas = new Map<number, ReturnType<typeof bodySchema>>();

/** What the fields that not every version has are read by, once the version's own schema has let them pass. */
const later = z.object({ server: z.object({ description: z.string().nullish(), tags: z.array(z.string()).optional() }) });

/**
 * Accepts one or more servers.
 * @returns the first, and the groups of their new ports, as they were asked for.
 * @throws Refusal in Nova's words; then nothing was made.
 */
export function createServers(
  state: State,
  call: NovaCall,
): { readonly server: ServerRecord; readonly groups: readonly string[] } {
  const { minor } = call.view;
  const schema = schemas.get(minor) ?? bodySchema(minor);
  schemas.set(minor, schema);
  const { server } = parseBody(schema, call.body);
  const { description = null, tags = [] } = later.parse(call.body).server;
  const flavor = FLAVORS.find(({ id }) => id === server.flavorRef);
  if (flavor === undefined) throw new Refusal(400, `Flavor ${server.flavorRef} could not be found.`);
  if (server.imageRef === undefined || server.imageRef === '') throw new Refusal(400, 'Missing imageRef attribute');
  const image = IMAGES.find(({ id }) => id === server.imageRef);
  if (image === undefined) throw new Refusal(400, 'Can not find requested image');
  if (server.key_name != null && !state.keyPairs.has(`${call.asker.userId}/${server.key_name}`)) {
    throw new Refusal(400, 'Invalid key_name provided.');
  }
  if (Object.keys(server.metadata).length > 128) throw new Refusal(403, 'Maximum number of metadata items exceeds 128');
  const groups = (server.security_groups ?? [{ name: DEFAULT_GROUP }]).map(({ name }) => name);
  const most = server.max_count ?? server.min_count;
  const wanted = wantedPorts(state, call, server.networks, groupIdsOf(state, call, groups), most);
  const count = allowedCount(state, call, server.min_count, most);
  const made = Array.from({ length: count }, (_, index) => {
    const id = state.environment.id();
    return createServer(
      state,
      id,
      {
        name: count > 1 ? `${server.name}-${index + 1}` : server.name,
        description,
        imageId: image.id,
        flavorId: flavor.id,
        keyName: server.key_name ?? null,
        userData: server.user_data ?? null,
        metadata: server.metadata,
        tags: [...new Set(tags)],
        portIds: wanted.map((port) => port(id)),
      },
      call.asker,
      call.now,
    );
  });
  const [first] = made;
  if (first === undefined) throw new Refusal(400, 'min_count must be at least 1');
  return { server: first, groups };
}

/** As many as the quota has room for. */
function allowedCount(state: State, { asker }: NovaCall, least: number, most: number): number {
  const limit = state.knobs.quotaInstances;
  if (limit < 0) return most;
  const used = state.servers.count(asker.projectId);
  const room = Math.max(0, limit - used);
  if (room >= least) return Math.min(most, room);
  throw new Refusal(403, `Quota exceeded for instances: Requested ${most}, but already used ${used} of ${limit} instances`);
}

/** The ids of the groups that are asked for, each once. */
function groupIdsOf(state: State, { asker }: NovaCall, names: readonly string[]): string[] {
  const ids = names.map((name) => {
    const group = meantGroup(state, asker.projectId, name);
    if (group === undefined) throw new Refusal(400, `Unable to find security_group with name or id '${name}'`);
    return group.id;
  });
  return [...new Set(ids)];
}

/**
 * Checks what `count` servers are to be connected to. The groups are those of new ports; a port that is there has its own.
 * @returns what makes or takes each port once the server has an id.
 */
function wantedPorts(
  state: State,
  call: NovaCall,
  networks: Networks,
  groupIds: readonly string[],
  count: number,
): ((serverId: string) => string)[] {
  const { projectId } = call.asker;
  if (networks === 'none') return [];
  const visible = networksOf(projectId);
  const request = { projectId, groupIds, owned: true };
  if (networks === undefined || networks === 'auto' || networks.length === 0) {
    const own = visible.filter((network) => !network.external).slice(0, 1);
    requirePorts(state, projectId, own.length * count);
    return own.map((network) => (deviceId) => createPort(state, { ...request, network, deviceId }, call.now).id);
  }
  const given = networks.flatMap((wanted) => ('port' in wanted ? [wanted.port] : []));
  const twice = given.find((id, index) => given.indexOf(id) !== index);
  if (twice !== undefined) {
    throw new Refusal(400, `Port ID '${twice}' was specified twice: you cannot attach a port multiple times.`);
  }
  if (given.length > 0 && count > 1) {
    const why = 'Unable to launch multiple instances with a single configured port ID.';
    throw new Refusal(400, `Failed to launch instances: ${why} Please launch your instance one by one with different ports.`);
  }
  requirePorts(state, projectId, (networks.length - given.length) * count);
  return networks.map((wanted) => {
    if ('port' in wanted) {
      const port = state.ports.get(wanted.port);
      if (port === undefined || port.projectId !== projectId)
        throw new Refusal(400, `Port id ${wanted.port} could not be found.`);
      if (port.deviceId !== '') throw new Refusal(409, `Port ${port.id} is still in use.`);
      return () => port.id;
    }
    const network = visible.find(({ id }) => id === wanted.uuid);
    if (network === undefined) throw new Refusal(400, `Network ${wanted.uuid} could not be found.`);
    const address = wanted.fixed_ip;
    const placed = { ...request, network, ...(address !== undefined && { address }) };
    return (deviceId) => createPort(state, { ...placed, deviceId }, call.now).id;
  });
}

/** @throws Refusal 403 if a project may not have so many more ports. */
function requirePorts(state: State, projectId: string, more: number): void {
  const { port: limit = -1 } = limitsOf(state, projectId, 'network');
  if (limit < 0 || more === 0) return;
  const { port: used = 0 } = networkUse(state, projectId);
  if (used + more > limit) throw new Refusal(403, 'Maximum number of ports exceeded');
}
