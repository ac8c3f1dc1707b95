import type {
  CloudDriver,
  CloudKeyPair,
  CreateServerRequest,
  Flavor,
  Image,
  Named,
  OwnerTag,
  Quota,
  Server,
  ServerListing,
  ServerState,
  Watermark,
} from '../../src/clouds/driver.js';
import { CloudError } from '../../src/clouds/errors.js';
import type {
  CreatePortRequest,
  CreateSecurityGroupRequest,
  Port,
  SecurityGroup,
  SecurityGroupRule,
  SecurityGroupTraffic,
} from '../../src/clouds/network-driver.js';
import { sleep } from '../../src/environment.js';
import type { VirtualProcess } from '../support/virtual-environment.js';
import { WithoutServices } from '../support/without-services.js';
import { type FakeCloud, report } from './fake-cloud.js';
import { reportGroup, reportPort } from './fake-network.js';
import { FakeVolumeDriver } from './fake-volumes.js';

/** How likely what goes wrong between a process and the cloud; all 0 is a calm day. */
export interface CloudWeather {
  /** A call is refused before it has an effect: 429, 5xx, an expired token. */
  readonly refused: number;
  /** The effect happens, the reply is lost. */
  readonly lostReply: number;
  /** The reply is given up, the effect comes later, but within the settle time. */
  readonly lateEffect: number;
  /** The same, later than the settle time. */
  readonly tooLateEffect: number;
  /** A list leaves some servers out although it should not. */
  readonly incomplete: number;
  /** A list tells things as they were some seconds ago. */
  readonly stale: number;
  /** The process is killed before, or after, an effect. */
  readonly killed: number;
}

/** A calm day. */
export const CALM: CloudWeather = {
  refused: 0,
  lostReply: 0,
  lateEffect: 0,
  tooLateEffect: 0,
  incomplete: 0,
  stale: 0,
  killed: 0,
};

/** The settle time of the simulated Cloud. */
export const SETTLE_MS = 30_000;
/** An effect later than this after its request was sent is later than the settle time allows for: a third of it is for the sending. */
const LATE_MS = (SETTLE_MS * 2) / 3;

const REFUSALS = [
  () => new CloudError('RateLimited', 'too many requests', { retryAfterMs: 1_000, status: 429 }),
  () => new CloudError('Unavailable', 'the service is unavailable', { status: 503 }),
  () => new CloudError('Unauthorized', 'the token has expired', { status: 401 }),
];

/** One process's way to the fake cloud. Dead processes get no answer and have no effect. */
export class FakeDriver extends WithoutServices implements CloudDriver {
  readonly #volumes: FakeVolumeDriver;

