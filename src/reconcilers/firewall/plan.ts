import type { Port, SecurityGroup, SecurityGroupTraffic } from '../../clouds/network-driver.js';
import type { Step } from './steps.js';
import { describeTraffic, overlap, trafficKey } from './traffic.js';
import type { Wish } from './wishes.js';

/** What a Cloud's firewall is: facts only. */
export interface Observation {
  /**
   * The groups of ours that this Cloud's rules are about, by their owner key: more than one of a key where a reply was lost. Those of
   * a key that is wished for are to be so; all others are to go. What nobody may decide about now is left out.
   */
  readonly groups: ReadonlyMap<string, readonly SecurityGroup[]>;
  readonly ports: readonly ObservedPort[];
}

/** A port, and the keys of the groups that its machine is to have. `undefined`: nobody may say, and it is left as it is. */
export interface ObservedPort {
  readonly port: Port;
  readonly wanted: readonly string[] | undefined;
}

/** What is to be done, in two parts: nothing of the second before the first is done as far as it can be. */
export interface FirewallPlan {
  readonly openings: readonly Step[];
  /** Only those by which nothing is closed that is to be open. */
  readonly closings: readonly Step[];
  /** Closings that wait for an opening. */
  readonly held: number;
}

/**
 * What to do for a Cloud's firewall. Pure; the order in which rules came or went plays no part.
 *
 * A port is open while any group on it says so. So whatever is missing is opened first; and what is not declared is closed only where
 * nothing that is declared for that machine, and not firmly open yet, overlaps it: a rule that takes the place of another leaves no gap.
 * Only groups that bear our owner tag are changed or taken off.
 */
export function plan(wishes: ReadonlyMap<string, Wish>, { groups, ports }: Observation): FirewallPlan {
  const chosen = new Map([...groups].flatMap(([key, all]) => (wishes.has(key) ? [[key, eldest(all)] as const] : [])));
  const kept = new Set([...chosen.values()].map((group) => group?.id));
  const all = new Map([...groups.values()].flat().map((group) => [group.id, group]));
  const openings = [...wishes.values()].flatMap((wish) => groupOpenings(wish, chosen.get(wish.target.key)));
  const closings: {
    readonly step: Step;
    readonly closes: readonly SecurityGroupTraffic[];
    readonly on: readonly ObservedPort[];
  }[] = [];
  const wearers = new Map<string, ObservedPort[]>();
  for (const observed of ports) {
    const { port, wanted } = observed;
    for (const id of port.groupIds) {
      const others = wearers.get(id);
      if (others) others.push(observed);
      else wearers.set(id, [observed]);
    }
    if (!wanted || !port.secured) continue;
    const here = wanted.flatMap((key) => chosen.get(key)?.id ?? []);
    const added = here.filter((id) => !port.groupIds.includes(id));
    if (added.length > 0) openings.push({ kind: 'Attach', port, groupIds: [...port.groupIds, ...added], added });
    const taken = port.groupIds.filter((id) => all.has(id) && !here.includes(id));
    if (taken.length === 0) continue;
    const groupIds = port.groupIds.filter((id) => !taken.includes(id));
    const closes = taken.flatMap((id) => all.get(id)?.rules ?? []);
    closings.push({ step: { kind: 'Detach', port, groupIds, taken }, closes, on: [observed] });
  }
  for (const [key, each] of groups) {
    for (const group of each) {
      const on = wearers.get(group.id) ?? [];
      if (!kept.has(group.id)) {
        if (on.length === 0) closings.push({ step: { kind: 'DeleteGroup', id: group.id, name: group.name }, closes: [], on: [] });
        continue;
      }
      for (const rule of group.rules) {
        if (rule.other === undefined && wishes.get(key)?.traffic.has(trafficKey(rule))) continue;
        const step: Step = { kind: 'Close', groupId: group.id, ruleId: rule.id, words: describeTraffic(rule) };
        closings.push({ step, closes: [rule], on });
      }
    }
  }
  const lacking = lackingOf(wishes, chosen);
  const free = closings.filter(
    ({ closes, on }) => !on.some((port) => lacking(port).some((missing) => closes.some((one) => overlap(one, missing)))),
  );
  return { openings, closings: free.map(({ step }) => step), held: closings.length - free.length };
}

/** The group that stands for a key: the one with the smallest id, which all who look agree on. */
export function eldest(groups: readonly SecurityGroup[]): SecurityGroup | undefined {
  return groups.toSorted((a, b) => (a.id < b.id ? -1 : 1))[0];
}

function groupOpenings({ target, traffic }: Wish, group: SecurityGroup | undefined): Step[] {
  if (!group) return [{ kind: 'CreateGroup', target }];
  const there = new Set(group.rules.map(trafficKey));
  return [...traffic].flatMap(([key, one]) =>
    there.has(key) ? [] : [{ kind: 'Open', target, groupId: group.id, traffic: one }],
  );
}

/** What is declared for a port's machine, and not allowed by those groups on it that are to stay. Worked out once for each port. */
function lackingOf(
  wishes: ReadonlyMap<string, Wish>,
  chosen: ReadonlyMap<string, SecurityGroup | undefined>,
): (observed: ObservedPort) => readonly SecurityGroupTraffic[] {
  const known = new Map<ObservedPort, SecurityGroupTraffic[]>();
  return (observed) => {
    const before = known.get(observed);
    if (before) return before;
    const lacking = (observed.wanted ?? []).flatMap((key) => {
      const group = chosen.get(key);
      const open = new Set(group && observed.port.groupIds.includes(group.id) ? group.rules.map(trafficKey) : []);
      return [...(wishes.get(key)?.traffic ?? [])].flatMap(([traffic, one]) => (open.has(traffic) ? [] : [one]));
    });
    known.set(observed, lacking);
    return lacking;
  };
}
