import { z } from 'zod';
import { parseBody } from '../http/body.js';
import type { Routes } from '../http/service.js';
import type { ServerRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import { requireState } from '../model/server-actions.js';
import { changeServer } from '../model/servers.js';
import type { State } from '../model/state.js';
import { beginTask, volumeStatusOf } from '../model/volumes.js';
import type { NovaCall } from './call.js';
import { findServer } from './servers.js';

const attachBody = z.object({
  volumeAttachment: z.looseObject({ volumeId: z.guid(), device: z.string().nullish() }),
});

type Attachment = ServerRecord['volumes'][number];

/** Which volumes a server has. */
export function novaVolumes(state: State): Routes<NovaCall> {
  const path = '/v2.1/servers/:id/os-volume_attachments';
  return {
    [`GET ${path}`]: (call) => {
      const server = findServer(state, call);
      return { status: 200, json: { volumeAttachments: server.volumes.map((one) => show(server, one, call.view.minor)) } };
    },
    [`POST ${path}`]: (call) => {
      const server = findServer(state, call);
      const { volumeId, device } = parseBody(attachBody, call.body).volumeAttachment;
      if (server.locked) throw new Refusal(409, `Instance ${server.id} is locked`);
      requireState(server, 'attach_volume', ['active', 'paused', 'stopped', 'resized']);
      const volume = state.volumes.get(volumeId);
      if (volume === undefined || volume.projectId !== server.projectId) {
        throw new Refusal(404, `Volume ${volumeId} could not be found.`);
      }
      if (volume.serverId !== null) {
        const by = `is already attached to instances: ${volume.serverId}`;
        throw new Refusal(400, `Invalid volume: volume ${volumeId} ${by}`);
      }
      const status = volumeStatusOf(volume);
      if (status !== 'available') {
        throw new Refusal(400, `Invalid volume: volume '${volumeId}' status must be 'available'. Currently in '${status}'`);
      }
      const { readyAt } = beginTask(state, volume, 'attaching', call.now, { serverId: server.id });
      const attachment: Attachment = {
        volumeId,
        attachmentId: state.environment.id(),
        device: device ?? `/dev/sd${freeLetter(server)}`,
        at: readyAt,
      };
      state.putServer({ ...server, volumes: [...server.volumes, attachment] });
      return { status: 200, json: { volumeAttachment: show(server, attachment, call.view.minor) } };
    },
    [`GET ${path}/:volume`]: (call) => {
      const server = findServer(state, call);
      return { status: 200, json: { volumeAttachment: show(server, find(server, call), call.view.minor) } };
    },
    [`DELETE ${path}/:volume`]: (call) => {
      const server = findServer(state, call);
      if (server.locked) throw new Refusal(409, `Instance ${server.id} is locked`);
      const { volumeId } = find(server, call);
      requireState(server, 'detach_volume', ['active', 'paused', 'suspended', 'stopped', 'resized']);
      const volume = state.volumes.get(volumeId);
      if (volume === undefined || volume.task !== null)
        throw new Refusal(400, `${BUSY} (HTTP 400) (Request-ID: ${call.requestId})`);
      changeServer(state, server, 'detach_volume', call.asker, call.now, {});
      beginTask(state, volume, 'detaching', call.now);
      return { status: 202 };
    },
  };
}

const BUSY = [
  'Invalid volume: Invalid input received: Invalid volume: Unable to detach volume.',
  "Volume status must be 'in-use' and attach_status must be 'attached' to detach.",
].join(' ');

function find(server: ServerRecord, { params }: NovaCall): Attachment {
  const attachment = server.volumes.find(({ volumeId }) => volumeId === params.volume);
  if (attachment === undefined) {
    throw new Refusal(404, `Instance ${server.id} is not attached to volume ${params.volume}`);
  }
  return attachment;
}

function show(server: ServerRecord, { volumeId, attachmentId, device }: Attachment, minor: number): object {
  return {
    ...(minor < 89 && { id: volumeId }),
    volumeId,
    serverId: server.id,
    device,
    ...(minor >= 70 && { tag: null }),
    ...(minor >= 79 && { delete_on_termination: false }),
    ...(minor >= 89 && { attachment_id: attachmentId, bdm_uuid: attachmentId }),
  };
}

function freeLetter(server: ServerRecord): string {
  const taken = new Set(server.volumes.map(({ device }) => device.at(-1)));
  return [...'bcdefghijklmnopqrstuvwxyz'].find((letter) => !taken.has(letter)) ?? 'z';
}
