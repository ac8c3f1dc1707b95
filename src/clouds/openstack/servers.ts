import { z } from 'zod';
import type { CreateServerRequest, OwnerTag, Server } from '../driver.js';
import { CloudError } from '../errors.js';
import { type Nova, serverPath } from './nova.js';
import { ownedMetadata, ownedTags } from './ownership.js';
import { oneServerSchema, toServer } from './server.js';

const createdSchema = z.object({ server: z.object({ id: z.string().min(1) }) });

/** nova's servers, one at a time. */
export class Servers {
  readonly #nova: Nova;
  readonly #installation: string | undefined;

  constructor(nova: Nova, installation: string | undefined) {
    this.#nova = nova;
    this.#installation = installation;
  }

  async get(id: string, signal?: AbortSignal): Promise<Server> {
    const { data } = await this.#nova.ask({ operation: 'getServer', path: serverPath(id), signal }, oneServerSchema);
    return toServer(data.server, this.#installation);
  }

  /** @param networks resolved: nova is told exactly these. Undefined only for a nova that cannot be told 'none'. */
  async create(
    request: CreateServerRequest,
    networks: CreateServerRequest['networks'],
    owner: OwnerTag,
    signal?: AbortSignal,
  ): Promise<Server> {
    const { tagsAtCreate } = await this.#nova.version();
    const metadata = ownedMetadata(request.metadata, owner);
    const tags = ownedTags(request.tags, owner);
    const body = {
      server: {
        name: request.name,
        imageRef: request.imageId,
        flavorRef: request.flavorId,
        metadata,
        ...(tagsAtCreate ? { tags } : {}),
        ...(networks === undefined ? {} : { networks: networksIn(networks) }),
        // By their ids: nova takes those for names as well.
        ...(request.groupIds === undefined ? {} : { security_groups: request.groupIds.map((name) => ({ name })) }),
        ...(request.keyName === undefined ? {} : { key_name: request.keyName }),
        ...(request.userData === undefined ? {} : { user_data: Buffer.from(request.userData, 'utf8').toString('base64') }),
      },
    };
    const call = { operation: 'createServer', method: 'POST', path: '/servers', body, effect: true, creates: true } as const;
    const { data, response } = await this.#nova.ask({ ...call, signal }, createdSchema);
    return {
      id: data.server.id,
      name: request.name,
      state: 'Building',
      owner,
      ownerTagWhole: tagsAtCreate,
      flavorId: request.flavorId,
      imageId: request.imageId,
      ...(request.keyName === undefined ? {} : { keyName: request.keyName }),
      metadata: request.metadata,
      ...(tagsAtCreate ? { tags: request.tags } : {}),
      addresses: [],
      createdAt: rfc3339(response.headers.date),
    };
  }

  /** Makes one of nova's actions: `{ "os-stop": null }`. */
  async act(operation: string, id: string, action: Readonly<Record<string, unknown>>, signal?: AbortSignal): Promise<void> {
    await this.#nova.change({ operation, serverId: id, method: 'POST', path: `${serverPath(id)}/action`, body: action, signal });
  }

  async delete(id: string, signal?: AbortSignal): Promise<void> {
    await this.#nova.call({ operation: 'deleteServer', method: 'DELETE', path: serverPath(id), effect: true, signal });
  }

  async rename(id: string, name: string, signal?: AbortSignal): Promise<void> {
    const body = { server: { name } };
    await this.#nova.change({ operation: 'renameServer', serverId: id, method: 'PUT', path: serverPath(id), body, signal });
  }

  /** Replaces all of it in one call. */
  async setMetadata(
    id: string,
    all: Readonly<Record<string, string>>,
    owner: OwnerTag | undefined,
    signal?: AbortSignal,
  ): Promise<void> {
    const call = { operation: 'setServerMetadata', serverId: id, method: 'PUT', path: `${serverPath(id)}/metadata` } as const;
    await this.#nova.change({ ...call, body: { metadata: ownedMetadata(all, owner) }, signal });
  }

  /** Replaces all of them in one call. @throws CloudError Invalid where the cloud has no tags. */
  async setTags(id: string, tags: readonly string[], owner: OwnerTag | undefined, signal?: AbortSignal): Promise<void> {
    const { hasTags } = await this.#nova.version();
    if (!hasTags)
      throw new CloudError('Invalid', 'setServerTags: this cloud has no server tags (nova before 2.26): leave out spec.tags');
    const call = { operation: 'setServerTags', serverId: id, method: 'PUT', path: `${serverPath(id)}/tags` } as const;
    await this.#nova.change({ ...call, body: { tags: ownedTags(tags, owner) }, signal });
  }
}

function networksIn(networks: Exclude<CreateServerRequest['networks'], undefined>): unknown {
  if (networks === 'none') return networks;
  return 'portIds' in networks ? networks.portIds.map((port) => ({ port })) : networks.map((uuid) => ({ uuid }));
}

/** The Date header in the form of nova's own times; empty if there is none. */
function rfc3339(date: string | undefined): string {
  const time = Date.parse(date ?? '');
  return Number.isNaN(time) ? '' : `${new Date(time).toISOString().slice(0, 19)}Z`;
}
