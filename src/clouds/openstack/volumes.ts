import { z } from 'zod';
import { CloudError, isCloudError } from '../errors.js';
import type { Named, OwnerTag } from '../identity.js';
import type { CloudVolume, CreateVolumeRequest, VolumeState } from '../volume-driver.js';
import type { Cinder } from './cinder.js';
import { type Nova, serverPath } from './nova.js';
import { ownedMetadata, readOwnership, withoutOwner } from './ownership.js';

const volumeSchema = z.object({
  id: z.string().min(1),
  name: z.string().nullish(),
  status: z.string(),
  size: z.number(),
  volume_type: z.string().nullish(),
  metadata: z.record(z.string(), z.string()).default({}),
  attachments: z.array(z.object({ server_id: z.string(), device: z.string().nullish() })).default([]),
  created_at: z.string(),
});
const oneVolumeSchema = z.object({ volume: volumeSchema });
const linksSchema = z.array(z.object({ rel: z.string() })).optional();
const volumesSchema = z
  .object({ volumes: z.array(volumeSchema), volumes_links: linksSchema })
  .transform(({ volumes, volumes_links }) => ({ items: volumes, links: volumes_links }));
const typesSchema = z
  .object({ volume_types: z.array(z.object({ id: z.string(), name: z.string() })), volume_type_links: linksSchema })
  .transform(({ volume_types, volume_type_links }) => ({ items: volume_types, links: volume_type_links }));
const metadataSchema = z.object({ metadata: z.record(z.string(), z.string()) });

/** cinder's `status`. What is not here, and begins with error, is Error; all else is Unknown. */
const STATES: Readonly<Record<string, VolumeState>> = {
  creating: 'Creating',
  downloading: 'Creating',
  available: 'Available',
  attaching: 'Attaching',
  'in-use': 'InUse',
  detaching: 'Detaching',
  deleting: 'Deleting',
  // nova has bespoken it for a server.
  reserved: 'Changing',
  extending: 'Changing',
  retyping: 'Changing',
  maintenance: 'Changing',
  managing: 'Changing',
  uploading: 'Changing',
  reverting: 'Changing',
  'backing-up': 'Changing',
  'restoring-backup': 'Changing',
  'awaiting-transfer': 'Changing',
};

/** What a volume is doing, from cinder's `status`. */
export function volumeState(status: string): VolumeState {
  const word = status.toLowerCase();
  return STATES[word] ?? (word.startsWith('error') ? 'Error' : 'Unknown');
}

/** cinder's volumes, and nova's word on who has them. */
export class Volumes {
  readonly #cinder: Cinder;
  readonly #nova: Nova;

  constructor(cinder: Cinder, nova: Nova) {
    this.#cinder = cinder;
    this.#nova = nova;
  }

