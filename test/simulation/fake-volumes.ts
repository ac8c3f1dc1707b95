import type { Named, OwnerTag } from '../../src/clouds/driver.js';
import { CloudError } from '../../src/clouds/errors.js';
import type { CloudVolume, CreateVolumeRequest, VolumeDriver, VolumeState } from '../../src/clouds/volume-driver.js';
import type { VirtualEnvironment } from '../support/virtual-environment.js';
import type { FakeServer } from './fake-cloud.js';

/** One volume of the fake cloud: the truth, whatever lists say. */
export interface FakeVolume {
  readonly id: string;
  name: string;
  owner: OwnerTag | undefined;
  sizeGiB: number;
  state: VolumeState;
  /** The servers that have it. This cloud lets several share one, so that nothing but care keeps us from it. */
  servers: string[];
  /** True once a server had it: there is something on it. */
  used: boolean;
  readonly createdAt: number;
  /** Made, or changed, by an effect that came later than the settle time: then nobody is to blame for what it is. */
  late: boolean;
}

/** What the volumes are told of the rest of their cloud. */
export interface Surroundings {
  readonly servers: ReadonlyMap<string, FakeServer>;
  readonly effects: string[];
  readonly violations: string[];
  readonly odds: { readonly fails: number };
}

/** The volumes of a fake cloud: effects that are accepted at once, and done after a while. */
export class FakeVolumes {
  readonly all = new Map<string, FakeVolume>();
  /** Whether it is declared that a volume which was used be deleted. Set by the world. */
  mayDelete: (volume: FakeVolume) => boolean = () => false;
  /** False: only a volume that is attached nowhere grows. */
  growsInUse = true;
  #made = 0;

  constructor(
    private readonly world: VirtualEnvironment,
    private readonly around: Surroundings,
  ) {}

  create({ name, sizeGiB }: CreateVolumeRequest, owner: OwnerTag, late: boolean): FakeVolume {
    this.#made += 1;
    const volume: FakeVolume = {
      id: `volume-${this.#made}`,
      name,
      owner,
      sizeGiB,
      state: 'Creating',
      servers: [],
      used: false,
      createdAt: this.world.milliseconds,
      late,
    };
    this.all.set(volume.id, volume);
    this.#tell(`create ${volume.id} for ${owner.uid}`);
    const fails = this.world.random() < this.around.odds.fails;
    this.#later(volume, 'Creating', () => (fails ? 'Error' : 'Available'));
    return volume;
  }

  delete(id: string): 'done' | 'refused' {
    const volume = this.all.get(id);
    if (!volume) return 'done';
    if (volume.servers.length > 0 || !['Available', 'Error'].includes(volume.state)) return 'refused';
    this.#tell(`delete ${id}`);
    if (volume.used && !this.mayDelete(volume)) this.#violated(`${id} was deleted with data, and nobody declared it`);
    volume.state = 'Deleting';
    this.world.after(200 + this.world.below(3_000), () => this.all.delete(id));
    return 'done';
  }

  extend(id: string, sizeGiB: number): 'done' | 'refused' | 'unsupported' | 'missing' {
    const volume = this.all.get(id);
    if (!volume) return 'missing';
    const { state } = volume;
    if (state === 'InUse' && !this.growsInUse) return 'unsupported';
    if ((state !== 'Available' && state !== 'InUse') || sizeGiB < volume.sizeGiB) return 'refused';
    this.#tell(`grow ${id} to ${sizeGiB}`);
    volume.state = 'Changing';
    this.#later(volume, 'Changing', () => {
      volume.sizeGiB = sizeGiB;
      return state;
    });
    return 'done';
  }

  change(id: string, change: (volume: FakeVolume) => void): boolean {
    const volume = this.all.get(id);
    if (!volume) return false;
    this.#tell(`change ${id}`);
    change(volume);
    return true;
  }

  /** @param late true for an effect that came later than anybody can wait. */
  attach(serverId: string, id: string, late: boolean): 'done' | 'refused' | 'missing' {
    const volume = this.all.get(id);
    const server = this.around.servers.get(serverId);
    if (!volume || !server || server.state === 'Deleted') return 'missing';
    if (server.state !== 'Running' && server.state !== 'Stopped') return 'refused';
    if ((volume.state !== 'Available' && volume.state !== 'InUse') || volume.servers.includes(serverId)) return 'refused';
    this.#tell(`attach ${id} to ${serverId}${late ? ', late' : ''}`);
    if (volume.servers.length > 0 && !late) this.#violated(`${id} is attached to ${volume.servers.join()} and to ${serverId}`);
    volume.servers.push(serverId);
    volume.used = true;
    volume.state = 'Attaching';
    this.#later(volume, 'Attaching', () => (volume.servers.length > 0 ? 'InUse' : 'Available'));
    return 'done';
  }

  detach(serverId: string, id: string): 'done' | 'refused' {
    const volume = this.all.get(id);
    if (!volume?.servers.includes(serverId)) return 'done';
    if (volume.state !== 'InUse') return 'refused';
    this.#tell(`detach ${id} from ${serverId}`);
    volume.state = 'Detaching';
    this.#later(volume, 'Detaching', () => {
      volume.servers = volume.servers.filter((other) => other !== serverId);
      return volume.servers.length > 0 ? 'InUse' : 'Available';
    });
    return 'done';
  }

  /** A server is gone: what it had is free. */
  release(serverId: string): void {
    for (const volume of this.all.values()) {
      if (!volume.servers.includes(serverId)) continue;
      volume.servers = volume.servers.filter((other) => other !== serverId);
      if (volume.state === 'InUse' && volume.servers.length === 0) volume.state = 'Available';
    }
  }

  #tell(what: string): void {
    this.around.effects.push(what);
  }

  #violated(what: string): void {
    this.around.violations.push(`at ${this.world.now().toISOString()}: ${what}`);
  }

  #later(volume: FakeVolume, whileState: VolumeState, act: () => VolumeState): void {
    this.world.after(100 + this.world.below(4_000), () => {
      if (volume.state === whileState) volume.state = act();
    });
  }
}

