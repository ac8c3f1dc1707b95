import { readAssignment } from '../../src/reconcilers/assignment/input.js';
import { readVolume } from '../../src/reconcilers/volume/input.js';
import { isReady } from '../../src/resources/machine-facts.js';
import type { Resource } from '../../src/resources/metadata.js';
import type { Volume, VolumeSpec } from '../../src/resources/volume.js';
import { isStoreError } from '../../src/store/errors.js';
import type { FakeVolume } from './fake-volumes.js';
import { StockWorld } from './stock-world.js';
import { STORM_MS, type WorldOptions } from './world.js';

const CLOUD = { cloudRef: { name: 'lab' } };

/**
 * A world of pools, in which users have disks too: they are declared, moved, grown, deleted and meddled with. What is promised: one volume
 * for one record, where it is declared, and never on two servers; what was used is deleted only when that was declared; none is smaller than
 * it was; nobody is given a machine with another's disk.
 */
export class VolumeWorld extends StockWorld {
  /** What is declared, by the record's name. */
  readonly #specs = new Map<string, VolumeSpec>();
  /** All places that were ever declared for it: what was offered may have been declared otherwise since. */
  readonly #declared = new Map<string, Set<string>>();
  /** The uids of the records that were deleted, and whose volume goes with them. */
  readonly #doomed = new Set<string>();
  readonly #sizes = new Map<string, number>();
  readonly #bound = new Map<string, string>();
  readonly #handedOut = new Set<string>();

