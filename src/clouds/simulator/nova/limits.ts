import type { Reply, Routes } from '../http/service.js';
import { FLAVORS } from '../model/content.js';
import type { State } from '../model/state.js';
import type { NovaCall } from './call.js';

/** What a project may have, and has. Only the number of servers is ever limited, by a knob. */
export function novaLimits(state: State): Routes<NovaCall> {
  return {
    'GET /v2.1/limits': (call) => ({ status: 200, json: { limits: { rate: [], absolute: limits(state, call) } } }),
    'GET /v2.1/os-quota-sets/:project': (call) => quota(state, call, (limit) => limit),
    'GET /v2.1/os-quota-sets/:project/detail': (call) =>
      quota(state, call, (limit, used) => ({ limit, in_use: used, reserved: 0 })),
  };
}

/** What a project uses. */
function used(state: State, projectId: string): { instances: number; cores: number; ram: number } {
  const sum = { instances: 0, cores: 0, ram: 0 };
  for (const server of state.servers.list(projectId)) {
    const flavor = FLAVORS.find(({ id }) => id === server.flavorId);
    sum.instances += 1;
    sum.cores += flavor?.vcpus ?? 0;
    sum.ram += flavor?.ram ?? 0;
  }
  return sum;
}

function limits(state: State, { asker, view }: NovaCall): object {
  const { instances, cores, ram } = used(state, asker.projectId);
  const old = view.minor < 36;
  return {
    maxTotalInstances: state.knobs.quotaInstances,
    maxTotalCores: -1,
    maxTotalRAMSize: -1,
    maxServerMeta: 128,
    ...(view.minor < 39 && { maxImageMeta: 128 }),
    ...(view.minor < 57 && { maxPersonality: -1, maxPersonalitySize: 10_240 }),
    maxTotalKeypairs: -1,
    maxServerGroups: -1,
    maxServerGroupMembers: -1,
    ...(old && { maxTotalFloatingIps: -1, maxSecurityGroups: -1, maxSecurityGroupRules: -1 }),
    totalRAMUsed: ram,
    totalCoresUsed: cores,
    totalInstancesUsed: instances,
    ...(old && { totalFloatingIpsUsed: 0, totalSecurityGroupsUsed: 0 }),
    totalServerGroupsUsed: 0,
  };
}

function quota(state: State, { params, view }: NovaCall, show: (limit: number, used: number) => unknown): Reply {
  const project = params.project ?? '';
  const { instances, cores, ram } = used(state, project);
  const old = view.minor < 36;
  const set = {
    id: project,
    cores: show(-1, cores),
    ...(old && { fixed_ips: show(-1, 0), floating_ips: show(-1, 0) }),
    ...(view.minor < 57 && {
      injected_file_content_bytes: show(10_240, 0),
      injected_file_path_bytes: show(255, 0),
      injected_files: show(-1, 0),
    }),
    instances: show(state.knobs.quotaInstances, instances),
    key_pairs: show(-1, 0),
    metadata_items: show(128, 0),
    ram: show(-1, ram),
    ...(old && { security_group_rules: show(-1, 0), security_groups: show(-1, 0) }),
    server_group_members: show(-1, 0),
    server_groups: show(-1, 0),
  };
  return { status: 200, json: { quota_set: set } };
}
