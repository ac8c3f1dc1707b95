import type { Connection } from '../../clouds/connection.js';
import { keyOf, type ResourceKey } from '../../resources/metadata.js';
import type { VirtualMachine, VirtualMachineStatus } from '../../resources/virtual-machine.js';
import type { Records } from '../records.js';
import { Failures } from './failures.js';
import { asMachine, liveRules } from './gather.js';
import { eldest } from './plan.js';
import { isFor } from './target.js';
import { describeTraffic, trafficKey } from './traffic.js';
import { wishesOf } from './wishes.js';

const MOST_GROUPS = 64;
const MOST_RULES = 256;
const LONGEST_TEXT = 255;

/** The security groups that a new server's ports are to have. */
export type GroupsAtCreation =
  /** No rule is for it: what the cloud gives by itself. */
  | { readonly kind: 'unneeded' }
  /** The project's default group, and ours. */
  | { readonly kind: 'ready'; readonly groupIds: readonly string[] }
  /** A rule is for it whose group is not there yet, and nothing says that it cannot be. */
  | { readonly kind: 'pending'; readonly message: string };

/** What firewall rules mean for one machine: asked by its own reconciler. All lookups are in memory. */
export class Firewall {
  readonly #failures = new Map<string, Failures>();
  /** By Cloud: the machines that were told to wait, by their uid. */
  readonly #waiting = new Map<string, Map<string, ResourceKey>>();

  constructor(
    private readonly records: Records,
    private readonly installation: string,
  ) {}

  /** What could not be done for a Cloud's firewall. */
  failures(cloud: string): Failures {
    const known = this.#failures.get(cloud) ?? new Failures();
    this.#failures.set(cloud, known);
    return known;
  }

  /** The machines that were told that their groups are pending, since this was asked the last time: they are to ask again. */
  waiting(cloud: string): readonly ResourceKey[] {
    const waiting = [...(this.#waiting.get(cloud)?.values() ?? [])];
    this.#waiting.delete(cloud);
    return waiting;
  }

  /** See {@link GroupsAtCreation}. A group that could not be made is left out: the rule says so, and the machine is made. */
  groupsAtCreation(vm: VirtualMachine, connection: Connection): GroupsAtCreation {
    const groups = this.#groupsAtCreation(vm, connection);
    if (groups.kind === 'pending') {
      const { name } = vm.spec.cloudRef;
      this.#waiting.set(name, (this.#waiting.get(name) ?? new Map()).set(vm.metadata.uid, keyOf(vm)));
    }
    return groups;
  }

  #groupsAtCreation(vm: VirtualMachine, connection: Connection): GroupsAtCreation {
    const { name } = vm.spec.cloudRef;
    const [machine] = asMachine(vm, this.records);
    const inNamespace = this.records.inNamespace('FirewallRule', vm.metadata.namespace ?? '');
    if (!machine || inNamespace.length === 0) return { kind: 'unneeded' };
    const rules = liveRules(inNamespace, name, this.records);
    if (!rules.some((rule) => isFor(rule, machine))) return { kind: 'unneeded' };
    const { completeAt, error } = connection.groups.health;
    if (error?.error.code === 'Unsupported') return { kind: 'unneeded' };
    if (!completeAt) return { kind: 'pending', message: 'the security groups of the Cloud are not known yet' };
    const { groups } = connection;
    const groupOf = (key: string) => eldest(groups.by(`owner/${this.installation}/${key}`));
    const failures = this.failures(name);
    const wishes = [...wishesOf(rules, [machine], (key) => groupOf(key)?.id).values()].filter(
      ({ machines }) => machines.length > 0,
    );
    const missing = wishes.find(({ target, traffic }) => {
      const group = groupOf(target.key);
      if (!group) return !failures.of(`group ${target.key}`);
      const there = new Set(group.rules.map(trafficKey));
      return [...traffic.keys()].some((key) => !there.has(key) && !failures.of(`rule ${target.key} ${key}`));
    });
    if (missing) return { kind: 'pending', message: `security group "${missing.target.name}" is being made` };
    const [standard] = groups.by('default');
    const ours = wishes.flatMap(({ target }) => groupOf(target.key)?.id ?? []);
    return { kind: 'ready', groupIds: [...(standard ? [standard.id] : []), ...ours] };
  }

  /** What the cloud lets through to and from a server, as last seen; undefined where it is not known. */
  inForce(serverId: string, { ports, groups }: Connection): VirtualMachineStatus['firewall'] {
    const its = ports.by(`server/${serverId}`);
    if (its.length === 0 || !groups.health.completeAt) return undefined;
    const nameOf = (id: string) => groups.get(id)?.item.name ?? id;
    const ids = [...new Set(its.flatMap(({ groupIds }) => groupIds))].sort();
    const known = ids.flatMap((id) => groups.get(id)?.item ?? []);
    const open = its.filter(({ secured }) => !secured).map(({ id }) => `everything, on port ${id}: it has port security off`);
    const rules = known.flatMap((group) =>
      group.rules.map((rule) =>
        rule.other === undefined ? describeTraffic(rule, nameOf) : `${describeTraffic(rule, nameOf)}, ${rule.other}`,
      ),
    );
    return {
      groups: known.slice(0, MOST_GROUPS).map(({ id, name, owner }) => ({
        id,
        name: name.slice(0, LONGEST_TEXT),
        ours: owner?.installation === this.installation,
      })),
      rules: [...new Set([...open, ...rules])]
        .sort()
        .slice(0, MOST_RULES)
        .map((rule) => rule.slice(0, LONGEST_TEXT)),
    };
  }
}
