import type { Named, OwnerTag } from '../../src/clouds/driver.js';
import { CloudError } from '../../src/clouds/errors.js';
import type { CloudVolume, CreateVolumeRequest, VolumeDriver } from '../../src/clouds/volume-driver.js';

/** The calls about volumes. */
export type VolumeOperation = keyof VolumeDriver;

/** Has a call recorded, held up or failed as a test says, and then its effect. */
type Call = <Result>(operation: VolumeOperation, about: string, act: () => Result) => Promise<Result>;

/** The volumes of a scripted cloud: each change is there at once, unless a test says otherwise. */
export class ScriptedVolumes implements VolumeDriver {
  types: readonly Named[] = [{ id: 'type-1', name: 'ssd' }];
  /** False: only a volume that is attached nowhere grows. */
  growsInUse = true;
  /** The state of a volume that has just been made. */
  madeAs: CloudVolume['state'] = 'Available';
  readonly requests: CreateVolumeRequest[] = [];
  readonly #volumes = new Map<string, CloudVolume>();
  #made = 0;

  constructor(
    private readonly call: Call,
    private readonly now: () => Date,
  ) {}

  /** The volumes that are there, by id. */
  get all(): ReadonlyMap<string, CloudVolume> {
    return this.#volumes;
  }

  /** Puts a volume there, or changes the one of that id: what is not said stays as it is. */
  put(id: string, change: Partial<CloudVolume> = {}): CloudVolume {
    const fresh: CloudVolume = {
      id,
      name: id,
      state: 'Available',
      sizeGiB: 1,
      metadata: {},
      attachments: [],
      createdAt: this.now().toISOString(),
    };
    const volume = { ...(this.#volumes.get(id) ?? fresh), ...change };
    this.#volumes.set(id, volume);
    return volume;
  }

  /** Somebody takes the owner tag off. */
  strip(id: string): void {
    const { owner: _owner, ...volume } = this.#volume(id);
    this.#volumes.set(id, volume);
  }

  /** Takes a volume away at once. */
  remove(id: string): void {
    this.#volumes.delete(id);
  }

  /** Somebody, or the cloud, attaches it. */
  attach(id: string, serverId: string): void {
    this.put(id, { state: 'InUse', attachments: [{ serverId, device: '/dev/vdb' }] });
  }

  /** A server lets its volumes go: it is deleted, or somebody detaches them. */
  release(serverId: string): void {
    for (const { id, attachments } of [...this.#volumes.values()]) {
      const left = attachments.filter((one) => one.serverId !== serverId);
      if (left.length < attachments.length) this.put(id, { attachments: left, state: left.length > 0 ? 'InUse' : 'Available' });
    }
  }

  listVolumes = (): Promise<readonly CloudVolume[]> => {
    const volumes = [...this.#volumes.values()];
    return this.call('listVolumes', '', () => volumes);
  };

  findVolumesByName = (name: string): Promise<readonly CloudVolume[]> =>
    this.call('findVolumesByName', name, () => [...this.#volumes.values()].filter((one) => one.name === name));

  getVolume = (id: string): Promise<CloudVolume> => this.call('getVolume', id, () => this.#volume(id));

  createVolume = (request: CreateVolumeRequest, owner: OwnerTag): Promise<CloudVolume> => {
    this.requests.push(request);
    return this.call('createVolume', `${request.name} ${request.sizeGiB}`, () => {
      this.#made += 1;
      return this.put(`v${this.#made}`, { ...request, owner, state: this.madeAs });
    });
  };

  deleteVolume = (id: string): Promise<void> =>
    this.call('deleteVolume', id, () => {
      if (this.#volumes.get(id)?.attachments.length) throw new CloudError('Conflict', `volume ${id} is attached`);
      this.#volumes.delete(id);
    });

  extendVolume = (id: string, sizeGiB: number, inUse: boolean): Promise<void> =>
    this.call('extendVolume', `${id} ${sizeGiB}`, () => {
      if (inUse && !this.growsInUse) throw new CloudError('Unsupported', 'this cloud grows no volume that is in use');
      this.put(id, { sizeGiB });
    });

  renameVolume = (id: string, name: string): Promise<void> =>
    this.call('renameVolume', `${id} ${name}`, () => void this.put(this.#volume(id).id, { name }));

  setVolumeOwner = (id: string, owner: OwnerTag | undefined): Promise<void> =>
    this.call('setVolumeOwner', `${id}${owner ? '' : ' nobody'}`, () => {
      this.strip(id);
      if (owner) this.put(id, { owner });
    });

  attachVolume = (serverId: string, id: string): Promise<void> =>
    this.call('attachVolume', `${id} ${serverId}`, () => {
      if (this.#volume(id).attachments.length > 0) throw new CloudError('Conflict', `volume ${id} is attached already`);
      this.attach(id, serverId);
    });

  detachVolume = (serverId: string, id: string): Promise<void> =>
    this.call('detachVolume', `${id} ${serverId}`, () => {
      const attachments = this.#volume(id).attachments.filter((one) => one.serverId !== serverId);
      this.put(id, { attachments, state: attachments.length > 0 ? 'InUse' : 'Available' });
    });

  listVolumeTypes = (): Promise<readonly Named[]> => this.call('listVolumeTypes', '', () => this.types);

  #volume(id: string): CloudVolume {
    const volume = this.#volumes.get(id);
    if (!volume) throw new CloudError('NotFound', `there is no volume ${id}`, { status: 404 });
    return volume;
  }
}
