import type { Environment } from '../../../environment.js';
import { type Knobs, knobsSchema } from '../knobs.js';
import { Chance } from './chance.js';
import { PROJECTS } from './content.js';
import { defaultGroup } from './default-groups.js';
import { DueQueue } from './due-queue.js';
import type { GroupRecord, KeyPairRecord, PortRecord, QuotaRecord, ServerRecord, TokenRecord, VolumeRecord } from './records.js';
import { ServerStore } from './server-store.js';

/** Everything that the simulated cloud knows. Changed by the functions of this folder alone, one request at a time. */
export class State {
  readonly servers = new ServerStore();
  readonly ports = new Map<string, PortRecord>();
  /** Each project has its `default` from the beginning. */
  readonly groups = new Map<string, GroupRecord>(PROJECTS.map((project) => [project.defaultGroupId, defaultGroup(project)]));
  readonly volumes = new Map<string, VolumeRecord>();
  /** By project id; no entry: the usual limits. */
  readonly quotas = new Map<string, QuotaRecord>();
  /** By user id and name, with a slash between. */
  readonly keyPairs = new Map<string, KeyPairRecord>();
  readonly tokens = new Map<string, TokenRecord>();
  /** The addresses in use, by network id. */
  readonly addresses = new Map<string, Set<string>>();
  readonly due = new DueQueue();
  readonly chance: Chance;
  knobs: Knobs;
  /** What is to be kept, by key; undefined: to be removed. Whoever keeps it takes it and puts a new map in its place. */
  unsaved = new Map<string, unknown>();

  constructor(
    readonly environment: Environment,
    knobs: Partial<Knobs>,
  ) {
    this.knobs = knobsSchema.parse(knobs);
    this.chance = new Chance(() => environment.random(), this.knobs.seed);
  }

  /** A server's new state, after a request: kept. What follows from time alone is not, since it follows again. */
  putServer(server: ServerRecord): void {
    this.servers.put(server);
    this.unsaved.set(`server/${server.id}`, server);
    const next = server.steps[0];
    if (next !== undefined) this.due.add(next.at, server.id);
  }

  /** Forgets a server. */
  removeServer(id: string): void {
    this.servers.remove(id);
    this.unsaved.set(`server/${id}`, undefined);
  }

  /** A port's new state. The server that bears it is shown anew. */
  putPort(port: PortRecord): void {
    this.ports.set(port.id, port);
    const taken = this.addresses.get(port.networkId);
    if (taken === undefined) this.addresses.set(port.networkId, new Set([port.address]));
    else taken.add(port.address);
    this.unsaved.set(`port/${port.id}`, port);
  }

  /** Removes a port and frees its address. */
  removePort(port: PortRecord): void {
    this.ports.delete(port.id);
    this.addresses.get(port.networkId)?.delete(port.address);
    this.unsaved.set(`port/${port.id}`, undefined);
  }

  /** A security group's new state. */
  putGroup(group: GroupRecord): void {
    this.groups.set(group.id, group);
    this.unsaved.set(`group/${group.id}`, group);
  }

  /** Removes a security group. */
  removeGroup(id: string): void {
    this.groups.delete(id);
    this.unsaved.set(`group/${id}`, undefined);
  }

  /** A volume's new state, after a request: kept. What follows from time alone is not, since it follows again. */
  putVolume(volume: VolumeRecord): void {
    this.volumes.set(volume.id, volume);
    this.unsaved.set(`volume/${volume.id}`, volume);
    if (volume.task !== null) this.due.add(volume.readyAt, volume.id);
  }

  /** Removes a volume. */
  removeVolume(id: string): void {
    this.volumes.delete(id);
    this.unsaved.set(`volume/${id}`, undefined);
  }

  /** The new limits of a project. */
  putQuota(quota: QuotaRecord): void {
    this.quotas.set(quota.projectId, quota);
    this.unsaved.set(`quota/${quota.projectId}`, quota);
  }

  /** A new key pair. */
  putKeyPair(pair: KeyPairRecord): void {
    const key = `${pair.userId}/${pair.name}`;
    this.keyPairs.set(key, pair);
    this.unsaved.set(`keypair/${key}`, pair);
  }

  /** Removes a key pair. @returns whether it was there. */
  removeKeyPair(userId: string, name: string): boolean {
    const key = `${userId}/${name}`;
    if (!this.keyPairs.delete(key)) return false;
    this.unsaved.set(`keypair/${key}`, undefined);
    return true;
  }

  /** A new token. */
  putToken(token: TokenRecord): void {
    this.tokens.set(token.id, token);
    this.unsaved.set(`token/${token.id}`, token);
  }

  /** Removes a token. */
  removeToken(id: string): void {
    if (this.tokens.delete(id)) this.unsaved.set(`token/${id}`, undefined);
  }
}
