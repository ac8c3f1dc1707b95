import { micros } from '../http/times.js';
import type { VolumeRecord } from '../model/records.js';
import type { State } from '../model/state.js';
import { volumeStatusOf } from '../model/volumes.js';
import type { CinderCall } from './call.js';

/** The one type of volumes. */
export const TYPE = {
  id: '66666666-6666-4666-8666-666666666666',
  name: '__DEFAULT__',
  is_public: true,
  description: 'Default Volume Type',
  extra_specs: {},
} as const;

/** A volume as the short list shows it. */
export function showVolumeBriefly({ id, name }: VolumeRecord, call: CinderCall): object {
  return { id, name, links: links(call, id) };
}

/** A volume as the answer to a change shows it. */
export function showVolume(state: State, volume: VolumeRecord, call: CinderCall): object {
  const server = volume.serverId === null ? undefined : state.servers.get(volume.serverId);
  const attached = volume.task === 'attaching' ? undefined : server?.volumes.filter(({ volumeId }) => volumeId === volume.id);
  return {
    id: volume.id,
    status: volumeStatusOf(volume),
    size: volume.size,
    availability_zone: 'nova',
    created_at: micros(volume.created),
    updated_at: volume.task === 'creating' ? null : micros(Math.min(volume.readyAt, call.now)),
    name: volume.name,
    description: volume.description,
    volume_type: TYPE.name,
    snapshot_id: null,
    source_volid: null,
    metadata: volume.metadata,
    links: links(call, volume.id),
    user_id: volume.userId,
    bootable: 'false',
    encrypted: false,
    replication_status: null,
    consistencygroup_id: null,
    multiattach: false,
    attachments: (attached ?? []).map(({ attachmentId, device, at }) => ({
      id: volume.id,
      attachment_id: attachmentId,
      volume_id: volume.id,
      server_id: volume.serverId,
      host_name: null,
      device,
      attached_at: micros(at),
    })),
    ...(call.minor >= 13 && { group_id: null }),
    ...(call.minor >= 48 && { shared_targets: false, service_uuid: null }),
    ...(call.minor >= 63 && { volume_type_id: TYPE.id }),
    ...(call.minor >= 65 && { consumes_quota: true }),
  };
}

/** A volume in full. */
export function showOwnedVolume(state: State, volume: VolumeRecord, call: CinderCall): object {
  return { ...showVolume(state, volume, call), 'os-vol-tenant-attr:tenant_id': volume.projectId };
}

function links({ origin, params }: CinderCall, id: string): object[] {
  return [
    { rel: 'self', href: `${origin}/volume/v3/${params.project}/volumes/${id}` },
    { rel: 'bookmark', href: `${origin}/volume/${params.project}/volumes/${id}` },
  ];
}
