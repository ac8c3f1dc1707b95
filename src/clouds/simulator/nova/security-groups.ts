import { z } from 'zod';
import { parseBody } from '../http/body.js';
import type { Reply, Routes } from '../http/service.js';
import { changePort, portsOf } from '../model/ports.js';
import type { GroupRecord, ServerRecord } from '../model/records.js';
import { Refusal } from '../model/refusal.js';
import { groupsOf, meantGroup } from '../model/security-groups.js';
import type { State } from '../model/state.js';
import type { NovaCall } from './call.js';
import { findServer } from './servers.js';

const groupSchema = z.object({ name: z.string().min(1).max(255) });

/** Security groups as Nova shows them: those of a server, and, in old versions, all of a project, by which the stock client looks. */
export function novaSecurityGroups(state: State): Routes<NovaCall> {
  const old = (call: NovaCall): void => {
    if (call.view.minor >= 36) throw new Refusal(404, '');
  };
  return {
    'GET /v2.1/servers/:id/os-security-groups': (call) => {
      const server = findServer(state, call);
      const ids = new Set(portsOf(state, server).flatMap(({ groupIds }) => groupIds));
      const groups = [...ids].map((id) => state.groups.get(id)).filter((group) => group !== undefined);
      return { status: 200, json: { security_groups: groups.map(show) } };
    },
    'GET /v2.1/os-security-groups': (call) => {
      old(call);
      return { status: 200, json: { security_groups: groupsOf(state, call.asker.projectId).map(show) } };
    },
    'GET /v2.1/os-security-groups/:id': (call) => {
      old(call);
      const group = state.groups.get(call.params.id ?? '');
      if (group === undefined || group.projectId !== call.asker.projectId) {
        throw new Refusal(404, `Security group ${call.params.id} could not be found.`);
      }
      return { status: 200, json: { security_group: show(group) } };
    },
  };
}

/** Puts a group on all ports of a server, or takes it off: the actions of these names. */
export function changeGroups(
  state: State,
  server: ServerRecord,
  call: NovaCall,
  action: 'addSecurityGroup' | 'removeSecurityGroup',
): Reply {
  const { name } = parseBody(z.object({ [action]: groupSchema }), call.body)[action] ?? { name: '' };
  const group = meantGroup(state, server.projectId, name);
  if (group === undefined) {
    throw new Refusal(404, `Security group ${name} is not found for project ${server.projectId}`);
  }
  const ports = portsOf(state, server).filter(({ deviceId }) => deviceId === server.id);
  if (ports.length === 0) {
    throw new Refusal(404, `instance_id ${server.id} could not be found as device id on any ports`);
  }
  const having = ports.filter(({ groupIds }) => groupIds.includes(group.id));
  if (action === 'removeSecurityGroup') {
    if (having.length === 0) throw new Refusal(404, `Security group ${name} not associated with the instance ${server.id}`);
    for (const port of having) {
      changePort(state, port, { groupIds: port.groupIds.filter((id) => id !== group.id) }, call.now, 2);
    }
    return { status: 202 };
  }
  if (having.length > 0) {
    const why = `Invalid input for security_groups. Reason: Duplicate items in the list: '${group.id}'.`;
    throw new Refusal(400, `${why}\nNeutron server returns request_ids: ['${call.requestId}']`);
  }
  for (const port of ports) changePort(state, port, { groupIds: [...port.groupIds, group.id] }, call.now, 2);
  return { status: 202 };
}

function show({ id, name, description, projectId }: GroupRecord): object {
  return { id, description, name, tenant_id: projectId, rules: [] };
}
