import type { OwnerTag, Server, ServerState } from '../../src/clouds/driver.js';
import type { VirtualEnvironment } from '../support/virtual-environment.js';
import { FakeNetwork, type NetworkWish } from './fake-network.js';
import { FakeVolumes } from './fake-volumes.js';

/** One server of the fake cloud: the truth, whatever lists say. */
export interface FakeServer {
  readonly id: string;
  name: string;
  owner: OwnerTag | undefined;
  metadata: Record<string, string>;
  tags: string[];
  imageId: string;
  flavorId: string;
  keyName: string | undefined;
  state: ServerState;
  readonly createdAt: number;
  updatedAt: number;
  /** Made by an effect that came later than the settle time: the one case in which a twin is nobody's fault. */
  readonly late: boolean;
  fault: string | undefined;
  /** Who left something on its disk: the uid of an assignment, or nobody. */
  disk: string | undefined;
}

/** How the fake cloud builds, drawn anew for each server. */
export interface BuildOdds {
  /** The build ends in Error. */
  readonly fails: number;
  /** The server stays in Building for good. */
  readonly hangs: number;
}

/**
 * A cloud in memory on virtual time, shared by all processes of a world. Its methods are the effects themselves: instant and reliable;
 * what goes wrong between a process and the cloud is FakeDriver's.
 */
export class FakeCloud {
  readonly servers = new Map<string, FakeServer>();
  /** Effects so far, in words: at rest, none may come. */
  readonly effects: string[] = [];
  readonly network: FakeNetwork;
  /** Requests that were given up and will still have their effect. */
  underWay = 0;
  odds: BuildOdds = { fails: 0, hangs: 0 };
  /** What the world found wrong, in words. */
  readonly violations: string[] = [];
  readonly volumes: FakeVolumes;

  constructor(readonly world: VirtualEnvironment) {
    this.volumes = new FakeVolumes(world, this);
    this.network = new FakeNetwork(world, this.effects, (id) => this.servers.get(id));
  }

