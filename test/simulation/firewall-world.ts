import type { SecurityGroupTraffic } from '../../src/clouds/network-driver.js';
import { readVirtualMachine } from '../../src/reconcilers/virtual-machine/input.js';
import type { FirewallRule, FirewallRuleSpec } from '../../src/resources/firewall-rule.js';
import { isReady } from '../../src/resources/machine-facts.js';
import type { Resource } from '../../src/resources/metadata.js';
import type { VirtualMachine } from '../../src/resources/virtual-machine.js';
import { isStoreError } from '../../src/store/errors.js';
import { DEFAULT_GROUP, type FakePort } from './fake-network.js';
import { STORM_MS, World, type WorldOptions } from './world.js';

/** What a process may not know yet, or may still be doing by what it knew: a watch that lags, a list that is stale, a call under way. */
const LAG_MS = 20_000;
const MACHINES = ['red', 'green', 'blue'];
const PORTS = [80, 81, 82, 83];
/** Addresses by which the networks of the rules are told apart, and the networks that hold each. */
const HOSTS: Readonly<Record<string, readonly string[]>> = {
  '10.1.2.3': ['10.1.0.0/16', '10.0.0.0/8', '0.0.0.0/0'],
  '10.9.9.9': ['10.0.0.0/8', '0.0.0.0/0'],
  '192.0.2.1': ['0.0.0.0/0'],
};
const CIDRS = ['10.1.0.0/16', '10.0.0.0/8', '0.0.0.0/0'];

/**
 * A world of firewall rules: machines that come, go, are replaced and change their labels; rules that overlap, change and go; somebody who
 * meddles with groups and ports in the cloud. What is promised: what has been declared for a while and is open is never closed by us; in the
 * end each machine has open, through us, exactly the union of what is declared for it; what is not ours stays as it is; nothing is left over.
 */
export class FirewallWorld extends World {
  /** By `port id atom`: since when it has been declared. */
  readonly #declaredSince = new Map<string, number>();
  readonly #openBefore = new Map<string, ReadonlySet<string>>();
  #theirs: string | undefined;
  #meddling = false;
  #made = 0;

  constructor(seed: number, options: WorldOptions = {}) {
    super(seed, options);
    this.cloud.network.onEffect = (effect) => this.#look(effect);
  }

