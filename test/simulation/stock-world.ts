import type { DispatcherOptions } from '../../src/dispatcher.js';
import { readAssignment } from '../../src/reconcilers/assignment/input.js';
import { readPool } from '../../src/reconcilers/pool/input.js';
import { readVirtualMachine } from '../../src/reconcilers/virtual-machine/input.js';
import type { Assignment } from '../../src/resources/assignment.js';
import type { CloudSpec } from '../../src/resources/cloud.js';
import { isReady, poolOf } from '../../src/resources/machine-facts.js';
import type { Resource } from '../../src/resources/metadata.js';
import type { Pool } from '../../src/resources/pool.js';
import { FAULTY_ANNOTATION, type VirtualMachine } from '../../src/resources/virtual-machine.js';
import { isStoreError } from '../../src/store/errors.js';
import type { VirtualProcess } from '../support/virtual-environment.js';
import { FakeCistern } from './fake-cistern.js';
import { STORM_MS, World, type WorldOptions } from './world.js';

const POOL = { kind: 'VirtualMachinePool', namespace: 'default', name: 'galaxy' };
const APPLICATION = 'galaxy';

/**
 * A world of pools and assignments: users come and go, machines break, templates change, and in every second world an inventory has its own
 * opinion, and outages. What is promised: a machine is one user's, whoever is killed; nobody finds what another left on a disk; a pool
 * never has more than its maxSize; in the end everybody who can have a machine has one, and the stock is full.
 */
export class StockWorld extends World {
  readonly #cistern: FakeCistern | undefined;
  readonly #wanted = new Set<string>();
  #faults = 0;

  constructor(seed: number, options: WorldOptions = {}) {
    super(seed, options);
    this.#cistern = this.hasInventory() ? new FakeCistern(this.cloud) : undefined;
  }

  /** Whether this world has one. Asked once, by the constructor. */
  protected hasInventory(): boolean {
    return this.world.random() < 0.5;
  }

  protected override equipment(process: VirtualProcess): Partial<DispatcherOptions> {
    const cistern = this.#cistern;
    return cistern ? { makeCistern: () => cistern.client(process) } : {};
  }

  protected override cloudSpec(): Partial<CloudSpec> {
    return this.#cistern ? { cistern: { endpoint: 'http://cistern.invalid/api/v1', interval: '2s' } } : {};
  }

