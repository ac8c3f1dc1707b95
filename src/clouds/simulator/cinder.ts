import { z } from 'zod';
import { parseBody } from './http/body.js';
import { unauthorized } from './http/replies.js';
import { type Call, type OwnCall, type Reply, type Service, sessionOf } from './http/service.js';
import { micros } from './http/times.js';
import type { VolumeRecord } from './model/records.js';
import { Refusal } from './model/refusal.js';
import type { State } from './model/state.js';

const text = z.string().max(255).nullish();
const bodySchema = z.object({
  volume: z.looseObject({
    size: z.coerce.number().int().min(1).max(1_000_000),
    name: text,
    description: text,
    metadata: z.record(z.string(), z.string().max(255)).nullish(),
  }),
});
const changeSchema = z.object({ volume: z.looseObject({ name: text, description: text }) });

/** Cinder v3: volumes, which Nova attaches. */
export function cinder(state: State): Service<OwnCall> {
  return {
    name: 'cinder',
    admit: (call) => {
      const asked = call.header('openstack-api-version');
      if (asked !== undefined && !/^volume (3\.\d+|latest)$/i.test(asked.trim())) {
        throw new Refusal(400, `API Version String ${asked} is of invalid format. Must be of format MajorNum.MinorNum.`);
      }
      const session = sessionOf(state, call);
      if (session !== undefined) return { ...call, ...session };
      if (!/^\/volume\/?(v3\/?)?$/.test(call.target)) return unauthorized(call);
      return { ...call, asker: { projectId: '', userId: '', requestId: call.requestId }, isAdmin: false };
    },
    decline: (_call, status, message) => {
      const kinds: Readonly<Record<number, string>> = {
        400: 'badRequest',
        403: 'forbidden',
        404: 'itemNotFound',
        413: 'overLimit',
        429: 'overLimit',
      };
      return { status, json: { [kinds[status] ?? 'computeFault']: { code: status, message } } };
    },
    headers: (call) => ({
      'openstack-api-version': `volume ${/ (3\.\d+)$/.exec(call.header('openstack-api-version') ?? '')?.[1] ?? '3.0'}`,
      vary: 'OpenStack-API-Version',
      'x-compute-request-id': call.requestId,
      'x-openstack-request-id': call.requestId,
    }),
    routes: {
      'GET /': (call) => ({ status: 300, json: versions(call) }),
      'GET /v3': (call) => ({ status: 200, json: versions(call) }),
      'GET /v3/:project/volumes': (call) => list(state, call, ({ id, name }) => ({ id, name, links: links(call, id) })),
      'GET /v3/:project/volumes/detail': (call) => list(state, call, (volume) => showOwned(state, volume, call)),
      'POST /v3/:project/volumes': (call) => {
        const { size, name, description, metadata } = parseBody(bodySchema, call.body).volume;
        const volume: VolumeRecord = {
          id: state.environment.id(),
          name: name ?? null,
          description: description ?? null,
          projectId: call.asker.projectId,
          userId: call.asker.userId,
          size,
          metadata: metadata ?? {},
          created: call.now,
          readyAt: call.now + state.knobs.actionTime,
          serverId: null,
        };
        state.putVolume(volume);
        return { status: 202, json: { volume: show(state, volume, call) } };
      },
      'GET /v3/:project/volumes/:id': (call) => ({
        status: 200,
        json: { volume: showOwned(state, find(state, call), call) },
      }),
      'PUT /v3/:project/volumes/:id': (call) => {
        const { name, description } = parseBody(changeSchema, call.body).volume;
        const volume = {
          ...find(state, call),
          ...(name !== undefined && { name }),
          ...(description !== undefined && { description }),
        };
        state.putVolume(volume);
        return { status: 200, json: { volume: show(state, volume, call) } };
      },
      'DELETE /v3/:project/volumes/:id': (call) => {
        const volume = find(state, call);
        if (statusOf(volume, call) !== 'available') throw new Refusal(400, BUSY);
        state.removeVolume(volume.id);
        return { status: 202 };
      },
      'GET /v3/:project/types': () => ({
        status: 200,
        json: {
          volume_types: [
            {
              id: '66666666-6666-4666-8666-666666666666',
              name: '__DEFAULT__',
              is_public: true,
              description: 'Default Volume Type',
              extra_specs: {},
              'os-volume-type-access:is_public': true,
            },
          ],
        },
      }),
      'GET /v3/:project/limits': (call) => ({ status: 200, json: { limits: { rate: [], absolute: limits(state, call) } } }),
      'GET /v3/:project/os-quota-sets/:id': ({ params }) => ({
        status: 200,
        json: {
          quota_set: {
            volumes: -1,
            per_volume_gigabytes: -1,
            snapshots: -1,
            gigabytes: -1,
            backups: 10,
            backup_gigabytes: 1000,
            volumes___DEFAULT__: -1,
            gigabytes___DEFAULT__: -1,
            snapshots___DEFAULT__: -1,
            groups: 10,
            id: params.id,
          },
        },
      }),
    },
  };
}