  protected override people(): void {
    const { world } = this;
    for (const name of MACHINES) {
      world.after(world.below(40_000), () => void this.#declareMachine(name));
      if (world.random() < 0.2) world.after(60_000 + world.below(80_000), () => void this.#undeclare('VirtualMachine', name));
    }
    const rules = 2 + world.below(6);
    for (let index = 0; index < rules; index += 1) {
      const name = `rule-${index}`;
      world.after(world.below(100_000), () => void this.#declareRule(name));
      if (world.random() < 0.4) world.after(50_000 + world.below(95_000), () => void this.#undeclare('FirewallRule', name));
      if (world.random() < 0.5) world.after(50_000 + world.below(95_000), () => void this.#edit('FirewallRule', name));
    }
    const acts = world.below(8);
    for (let index = 0; index < acts; index += 1) world.after(world.below(STORM_MS), () => this.#meddle());
    const edits = world.below(5);
    for (let index = 0; index < edits; index += 1) {
      const name = MACHINES[world.below(MACHINES.length)];
      if (name) world.after(world.below(STORM_MS), () => void this.#edit('VirtualMachine', name));
    }
    if (world.random() < 0.5) world.after(world.below(STORM_MS), () => this.store.dropWatches());
  }

  protected override watch(): boolean {
    const now = this.world.milliseconds;
    const current = new Set<string>();
    for (const { port, vm } of this.#ports()) {
      for (const atom of this.#declared(vm)) {
        const key = `${port.id} ${atom}`;
        current.add(key);
        if (!this.#declaredSince.has(key)) this.#declaredSince.set(key, now);
      }
    }
    for (const key of this.#declaredSince.keys()) if (!current.has(key)) this.#declaredSince.delete(key);
    return false;
  }

  protected override problems(): string[] {
    const machines = this.#machines();
    const problems = this.store.everything('FirewallRule').flatMap((stored) => {
      const { name } = stored.metadata;
      if (stored.metadata.deletionTimestamp) return [`${name} is still being deleted: ${said(stored)}`];
      return isReady(stored as VirtualMachine) || dangling(stored, machines) ? [] : [`${name} is not ready: ${said(stored)}`];
    });
    for (const vm of machines) {
      const { name, uid } = vm.metadata;
      const [server, ...twins] = this.cloud.alive().filter(({ owner }) => owner?.uid === uid);
      if (vm.metadata.deletionTimestamp || !server || twins.length > 0 || !isReady(vm)) {
        problems.push(`${name} is not ready: ${said(vm)}`);
        continue;
      }
      const declared = this.#declared(vm);
      for (const port of this.cloud.network.portsOf(server.id)) {
        const ours = atomsOf(this.#ourRules(port));
        for (const atom of declared)
          if (!ours.has(atom)) problems.push(`${name}: ${atom} is declared and not open on ${port.id}`);
        for (const atom of ours)
          if (!declared.has(atom)) problems.push(`${name}: ${atom} is open on ${port.id} and not declared`);
        if (!port.groupIds.includes(DEFAULT_GROUP)) problems.push(`${name}: the default group was taken off ${port.id}`);
      }
    }
    const rules = this.store.everything('FirewallRule');
    const groups = [...this.cloud.network.groups.values()].filter(({ owner }) => owner);
    const targets = new Set(rules.map(({ spec }) => targetWords(spec)));
    if (groups.length > targets.size) problems.push(`${groups.length} groups for ${targets.size} targets`);
    if (this.#theirs !== undefined && !this.cloud.network.groups.has(this.#theirs))
      problems.push('a group that is not ours is gone');
    return problems;
  }

  /** After each effect in the network: has it closed, for a machine, what has been declared for a while? */
  #look(effect: string): void {
    const now = this.world.milliseconds;
    for (const { port, vm } of this.#ports()) {
      const open = atomsOf(this.cloud.network.openOn(port));
      const before = this.#openBefore.get(port.id) ?? new Set();
      this.#openBefore.set(port.id, open);
      if (this.#meddling) continue;
      for (const atom of this.#declared(vm)) {
        const since = this.#declaredSince.get(`${port.id} ${atom}`);
        if (before.has(atom) && !open.has(atom) && since !== undefined && now - since > LAG_MS)
          this.cloud.violations.push(
            `at ${this.world.now().toISOString()}: ${effect} closed ${atom} on ${port.id} of ${vm.metadata.name}, declared since ${new Date(since).toISOString()}`,
          );
      }
    }
  }

  /** The ports that servers of a record have. */
  #ports(): { port: FakePort; vm: VirtualMachine }[] {
    const machines = new Map(this.#machines().map((vm) => [vm.metadata.uid, vm]));
    return this.cloud.alive().flatMap(({ id, owner }) => {
      const vm = owner && machines.get(owner.uid);
      return vm ? this.cloud.network.portsOf(id).map((port) => ({ port, vm })) : [];
    });
  }

  #ourRules({ groupIds }: FakePort): SecurityGroupTraffic[] {
    return groupIds.flatMap((id) => {
      const group = this.cloud.network.groups.get(id);
      return group?.owner ? group.rules : [];
    });
  }

  /** What is declared for a machine at this moment, in atoms: what the rules' words mean, worked out apart from the program. */
  #declared(vm: VirtualMachine): ReadonlySet<string> {
    const atoms = new Set<string>();
    for (const { metadata, spec } of this.store.everything('FirewallRule') as FirewallRule[]) {
      if (metadata.deletionTimestamp) continue;
      const labels = vm.metadata.labels ?? {};
      const matches = spec.virtualMachineRef
        ? spec.virtualMachineRef.name === vm.metadata.name
        : Object.entries(spec.selector?.matchLabels ?? {}).every(([name, value]) => labels[name] === value);
      if (!matches) continue;
      for (const port of PORTS) {
        if (spec.ports && !spec.ports.some(({ from, to = from }) => from <= port && port <= to)) continue;
        for (const [host, networks] of Object.entries(HOSTS))
          if (spec.cidrs?.some((cidr) => networks.includes(cidr)))
            atoms.add(`${spec.direction} ${spec.protocol} ${port} ${host}`);
      }
    }
    return atoms;
  }

  #machines(): VirtualMachine[] {
    return this.store.everything('VirtualMachine').flatMap((stored) => {
      const input = readVirtualMachine(stored);
      return input.kind === 'valid' ? [input.vm] : [];
    });
  }

  async #declareMachine(name: string): Promise<void> {
    const networks = this.world.random() < 0.5 ? { networks: [{ name: 'net' }] } : {};
    await this.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { name, namespace: 'default', labels: this.#labels() },
      spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'tiny', onChange: 'Replace', ...networks },
    });
  }

  async #declareRule(name: string): Promise<void> {
    await this.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'FirewallRule',
      metadata: { name, namespace: 'default' },
      spec: this.#ruleSpec(),
    });
  }

  async #undeclare(kind: string, name: string): Promise<void> {
    await this.store.delete({ kind, namespace: 'default', name }).catch((error: unknown) => {
      if (!isStoreError(error, 'NotFound')) throw error;
    });
  }

  async #edit(kind: 'VirtualMachine' | 'FirewallRule', name: string): Promise<void> {
    for (;;) {
      const current = await this.store.get({ kind, namespace: 'default', name });
      if (!current || current.metadata.deletionTimestamp) return;
      const image = this.world.random() < 0.5 ? { image: 'debian' } : {};
      const next =
        kind === 'FirewallRule'
          ? { ...current, spec: this.#ruleSpec() }
          : {
              ...current,
              metadata: { ...current.metadata, labels: this.#labels() },
              spec: { ...Object(current.spec), ...image },
            };
      const written = await this.store.update(next).catch((error: unknown) => {
        if (!isStoreError(error, 'Conflict')) throw error;
        return undefined;
      });
      if (written) return;
    }
  }

  #labels(): Record<string, string> {
    return this.world.random() < 0.5 ? { app: 'web' } : { app: 'db', tier: 'back' };
  }

  #ruleSpec(): FirewallRuleSpec {
    const { world } = this;
    const from = PORTS[world.below(PORTS.length)] ?? 80;
    const to = Math.min(83, from + world.below(3));
    const targets: Pick<FirewallRuleSpec, 'virtualMachineRef' | 'selector'>[] = [
      { virtualMachineRef: { name: MACHINES[world.below(MACHINES.length)] ?? 'red' } },
      { selector: { matchLabels: { app: 'web' } } },
      { selector: { matchLabels: { app: 'db' } } },
      { selector: { matchLabels: {} } },
    ];
    return {
      cloudRef: { name: 'lab' },
      ...targets[world.below(targets.length)],
      direction: world.random() < 0.9 ? 'Ingress' : 'Egress',
      protocol: 'TCP',
      ports: [{ from, ...(to > from ? { to } : {}) }],
      cidrs: [CIDRS[world.below(CIDRS.length)] ?? '0.0.0.0/0'],
    };
  }

