import { isDeepStrictEqual } from 'node:util';
import { CloudError } from '../../src/clouds/errors.js';
import type {
  CreatePortRequest,
  CreateSecurityGroupRequest,
  NetworkOwner,
  Port,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupTraffic,
} from '../../src/clouds/network-driver.js';
import type { VirtualEnvironment } from '../support/virtual-environment.js';
import type { FakeServer } from './fake-cloud.js';

/** The group that ports get for which nobody says otherwise. */
export const DEFAULT_GROUP = 'group-default';

/** One port of the fake cloud: the truth, whatever lists say. */
export interface FakePort {
  readonly id: string;
  readonly networkId: string;
  readonly addresses: readonly string[];
  serverId: string | undefined;
  groupIds: readonly string[];
  owner: NetworkOwner | undefined;
  revision: number;
  /** The cloud made it for its server, and takes it away with that. */
  readonly cloudMade: boolean;
}

/** One security group of the fake cloud. */
export interface FakeGroup {
  readonly id: string;
  readonly name: string;
  readonly owner: NetworkOwner | undefined;
  rules: readonly SecurityGroupRule[];
}

/** What a server asks of the network when it is made. */
export interface NetworkWish {
  readonly networks?: 'none' | readonly string[] | { readonly portIds: readonly string[] };
  readonly groupIds?: readonly string[];
}

/**
 * Ports and security groups of the fake cloud. Its methods are the effects themselves: instant and reliable, as {@link FakeCloud} has it;
 * they throw a CloudError where the cloud refuses.
 */
export class FakeNetwork {
  readonly ports = new Map<string, FakePort>();
  readonly groups = new Map<string, FakeGroup>();
  /** Called after each effect, with it in words: for worlds that look at what is open on which server then. */
  onEffect: (effect: string) => void = () => undefined;
  #made = 0;

