import { micros, seconds } from '../http/times.js';
import { FLAVORS, NETWORKS } from '../model/content.js';
import { portsOf } from '../model/ports.js';
import type { ServerRecord } from '../model/records.js';
import { statusOf } from '../model/server-status.js';
import type { State } from '../model/state.js';

/** For whom a server is shown: the microversion's second number, and Nova's address without a slash at the end. */
export interface View {
  readonly minor: number;
  /** Such as `http://127.0.0.1:8774`. */
  readonly base: string;
}

/** One address of a server. */
interface Address {
  readonly version: 4;
  readonly addr: string;
  readonly 'OS-EXT-IPS:type': 'fixed';
  readonly 'OS-EXT-IPS-MAC:mac_addr': string;
}

const rendered = new WeakMap<ServerRecord, { readonly key: string; readonly text: string }>();

/** A server in full as a list shows it, as JSON text. Kept as long as the server does not change. */
export function renderServer(state: State, server: ServerRecord, view: View): string {
  const key = `${view.minor} ${view.base}`;
  const known = rendered.get(server);
  if (known?.key === key) return known.text;
  const text = JSON.stringify(showServer(state, server, view));
  rendered.set(server, { key, text });
  return text;
}

/** A server as the short list shows it. */
export function showBriefly(server: ServerRecord, view: View): object {
  return { id: server.id, name: server.name, links: links(server.id, view) };
}

/** A server in full. */
function showServer(state: State, server: ServerRecord, view: View): Record<string, unknown> {
  const { minor, base } = view;
  const status = statusOf(server);
  const ports = portsOf(state, server).filter((port) => port.deviceId === server.id);
  const groups = ports.flatMap(({ groupIds }) => groupIds.map((id) => ({ name: state.groups.get(id)?.name ?? id })));
  return {
    id: server.id,
    name: server.name,
    status,
    tenant_id: server.projectId,
    user_id: server.userId,
    metadata: server.metadata,
    hostId: server.hosted ? 'e680ff606c22d2e2434d9ea49f57dd29a919d999ba7e7fc2549ab462' : '',
    image: { id: server.imageId, links: [{ rel: 'bookmark', href: `${base}/images/${server.imageId}` }] },
    flavor: showFlavorOf(server, view),
    created: seconds(server.created),
    updated: seconds(server.updated ?? server.created),
    addresses: addressesOf(state, server),
    accessIPv4: '',
    accessIPv6: '',
    links: links(server.id, view),
    'OS-DCF:diskConfig': 'MANUAL',
    ...(PROGRESSING.has(status) && { progress: 0 }),
    ...(server.fault !== null && server.hosted && { fault: showFault(server.fault) }),
    'OS-EXT-AZ:availability_zone': server.hosted ? 'nova' : '',
    config_drive: '',
    key_name: server.keyName,
    'OS-SRV-USG:launched_at': server.launchedAt === null ? null : micros(server.launchedAt),
    'OS-SRV-USG:terminated_at': server.terminatedAt === null ? null : micros(server.terminatedAt),
    ...(groups.length > 0 && { security_groups: groups }),
    'OS-EXT-STS:task_state': server.taskState,
    'OS-EXT-STS:vm_state': server.vmState,
    'OS-EXT-STS:power_state': server.powerState,
    'os-extended-volumes:volumes_attached': server.volumes.map(({ volumeId }) =>
      minor >= 3 ? { id: volumeId, delete_on_termination: false } : { id: volumeId },
    ),
    ...(minor >= 9 && { locked: server.locked }),
    ...(minor >= 73 && { locked_reason: null }),
    ...(minor >= 19 && { description: server.description }),
    ...(minor >= 26 && { tags: server.tags }),
    ...(minor >= 63 && { trusted_image_certificates: null }),
    ...(minor >= 90 && { 'OS-EXT-SRV-ATTR:hostname': server.name.toLowerCase().replace(/[^a-z0-9-]+/g, '-') }),
  };
}

/** What only the answer for one server bears. */
export function showAlone(state: State, server: ServerRecord, view: View): Record<string, unknown> {
  return {
    ...showServer(state, server, view),
    ...(server.fault !== null && { fault: showFault(server.fault) }),
    ...(view.minor >= 71 && { server_groups: [] }),
  };
}

/** The links that Nova gives with a server. */
export function links(id: string, { base }: View): object[] {
  return [
    { rel: 'self', href: `${base}/v2.1/servers/${id}` },
    { rel: 'bookmark', href: `${base}/servers/${id}` },
  ];
}

/** The addresses of a server by network; none before its host took the ports up. */
export function addressesOf(state: State, server: ServerRecord): Record<string, Address[]> {
  const addresses: Record<string, Address[]> = {};
  for (const port of portsOf(state, server)) {
    if (port.deviceId !== server.id) continue;
    const name = NETWORKS.find((network) => network.id === port.networkId)?.name ?? port.networkId;
    addresses[name] ??= [];
    addresses[name].push({
      version: 4,
      addr: port.address,
      'OS-EXT-IPS:type': 'fixed',
      'OS-EXT-IPS-MAC:mac_addr': port.mac,
    });
  }
  return addresses;
}

const PROGRESSING = new Set(['ACTIVE', 'BUILD', 'REBUILD', 'RESIZE', 'VERIFY_RESIZE']);

function showFlavorOf(server: ServerRecord, { minor, base }: View): object {
  const flavor = FLAVORS.find((candidate) => candidate.id === server.flavorId);
  if (minor < 47 || flavor === undefined) {
    return { id: server.flavorId, links: [{ rel: 'bookmark', href: `${base}/flavors/${server.flavorId}` }] };
  }
  const { vcpus, ram, disk, name } = flavor;
  return { vcpus, ram, disk, ephemeral: 0, swap: 0, original_name: name, extra_specs: {} };
}

function showFault({ message, at }: { readonly message: string; readonly at: number }): object {
  return { code: 500, created: seconds(at), message };
}