  constructor(seed: number, options: WorldOptions = {}) {
    super(seed, options);
    const { volumes } = this.cloud;
    volumes.growsInUse = this.world.random() < 0.7;
    // By its record too: somebody may have taken the owner tag off.
    volumes.mayDelete = ({ id, owner }) => [...this.#doomed].some((uid) => owner?.uid === uid || this.#bound.get(uid) === id);
  }

  /** Worlds with an inventory are another test. */
  protected override hasInventory(): boolean {
    return false;
  }

  protected override people(): void {
    super.people();
    const { world } = this;
    const count = 1 + world.below(4);
    for (let index = 0; index < count; index += 1) {
      const name = `disk-${index}`;
      world.after(world.below(80_000), () => void this.#declare(name));
      if (world.random() < 0.4) world.after(60_000 + world.below(85_000), () => void this.#undeclare(name));
    }
    const acts = world.below(10);
    for (let index = 0; index < acts; index += 1) world.after(world.below(STORM_MS), () => void this.#edit());
    const meddling = world.below(6);
    for (let index = 0; index < meddling; index += 1) world.after(world.below(STORM_MS), () => this.#meddleWithVolumes());
  }

  protected override watch(): boolean {
    super.watch();
    const used = new Map<string, string>();
    for (const { id, owner, servers, sizeGiB } of this.cloud.volumes.all.values()) {
      if (sizeGiB < (this.#sizes.get(id) ?? 0)) this.#wrong(`${id} has become smaller`);
      this.#sizes.set(id, sizeGiB);
      if (!owner || servers.length === 0) continue;
      const other = used.get(owner.uid);
      if (other !== undefined) this.#wrong(`${other} and ${id} of record ${owner.uid} are both in use`);
      used.set(owner.uid, id);
    }
    for (const { metadata, status } of this.#volumes()) {
      if (status?.id === undefined || status.builtAt === undefined) continue;
      const before = this.#bound.get(metadata.uid);
      if (before !== undefined && before !== status.id) this.#wrong(`${metadata.name} had ${before}, and now has ${status.id}`);
      this.#bound.set(metadata.uid, status.id);
    }
    for (const assignment of this.store.everything('VirtualMachineAssignment')) this.#watchHandingOut(assignment);
    return false;
  }

  protected override problems(): string[] {
    const records = this.#volumes();
    const problems = super.problems();
    for (const record of records) problems.push(...this.#problemOf(record));
    for (const name of this.#specs.keys())
      if (!records.some(({ metadata }) => metadata.name === name)) problems.push(`${name} is declared and not in the store`);
    const uids = new Set(records.map(({ metadata }) => metadata.uid));
    for (const { id, owner, late } of this.cloud.volumes.all.values())
      if (owner && !late && !uids.has(owner.uid)) problems.push(`${id} is ours and no record has it`);
    return problems;
  }

  #problemOf(record: Volume): string[] {
    const { name, uid } = record.metadata;
    const spec = this.#specs.get(name);
    if (record.metadata.deletionTimestamp || !spec) return [`${name} is still being deleted: ${said(record)}`];
    const ours = [...this.cloud.volumes.all.values()].filter(({ owner }) => owner?.uid === uid);
    const [volume] = ours;
    if (!volume || ours.length > 1) return [`${name} has ${ours.length} volumes: ${said(record)}`];
    const wanted = this.#wantedServer(spec);
    const is = `${volume.servers.join() || 'nowhere'}, ${volume.sizeGiB} GiB, named ${volume.name}`;
    const late = volume.sizeGiB < spec.sizeGiB && !this.cloud.volumes.growsInUse && wanted !== undefined;
    const should = `${wanted ?? 'nowhere'}, ${late ? volume.sizeGiB : spec.sizeGiB} GiB, named ${name}`;
    if (is !== should) return [`${name} should be ${should}, and is ${is}: ${said(record)}`];
    const expectation = late ? 'GrowsWhenDetached' : wanted !== undefined ? 'Attached' : spec.attachTo ? undefined : 'Available';
    const reason = record.status?.conditions?.find(({ type }) => type === 'Ready')?.reason;
    if (expectation !== undefined && reason !== expectation) return [`${name} does not say ${expectation}: ${said(record)}`];
    return [];
  }

  /** Where a volume should be in the end. */
  #wantedServer({ attachTo }: VolumeSpec): string | undefined {
    const machine = (name: string | undefined) =>
      this.store.everything('VirtualMachine').find(({ metadata }) => metadata.name === name);
    const serverOf = (resource: Resource | undefined) => {
      const vm = resource && isReady(Object(resource)) ? resource : undefined;
      return vm && String(Object(vm.status).id);
    };
    if (attachTo?.virtualMachineRef) return serverOf(machine(attachTo.virtualMachineRef.name));
    const name = attachTo?.assignmentRef?.name;
    const found = this.store.everything('VirtualMachineAssignment').find(({ metadata }) => metadata.name === name);
    return serverOf(machine(found && readAssignment(found)?.status?.virtualMachine?.name));
  }

  /** Whoever is given a machine finds nobody else's disk in it. */
  #watchHandingOut(resource: Resource): void {
    const { metadata, status = {} } = readAssignment(resource) ?? {};
    const bound = status.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True');
    const key = `${metadata?.uid} ${status.epoch}`;
    if (!bound || !metadata || this.#handedOut.has(key)) return;
    this.#handedOut.add(key);
    for (const record of this.#volumes()) {
      const declared = this.#declared.get(record.metadata.name);
      const mayBe = declared?.has(metadata.name) || declared?.has(status.virtualMachine?.name ?? '');
      const volume = this.cloud.volumes.all.get(record.status?.id ?? '');
      if (volume?.servers.includes(status.id ?? '') && !mayBe && !this.#meddled.has(volume.id))
        this.#wrong(`${metadata.name} was given ${status.id}, to which ${volume.id} of ${record.metadata.name} is attached`);
    }
  }

  /** Volumes that somebody attached by hand, at any time. */
  readonly #meddled = new Set<string>();

  async #declare(name: string): Promise<void> {
    const { world } = this;
    const spec: VolumeSpec = {
      ...CLOUD,
      sizeGiB: 1 + world.below(3),
      ...this.#anyPlace(),
      ...(world.random() < 0.5 ? { deletionPolicy: 'Delete' } : {}),
    };
    this.#wish(name, spec);
    await this.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Volume',
      metadata: { name, namespace: 'default' },
      spec,
    });
  }

  /** A record that is to be deleted with its volume is declared nowhere, so that it can. */
  async #undeclare(name: string): Promise<void> {
    const spec = this.#specs.get(name);
    const stored = this.store.everything('Volume').find(({ metadata }) => metadata.name === name);
    if (!spec || !stored) return;
    this.#specs.delete(name);
    const { attachTo: _nowhere, ...rest } = spec;
    if (spec.deletionPolicy === 'Delete') this.#doomed.add(stored.metadata.uid);
    await this.store.delete({ kind: 'Volume', namespace: 'default', name });
    this.world.after(this.world.below(20_000), () => void this.#write(name, rest));
  }

  async #edit(): Promise<void> {
    const { world } = this;
    const names = [...this.#specs.keys()];
    const name = names[world.below(names.length)];
    const spec = name === undefined ? undefined : this.#specs.get(name);
    if (name === undefined || !spec) return;
    const { attachTo: _before, ...rest } = spec;
    const next = world.random() < 0.3 ? { ...spec, sizeGiB: spec.sizeGiB + 1 } : { ...rest, ...this.#anyPlace() };
    this.#wish(name, next);
    await this.#write(name, next);
  }

  #wish(name: string, spec: VolumeSpec): void {
    this.#specs.set(name, spec);
    const place = spec.attachTo?.virtualMachineRef?.name ?? spec.attachTo?.assignmentRef?.name ?? '';
    this.#declared.set(name, (this.#declared.get(name) ?? new Set()).add(place));
  }

  #anyPlace(): Pick<VolumeSpec, 'attachTo'> {
    const { world } = this;
    const draw = world.random();
    if (draw < 0.2) return {};
    if (draw < 0.5) return { attachTo: { virtualMachineRef: { name: `galaxy-${world.below(4)}` } } };
    return { attachTo: { assignmentRef: { name: `user-${world.below(4)}` } } };
  }

  async #write(name: string, spec: VolumeSpec): Promise<void> {
    for (;;) {
      const current = await this.store.get({ kind: 'Volume', namespace: 'default', name });
      if (!current) return;
      const written = await this.store.update({ ...current, spec }).catch((error: unknown) => {
        if (!isStoreError(error, 'Conflict')) throw error;
        return undefined;
      });
      if (written) return;
    }
  }

  /** Somebody changes something with the cloud's own client. */
  #meddleWithVolumes(): void {
    const { world } = this;
    const { volumes } = this.cloud;
    const pick = <Item>(items: readonly Item[]) => items[world.below(items.length)];
    const known = new Set(this.#volumes().map(({ status }) => status?.id));
    const victim = pick([...volumes.all.values()].filter(({ id, owner }) => owner && known.has(id)));
    if (!victim) return;
    const [server] = victim.servers;
    const running = pick(this.cloud.alive().filter(({ state }) => state === 'Running'));
    const acts: readonly (() => unknown)[] = [
      () => server && volumes.detach(server, victim.id),
      () => this.#attachByHand(victim, running?.id),
      () =>
        volumes.change(victim.id, (volume) => {
          volume.name = 'renamed';
        }),
      () =>
        volumes.change(victim.id, (volume) => {
          volume.owner = undefined;
        }),
    ];
    acts[world.below(acts.length)]?.();
  }

  #attachByHand(volume: FakeVolume, serverId: string | undefined): void {
    if (serverId === undefined || volume.servers.length > 0) return;
    this.#meddled.add(volume.id);
    this.cloud.volumes.attach(serverId, volume.id, true);
  }

  #wrong(what: string): void {
    const { violations } = this.cloud;
    if (!violations.some((each) => each.endsWith(what))) violations.push(`at ${this.world.now().toISOString()}: ${what}`);
  }

  #volumes(): Volume[] {
    return this.store.everything('Volume').flatMap((resource) => {
      const input = readVolume(resource);
      return input.kind === 'valid' ? [input.volume] : [];
    });
  }
}

function said({ status }: Volume): string {
  const conditions = (status?.conditions ?? []).map(
    ({ type, status: value, reason, message }) => `${type}=${value} ${reason} (${message})`,
  );
  return `${status?.id ?? 'unbound'} ${conditions.join(', ')}`;
}
