import { z } from 'zod';
import { parseBody, wholeNumber } from '../http/body.js';
import type { Reply, Routes } from '../http/service.js';
import type { VolumeRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import type { State } from '../model/state.js';
import { beginTask, volumeStatusOf } from '../model/volumes.js';
import type { CinderCall } from './call.js';
import { requireGigabytes, requireVolumes } from './quotas.js';
import { showOwnedVolume, showVolume, showVolumeBriefly, TYPE } from './volume-view.js';

/** Metadata as Cinder takes it, wherever it does. */
export const metadataSchema = z.record(z.string().min(1).max(255), z.string().max(255));

const text = z.string().max(255).nullish();
const size = z.preprocess(wholeNumber, z.int().min(1).max(1_000_000));
const newVolume = z.object({
  volume: z.looseObject({
    size: size.optional(),
    name: text,
    description: text,
    volume_type: z.string().nullish(),
    metadata: metadataSchema.nullish(),
  }),
});
const volumeChange = z.object({
  volume: z.strictObject({ name: text, description: text, metadata: metadataSchema.nullish() }),
});
const extension = z.object({ 'os-extend': z.object({ new_size: size }) });

/** The first microversion that extends a volume while a server has it. */
const EXTEND_IN_USE = 42;

/** Volumes: lists, create, show, change, extend, delete. */
export function cinderVolumes(state: State): Routes<CinderCall> {
  const path = '/v3/:project/volumes';
  return {
    [`GET ${path}`]: (call) => list(state, call, (volume) => showVolumeBriefly(volume, call)),
    [`GET ${path}/detail`]: (call) => list(state, call, (volume) => showOwnedVolume(state, volume, call)),
    [`POST ${path}`]: (call) => ({ status: 202, json: { volume: showVolume(state, create(state, call), call) } }),
    [`GET ${path}/:id`]: (call) => ({
      status: 200,
      json: { volume: showOwnedVolume(state, findVolume(state, call), call) },
    }),
    [`PUT ${path}/:id`]: (call) => {
      const { name, description, metadata } = parseBody(volumeChange, call.body).volume;
      const volume = {
        ...findVolume(state, call),
        ...(name !== undefined && { name }),
        ...(description !== undefined && { description }),
        ...(metadata != null && { metadata }),
      };
      state.putVolume(volume);
      return { status: 200, json: { volume: showVolume(state, volume, call) } };
    },
    [`DELETE ${path}/:id`]: (call) => {
      const volume = findVolume(state, call);
      // As in Cinder: one that no host was chosen for yet goes at once.
      if (volume.task === 'creating' && call.now < volume.created + (volume.readyAt - volume.created) / 10) {
        state.removeVolume(volume.id);
        return { status: 202 };
      }
      if (volumeStatusOf(volume) !== 'available') throw new Refusal(400, BUSY);
      beginTask(state, volume, 'deleting', call.now);
      return { status: 202 };
    },
    [`POST ${path}/:id/action`]: (call) => {
      const [name = ''] = Object.keys(parseBody(z.record(z.string(), z.unknown()), call.body));
      if (name !== 'os-extend') {
        const hint = 'Verify the request body and Content-Type header and try again.';
        throw new Refusal(400, `There is no such action: ${name}. ${hint}`);
      }
      extend(state, call);
      return { status: 202 };
    },
  };
}

/** The volume that a path names. @throws Refusal 404 if there is none, or it is another project's. */
export function findVolume(state: State, { params, asker, isAdmin }: CinderCall): VolumeRecord {
  const volume = state.volumes.get(params.id ?? '');
  if (volume === undefined || (volume.projectId !== asker.projectId && !isAdmin)) {
    throw new Refusal(404, `Volume ${params.id} could not be found.`);
  }
  return volume;
}

const BUSY = [
  'Invalid volume: Volume status must be available or error or error_restoring or error_extending or error_managing',
  'and must not be migrating, attached, belong to a group, have snapshots, awaiting a transfer,',
  'or be disassociated from snapshots after volume transfer.',
].join(' ');

function create(state: State, call: CinderCall): VolumeRecord {
  const wanted = parseBody(newVolume, call.body).volume;
  const { projectId, userId } = call.asker;
  if (wanted.size === undefined) {
    throw new Refusal(400, 'The server could not comply with the request since it is either malformed or otherwise incorrect.');
  }
  if (wanted.volume_type != null && wanted.volume_type !== TYPE.name && wanted.volume_type !== TYPE.id) {
    throw new Refusal(404, `Volume type with name ${wanted.volume_type} could not be found.`);
  }
  requireGigabytes(state, projectId, wanted.size, wanted.size);
  requireVolumes(state, projectId);
  const volume: VolumeRecord = {
    id: state.environment.id(),
    name: wanted.name ?? null,
    description: wanted.description ?? null,
    projectId,
    userId,
    size: wanted.size,
    metadata: wanted.metadata ?? {},
    created: call.now,
    task: 'creating',
    readyAt: call.now + state.knobs.actionTime,
    extendTo: null,
    serverId: null,
  };
  state.putVolume(volume);
  return volume;
}

function extend(state: State, call: CinderCall): void {
  const volume = findVolume(state, call);
  const { new_size: extendTo } = parseBody(extension, call.body)['os-extend'];
  const status = volumeStatusOf(volume);
  if (status !== 'available' && !(status === 'in-use' && call.minor >= EXTEND_IN_USE)) {
    const must = "status must be '{'status': 'available'}' to extend";
    throw new Refusal(400, `Invalid volume: Volume ${volume.id} ${must}, currently ${status}.`);
  }
  if (extendTo <= volume.size) {
    const sizes = `(current: ${volume.size}, extended: ${extendTo})`;
    throw new Refusal(400, `Invalid input received: New size for extend must be greater than current size. ${sizes}.`);
  }
  requireGigabytes(state, volume.projectId, extendTo, extendTo - volume.size);
  beginTask(state, volume, 'extending', call.now, { extendTo });
}

function list(state: State, call: CinderCall, render: (volume: VolumeRecord) => object): Reply {
  const { query, asker } = call;
  const [name, status, marker] = [query.get('name'), query.get('status'), query.get('marker')];
  const metadata = metadataAsked(query.get('metadata'));
  const all = [...state.volumes.values()].filter((volume) => volume.projectId === asker.projectId).reverse();
  const matching = all.filter(
    (volume) =>
      (name === null || volume.name === name) &&
      (status === null || volumeStatusOf(volume) === status) &&
      Object.entries(metadata).every(([key, value]) => volume.metadata[key] === value),
  );
  const start = marker === null ? 0 : matching.findIndex(({ id }) => id === marker) + 1;
  if (marker !== null && start === 0) throw new Refusal(404, `Volume ${marker} could not be found.`);
  const asked = query.get('limit') ?? '1000';
  if (!/^\d+$/.test(asked)) throw new Refusal(400, 'limit param must be an integer');
  const limit = Math.min(Number(asked), 1000);
  const page = matching.slice(start, start + limit);
  const last = page.at(-1);
  const next = new URLSearchParams(query);
  if (last !== undefined) next.set('marker', last.id);
  const href = `${call.origin}${call.target.replace(/\?.*$/, '')}?${next}`;
  const more = last !== undefined && page.length === limit && { volumes_links: [{ rel: 'next', href }] };
  return { status: 200, json: { volumes: page.map(render), ...more } };
}

/** What a list asks of metadata, which is written as Python does: `{'key': 'value'}`. */
function metadataAsked(text: string | null): Record<string, string> {
  if (text === null) return {};
  try {
    return z.record(z.string(), z.string()).parse(JSON.parse(text.replaceAll("'", '"')));
  } catch {
    throw new Refusal(400, `Invalid input received: metadata filter ${text} is no dictionary`);
  }
}
