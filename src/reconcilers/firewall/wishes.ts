import type { SecurityGroupTraffic } from '../../clouds/network-driver.js';
import type { FirewallRule } from '../../resources/firewall-rule.js';
import { isFor, type Machine, type Target, targetOf } from './target.js';
import { trafficKey, trafficOf } from './traffic.js';

/** One security group as it is to be: all rules of a target, united. */
export interface Wish {
  readonly target: Target;
  readonly rules: readonly FirewallRule[];
  readonly machines: readonly Machine[];
  /** What the group is to allow, by {@link trafficKey}. */
  readonly traffic: ReadonlyMap<string, SecurityGroupTraffic>;
}

interface GatheredWish {
  readonly target: Target;
  readonly rules: FirewallRule[];
  readonly traffic: Map<string, SecurityGroupTraffic>;
}

/**
 * What a Cloud's firewall is to be: the union of what its rules say. Pure; the order of the rules plays no part.
 *
 * @param rules those in force: valid, of one Cloud, not being deleted, and with what they refer to.
 * @param machines of that Cloud.
 * @param groupIdOf the security group of a target's key, if it is there.
 */
export function wishesOf(
  rules: readonly FirewallRule[],
  machines: readonly Machine[],
  groupIdOf: (key: string) => string | undefined,
): ReadonlyMap<string, Wish> {
  const byName = new Map(rules.map((rule) => [`${rule.metadata.namespace}/${rule.metadata.name}`, rule]));
  const gathered = new Map<string, GatheredWish>();
  for (const rule of rules) {
    const target = targetOf(rule);
    const wish: GatheredWish = gathered.get(target.key) ?? { target, rules: [], traffic: new Map() };
    gathered.set(target.key, wish);
    wish.rules.push(rule);
    const peer = rule.spec.peerRef && byName.get(`${rule.metadata.namespace}/${rule.spec.peerRef.name}`);
    for (const traffic of trafficOf(rule.spec, peer && groupIdOf(targetOf(peer).key)))
      wish.traffic.set(trafficKey(traffic), traffic);
  }
  // Grouped by what they are chosen by, so that a rule for one machine does not look at all of them.
  const chosen = byChoice(machines);
  return new Map(
    [...gathered].map(([key, wish]) => {
      const [first] = wish.rules;
      return [key, { ...wish, machines: first ? chosen(first).filter((machine) => isFor(first, machine)) : [] }];
    }),
  );
}

function byChoice(machines: readonly Machine[]): (rule: FirewallRule) => readonly Machine[] {
  const group = (choice: (machine: Machine) => string | undefined) => {
    const groups = new Map<string, Machine[]>();
    for (const machine of machines) {
      const value = choice(machine);
      if (value === undefined) continue;
      const key = `${machine.record.metadata.namespace}/${value}`;
      const known = groups.get(key);
      if (known) known.push(machine);
      else groups.set(key, [machine]);
    }
    return groups;
  };
  const named = group(({ record }) => record.metadata.name);
  const assigned = group(({ assignment }) => assignment);
  return ({ metadata: { namespace }, spec }) => {
    if (spec.virtualMachineRef) return named.get(`${namespace}/${spec.virtualMachineRef.name}`) ?? [];
    if (spec.assignmentRef) return assigned.get(`${namespace}/${spec.assignmentRef.name}`) ?? [];
    return machines;
  };
}
