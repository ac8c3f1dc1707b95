import { z } from 'zod';
import { parseBody } from '../http/body.js';
import type { Reply, Routes } from '../http/service.js';
import { FLAVORS, IMAGES } from '../model/content.js';
import type { ServerRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import { type ActionName, act } from '../model/server-actions.js';
import { isScheduling } from '../model/server-store.js';
import { changeServer, deleteServer } from '../model/servers.js';
import type { State } from '../model/state.js';
import type { NovaCall } from './call.js';
import { flavorIdSchema, imageIdSchema, metadataSchema, nameSchema } from './create.js';
import { changeGroups } from './security-groups.js';
import { showAlone } from './server-view.js';
import { findServer, location } from './servers.js';

const rebootSchema = z.object({
  reboot: z.object({ type: z.enum(['HARD', 'Hard', 'hard', 'SOFT', 'Soft', 'soft']) }),
});
const rebuildSchema = z.object({
  rebuild: z.looseObject({ imageRef: imageIdSchema, name: nameSchema.optional(), metadata: metadataSchema.optional() }),
});
const resizeSchema = z.object({ resize: z.looseObject({ flavorRef: flavorIdSchema }) });

const ACCEPTED: Reply = { status: 202 };
type Perform = (state: State, server: ServerRecord, call: NovaCall) => Reply;

/** The actions of `POST /servers/ID/action`, by the one field of the body. */
const PERFORM: Readonly<Record<string, Perform>> = {
  'os-stop': simply('os-stop'),
  'os-start': simply('os-start'),
  pause: simply('pause'),
  unpause: simply('unpause'),
  suspend: simply('suspend'),
  resume: simply('resume'),
  reboot: (state, server, call) => {
    const { type } = parseBody(rebootSchema, call.body).reboot;
    act(state, server, type.toLowerCase() === 'hard' ? 'hardReboot' : 'softReboot', call.asker, call.now);
    return ACCEPTED;
  },
  rebuild,
  resize: (state, server, call) => {
    const { flavorRef } = parseBody(resizeSchema, call.body).resize;
    const flavor = FLAVORS.find(({ id }) => id === flavorRef);
    if (flavor === undefined) throw new Refusal(400, `Flavor ${flavorRef} could not be found.`);
    if (flavor.id === server.flavorId) throw new Refusal(400, 'When resizing, instances must change flavor!');
    const last = { flavorId: flavor.id, previousFlavorId: server.flavorId };
    act(state, server, 'resize', call.asker, call.now, { last });
    return ACCEPTED;
  },
  confirmResize: (state, server, call) => {
    act(state, server, 'confirmResize', call.asker, call.now);
    return { status: 204 };
  },
  revertResize: (state, server, call) => {
    const flavorId = server.previousFlavorId;
    act(state, server, 'revertResize', call.asker, call.now, flavorId === null ? {} : { last: { flavorId } });
    return ACCEPTED;
  },
  lock: (state, server, call) => {
    changeServer(state, server, 'lock', call.asker, call.now, { locked: true });
    return ACCEPTED;
  },
  unlock: (state, server, call) => {
    changeServer(state, server, 'unlock', call.asker, call.now, { locked: false });
    return ACCEPTED;
  },
  forceDelete: (state, server, call) => {
    deleteServer(state, server, call.asker, call.now);
    return ACCEPTED;
  },
  addSecurityGroup: (state, server, call) => changeGroups(state, server, call, 'addSecurityGroup'),
  removeSecurityGroup: (state, server, call) => changeGroups(state, server, call, 'removeSecurityGroup'),
  'os-getConsoleOutput': () => ({ status: 200, json: { output: 'LAST LINE' } }),
  'os-resetState': (state, server, call) => {
    if (!call.isAdmin) {
      throw new Refusal(403, "Policy doesn't allow os_compute_api:os-admin-actions:reset_state to be performed.");
    }
    const { state: wanted } = parseBody(
      z.object({ 'os-resetState': z.object({ state: z.enum(['active', 'error']) }) }),
      call.body,
    )['os-resetState'];
    changeServer(state, server, undefined, call.asker, call.now, { vmState: wanted, taskState: null, steps: [] });
    return ACCEPTED;
  },
};

/** What is done to a server. */
export function novaServerActions(state: State): Routes<NovaCall> {
  return {
    'POST /v2.1/servers/:id/action': (call) => {
      const body = parseBody(z.record(z.string(), z.unknown()), call.body);
      const [name = ''] = Object.keys(body);
      const perform = Object.hasOwn(PERFORM, name) ? PERFORM[name] : undefined;
      if (perform === undefined) throw new Refusal(400, `There is no such action: ${name}`);
      const server = findServer(state, call);
      // No cell of Nova knows it before a host was looked for.
      if (isScheduling(server)) throw new Refusal(404, `Instance ${server.id} could not be found.`);
      return perform(state, server, call);
    },
  };
}

function simply(name: ActionName): Perform {
  return (state, server, call) => {
    act(state, server, name, call.asker, call.now);
    return ACCEPTED;
  };
}

function rebuild(state: State, server: ServerRecord, call: NovaCall): Reply {
  const { imageRef, name, metadata } = parseBody(rebuildSchema, call.body).rebuild;
  if (!IMAGES.some(({ id }) => id === imageRef)) throw new Refusal(400, 'Cannot find image for rebuild');
  const first = { imageId: imageRef, ...(name !== undefined && { name }), ...(metadata !== undefined && { metadata }) };
  const changed = act(state, server, 'rebuild', call.asker, call.now, { first });
  const shown = { ...showAlone(state, changed, call.view), adminPass: state.chance.hex(12), user_data: changed.userData };
  return { status: 202, json: { server: shown }, headers: location(changed, call.view) };
}
