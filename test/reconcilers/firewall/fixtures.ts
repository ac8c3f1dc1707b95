import type { SecurityGroup, SecurityGroupRule, SecurityGroupTraffic } from '../../../src/clouds/network-driver.js';
import type { Observation, ObservedPort } from '../../../src/reconcilers/firewall/plan.js';
import type { Step } from '../../../src/reconcilers/firewall/steps.js';
import type { Machine } from '../../../src/reconcilers/firewall/target.js';
import type { FirewallRule, FirewallRuleSpec } from '../../../src/resources/firewall-rule.js';
import type { VirtualMachine } from '../../../src/resources/virtual-machine.js';

const metadata = (name: string) => ({
  name,
  namespace: 'default',
  uid: `uid-${name}`,
  generation: 1,
  resourceVersion: '1',
  creationTimestamp: '2026-01-01T00:00:00Z',
});

/** A rule that opens TCP port 80 for everybody on the machines with the label app=web, but for `changes`. */
export function ruleOf(name: string, changes: Partial<FirewallRuleSpec> = {}): FirewallRule {
  const target = changes.virtualMachineRef || changes.assignmentRef ? {} : { selector: { matchLabels: { app: 'web' } } };
  const side = changes.peerRef ? {} : { cidrs: ['0.0.0.0/0'] };
  const spec: FirewallRuleSpec = {
    cloudRef: { name: 'lab' },
    direction: 'Ingress',
    protocol: 'TCP',
    ...(changes.protocol && changes.protocol !== 'TCP' ? {} : { ports: [{ from: 80 }] }),
    ...target,
    ...side,
    ...changes,
  };
  return { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'FirewallRule', metadata: metadata(name), spec };
}

/** A machine with the label app=web, but for `labels`. */
export function machineOf(name: string, labels: Record<string, string> = { app: 'web' }, assignment?: string): Machine {
  const record: VirtualMachine = {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { ...metadata(name), labels },
    spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'tiny' },
  };
  return { record, assignment };
}

/** A cloud's groups and ports in memory, in which steps have their effect at once. */
export class Network {
  readonly groups = new Map<string, SecurityGroup>();
  readonly ports = new Map<string, ObservedPort>();
  #made = 0;

  /** What a plan sees of it. */
  observation(): Observation {
    const byKey = new Map<string, SecurityGroup[]>();
    for (const group of this.groups.values())
      if (group.owner) byKey.set(group.owner.key, [...(byKey.get(group.owner.key) ?? []), group]);
    return { groups: byKey, ports: [...this.ports.values()] };
  }

  /** A port, and the keys of what its machine is to have. */
  port(id: string, wanted: readonly string[] | undefined, groupIds: readonly string[] = ['default'], secured = true): void {
    this.ports.set(id, { wanted, port: { id, networkId: 'net', addresses: [], serverId: `server of ${id}`, groupIds, secured } });
  }

  /** A group of ours. @returns its id. */
  group(key: string, traffic: readonly SecurityGroupTraffic[] = [], id = this.#id('group')): string {
    const rules = traffic.map((one): SecurityGroupRule => ({ ...one, id: this.#id('rule') }));
    this.groups.set(id, { id, name: key, owner: { installation: 'here', key }, rules, isDefault: false });
    return id;
  }

  /** What a port's groups allow together. */
  openOn(id: string): readonly SecurityGroupRule[] {
    return (this.ports.get(id)?.port.groupIds ?? []).flatMap((group) => this.groups.get(group)?.rules ?? []);
  }

  take(step: Step): void {
    switch (step.kind) {
      case 'CreateGroup':
        this.group(step.target.key, [
          { direction: 'Egress', family: 'IPv4', cidr: '0.0.0.0/0' },
          { direction: 'Egress', family: 'IPv6', cidr: '::/0' },
        ]);
        return;
      case 'Open':
        this.#change(step.groupId, (rules) => [...rules, { ...step.traffic, id: this.#id('rule') }]);
        return;
      case 'Close':
        this.#change(step.groupId, (rules) => rules.filter(({ id }) => id !== step.ruleId));
        return;
      case 'DeleteGroup':
        if ([...this.ports.values()].some(({ port }) => port.groupIds.includes(step.id)))
          throw new Error(`group ${step.id} is in use`);
        this.groups.delete(step.id);
        return;
      default: {
        const known = this.ports.get(step.port.id);
        if (known) this.ports.set(step.port.id, { ...known, port: { ...known.port, groupIds: step.groupIds } });
      }
    }
  }

  #change(id: string, change: (rules: readonly SecurityGroupRule[]) => SecurityGroupRule[]): void {
    const group = this.groups.get(id);
    if (!group) throw new Error(`no group ${id}`);
    this.groups.set(id, { ...group, rules: change(group.rules) });
  }

  #id(what: string): string {
    this.#made += 1;
    return `${what}-${String(this.#made).padStart(4, '0')}`;
  }
}