  /** @throws CloudError if nothing is made: a port that it is to have is gone, or another server's. */
  create(
    request: NetworkWish & {
      name: string;
      imageId: string;
      flavorId: string;
      keyName?: string;
      metadata: Record<string, string>;
      tags: string[];
    },
    owner: OwnerTag | undefined,
    late: boolean,
  ): FakeServer {
    const { networks, groupIds, ...rest } = request;
    const wish = { ...(networks ? { networks } : {}), ...(groupIds ? { groupIds } : {}) };
    this.network.check(wish);
    const now = this.world.milliseconds;
    const server: FakeServer = {
      id: `server-${this.servers.size + 1}`,
      ...rest,
      keyName: request.keyName,
      owner,
      state: 'Building',
      createdAt: now,
      updatedAt: now,
      late,
      fault: undefined,
      disk: undefined,
    };
    this.servers.set(server.id, server);
    this.effects.push(`create ${server.id}${late ? ', late' : ''}`);
    this.#checkTwins(owner);
    const fate = this.world.random();
    const fails = fate >= this.odds.hangs && fate < this.odds.hangs + this.odds.fails;
    // One that hangs may have got as far as that, or not.
    if (fate >= this.odds.hangs / 2)
      this.#later(server, 50 + this.world.below(800), 'Building', () => {
        if (!this.network.bind(server, wish)) this.#failBuild(server, 'a port is still in use, or gone');
      });
    if (fate < this.odds.hangs) return server;
    this.#later(server, 900 + this.world.below(8_000), 'Building', () => {
      if (fails) this.#failBuild(server, 'No valid host was found.');
      else this.#move(server, 'Running');
    });
    return server;
  }

  delete(id: string): boolean {
    const server = this.#alive(id);
    if (!server) return false;
    this.effects.push(`delete ${id}, which is ${server.state}`);
    this.#move(server, 'Deleting');
    this.#later(server, 200 + this.world.below(4_000), 'Deleting', () => {
      this.network.release(id);
      this.#move(server, 'Deleted');
    });
    return true;
  }

  /** Moves a server from one state to another over a while. @returns false if it is not in `from`. */
  power(id: string, from: ServerState, to: ServerState): boolean | undefined {
    const server = this.#alive(id);
    if (!server) return undefined;
    if (server.state !== from) return false;
    this.effects.push(`${from} to ${to}: ${id}`);
    this.#later(server, 100 + this.world.below(2_000), from, () => this.#move(server, to));
    return true;
  }

  /** Installs the image anew, over what is on the disk. @returns false if the server cannot be rebuilt now. */
  rebuild(id: string, imageId: string): boolean | undefined {
    const server = this.#alive(id);
    if (!server) return undefined;
    if (server.state !== 'Running' && server.state !== 'Stopped') return false;
    const before = server.state;
    this.effects.push(`rebuild ${id}`);
    this.#move(server, 'Rebuilding');
    server.disk = undefined;
    server.imageId = imageId;
    this.#later(server, 500 + this.world.below(6_000), 'Rebuilding', () => this.#move(server, before));
    return true;
  }

  /** A server breaks. */
  fault(id: string): void {
    const server = this.#alive(id);
    if (server?.state !== 'Running') return;
    this.#move(server, 'Error');
    server.fault = 'The host is gone.';
  }

  /** Changes what can be changed at once. @returns false if there is no such server. */
  change(id: string, change: (server: FakeServer) => void): boolean {
    const server = this.#alive(id);
    if (!server) return false;
    this.effects.push(`change ${id}`);
    change(server);
    server.updatedAt = this.world.milliseconds;
    return true;
  }

  /** The servers that are there and stay. */
  alive(): FakeServer[] {
    return [...this.servers.values()].filter(({ state }) => state !== 'Deleting' && state !== 'Deleted');
  }

  #alive(id: string): FakeServer | undefined {
    const server = this.servers.get(id);
    return server && server.state !== 'Deleted' ? server : undefined;
  }

  #failBuild(server: FakeServer, fault: string): void {
    this.network.release(server.id);
    this.#move(server, 'Error');
    server.fault = fault;
  }

  #move(server: FakeServer, state: ServerState): void {
    server.state = state;
    if (state === 'Deleted') this.volumes.release(server.id);
    server.updatedAt = this.world.milliseconds;
  }

  #later(server: FakeServer, ms: number, whileState: ServerState, act: () => void): void {
    this.world.after(ms, () => {
      if (server.state === whileState) act();
    });
  }

  /** Never two servers for one record, but for one that the cloud made later than anybody can wait. */
  #checkTwins(owner: OwnerTag | undefined): void {
    if (!owner) return;
    const twins = this.alive().filter((server) => server.owner?.uid === owner.uid && !server.late);
    if (twins.length > 1) {
      const told = twins.map(
        ({ id, state, owner: tag, createdAt }) =>
          `${id} ${state} attempt ${tag?.attempt} since ${new Date(createdAt).toISOString()}`,
      );
      this.violations.push(`at ${this.world.now().toISOString()}: two servers for record ${owner.uid}: ${told.join(', ')}`);
    }
  }
}

/** A server as a driver reports it. */
export function report(server: FakeServer): Server {
  return {
    id: server.id,
    name: server.name,
    state: server.state,
    ...(server.owner ? { owner: server.owner } : {}),
    imageId: server.imageId,
    flavorId: server.flavorId,
    ...(server.keyName ? { keyName: server.keyName } : {}),
    metadata: { ...server.metadata },
    tags: [...server.tags],
    ownerTagWhole: server.owner !== undefined,
    addresses: [],
    createdAt: new Date(server.createdAt).toISOString(),
    updatedAt: new Date(server.updatedAt).toISOString(),
    ...(server.fault ? { fault: server.fault } : {}),
  };
}
