import { isIPv4 } from 'node:net';
import { NETWORKS, type NetworkContent, PROJECTS } from './content.js';
import type { PortRecord, ServerRecord } from './records.js';
import { Refusal } from './refusal.js';
import type { State } from './state.js';

/** What a new port is made from. */
interface PortRequest {
  readonly network: NetworkContent;
  readonly projectId: string;
  readonly name?: string;
  readonly description?: string;
  readonly address?: string;
  readonly deviceId?: string;
  readonly deviceOwner?: string;
  readonly groupIds?: readonly string[];
  /** True: it goes with its server. */
  readonly owned: boolean;
}

/** Makes a port with the next free address of its network. @throws Refusal if none is free, or the one asked for is not. */
export function createPort(state: State, request: PortRequest, now: number): PortRecord {
  const { network, projectId } = request;
  const taken = state.addresses.get(network.id);
  if (request.address !== undefined && !isOn(network, request.address)) {
    throw new Refusal(
      400,
      `IP address ${request.address} is not a valid IP for any of the subnets on the specified network.`,
      'InvalidIpForNetwork',
    );
  }
  if (request.address !== undefined && taken?.has(request.address) === true) {
    throw new Refusal(
      409,
      `IP address ${request.address} already allocated in subnet ${network.subnet.id}`,
      'IpAddressAlreadyAllocated',
    );
  }
  const id = state.environment.id();
  const digits = id.replaceAll('-', '');
  const port: PortRecord = {
    id,
    name: request.name ?? '',
    description: request.description ?? '',
    tags: [],
    projectId,
    networkId: network.id,
    mac: `fa:16:3e:${digits.slice(0, 2)}:${digits.slice(2, 4)}:${digits.slice(4, 6)}`,
    address: request.address ?? freeAddress(network, taken),
    deviceId: request.deviceId ?? '',
    deviceOwner: request.deviceOwner ?? '',
    status: 'DOWN',
    groupIds: [...(request.groupIds ?? defaultGroups(projectId))],
    owned: request.owned,
    created: now,
    updated: now,
    revision: 1,
  };
  state.putPort(port);
  return port;
}

/** Makes several ports, all or none. @throws Refusal as {@link createPort} does. */
export function createPorts(state: State, requests: readonly PortRequest[], now: number): PortRecord[] {
  const made: PortRecord[] = [];
  try {
    for (const request of requests) made.push(createPort(state, request, now));
  } catch (error) {
    for (const port of made) state.removePort(port);
    throw error;
  }
  return made;
}

/** Changes a port as it stands, and raises its revision by `raise`. @returns the new record. */
export function changePort(state: State, port: PortRecord, change: Partial<PortRecord>, now: number, raise = 1): PortRecord {
  const changed = { ...port, ...change, updated: now, revision: port.revision + raise };
  state.putPort(changed);
  showAnew(state, port.deviceId);
  if (changed.deviceId !== port.deviceId) showAnew(state, changed.deviceId);
  return changed;
}

/** A server that runs already gets a port. @throws Refusal 409 if something has it, this server too. */
export function plugPort(state: State, server: ServerRecord, port: PortRecord, now: number): PortRecord {
  if (port.deviceId !== '') throw new Refusal(409, `Port ${port.id} is still in use.`);
  state.putServer({ ...server, portIds: [...server.portIds, port.id] });
  return changePort(state, port, { deviceId: server.id, deviceOwner: 'compute:nova', status: 'ACTIVE' }, now, BINDING);
}

/** A server gives a port back: one that nova made goes, another is free again. */
export function unplugPort(state: State, server: ServerRecord, port: PortRecord, now: number): void {
  state.putServer({ ...server, portIds: server.portIds.filter((id) => id !== port.id) });
  releasePort(state, server, port, now);
}

/** Removes a port; its server loses the address. */
export function deletePort(state: State, port: PortRecord): void {
  state.removePort(port);
  const server = state.servers.get(port.deviceId);
  if (server !== undefined) state.putServer({ ...server, portIds: server.portIds.filter((id) => id !== port.id) });
}

/** The ports of a server, in the order they were asked for. */
export function portsOf(state: State, server: ServerRecord): PortRecord[] {
  return server.portIds.map((id) => state.ports.get(id)).filter((port) => port !== undefined);
}

/** By how much a port's revision is raised until it is ACTIVE: Nova binds it, and the host takes it up. */
const BINDING = 2;

/** The host takes the ports up. @returns the port that another server took meanwhile, if one did. */
export function connectPorts(state: State, server: ServerRecord, now: number): PortRecord | undefined {
  const ports = portsOf(state, server);
  const lost = ports.find((port) => port.deviceId !== '' && port.deviceId !== server.id);
  if (lost !== undefined) return lost;
  for (const port of ports) {
    const up = { deviceId: server.id, deviceOwner: 'compute:nova', status: 'ACTIVE' as const };
    // Not kept: it follows from the server's steps, and would cost a second write for every server.
    state.ports.set(port.id, { ...port, ...up, updated: now, revision: port.revision + BINDING });
  }
  return undefined;
}

/** The ports of a deleted server: those that nova made go, the others are free again. */
export function releasePorts(state: State, server: ServerRecord, now: number): void {
  for (const port of portsOf(state, server)) releasePort(state, server, port, now);
}

function releasePort(state: State, server: ServerRecord, port: PortRecord, now: number): void {
  if (port.owned) state.removePort(port);
  else if (port.deviceId === server.id) changePort(state, port, { deviceId: '', deviceOwner: '', status: 'DOWN' }, now);
}

/** The networks that a project sees. */
export function networksOf(projectId: string): readonly NetworkContent[] {
  return NETWORKS.filter((network) => network.external || network.projectId === projectId);
}

function defaultGroups(projectId: string): string[] {
  const project = PROJECTS.find((candidate) => candidate.id === projectId);
  return project === undefined ? [] : [project.defaultGroupId];
}

/** A server's answer bears its addresses and groups: a new record makes it rendered anew. */
export function showAnew(state: State, serverId: string): void {
  const server = state.servers.get(serverId);
  if (server !== undefined) state.servers.put({ ...server });
}

/** Where the last address was found, so that the next search need not begin at the first. */
const lastGiven = new WeakMap<Set<string>, number>();

function freeAddress(network: NetworkContent, taken: Set<string> = new Set()): string {
  const first = toNumber(network.pool.first);
  const size = toNumber(network.pool.last) - first + 1;
  const start = lastGiven.get(taken) ?? -1;
  for (let tried = 1; tried <= size; tried += 1) {
    const offset = (start + tried) % size;
    const address = toAddress(first + offset);
    if (!taken.has(address)) {
      lastGiven.set(taken, offset);
      return address;
    }
  }
  throw new Refusal(409, `No more IP addresses available on network ${network.id}.`, 'IpAddressGenerationFailure');
}

function isOn({ subnet }: NetworkContent, address: string): boolean {
  const [net = '', length] = subnet.cidr.split('/');
  const size = 2 ** (32 - Number(length));
  return isIPv4(address) && Math.floor(toNumber(address) / size) === Math.floor(toNumber(net) / size);
}

function toNumber(address: string): number {
  return address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0);
}

function toAddress(number: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(number / 2 ** shift) % 256).join('.');
}
