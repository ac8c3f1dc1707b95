import pino from 'pino';
import { type Dispatcher, type DispatcherOptions, startDispatcher } from '../../src/dispatcher.js';
import type { CloudSpec } from '../../src/resources/cloud.js';
import type { OwnerReference, Resource } from '../../src/resources/metadata.js';
import type { VirtualMachine, VirtualMachineSpec } from '../../src/resources/virtual-machine.js';
import { isStoreError, StoreError } from '../../src/store/errors.js';
import type { Draft, Store } from '../../src/store/store.js';
import { FaultyStore, type StoreFaults } from '../support/faulty-store.js';
import { MemoryStore } from '../support/memory-store.js';
import { VirtualEnvironment, VirtualProcess } from '../support/virtual-environment.js';
import { ApiServer } from './api-server.js';
import { FakeCloud, type FakeServer } from './fake-cloud.js';
import { CALM, type CloudWeather, FakeDriver } from './fake-driver.js';
import type { FakePort } from './fake-network.js';

/** LOG_LEVEL=debug LOG_FILE=/tmp/seed.json with SEED=n shows what a seed's controllers did. */
const LOG = pino({ level: process.env.LOG_LEVEL ?? 'silent' }, pino.destination({ dest: process.env.LOG_FILE ?? 1, sync: true }));
const INSTALLATION = 'installation-1';
/** How long the time of faults is. */
export const STORM_MS = 150_000;
/** Long enough for the longest wait after failed builds, twice. */
const CONVERGE_MS = 2_400_000;
const QUIET_MS = 180_000;
const AUDITS_MS = 60_000;

/** What a seed's world may be told to do otherwise. */
export interface WorldOptions {
  /** Wraps each process's store: for switches that break something on purpose. */
  readonly breakStore?: (store: Store) => Store;
  /** What the store behaves like. Default: by the seed, one world in three is on a Kubernetes API. */
  readonly plane?: 'postgres' | 'kubernetes';
}

interface Running {
  readonly process: VirtualProcess;
  dispatcher: Dispatcher | undefined;
}

/**
 * One seeded world: people, one or two controllers at once, a store and a cloud, and a time of faults followed by a time of calm.
 * `run` gives what went wrong, in words: an empty list is what is promised of every seed.
 */
export class World {
  readonly world: VirtualEnvironment;
  readonly store: MemoryStore;
  readonly cloud: FakeCloud;
  /** True during the time of faults. */
  protected storm = true;
  protected readonly apiServer: ApiServer | undefined;
  readonly #controllers: Running[] = [];
  readonly #specs = new Map<string, VirtualMachineSpec>();
  /** The address that a record's server has had from the first, by the record's uid. */
  readonly #addresses = new Map<string, string>();
  /** Records whose networks somebody changed, which may take the port, and later make another. */
  readonly #rewired = new Set<string>();
  #weather: CloudWeather = CALM;
  #killing = 0;

  constructor(
    readonly seed: number,
    private readonly options: WorldOptions = {},
  ) {
    this.world = new VirtualEnvironment(seed);
    const plane = options.plane ?? (seed % 3 === 0 ? 'kubernetes' : 'postgres');
    this.apiServer = plane === 'kubernetes' ? new ApiServer(this.world, () => this.storm) : undefined;
    this.store = this.apiServer?.store ?? new MemoryStore(this.world, 200);
    this.cloud = new FakeCloud(this.world);
    this.cloud.network.onEffect = () => this.#watchPorts();
  }

  /** Lives through the seed. @returns what was violated. */
  async run(): Promise<string[]> {
    await this.#declareCloud();
    this.#drawWeather();
    const controllers = this.world.random() < 0.3 ? 2 : 1;
    for (let index = 0; index < controllers; index += 1) this.#start(index);
    this.people();
    this.apiServer?.begin(STORM_MS);
    await this.world.run(() => this.watch(), STORM_MS);
    this.calm();
    let problems: string[] = [];
    const converged = await this.world.run(() => {
      this.watch();
      problems = this.problems();
      return problems.length === 0 && this.cloud.underWay === 0;
    }, CONVERGE_MS);
    if (!converged) return [...this.cloud.violations, ...problems.map((problem) => `not converged: ${problem}`)];
    // What is believed may be older than what is true by an audit or two: that much may still be put right twice.
    await this.world.run(() => false, AUDITS_MS);
    const before = this.cloud.effects.length;
    await this.world.run(() => false, QUIET_MS);
    const later = this.problems().map((problem) => `did not stay: ${problem}`);
    const restless = this.cloud.effects.slice(before);
    if (restless.length > 0) later.push(`did not rest: ${restless.join(', ')}`);
    await this.#stop();
    return [...this.cloud.violations, ...later];
  }

