import { z } from 'zod';
import { parseBody } from '../http/body.js';
import type { Reply, Routes } from '../http/service.js';
import type { VolumeRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import type { State } from '../model/state.js';
import type { CinderCall } from './call.js';
import { findVolume, metadataSchema } from './volumes.js';

const metadataBody = z.object({ metadata: metadataSchema });
const itemBody = z.object({ meta: metadataSchema });

/** The metadata of volumes, whole and key by key. */
export function cinderMetadata(state: State): Routes<CinderCall> {
  const path = '/v3/:project/volumes/:id/metadata';
  const put = (volume: VolumeRecord, metadata: Record<string, string>): Reply => {
    state.putVolume({ ...volume, metadata });
    return { status: 200, json: { metadata } };
  };
  return {
    [`GET ${path}`]: (call) => ({ status: 200, json: { metadata: findVolume(state, call).metadata } }),
    [`POST ${path}`]: (call) => {
      const volume = findVolume(state, call);
      return put(volume, { ...volume.metadata, ...parseBody(metadataBody, call.body).metadata });
    },
    [`PUT ${path}`]: (call) => put(findVolume(state, call), parseBody(metadataBody, call.body).metadata),
    [`GET ${path}/:key`]: (call) => {
      const { key, value } = item(findVolume(state, call), call);
      return { status: 200, json: { meta: { [key]: value } } };
    },
    [`PUT ${path}/:key`]: (call) => {
      const volume = findVolume(state, call);
      const { meta } = parseBody(itemBody, call.body);
      if (Object.keys(meta).join() !== call.params.key) throw new Refusal(400, 'Request body and URI mismatch');
      put(volume, { ...volume.metadata, ...meta });
      return { status: 200, json: { meta } };
    },
    [`DELETE ${path}/:key`]: (call) => {
      const volume = findVolume(state, call);
      const { key } = item(volume, call);
      put(volume, Object.fromEntries(Object.entries(volume.metadata).filter(([name]) => name !== key)));
      return { status: 200 };
    },
  };
}

function item({ id, metadata }: VolumeRecord, { params }: CinderCall): { readonly key: string; readonly value: string } {
  const { key = '' } = params;
  const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
  if (value === undefined) throw new Refusal(404, `Volume ${id} has no metadata with key ${key}.`);
  return { key, value };
}