  /** Somebody changes groups and ports with the cloud's own client. */
  #meddle(): void {
    const { network } = this.cloud;
    this.#meddling = true;
    const groups = [...network.groups.values()].filter(({ owner }) => owner);
    const group = groups[this.world.below(groups.length)];
    const ports = this.#ports();
    const port = ports[this.world.below(ports.length)]?.port;
    const acts = [
      () => group?.rules[0] && network.deleteRule(group.rules[0].id),
      () =>
        group &&
        network.createRules([
          { inGroup: group.id, direction: 'Ingress', family: 'IPv4', protocol: 'tcp', from: 8, to: 9 + this.world.below(100) },
        ]),
      () =>
        port &&
        network.setPortGroups(
          port.id,
          port.groupIds.filter((id) => id === DEFAULT_GROUP),
        ),
      () => port && group && !port.groupIds.includes(group.id) && network.setPortGroups(port.id, [...port.groupIds, group.id]),
      () => {
        this.#made += 1;
        const owner = undefined as never;
        const [made] = network.createGroups([{ name: `theirs-${this.#made}`, description: '', owner }]);
        this.#theirs = made?.id;
        if (port && made) network.setPortGroups(port.id, [...port.groupIds, made.id]);
      },
    ];
    acts[this.world.below(acts.length)]?.();
    this.#meddling = false;
  }
}

/** A rule that names a machine that is not there. */
function dangling({ spec }: Resource, machines: readonly VirtualMachine[]): boolean {
  const name = (spec as FirewallRuleSpec).virtualMachineRef?.name;
  return name !== undefined && !machines.some(({ metadata }) => metadata.name === name);
}

/** What rules allow, in atoms: one for each port and host that tell the rules of this world apart. */
function atomsOf(rules: readonly SecurityGroupTraffic[]): ReadonlySet<string> {
  const atoms = new Set<string>();
  for (const { direction, family, protocol, from, to, cidr } of rules) {
    if (family !== 'IPv4' || cidr === undefined || protocol !== 'tcp') {
      // None that this world declares.
      atoms.add(`${direction} ${protocol} ${from}-${to} ${family} other`);
      continue;
    }
    for (const port of PORTS) {
      if (from !== undefined && (port < from || port > (to ?? from))) continue;
      for (const [host, networks] of Object.entries(HOSTS))
        if (networks.includes(cidr)) atoms.add(`${direction} ${protocol.toUpperCase()} ${port} ${host}`);
    }
  }
  return atoms;
}

function targetWords(spec: unknown): string {
  const { virtualMachineRef, selector } = spec as FirewallRuleSpec;
  return JSON.stringify([virtualMachineRef, selector]);
}

function said({ status }: Resource): string {
  const { conditions = [] } = (status ?? {}) as {
    conditions?: { type: string; status: string; reason: string; message: string }[];
  };
  return conditions.map(({ type, status: value, reason, message }) => `${type}=${value} ${reason} (${message})`).join(', ');
}