  /** Looks on after each thing that happened: what it sees wrong goes to the cloud's violations. @returns false. */
  protected watch(): boolean {
    return false;
  }

  /** What a dispatcher is made with beside what all are. */
  protected equipment(_process: VirtualProcess): Partial<DispatcherOptions> {
    return {};
  }

  /** What the Cloud says beside what all say. */
  protected cloudSpec(): Partial<CloudSpec> {
    return {};
  }

  async #declareCloud(): Promise<void> {
    await this.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Cloud',
      metadata: { name: 'lab' },
      spec: {
        engine: 'simulator',
        observe: { interval: '2s', auditInterval: '20s', settleTime: '30s' },
        buildTimeout: '45s',
        orphans: { gracePeriod: '10s', perHour: 1000 },
        ...this.cloudSpec(),
      },
    });
  }

  #drawWeather(): void {
    const { world } = this;
    const maybe = (most: number) => (world.random() < 0.5 ? 0 : world.random() * most);
    this.#killing = maybe(0.12);
    this.#weather = {
      refused: maybe(0.3),
      lostReply: maybe(0.25),
      lateEffect: maybe(0.25),
      tooLateEffect: world.random() < 0.1 ? 0.1 : 0,
      incomplete: maybe(0.4),
      stale: maybe(0.4),
      killed: this.#killing,
    };
    this.cloud.odds = { fails: maybe(0.3), hangs: maybe(0.15) };
  }

  /** Ends the time of faults. */
  protected calm(): void {
    this.storm = false;
    this.#weather = CALM;
    this.cloud.odds = { fails: 0, hangs: 0 };
  }

  #start(index: number): void {
    const process = new VirtualProcess(this.world);
    const running: Running = { process, dispatcher: undefined };
    this.#controllers[index] = running;
    const kill = () => {
      if (!process.alive) return;
      process.kill();
      this.world.after(500 + this.world.below(8_000), () => this.#start(index));
    };
    const faulty = new FaultyStore(this.store, process, {
      beforeRead: () => this.#trouble(process, 0.02),
      beforeWrite: async (operation, key) => {
        if (this.#chance(this.#killing)) kill();
        await this.#trouble(process, 0.05);
        await this.apiServer?.beforeWrite(operation, key);
      },
      afterWrite: async () => {
        if (this.#chance(this.#killing)) kill();
        await this.#trouble(process, 0.03);
      },
      ...(this.apiServer?.faults() ?? this.#lateness()),
    });
    running.dispatcher = startDispatcher({
      store: this.options.breakStore?.(faulty) ?? faulty,
      environment: process,
      log: LOG,
      installation: INSTALLATION,
      makeDriver: () => new FakeDriver(this.cloud, process, () => this.#weather, kill),
      concurrency: 4,
      ...this.equipment(process),
    });
  }

  #lateness(): Pick<StoreFaults, 'delayEvent'> {
    return this.world.random() < 0.5 ? { delayEvent: () => (this.storm ? this.world.below(3_000) : 0) } : {};
  }

  async #stop(): Promise<void> {
    const stopping = Promise.all(
      this.#controllers.map(({ process, dispatcher }) => (process.alive ? dispatcher?.stop() : undefined)),
    );
    await this.world.settle(stopping);
  }

  /** A slow store, one that fails, or none at all for a dead process. */
  async #trouble(process: VirtualProcess, failing: number): Promise<void> {
    if (!process.alive) await new Promise(() => undefined);
    if (!this.#chance(failing)) return;
    await Promise.resolve();
    throw new StoreError('Unavailable', 'the store is away');
  }

  #chance(probability: number): boolean {
    return this.storm && this.world.random() < probability;
  }

  /** What people do, in the store and behind its back. */
  protected people(): void {
    const machines = 1 + this.world.below(5);
    for (let index = 0; index < machines; index += 1) {
      this.world.after(this.world.below(60_000), () => void this.#declare(`vm-${index}`));
      if (this.world.random() < 0.3)
        this.world.after(20_000 + this.world.below(130_000), () => void this.#undeclare(`vm-${index}`));
    }
    if (this.apiServer && this.world.random() < 0.5) this.#ownedMachine();
    const acts = this.world.below(10);
    for (let index = 0; index < acts; index += 1) this.world.after(this.world.below(STORM_MS), () => this.#meddle());
    const edits = this.world.below(6);
    for (let index = 0; index < edits; index += 1) this.world.after(this.world.below(STORM_MS), () => void this.#edit());
    if (this.world.random() < 0.5) this.world.after(this.world.below(STORM_MS), () => this.store.dropWatches());
  }

  /** A machine that belongs to something else, and goes some time after it. */
  #ownedMachine(): void {
    const owner = { kind: 'Secret', namespace: 'default', name: 'owner' };
    this.world.after(this.world.below(60_000), async () => {
      const { apiVersion, kind, metadata } = await this.store.create({ apiVersion: 'v1', kind: owner.kind, metadata: owner });
      await this.#declare('owned', [{ apiVersion, kind, name: metadata.name, uid: metadata.uid }]);
    });
    this.world.after(60_000 + this.world.below(90_000), async () => {
      this.#specs.delete('owned');
      await this.store.delete(owner);
    });
  }

  async #declare(name: string, ownerReferences: readonly OwnerReference[] = []): Promise<void> {
    const spec: VirtualMachineSpec = {
      cloudRef: { name: 'lab' },
      image: 'cirros',
      flavor: 'tiny',
      metadata: { role: 'web' },
      onChange: 'Replace',
      ...(this.world.random() < 0.5 ? { networks: [{ name: 'net' }] } : {}),
    };
    this.#specs.set(name, spec);
    await this.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { name, namespace: 'default', ...(ownerReferences.length > 0 ? { ownerReferences } : {}) },
      spec,
    });
  }

  async #undeclare(name: string): Promise<void> {
    if (!this.#specs.delete(name)) return;
    await this.store.delete({ kind: 'VirtualMachine', namespace: 'default', name });
  }

  async #edit(): Promise<void> {
    const names = [...this.#specs.keys()];
    const name = names[this.world.below(names.length)];
    const spec = name === undefined ? undefined : this.#specs.get(name);
    if (name === undefined || !spec) return;
    const edits: readonly Partial<VirtualMachineSpec>[] = [
      { powerState: 'Stopped' },
      { powerState: 'Running' },
      { metadata: { role: 'db', since: String(this.world.milliseconds) } },
      { tags: ['blue'] },
      { flavor: 'small' },
      { image: 'debian' },
      { hostname: `host-${this.world.below(100)}` },
      { networks: [{ name: 'net' }] },
      { networks: 'none' },
    ];
    const next = { ...spec, ...edits[this.world.below(edits.length)] };
    this.#specs.set(name, next);
    for (;;) {
      const current = await this.store.get({ kind: 'VirtualMachine', namespace: 'default', name });
      if (!current || current.metadata.deletionTimestamp) return;
      if (next.networks !== spec.networks) this.#rewired.add(current.metadata.uid);
      const written = await this.store.update({ ...current, spec: next } satisfies Draft).catch((error: unknown) => {
        if (!isStoreError(error, 'Conflict')) throw error;
        return undefined;
      });
      if (written) return;
    }
  }

  /** Somebody changes something with the cloud's own client: only on servers that a record is bound to. */
  #meddle(): void {
    const records = this.store.everything('VirtualMachine').flatMap((resource) => asVirtualMachine(resource));
    const bound = new Set(records.map(({ status }) => status?.id));
    const running = this.cloud.alive().filter(({ id, state }) => state === 'Running' && bound.has(id));
    const victim = running[this.world.below(running.length)];
    if (!victim) return;
    const acts: readonly (() => unknown)[] = [
      () => this.cloud.delete(victim.id),
      () => this.cloud.power(victim.id, 'Running', 'Stopped'),
      () =>
        this.cloud.change(victim.id, (server) => {
          server.name = 'renamed';
        }),
      () =>
        this.cloud.change(victim.id, (server) => {
          server.metadata = { other: 'thing' };
        }),
      () =>
        this.cloud.change(victim.id, (server) => {
          server.tags = ['theirs'];
        }),
      () => this.#meddleWithPort(victim),
      () => this.#meddleWithPort(victim),
    ];
    acts[this.world.below(acts.length)]?.();
  }

  #meddleWithPort({ id }: FakeServer): void {
    const { network } = this.cloud;
    const [port] = network.portsOf(id);
    if (!port) return;
    if (this.world.random() < 0.5) network.detachPort(port.id);
    else {
      this.#addresses.delete(port.owner?.key ?? '');
      network.deletePort(port.id);
    }
  }

  /** Never two servers with ports of one record; and the address is the same from the first server to the last. */
  #watchPorts(): void {
    const bound = new Map<string, FakePort>();
    for (const port of this.cloud.network.ports.values()) {
      const uid = port.owner?.key;
      if (uid === undefined || port.serverId === undefined) continue;
      const other = bound.get(uid);
      if (other && other.serverId !== port.serverId)
        this.#violated(`record ${uid} has ports on ${other.serverId} and on ${port.serverId}`);
      bound.set(uid, port);
      const [address = ''] = port.addresses;
      const first = this.#addresses.get(uid);
      if (first !== undefined && first !== address && !this.#rewired.has(uid))
        this.#violated(`the address of record ${uid} was ${first}, and is ${address}`);
      this.#addresses.set(uid, address);
    }
  }

  #violated(what: string): void {
    this.cloud.violations.push(`at ${this.world.now().toISOString()}: ${what}`);
  }

  /** All that is not as declared, in words. */
  protected problems(): string[] {
    const records = this.store.everything('VirtualMachine').flatMap((resource) => asVirtualMachine(resource));
    const problems = records.flatMap((vm) => this.#problemsOf(vm));
    const missing = [...this.#specs.keys()].filter((name) => !records.some(({ metadata }) => metadata.name === name));
    problems.push(...missing.map((name) => `${name} is declared and not in the store`));
    const uids = new Set(records.map(({ metadata }) => metadata.uid));
    const unowned = this.cloud.alive().filter(({ owner }) => owner && !uids.has(owner.uid));
    problems.push(...unowned.map(({ id }) => `${id} is ours and no record has it`));
    const idle = [...this.cloud.network.ports.values()].filter(({ owner, serverId }) => owner && serverId === undefined);
    problems.push(...idle.map(({ id, owner }) => `${id}, of record ${owner?.key}, is on no server`));
    return problems;
  }

  #problemsOf(vm: VirtualMachine): string[] {
    const { name } = vm.metadata;
    if (vm.metadata.deletionTimestamp || !this.#specs.has(name)) return [`${name} is still being deleted: ${said(vm)}`];
    const ours = this.cloud.alive().filter(({ owner }) => owner?.uid === vm.metadata.uid);
    const [server, ...twins] = ours;
    if (!server) return [`${name} has no server: ${said(vm)}`];
    if (twins.length > 0) return [`${name} has ${ours.length} servers: ${said(vm)}`];
    const ready = vm.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'True';
    if (vm.status?.id !== server.id || !ready) return [`${name} is not Ready with ${server.id}: ${said(vm)}`];
    if (vm.status.observedGeneration !== vm.metadata.generation) return [`${name}: the last change was not seen`];
    const ports = this.cloud.network.portsOf(server.id);
    const wanted = Array.isArray(vm.spec.networks) ? vm.spec.networks.length : 0;
    const own = ports.filter(({ owner }) => owner?.key === vm.metadata.uid).map(({ id }) => id);
    if (own.length !== wanted || JSON.stringify(own) !== JSON.stringify((vm.status.ports ?? []).map(({ id }) => id)))
      return [`${name}: ${server.id} has ports ${ports.map(({ id }) => id)}, of its own ${own}: ${said(vm)}`];
    return differences(vm, server).map((field) => `${name}: ${field} of ${server.id} is not as declared`);
  }
}

function differences({ spec, metadata }: VirtualMachine, server: FakeServer): string[] {
  const same = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const checks: Record<string, boolean> = {
    state: server.state === (spec.powerState ?? 'Running'),
    name: server.name === (spec.hostname ?? metadata.name),
    metadata: same(Object.entries(server.metadata).sort(), Object.entries(spec.metadata ?? {}).sort()),
    tags: same([...server.tags].sort(), [...(spec.tags ?? [])].sort()),
    image: server.imageId === (spec.image === 'debian' ? 'image-2' : 'image-1'),
    flavor: server.flavorId === (spec.flavor === 'small' ? '2' : '1'),
  };
  return Object.entries(checks).flatMap(([field, right]) => (right ? [] : [field]));
}

function said(vm: VirtualMachine): string {
  const conditions = (vm.status?.conditions ?? []).map(
    ({ type, status, reason, message }) => `${type}=${status} ${reason} (${message})`,
  );
  return `${vm.status?.id ?? 'unbound'} ${conditions.join(', ')}`;
}

function asVirtualMachine(resource: Resource): VirtualMachine[] {
  const { spec } = resource;
  return typeof spec === 'object' && spec !== null ? [resource as VirtualMachine] : [];
}