  constructor(
    private readonly cloud: FakeCloud,
    private readonly process: VirtualProcess,
    private readonly weather: () => CloudWeather,
    private readonly kill: () => void,
  ) {
    super();
    this.#volumes = new FakeVolumeDriver(cloud.volumes, {
      effect: (operation, act) => this.#effect(operation, act),
      travel: () => this.#travel(),
      chance: (probability) => this.#chance(probability),
      weather,
    });
  }

  async listServers(): Promise<ServerListing> {
    const began = this.process.world.milliseconds;
    await this.#travel();
    const { incomplete, stale } = this.weather();
    const seen = this.#chance(stale) ? this.#snapshotSince(began) : [...this.cloud.servers.values()].map(report);
    const servers = seen.filter(({ state }) => state !== 'Deleted');
    const told = this.#chance(incomplete) ? servers.filter(() => !this.#chance(0.3)) : servers;
    return { servers: told, watermark: watermark(began) };
  }

  async listChanges(since: Watermark): Promise<ServerListing> {
    const began = this.process.world.milliseconds;
    await this.#travel();
    const changed = [...this.cloud.servers.values()].filter(({ updatedAt }) => updatedAt >= Number(since) - 1_000);
    const servers = changed
      .filter(() => !this.#chance(this.weather().incomplete / 4))
      .map(report)
      .map((server) => (server.state === 'Deleted' ? withoutOwner(server) : server));
    return { servers, watermark: watermark(began) };
  }

  async findServersByName(name: string): Promise<readonly Server[]> {
    await this.#travel();
    return this.cloud
      .alive()
      .filter((server) => server.name === name)
      .map(report);
  }

  async getServer(id: string): Promise<Server> {
    await this.#travel();
    const server = this.cloud.servers.get(id);
    if (!server || server.state === 'Deleted') throw new CloudError('NotFound', `no server ${id}`, { status: 404 });
    return report(server);
  }

  async createServer(request: CreateServerRequest, owner: OwnerTag): Promise<Server> {
    const body = { ...request, metadata: { ...request.metadata }, tags: [...request.tags] };
    return this.#effect('create', (late) => report(this.cloud.create(body, owner, late)));
  }

  async deleteServer(id: string): Promise<void> {
    await this.#effect('delete', () => this.cloud.delete(id));
  }

  startServer = (id: string): Promise<void> => this.#power(id, 'Stopped', 'Running');
  stopServer = (id: string): Promise<void> => this.#power(id, 'Running', 'Stopped');
  resumeServer = (id: string, from: 'Paused' | 'Suspended'): Promise<void> => this.#power(id, from, 'Running');
  rebootServer = (id: string): Promise<void> => this.#power(id, 'Running', 'Running');
  confirmResize = (id: string): Promise<void> => this.#power(id, 'AwaitingConfirmation', 'Running');

  async rebuildServer(id: string, imageId: string): Promise<void> {
    const done = await this.#effect('rebuild', () => this.cloud.rebuild(id, imageId));
    if (done === undefined) throw new CloudError('NotFound', `no server ${id}`, { status: 404 });
    if (!done) throw new CloudError('Conflict', `server ${id} cannot be rebuilt now`, { status: 409 });
  }

  async resizeServer(id: string, flavorId: string): Promise<void> {
    await this.#change(id, (server) => {
      server.flavorId = flavorId;
      server.state = 'AwaitingConfirmation';
    });
  }

  async renameServer(id: string, name: string): Promise<void> {
    await this.#change(id, (server) => {
      server.name = name;
    });
  }

  async setServerMetadata(id: string, metadata: Record<string, string>, owner: OwnerTag | undefined): Promise<void> {
    await this.#change(id, (server) => {
      server.metadata = { ...metadata };
      server.owner = owner;
    });
  }

  async setServerTags(id: string, tags: readonly string[]): Promise<void> {
    await this.#change(id, (server) => {
      server.tags = [...tags];
    });
  }

  async listImages(): Promise<readonly Image[]> {
    await this.#travel();
    return [
      { id: 'image-1', name: 'cirros', usable: true },
      { id: 'image-2', name: 'debian', usable: true },
    ];
  }

  async listFlavors(): Promise<readonly Flavor[]> {
    await this.#travel();
    return [
      { id: '1', name: 'tiny', ramMiB: 512, cpus: 1, diskGiB: 1 },
      { id: '2', name: 'small', ramMiB: 2048, cpus: 1, diskGiB: 20 },
    ];
  }

  async listNetworks(): Promise<readonly Named[]> {
    await this.#travel();
    return [{ id: 'network-1', name: 'net' }];
  }

  async listProjects(): Promise<readonly Named[]> {
    return [];
  }

  async getQuota(): Promise<Quota> {
    await this.#travel();
    return { instances: -1, instancesUsed: 0, cores: -1, coresUsed: 0, ramMiB: -1, ramUsedMiB: 0 };
  }

  async listKeyPairs(): Promise<readonly CloudKeyPair[]> {
    return [];
  }

  async createKeyPair(name: string, publicKey: string): Promise<CloudKeyPair> {
    return { name, publicKey, fingerprint: 'none' };
  }

  async deleteKeyPair(): Promise<void> {
    await this.#travel();
  }

  override listVolumes = (...given: Parameters<FakeVolumeDriver['listVolumes']>) => this.#volumes.listVolumes(...given);
  override findVolumesByName = (...given: Parameters<FakeVolumeDriver['findVolumesByName']>) =>
    this.#volumes.findVolumesByName(...given);
  override getVolume = (...given: Parameters<FakeVolumeDriver['getVolume']>) => this.#volumes.getVolume(...given);
  override createVolume = (...given: Parameters<FakeVolumeDriver['createVolume']>) => this.#volumes.createVolume(...given);
  override deleteVolume = (...given: Parameters<FakeVolumeDriver['deleteVolume']>) => this.#volumes.deleteVolume(...given);
  override extendVolume = (...given: Parameters<FakeVolumeDriver['extendVolume']>) => this.#volumes.extendVolume(...given);
  override renameVolume = (...given: Parameters<FakeVolumeDriver['renameVolume']>) => this.#volumes.renameVolume(...given);
  override setVolumeOwner = (...given: Parameters<FakeVolumeDriver['setVolumeOwner']>) => this.#volumes.setVolumeOwner(...given);
  override attachVolume = (...given: Parameters<FakeVolumeDriver['attachVolume']>) => this.#volumes.attachVolume(...given);
  override detachVolume = (...given: Parameters<FakeVolumeDriver['detachVolume']>) => this.#volumes.detachVolume(...given);
  override listVolumeTypes = (...given: Parameters<FakeVolumeDriver['listVolumeTypes']>) =>
    this.#volumes.listVolumeTypes(...given);
  override async listPorts(): Promise<readonly Port[]> {
    return this.#listNetwork(() => [...this.cloud.network.ports.values()].map(reportPort));
  }

  override async createPorts(requests: readonly CreatePortRequest[]): Promise<readonly Port[]> {
    return this.#effect('create ports', () => this.cloud.network.createPorts(requests));
  }

  override async setPortGroups({ id, revision }: Pick<Port, 'id' | 'revision'>, groupIds: readonly string[]): Promise<Port> {
    return this.#effect('set the groups of a port', () => this.cloud.network.setPortGroups(id, groupIds, revision));
  }

  override async disownPort(id: string): Promise<void> {
    await this.#effect('disown a port', () => this.cloud.network.disownPort(id));
  }

  override async deletePort(id: string): Promise<void> {
    await this.#effect('delete a port', () => this.cloud.network.deletePort(id));
  }

  override async attachPort(serverId: string, portId: string): Promise<void> {
    await this.#effect('attach a port', () => this.cloud.network.attachPort(serverId, portId));
  }

  override async listSecurityGroups(): Promise<readonly SecurityGroup[]> {
    return this.#listNetwork(() => [...this.cloud.network.groups.values()].map(reportGroup));
  }

  override async createSecurityGroups(requests: readonly CreateSecurityGroupRequest[]): Promise<readonly SecurityGroup[]> {
    return this.#effect('create security groups', () => this.cloud.network.createGroups(requests));
  }

  override async deleteSecurityGroup(id: string): Promise<void> {
    await this.#effect('delete a security group', () => this.cloud.network.deleteGroup(id));
  }

  override async createSecurityGroupRules(
    rules: readonly (SecurityGroupTraffic & { readonly inGroup: string })[],
  ): Promise<readonly (SecurityGroupRule & { readonly inGroup: string })[]> {
    return this.#effect('create rules', () => this.cloud.network.createRules(rules));
  }

  override async deleteSecurityGroupRule(id: string): Promise<void> {
    await this.#effect('delete a rule', () => this.cloud.network.deleteRule(id));
  }

  async close(): Promise<void> {
    await Promise.resolve();
  }

  async #power(id: string, from: ServerState, to: ServerState): Promise<void> {
    const done = await this.#effect('power', () => this.cloud.power(id, from, to));
    if (done === undefined) throw new CloudError('NotFound', `no server ${id}`, { status: 404 });
    if (!done) throw new CloudError('Conflict', `server ${id} is not ${from}`, { status: 409 });
  }

  async #change(id: string, change: Parameters<FakeCloud['change']>[1]): Promise<void> {
    const done = await this.#effect('change', () => this.cloud.change(id, change));
    if (!done) throw new CloudError('NotFound', `no server ${id}`, { status: 404 });
  }

  /** One call with an effect, and all that can become of it. */
  async #effect<Result>(operation: string, act: (late: boolean) => Result): Promise<Result> {
    const { refused, lostReply, lateEffect, tooLateEffect, killed } = this.weather();
    if (this.#chance(killed)) this.kill();
    await this.#live();
    const sentAt = this.process.world.milliseconds;
    if (this.#chance(refused)) {
      await this.#travel(0);
      throw REFUSALS[this.process.world.below(REFUSALS.length)]?.() ?? new CloudError('Unavailable', 'refused');
    }
    const delay = this.#chance(lateEffect)
      ? this.process.world.below(LATE_MS - 1_000)
      : this.#chance(tooLateEffect)
        ? SETTLE_MS + 60_000
        : undefined;
    if (delay !== undefined) {
      this.cloud.underWay += 1;
      this.process.world.after(delay, () => {
        this.cloud.underWay -= 1;
        unlessRefused(() => act(this.process.world.milliseconds - sentAt > LATE_MS));
      });
      await this.#travel(0);
      throw new CloudError('UnknownOutcome', `${operation}: no answer within the time limit`);
    }
    await sleep(this.process.world, this.process.world.below(100));
    const result = act(this.process.world.milliseconds - sentAt > LATE_MS);
    if (this.#chance(killed)) this.kill();
    await this.#live();
    if (this.#chance(lostReply)) throw new CloudError('UnknownOutcome', `${operation}: the connection was reset`);
    await this.#travel(0);
    return result;
  }

  /** These lists are whole, but one may be as old as the question. */
  async #listNetwork<Item>(list: () => readonly Item[]): Promise<readonly Item[]> {
    const asked = list();
    await this.#travel();
    return this.#chance(this.weather().stale) ? asked : list();
  }

  /** The way there and back; reads may be refused on it. */
  async #travel(refused = this.weather().refused): Promise<void> {
    await sleep(this.process, 1 + this.process.world.below(150));
    await this.#live();
    if (this.#chance(refused))
      throw REFUSALS[this.process.world.below(REFUSALS.length)]?.() ?? new CloudError('Unavailable', 'refused');
  }

  /** Never resolves for a dead process. */
  async #live(): Promise<void> {
    if (!this.process.alive) await new Promise(() => undefined);
  }

  /** Things as they were when the call began, for those that changed since. */
  #snapshotSince(began: number): Server[] {
    return [...this.cloud.servers.values()]
      .filter(({ createdAt }) => createdAt <= began)
      .map((server) =>
        server.updatedAt > began && server.state === 'Deleting' ? { ...report(server), state: 'Running' } : report(server),
      );
  }

  #chance(probability: number): boolean {
    return probability > 0 && this.process.world.random() < probability;
  }
}

/** What is refused while nobody waits for it any more has no effect. */
function unlessRefused(act: () => unknown): void {
  try {
    act();
  } catch (error) {
    if (!(error instanceof CloudError)) throw error;
  }
}

function withoutOwner({ owner: _owner, ...server }: Server): Server {
  return { ...server, metadata: {}, tags: [] };
}

function watermark(at: number): Watermark {
  return String(at) as Watermark;
}
