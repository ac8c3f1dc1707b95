import { z } from 'zod';
import { parseBody } from '../http/body.js';
import type { Handler, Reply, Routes } from '../http/service.js';
import { micros } from '../http/times.js';
import type { ServerRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import { requireState } from '../model/server-actions.js';
import { changeServer } from '../model/servers.js';
import type { State } from '../model/state.js';
import type { NovaCall } from './call.js';
import { metadataSchema, tagsSchema } from './create.js';
import { addressesOf } from './server-view.js';
import { findServer } from './servers.js';

const metadataBody = z.object({ metadata: metadataSchema });
const itemBody = z.object({ meta: metadataSchema });
const tagsBody = z.object({ tags: tagsSchema });

/** What hangs on a server: metadata, tags, addresses, and what was done to it. */
export function novaServerParts(state: State): Routes<NovaCall> {
  const tags = (handler: Handler<NovaCall>): Handler<NovaCall> => {
    return (call) => {
      if (call.view.minor < 26) throw new Refusal(404, 'The resource could not be found.');
      return handler(call);
    };
  };
  return {
    'GET /v2.1/servers/:id/metadata': (call) => ok({ metadata: findServer(state, call).metadata }),
    'PUT /v2.1/servers/:id/metadata': (call) => setMetadata(state, call, () => parseBody(metadataBody, call.body).metadata),
    'POST /v2.1/servers/:id/metadata': (call) =>
      setMetadata(state, call, (old) => ({ ...old, ...parseBody(metadataBody, call.body).metadata })),
    'GET /v2.1/servers/:id/metadata/:key': (call) => {
      const key = call.params.key ?? '';
      return ok({ meta: { [key]: item(findServer(state, call), key) } });
    },
    'PUT /v2.1/servers/:id/metadata/:key': (call) => {
      const { meta } = parseBody(itemBody, call.body);
      setMetadata(state, call, (old) => ({ ...old, ...meta }));
      return ok({ meta });
    },
    'DELETE /v2.1/servers/:id/metadata/:key': (call) => {
      const server = findServer(state, call);
      const key = call.params.key ?? '';
      item(server, key);
      requireVmState(server, 'delete metadata');
      const metadata = Object.fromEntries(Object.entries(server.metadata).filter(([name]) => name !== key));
      // As in Nova, changes-since does not see this.
      state.putServer({ ...server, metadata });
      return { status: 204 };
    },
    'GET /v2.1/servers/:id/tags': tags((call) => ok({ tags: findServer(state, call).tags })),
    'PUT /v2.1/servers/:id/tags': tags((call) => {
      const changed = [...new Set(parseBody(tagsBody, call.body).tags)];
      setTags(state, call, changed);
      return ok({ tags: changed });
    }),
    'DELETE /v2.1/servers/:id/tags': tags((call) => {
      setTags(state, call, []);
      return { status: 204 };
    }),
    'GET /v2.1/servers/:id/tags/:tag': tags((call) => {
      requireTag(findServer(state, call), call.params.tag ?? '');
      return { status: 204 };
    }),
    'PUT /v2.1/servers/:id/tags/:tag': tags((call) => {
      const server = findServer(state, call);
      const { tag = '' } = call.params;
      const [checked = ''] = parseBody(tagsBody, { tags: [tag] }).tags;
      if (server.tags.includes(checked)) return { status: 204 };
      if (server.tags.length >= 50) throw new Refusal(400, 'The number of tags exceeded the per-server limit 50');
      setTags(state, call, [...server.tags, checked]);
      return { status: 201, headers: { location: `${call.view.base}/v2.1/servers/${server.id}/tags/${checked}` } };
    }),
    'DELETE /v2.1/servers/:id/tags/:tag': tags((call) => {
      const server = findServer(state, call);
      const { tag = '' } = call.params;
      requireTag(server, tag);
      setTags(
        state,
        call,
        server.tags.filter((other) => other !== tag),
      );
      return { status: 204 };
    }),
    'GET /v2.1/servers/:id/ips': (call) => {
      const networks = Object.entries(addressesOf(state, findServer(state, call)));
      const brief = networks.map(([name, all]) => [name, all.map(({ version, addr }) => ({ version, addr }))]);
      return ok({ addresses: Object.fromEntries(brief) });
    },
    'GET /v2.1/servers/:id/os-instance-actions': (call) => {
      const server = findServer(state, call);
      return ok({ instanceActions: server.actions.map((action) => showAction(server, action, call)) });
    },
    'GET /v2.1/servers/:id/os-instance-actions/:request': (call) => {
      const server = findServer(state, call);
      const action = server.actions.find(({ requestId }) => requestId === call.params.request);
      if (action === undefined) throw new Refusal(404, `Action for request_id ${call.params.request} not found`);
      return ok({ instanceAction: { ...showAction(server, action, call), events: [] } });
    },
  };
}

const CHANGEABLE: readonly ServerRecord['vmState'][] = ['active', 'paused', 'suspended', 'stopped'];

function ok(json: unknown): Reply {
  return { status: 200, json };
}

function setMetadata(state: State, call: NovaCall, change: (old: Record<string, string>) => Record<string, string>): Reply {
  const server = findServer(state, call);
  const metadata = change(server.metadata);
  requireVmState(server, 'update metadata');
  if (Object.keys(metadata).length > 128) throw new Refusal(403, 'Maximum number of metadata items exceeds 128');
  changeServer(state, server, undefined, call.asker, call.now, { metadata });
  return ok({ metadata });
}

/** As in Nova, changes-since does not see a change of tags. */
function setTags(state: State, call: NovaCall, tags: string[]): void {
  const server = findServer(state, call);
  requireVmState(server, 'update tags');
  state.putServer({ ...server, tags });
}

/** Unlike most actions, these are allowed while a task is under way. */
function requireVmState(server: ServerRecord, verb: string): void {
  requireState({ ...server, taskState: null }, verb, CHANGEABLE);
}

function item({ metadata }: ServerRecord, key: string): string {
  const value = Object.hasOwn(metadata, key) ? metadata[key] : undefined;
  if (value === undefined) throw new Refusal(404, 'Metadata item was not found');
  return value;
}

function requireTag({ id, tags }: ServerRecord, tag: string): void {
  if (!tags.includes(tag)) throw new Refusal(404, `Instance ${id} has no tag '${tag}'`);
}

function showAction(server: ServerRecord, noted: ServerRecord['actions'][number], { view }: NovaCall): object {
  return {
    action: noted.action,
    instance_uuid: server.id,
    request_id: noted.requestId,
    user_id: noted.userId,
    project_id: server.projectId,
    start_time: micros(noted.at),
    message: null,
    ...(view.minor >= 58 && { updated_at: micros(noted.at) }),
  };
}