/** What a process's way to the cloud is made of: see FakeDriver. */
export interface Way {
  effect<Result>(operation: string, act: (late: boolean) => Result): Promise<Result>;
  travel(): Promise<void>;
  chance(probability: number): boolean;
  weather(): { readonly incomplete: number; readonly stale: number };
}

/** The calls about volumes on one process's way to the fake cloud. */
export class FakeVolumeDriver implements VolumeDriver {
  constructor(
    private readonly volumes: FakeVolumes,
    private readonly way: Way,
  ) {}

  listVolumes = async (): Promise<readonly CloudVolume[]> => {
    const before = this.#report();
    await this.way.travel();
    const { incomplete, stale } = this.way.weather();
    const seen = this.way.chance(stale) ? before : this.#report();
    return this.way.chance(incomplete) ? seen.filter(() => !this.way.chance(0.3)) : seen;
  };

  findVolumesByName = async (name: string): Promise<readonly CloudVolume[]> => {
    await this.way.travel();
    return this.#report().filter((volume) => volume.name === name);
  };

  getVolume = async (id: string): Promise<CloudVolume> => {
    await this.way.travel();
    const volume = this.volumes.all.get(id);
    return volume ? report(volume) : missing(id);
  };

  createVolume = (request: CreateVolumeRequest, owner: OwnerTag): Promise<CloudVolume> =>
    this.way.effect('create volume', (late) => report(this.volumes.create(request, owner, late)));

  deleteVolume = async (id: string): Promise<void> => {
    answer(await this.way.effect('delete volume', () => this.volumes.delete(id)), id);
  };

  extendVolume = async (id: string, sizeGiB: number): Promise<void> => {
    answer(await this.way.effect('extend volume', () => this.volumes.extend(id, sizeGiB)), id);
  };

  renameVolume = (id: string, name: string): Promise<void> =>
    this.#change(id, (volume) => {
      volume.name = name;
    });

  setVolumeOwner = (id: string, owner: OwnerTag | undefined): Promise<void> =>
    this.#change(id, (volume, late) => {
      volume.owner = owner;
      volume.late ||= late;
    });

  attachVolume = async (serverId: string, id: string): Promise<void> => {
    answer(await this.way.effect('attach volume', (late) => this.volumes.attach(serverId, id, late)), id);
  };

  detachVolume = async (serverId: string, id: string): Promise<void> => {
    answer(await this.way.effect('detach volume', () => this.volumes.detach(serverId, id)), id);
  };

  listVolumeTypes = async (): Promise<readonly Named[]> => {
    await this.way.travel();
    return [{ id: 'type-1', name: 'ssd' }];
  };

  async #change(id: string, change: (volume: FakeVolume, late: boolean) => void): Promise<void> {
    const done = await this.way.effect('change volume', (late) => this.volumes.change(id, (volume) => change(volume, late)));
    if (!done) missing(id);
  }

  #report(): CloudVolume[] {
    return [...this.volumes.all.values()].map(report);
  }
}

function report({ id, name, owner, sizeGiB, state, servers, createdAt }: FakeVolume): CloudVolume {
  return {
    id,
    name,
    state,
    sizeGiB,
    ...(owner ? { owner } : {}),
    metadata: {},
    attachments: state === 'Attaching' ? [] : servers.map((serverId) => ({ serverId, device: '/dev/vdb' })),
    createdAt: new Date(createdAt).toISOString(),
  };
}

function answer(outcome: 'done' | 'refused' | 'unsupported' | 'missing', id: string): void {
  if (outcome === 'missing') missing(id);
  if (outcome === 'refused') throw new CloudError('Conflict', `volume ${id} is in no state for it`, { status: 409 });
  if (outcome === 'unsupported')
    throw new CloudError('Unsupported', `volume ${id} is in use, and does not grow`, { status: 400 });
}

function missing(id: string): never {
  throw new CloudError('NotFound', `no volume ${id}, or no server for it`, { status: 404 });
}
