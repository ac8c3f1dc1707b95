import { z } from 'zod';
import { parseBody } from '../http/body.js';
import type { Reply, Routes } from '../http/service.js';
import { PROJECTS } from '../model/content.js';
import type { ServerRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import { listServers } from '../model/server-list.js';
import { changeServer, deleteServer } from '../model/servers.js';
import type { State } from '../model/state.js';
import type { NovaCall } from './call.js';
import { createServers, nameSchema } from './create.js';
import { links, renderServer, showAlone, showBriefly, type View } from './server-view.js';

const renameSchema = z.object({
  server: z.looseObject({ name: nameSchema.optional(), description: z.string().max(255).nullish() }),
});

/** Servers: lists, create, show, rename, delete. */
export function novaServers(state: State): Routes<NovaCall> {
  return {
    'GET /v2.1/servers': (call) => list(state, call, (server, view) => JSON.stringify(showBriefly(server, view))),
    'GET /v2.1/servers/detail': (call) => list(state, call, (server, view) => renderServer(state, server, view)),
    'POST /v2.1/servers': (call) => {
      const { server, groups } = createServers(state, call);
      const answer = {
        id: server.id,
        links: links(server.id, call.view),
        'OS-DCF:diskConfig': 'MANUAL',
        security_groups: groups.map((name) => ({ name })),
        adminPass: state.chance.hex(12),
      };
      return { status: 202, json: { server: answer }, headers: location(server, call.view) };
    },
    'GET /v2.1/servers/:id': (call) => show(state, findServer(state, call), call),
    'PUT /v2.1/servers/:id': (call) => {
      const server = findServer(state, call);
      const { name, description } = parseBody(renameSchema, call.body).server;
      const changed = changeServer(state, server, undefined, call.asker, call.now, {
        ...(name !== undefined && { name }),
        ...(description !== undefined && { description }),
      });
      return show(state, changed, call);
    },
    'DELETE /v2.1/servers/:id': (call) => {
      const server = findServer(state, call);
      if (server.locked && !call.isAdmin) throw new Refusal(409, `Instance ${server.id} is locked`);
      deleteServer(state, server, call.asker, call.now);
      return { status: 204 };
    },
  };
}

/** The server that a path names. @throws Refusal 404 if there is none, it is deleted, or another project's. */
export function findServer(state: State, { params, asker, isAdmin }: NovaCall): ServerRecord {
  const server = state.servers.get(params.id ?? '');
  if (server === undefined || server.vmState === 'deleted' || (server.projectId !== asker.projectId && !isAdmin)) {
    throw new Refusal(404, `Instance ${params.id} could not be found.`);
  }
  return server;
}

/** Where a server is to be looked up. */
export function location(server: ServerRecord, { base }: View): Readonly<Record<string, string>> {
  return { location: `${base}/v2.1/servers/${server.id}` };
}

function show(state: State, server: ServerRecord, { view }: NovaCall): Reply {
  return { status: 200, json: { server: showAlone(state, server, view) } };
}

function list(state: State, call: NovaCall, render: (server: ServerRecord, view: View) => string): Reply {
  const { view, query, target } = call;
  const { servers, more } = listServers(state, projectsAsked(call), query, view.minor);
  const parts = servers.map((server) => render(server, view));
  const last = servers.at(-1);
  if (!more || last === undefined) return { status: 200, text: `{"servers": [${parts.join(', ')}]}` };
  const following = new URLSearchParams(query);
  following.set('marker', last.id);
  const path = target.replace(/\?.*$/, '').replace(/^\/compute/, '');
  const next = [{ rel: 'next', href: `${view.base}${path}?${following}` }];
  return { status: 200, text: `{"servers": [${parts.join(', ')}], "servers_links": ${JSON.stringify(next)}}` };
}

function projectsAsked({ query, asker, isAdmin }: NovaCall): string[] {
  const all = query.get('all_tenants');
  if (all === null || all === '0' || all.toLowerCase() === 'false') return [asker.projectId];
  if (isAdmin) return PROJECTS.map(({ id }) => id);
  throw new Refusal(403, "Policy doesn't allow os_compute_api:servers:index:get_all_tenants to be performed.");
}