const BUSY = [
  'Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing',
  'and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer,',
  'or be disassociated from snapshots after volume transfer.',
].join(' ');

function find(state: State, { params, asker, isAdmin }: OwnCall): VolumeRecord {
  const volume = state.volumes.get(params.id ?? '');
  if (volume === undefined || (volume.projectId !== asker.projectId && !isAdmin)) {
    throw new Refusal(404, `Volume ${params.id} could not be found.`);
  }
  return volume;
}

function list(state: State, call: OwnCall, render: (volume: VolumeRecord) => object): Reply {
  const { query, asker } = call;
  const [name, status, marker] = [query.get('name'), query.get('status'), query.get('marker')];
  const all = [...state.volumes.values()].filter((volume) => volume.projectId === asker.projectId).reverse();
  const matching = all.filter(
    (volume) => (name === null || volume.name === name) && (status === null || statusOf(volume, call) === status),
  );
  const start = marker === null ? 0 : matching.findIndex(({ id }) => id === marker) + 1;
  if (marker !== null && start === 0) throw new Refusal(404, `Volume ${marker} could not be found.`);
  const limit = Math.min(Number(query.get('limit') ?? 1000), 1000);
  const page = matching.slice(start, start + limit);
  const last = page.at(-1);
  const next = new URLSearchParams(query);
  if (last !== undefined) next.set('marker', last.id);
  const href = `${call.origin}${call.target.replace(/\?.*$/, '')}?${next}`;
  const more = last !== undefined && page.length === limit && { volumes_links: [{ rel: 'next', href }] };
  return { status: 200, json: { volumes: page.map(render), ...more } };
}

/** A volume's status follows from time and from who has it. */
function statusOf(volume: VolumeRecord, { now }: Call): string {
  if (volume.serverId !== null) return 'in-use';
  return volume.readyAt > now ? 'creating' : 'available';
}

function show(state: State, volume: VolumeRecord, call: Call): object {
  const server = volume.serverId === null ? undefined : state.servers.get(volume.serverId);
  const attachments = (server?.volumes ?? []).filter(({ volumeId }) => volumeId === volume.id);
  return {
    id: volume.id,
    status: statusOf(volume, call),
    size: volume.size,
    availability_zone: 'nova',
    created_at: micros(volume.created),
    updated_at: volume.readyAt > call.now ? null : micros(volume.readyAt),
    name: volume.name,
    description: volume.description,
    volume_type: '__DEFAULT__',
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
    attachments: attachments.map(({ attachmentId, device, at }) => ({
      id: volume.id,
      attachment_id: attachmentId,
      volume_id: volume.id,
      server_id: volume.serverId,
      host_name: null,
      device,
      attached_at: micros(at),
    })),
  };
}

function showOwned(state: State, volume: VolumeRecord, call: Call): object {
  return { ...show(state, volume, call), 'os-vol-tenant-attr:tenant_id': volume.projectId };
}

function links({ origin, params }: Call, id: string): object[] {
  return [
    { rel: 'self', href: `${origin}/volume/v3/${params.project}/volumes/${id}` },
    { rel: 'bookmark', href: `${origin}/volume/${params.project}/volumes/${id}` },
  ];
}

function limits(state: State, { asker }: OwnCall): object {
  const volumes = [...state.volumes.values()].filter(({ projectId }) => projectId === asker.projectId);
  return {
    maxTotalVolumes: -1,
    maxTotalSnapshots: -1,
    maxTotalVolumeGigabytes: -1,
    maxTotalBackups: 10,
    maxTotalBackupGigabytes: 1000,
    totalVolumesUsed: volumes.length,
    totalGigabytesUsed: volumes.reduce((sum, { size }) => sum + size, 0),
    totalSnapshotsUsed: 0,
    totalBackupsUsed: 0,
    totalBackupGigabytesUsed: 0,
  };
}

function versions({ origin }: Call): object {
  return {
    versions: [
      {
        id: 'v3.0',
        status: 'CURRENT',
        version: '3.70',
        min_version: '3.0',
        updated: '2022-08-31T00:00:00Z',
        links: [
          { rel: 'describedby', type: 'text/html', href: 'https://docs.openstack.org/' },
          { rel: 'self', href: `${origin}/volume/v3/` },
        ],
        'media-types': [{ base: 'application/json', type: 'application/vnd.openstack.volume+json;version=3' }],
      },
    ],
  };
}