  async list(signal?: AbortSignal): Promise<readonly CloudVolume[]> {
    return (await this.#cinder.list('listVolumes', '/volumes/detail', {}, volumesSchema, signal)).map(toVolume);
  }

  async named(name: string, signal?: AbortSignal): Promise<readonly CloudVolume[]> {
    const found = await this.#cinder.list('findVolumesByName', '/volumes/detail', { name }, volumesSchema, signal);
    return found.map(toVolume).filter((volume) => volume.name === name);
  }

  async get(id: string, signal?: AbortSignal): Promise<CloudVolume> {
    return toVolume((await this.#cinder.ask({ operation: 'getVolume', path: volumePath(id), signal }, oneVolumeSchema)).volume);
  }

  async create(request: CreateVolumeRequest, owner: OwnerTag, signal?: AbortSignal): Promise<CloudVolume> {
    const { name, sizeGiB, type } = request;
    const volume = {
      name,
      size: sizeGiB,
      metadata: ownedMetadata({}, owner),
      ...(type === undefined ? {} : { volume_type: type }),
    };
    const call = { operation: 'createVolume', method: 'POST', path: '/volumes', body: { volume }, effect: true } as const;
    return toVolume((await this.#cinder.ask({ ...call, creates: true, signal }, oneVolumeSchema)).volume);
  }

  async delete(id: string, signal?: AbortSignal): Promise<void> {
    const call = { operation: 'deleteVolume', method: 'DELETE', path: volumePath(id), effect: true } as const;
    await this.#unlessDone(
      this.#cinder.call({ ...call, signal }),
      id,
      (volume) => volume === undefined || volume.state === 'Deleting',
      signal,
    );
  }

  async extend(id: string, sizeGiB: number, inUse: boolean, signal?: AbortSignal): Promise<void> {
    await this.#cinder.require('extendVolume');
    const { growsInUse } = await this.#cinder.version();
    if (inUse && !growsInUse) {
      throw new CloudError(
        'Unsupported',
        'extendVolume: this cloud cannot make a volume larger while a server has it (cinder before 3.42): detach it first',
      );
    }
    const call = { operation: 'extendVolume', method: 'POST', path: `${volumePath(id)}/action`, effect: true } as const;
    await this.#cinder.call({ ...call, body: { 'os-extend': { new_size: sizeGiB } }, signal });
  }

  async rename(id: string, name: string, signal?: AbortSignal): Promise<void> {
    const call = { operation: 'renameVolume', method: 'PUT', path: volumePath(id), body: { volume: { name } } } as const;
    await this.#cinder.call({ ...call, effect: true, signal });
  }

  async setOwner(id: string, owner: OwnerTag | undefined, signal?: AbortSignal): Promise<void> {
    const call = { operation: 'setVolumeOwner', path: `${volumePath(id)}/metadata`, signal } as const;
    if (owner !== undefined) {
      // Adds to what is there.
      await this.#cinder.call({ ...call, method: 'POST', body: { metadata: ownedMetadata({}, owner) }, effect: true });
      return;
    }
    const { metadata } = await this.#cinder.ask(call, metadataSchema);
    // Replaces what is there: one call, so that never a part of the tag is left.
    await this.#cinder.call({ ...call, method: 'PUT', body: { metadata: withoutOwner(metadata) }, effect: true });
  }

  async attach(serverId: string, volumeId: string, signal?: AbortSignal): Promise<void> {
    await this.#cinder.require('attachVolume');
    const call = { operation: 'attachVolume', method: 'POST', path: attachmentsPath(serverId), effect: true } as const;
    const attaching = this.#nova.call({ ...call, body: { volumeAttachment: { volumeId } }, signal });
    await this.#unlessDone(attaching, volumeId, (volume) => volume !== undefined && isOn(volume, serverId), signal);
  }

  async detach(serverId: string, volumeId: string, signal?: AbortSignal): Promise<void> {
    await this.#cinder.require('detachVolume');
    const path = `${attachmentsPath(serverId)}/${encodeURIComponent(volumeId)}`;
    const detaching = this.#nova.call({ operation: 'detachVolume', method: 'DELETE', path, effect: true, signal });
    await this.#unlessDone(detaching, volumeId, (volume) => volume === undefined || isFree(volume), signal);
  }

  async types(signal?: AbortSignal): Promise<readonly Named[]> {
    return this.#cinder.list('listVolumeTypes', '/types', {}, typesSchema, signal);
  }

  /**
   * A call that is refused in the very state that it would bring about, too: so that state is looked for.
   * @param done of the volume as it is; undefined: it is gone.
   */
  async #unlessDone(
    call: Promise<unknown>,
    id: string,
    done: (volume: CloudVolume | undefined) => boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    try {
      await call;
    } catch (error) {
      if (!isCloudError(error, 'Conflict')) throw error;
      if (!done(await this.#ifThere(id, signal))) throw error;
    }
  }

  async #ifThere(id: string, signal?: AbortSignal): Promise<CloudVolume | undefined> {
    try {
      return await this.get(id, signal);
    } catch (error) {
      if (isCloudError(error, 'NotFound')) return undefined;
      throw error;
    }
  }
}

function isOn(volume: CloudVolume, serverId: string): boolean {
  return volume.attachments.some((attachment) => attachment.serverId === serverId);
}

/** No server has it, or only just. */
function isFree(volume: CloudVolume): boolean {
  return volume.state === 'Detaching' || volume.state === 'Available';
}

function volumePath(id: string): string {
  return `/volumes/${encodeURIComponent(id)}`;
}

function attachmentsPath(serverId: string): string {
  return `${serverPath(serverId)}/os-volume_attachments`;
}

function toVolume(volume: z.infer<typeof volumeSchema>): CloudVolume {
  const { owner, metadata } = readOwnership(volume.metadata, undefined, undefined);
  return {
    id: volume.id,
    name: volume.name ?? '',
    state: volumeState(volume.status),
    sizeGiB: volume.size,
    ...(volume.volume_type ? { type: volume.volume_type } : {}),
    ...(owner === undefined ? {} : { owner }),
    metadata,
    attachments: volume.attachments.map(({ server_id, device }) => ({ serverId: server_id, ...(device ? { device } : {}) })),
    // cinder writes microseconds and no zone: it means UTC.
    createdAt: `${volume.created_at.slice(0, 19)}Z`,
  };
}