  constructor(
    private readonly world: VirtualEnvironment,
    private readonly effects: string[],
    private readonly serverOf: (id: string) => FakeServer | undefined,
  ) {
    const rules = [...egress(() => this.#id('rule'))];
    for (const family of ['IPv4', 'IPv6'] as const)
      rules.push({ id: this.#id('rule'), direction: 'Ingress', family, groupId: DEFAULT_GROUP });
    this.groups.set(DEFAULT_GROUP, { id: DEFAULT_GROUP, name: 'default', owner: undefined, rules });
  }

  /** The ports that a server has. */
  portsOf(serverId: string): FakePort[] {
    return [...this.ports.values()].filter((port) => port.serverId === serverId);
  }

  /** All that a port's groups allow together. */
  openOn({ groupIds }: Pick<FakePort, 'groupIds'>): SecurityGroupRule[] {
    return groupIds.flatMap((id) => this.groups.get(id)?.rules ?? []);
  }

  createPorts(requests: readonly CreatePortRequest[]): Port[] {
    const made = requests.map(({ networkId, groupIds, owner }) => this.#makePort(networkId, groupIds, owner, undefined));
    this.#effect(`create ports ${made.map(({ id }) => id).join(', ')}`);
    return made.map(reportPort);
  }

  /** @param revision what the port is to be at; undefined: whatever it is. */
  setPortGroups(id: string, groupIds: readonly string[], revision?: string): Port {
    const port = this.#port(id);
    if (revision !== undefined && revision !== String(port.revision))
      throw new CloudError('Conflict', `port ${id} is at revision ${port.revision}, not ${revision}`, { status: 412 });
    port.revision += 1;
    this.#checkGroups(groupIds);
    port.groupIds = [...groupIds];
    this.#effect(`groups of ${id}: ${groupIds.join(', ')}`);
    return reportPort(port);
  }

  disownPort(id: string): void {
    const port = this.ports.get(id);
    if (!port?.owner) return;
    port.owner = undefined;
    this.#effect(`disown ${id}`);
  }

  deletePort(id: string): void {
    if (this.ports.delete(id)) this.#effect(`delete ${id}`);
  }

  attachPort(serverId: string, id: string): void {
    const server = this.serverOf(serverId);
    if (!server || server.state === 'Deleted') throw new CloudError('NotFound', `no server ${serverId}`, { status: 404 });
    const port = this.#port(id);
    if (port.serverId !== undefined) throw new CloudError('Conflict', `port ${id} is still in use`, { status: 409 });
    if (server.state !== 'Running' && server.state !== 'Stopped')
      throw new CloudError('Conflict', `server ${serverId} is ${server.state}`, { status: 409 });
    port.serverId = serverId;
    this.#effect(`attach ${id} to ${serverId}`);
  }

  /** Somebody takes a port off its server. */
  detachPort(id: string): void {
    const port = this.ports.get(id);
    if (port?.serverId === undefined) return;
    port.serverId = undefined;
    this.#effect(`detach ${id}`);
  }

  createGroups(requests: readonly CreateSecurityGroupRequest[]): SecurityGroup[] {
    const made = requests.map(({ name, owner }) => {
      const group: FakeGroup = { id: this.#id('group'), name, owner, rules: egress(() => this.#id('rule')) };
      this.groups.set(group.id, group);
      return group;
    });
    this.#effect(`create groups ${made.map(({ id }) => id).join(', ')}`);
    return made.map(reportGroup);
  }

  deleteGroup(id: string): void {
    if (!this.groups.has(id)) return;
    const user = [...this.ports.values()].find(({ groupIds }) => groupIds.includes(id));
    if (user) throw new CloudError('Conflict', `security group ${id} is in use by ${user.id}`, { status: 409 });
    this.groups.delete(id);
    this.#effect(`delete ${id}`);
  }

  createRules(
    wanted: readonly (SecurityGroupTraffic & { readonly inGroup: string })[],
  ): (SecurityGroupRule & { inGroup: string })[] {
    for (const { inGroup, ...traffic } of wanted) {
      const same = this.#group(inGroup).rules.find(({ id: _id, other: _other, ...rule }) =>
        isDeepStrictEqual(rule, { ...traffic }),
      );
      if (same) throw new CloudError('Conflict', `security group ${inGroup} has rule ${same.id} already`, { status: 409 });
    }
    const made = wanted.map(({ inGroup, ...traffic }) => {
      const group = this.#group(inGroup);
      const rule = { id: this.#id('rule'), ...traffic };
      group.rules = [...group.rules, rule];
      return { ...rule, inGroup };
    });
    this.#effect(`create rules ${made.map(({ id, inGroup }) => `${id} in ${inGroup}`).join(', ')}`);
    return made;
  }

  deleteRule(id: string): void {
    const group = [...this.groups.values()].find(({ rules }) => rules.some((rule) => rule.id === id));
    if (!group) return;
    group.rules = group.rules.filter((rule) => rule.id !== id);
    this.#effect(`delete ${id} in ${group.id}`);
  }

  /** What is looked at before a server is accepted: another that is under way is not seen. @throws CloudError if nothing is made. */
  check({ networks, groupIds = [] }: NetworkWish): void {
    this.#checkGroups(groupIds);
    for (const id of ownPorts(networks)) {
      const port = this.ports.get(id);
      if (!port) throw new CloudError('Invalid', `port ${id} could not be found`, { status: 400 });
      if (port.serverId !== undefined) throw new CloudError('Conflict', `port ${id} is still in use`, { status: 409 });
    }
  }

  /**
   * Gives a server its ports while it is built. @returns false if another has one of them by now: its build fails, and what is cleaned up
   * after it may take the port off the other one.
   */
  bind(server: FakeServer, { networks, groupIds }: NetworkWish): boolean {
    if (networks === 'none') return true;
    const ids = ownPorts(networks);
    const ports = ids.flatMap((id) => this.ports.get(id) ?? []);
    if (ports.length < ids.length) return false;
    const taken = ports.filter(({ serverId }) => serverId !== undefined);
    if (taken.length > 0) {
      if (this.world.random() < 0.5) for (const { id } of taken) this.detachPort(id);
      return false;
    }
    for (const port of ports) port.serverId = server.id;
    if (ids.length === 0)
      for (const networkId of Array.isArray(networks) ? networks : ['network-1'])
        this.#makePort(networkId, groupIds, undefined, server.id);
    this.onEffect(`bind the ports of ${server.id}`);
    return true;
  }

  /** A server is gone, or its build failed: its own ports are free, and those that the cloud made are gone. */
  release(serverId: string): void {
    const ports = this.portsOf(serverId);
    for (const port of ports) {
      port.serverId = undefined;
      if (port.cloudMade) this.ports.delete(port.id);
    }
    if (ports.length > 0) this.onEffect(`release the ports of ${serverId}`);
  }

  #makePort(
    networkId: string,
    groupIds: readonly string[] = [DEFAULT_GROUP],
    owner: NetworkOwner | undefined,
    serverId: string | undefined,
  ): FakePort {
    this.#checkGroups(groupIds);
    const id = this.#id('port');
    const addresses = [`10.0.${(this.#made >> 8) & 255}.${this.#made & 255}`];
    const port = {
      id,
      networkId,
      addresses,
      serverId,
      groupIds: [...groupIds],
      owner,
      revision: 1,
      cloudMade: owner === undefined,
    };
    this.ports.set(id, port);
    return port;
  }

  #checkGroups(groupIds: readonly string[]): void {
    for (const id of groupIds) this.#group(id);
  }

  #group(id: string): FakeGroup {
    const group = this.groups.get(id);
    if (!group) throw new CloudError('NotFound', `no security group ${id}`, { status: 404 });
    return group;
  }

  #port(id: string): FakePort {
    const port = this.ports.get(id);
    if (!port) throw new CloudError('NotFound', `no port ${id}`, { status: 404 });
    return port;
  }

  #id(what: string): string {
    this.#made += 1;
    return `${what}-${this.#made}`;
  }

  #effect(effect: string): void {
    this.effects.push(effect);
    this.onEffect(effect);
  }
}

/** A port as a driver reports it. */
export function reportPort({ id, networkId, addresses, serverId, groupIds, owner, revision }: FakePort): Port {
  return {
    id,
    networkId,
    addresses,
    ...(serverId === undefined ? {} : { serverId }),
    groupIds: [...groupIds],
    ...(owner ? { owner } : {}),
    secured: true,
    revision: String(revision),
  };
}

/** A security group as a driver reports it. */
export function reportGroup({ id, name, owner, rules }: FakeGroup): SecurityGroup {
  return { id, name, ...(owner ? { owner } : {}), rules: [...rules], isDefault: id === DEFAULT_GROUP };
}

function ownPorts(networks: NetworkWish['networks']): readonly string[] {
  return typeof networks === 'object' && 'portIds' in networks ? networks.portIds : [];
}

/** What a cloud puts into every new group. */
function egress(id: () => string): SecurityGroupRule[] {
  return (['IPv4', 'IPv6'] as const).map((family) => ({ id: id(), direction: 'Egress', family }));
}