  protected override people(): void {
    const { world } = this;
    void this.#declareStock();
    const users = 2 + world.below(7);
    for (let index = 0; index < users; index += 1) {
      const name = `user-${index}`;
      world.after(5_000 + world.below(80_000), () => void this.#assign(name));
      if (world.random() < 0.4) world.after(60_000 + world.below(85_000), () => void this.#release(name));
    }
    const acts = world.below(12);
    for (let index = 0; index < acts; index += 1) world.after(world.below(STORM_MS), () => void this.#meddle());
    if (world.random() < 0.5) world.after(world.below(STORM_MS), () => this.store.dropWatches());
  }

  protected override calm(): void {
    super.calm();
    const cistern = this.#cistern;
    if (!cistern) return;
    cistern.away = false;
    cistern.lostReply = 0;
    // In the end it says what the cloud says.
    cistern.faulty.clear();
    for (const { id, state } of this.cloud.alive()) if (state === 'Error') cistern.faulty.add(id);
  }

  protected override watch(): boolean {
    const machines = new Map(this.#machines().map((vm) => [vm.metadata.uid, vm]));
    const holders = new Map<string, string>();
    for (const assignment of this.#assignments()) this.#watchAssignment(assignment, machines, holders);
    for (const pool of this.#pools()) {
      const members = [...machines.values()].filter((vm) => poolOf(vm)?.uid === pool.metadata.uid);
      if (members.length > pool.spec.maxSize) this.#violated(`${pool.metadata.name} has ${members.length} machines`);
    }
    return false;
  }

  protected override problems(): string[] {
    const machines = this.#machines();
    const assignments = this.#assignments();
    const problems: string[] = [];
    for (const pool of this.#pools()) {
      const { free = 0, assigned = 0, wanted = 0, total = 0 } = pool.status ?? {};
      const room = pool.spec.maxSize - assigned;
      if (free !== Math.min(wanted, room))
        problems.push(`pool: ${free} free, wanted ${wanted}, ${assigned} assigned: ${said(pool)}`);
      if (total !== machines.length) problems.push(`pool: counts ${total} machines of ${machines.length}`);
      if (pool.status?.observedGeneration !== pool.metadata.generation) problems.push('pool: the last change was not seen');
    }
    const bound = assignments.filter(saysBound);
    for (const assignment of assignments) {
      const { name } = assignment.metadata;
      if (assignment.metadata.deletionTimestamp || !this.#wanted.has(name))
        problems.push(`${name} is still being deleted: ${said(assignment)}`);
      else if (!saysBound(assignment) && bound.length < (this.#pools()[0]?.spec.maxSize ?? 0))
        problems.push(`${name} has no machine: ${said(assignment)}`);
    }
    for (const vm of machines) problems.push(...this.#problemsOf(vm, assignments));
    const uids = new Set(machines.map(({ metadata }) => metadata.uid));
    for (const { id, owner } of this.cloud.alive()) if (!owner || !uids.has(owner.uid)) problems.push(`${id} is nobody's`);
    return problems;
  }

  #problemsOf(vm: VirtualMachine, assignments: readonly Assignment[]): string[] {
    const { name, uid } = vm.metadata;
    const servers = this.cloud.alive().filter(({ owner }) => owner?.uid === uid);
    const [server] = servers;
    if (!server || servers.length > 1) return [`${name} has ${servers.length} servers: ${said(vm)}`];
    // Who called it so takes that back, and it is given back then.
    if (vm.metadata.annotations?.[FAULTY_ANNOTATION] !== undefined) return [`${name} is still called faulty`];
    if (!isReady(vm)) return [`${name} is not ready: ${said(vm)}`];
    const holder = assignments.find(({ status }) => status?.virtualMachine?.uid === uid);
    if (holder?.metadata.uid !== vm.spec.claimRef?.uid) {
      const claimant = assignments.find(({ metadata }) => metadata.uid === vm.spec.claimRef?.uid);
      return [`${name} bears the claim of ${vm.spec.claimRef?.name}: ${claimant ? said(claimant) : 'gone'}; ${said(vm)}`];
    }
    const user = holder?.spec.user;
    if (server.metadata['assigned-user'] !== user) return [`${name}: the cloud says ${server.metadata['assigned-user']} has it`];
    if (this.#cistern && this.#cistern.users.get(server.id) !== user)
      return [`${name}: the inventory says ${this.#cistern.users.get(server.id)} has it, not ${user}`];
    return [];
  }

  #watchAssignment(assignment: Assignment, machines: ReadonlyMap<string, VirtualMachine>, holders: Map<string, string>): void {
    const { metadata, status } = assignment;
    const uid = status?.virtualMachine?.uid;
    if (uid === undefined || !saysBound(assignment)) return;
    const other = holders.get(uid);
    if (other !== undefined) this.#violated(`${other} and ${metadata.name} both have ${status?.virtualMachine?.name}`);
    holders.set(uid, metadata.name);
    const vm = machines.get(uid);
    const server = vm && this.cloud.servers.get(status?.id ?? '');
    if (!server || vm.spec.claimRef?.uid !== metadata.uid) return;
    if (server.disk !== undefined && server.disk !== metadata.uid)
      this.#violated(`${metadata.name} was given ${server.id}, with what another left on it`);
    server.disk = metadata.uid;
  }

  #violated(what: string): void {
    const { violations } = this.cloud;
    if (!violations.some((each) => each.endsWith(what))) violations.push(`at ${this.world.now().toISOString()}: ${what}`);
  }

  async #declareStock(): Promise<void> {
    const { world } = this;
    const metadata = { name: 'galaxy', namespace: 'default' };
    await this.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Recipe',
      metadata,
      spec: { image: 'cirros', flavor: 'tiny', applications: [APPLICATION], readiness: { delay: `${world.below(5)}s` } },
    });
    await this.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: POOL.kind,
      metadata,
      spec: {
        cloudRef: { name: 'lab' },
        recipeRef: { name: 'galaxy' },
        replicas: 1 + world.below(3),
        maxSize: 4 + world.below(6),
        reclaim: world.random() < 0.6 ? 'Recycle' : 'Delete',
      },
    });
  }

  async #assign(name: string): Promise<void> {
    this.#wanted.add(name);
    const { world } = this;
    await this.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachineAssignment',
      metadata: { name, namespace: 'default' },
      spec: {
        user: name,
        application: APPLICATION,
        priority: world.below(3),
        ...(world.random() < 0.5 ? { poolRef: { name: 'galaxy' } } : {}),
      },
    });
  }

  async #release(name: string): Promise<void> {
    if (!this.#wanted.delete(name)) return;
    await this.store.delete({ kind: 'VirtualMachineAssignment', namespace: 'default', name });
  }

  /** Something breaks, or somebody changes their mind. */
  async #meddle(): Promise<void> {
    const { world } = this;
    const running = this.cloud.alive().filter(({ state }) => state === 'Running');
    const victim = running[world.below(running.length)];
    const acts: readonly (() => unknown)[] = [
      () => victim && this.cloud.delete(victim.id),
      () => victim && this.cloud.fault(victim.id),
      () => victim && this.#cistern?.faulty.add(victim.id),
      () => this.#outage(),
      () => this.#edit(POOL.kind, { replicas: 1 + world.below(3) }),
      () => this.#edit('Recipe', { image: world.random() < 0.5 ? 'debian' : 'cirros' }),
      () => this.#callFaulty(),
    ];
    await acts[world.below(acts.length)]?.();
  }

  #outage(): void {
    const cistern = this.#cistern;
    if (!cistern) return;
    cistern.away = true;
    cistern.lostReply = 0.3;
    this.world.after(1_000 + this.world.below(60_000), () => {
      cistern.away = false;
    });
  }

  /** A person calls a machine faulty for a while. */
  async #callFaulty(): Promise<void> {
    const machines = this.#machines();
    const name = machines[this.world.below(machines.length)]?.metadata.name;
    if (name === undefined) return;
    const mark = (why: string | undefined) =>
      this.#change('VirtualMachine', name, ({ metadata, ...rest }) => {
        const { [FAULTY_ANNOTATION]: _before, ...annotations } = metadata.annotations ?? {};
        return {
          ...rest,
          metadata: { ...metadata, annotations: why === undefined ? annotations : { ...annotations, [FAULTY_ANNOTATION]: why } },
        };
      });
    this.#faults += 1;
    await mark(`fault ${this.#faults}`);
    this.world.after(10_000 + this.world.below(60_000), () => void mark(undefined));
  }

  #edit(kind: string, spec: object): Promise<void> {
    return this.#change(kind, 'galaxy', (resource) => ({ ...resource, spec: { ...Object(resource.spec), ...spec } }));
  }

  async #change(kind: string, name: string, change: (resource: Resource) => Resource): Promise<void> {
    for (;;) {
      const current = await this.store.get({ kind, namespace: 'default', name });
      if (!current || current.metadata.deletionTimestamp) return;
      const written = await this.store.update(change(current)).catch((error: unknown) => {
        if (!isStoreError(error, 'Conflict')) throw error;
        return undefined;
      });
      if (written) return;
    }
  }

  #machines(): VirtualMachine[] {
    return this.store.everything('VirtualMachine').flatMap((resource) => {
      const input = readVirtualMachine(resource);
      return input.kind === 'valid' ? [input.vm] : [];
    });
  }

  #assignments(): Assignment[] {
    return this.store.everything('VirtualMachineAssignment').flatMap((resource) => readAssignment(resource) ?? []);
  }

  #pools(): Pool[] {
    return this.store.everything(POOL.kind).flatMap((resource) => readPool(resource) ?? []);
  }
}

function saysBound({ status }: Assignment): boolean {
  return status?.conditions?.some(({ type, status: value }) => type === 'Ready' && value === 'True') ?? false;
}

function said({ status }: Assignment | Pool | VirtualMachine): string {
  return (status?.conditions ?? [])
    .map(({ type, status: value, reason, message }) => `${type}=${value} ${reason} (${message})`)
    .join(', ');
}
