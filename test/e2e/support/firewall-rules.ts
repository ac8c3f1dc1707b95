import { expect } from '@jest/globals';
import { z } from 'zod';
import { type FirewallRuleSpec, firewallRuleStatusSchema } from '../../../src/resources/firewall-rule.js';
import { eventually } from '../../support/eventually.js';
import { conditionOf, type Lab, LOOK_EVERY_MS, type Manifest, metadataSchema, PATIENCE_MS } from './lab.js';
import { openstackSession } from './openstack.js';

const ruleSchema = z.object({ metadata: metadataSchema, status: firewallRuleStatusSchema.default({}) });
const listSchema = z.object({ items: z.array(ruleSchema) });

/** A FirewallRule as kubectl shows it. */
export type ShownFirewallRule = z.infer<typeof ruleSchema>;

const GROUPS = ['security', 'group', 'list', '-f', 'json'];
const PORTS = ['port', 'list', '-f', 'json'];
const RULES = ['security', 'group', 'rule', 'list', '-f', 'json'];

const named = z.array(z.object({ ID: z.string(), Name: z.string(), Description: z.string().optional() }));
const shownPort = z.object({ id: z.string(), name: z.string(), device_id: z.string(), security_group_ids: z.array(z.string()) });
const shownRules = z.array(
  z
    .object({
      ID: z.string(),
      Direction: z.string(),
      Ethertype: z.string(),
      'IP Protocol': z.string().nullable(),
      'Port Range': z.string(),
      'IP Range': z.string(),
      'Remote Security Group': z.string().nullable(),
      'Security Group': z.string(),
    })
    .transform((rule) => ({
      id: rule.ID,
      groupId: rule['Security Group'],
      peerGroupId: rule['Remote Security Group'] ?? undefined,
      family: rule.Ethertype,
      cidr: rule['IP Range'],
      what: `${rule.Direction} ${rule['IP Protocol'] ?? 'any'} ${rule['Port Range']}`.trim(),
    })),
);

/** How the descriptions of what Dispatcher made begin. */
const TAG = 'dispatcher:';

/** The firewall of a suite as the stock client shows it at one time. */
export class ShownFirewall {
  constructor(
    /** Those that Dispatcher made for the suite. */
    readonly groups: z.infer<typeof named>,
    /** The suite's. */
    readonly ports: readonly z.infer<typeof shownPort>[],
    /** All of the project. */
    readonly rules: z.infer<typeof shownRules>,
  ) {}

  /** The one port of a machine. @throws if there is none, or more than one. */
  port(machine: string): z.infer<typeof shownPort> {
    const [port, ...others] = this.ports.filter(({ name }) => name === machine);
    if (!port || others.length > 0) throw new Error(`${port ? others.length + 1 : 0} ports are named ${machine}`);
    return port;
  }

  /** The groups on a machine's port that Dispatcher made. */
  ourGroupsOn(machine: string): string[] {
    return this.port(machine).security_group_ids.filter((id) => this.groups.some(({ ID }) => ID === id));
  }

  /** What our groups on a machine's port allow, in order: `ingress tcp 80:80 0.0.0.0/0`, `egress any IPv6 of vm-1 vm-2`. */
  openOn(machine: string): string[] {
    const groups = this.ourGroupsOn(machine);
    const words = this.rules
      .filter(({ groupId }) => groups.includes(groupId))
      .map(({ what, family, cidr, peerGroupId }) =>
        peerGroupId === undefined ? `${what} ${cidr}` : `${what} ${peers(family, this.#wearers(peerGroupId))}`,
      );
    return [...new Set(words)].sort();
  }

  #wearers(groupId: string): string[] {
    return this.ports.filter((port) => port.security_group_ids.includes(groupId)).map(({ name }) => name);
  }
}

/** The other side of a rule that is the machines of another one: by their names, in any order. */
export function peers(family: string, machines: readonly string[]): string {
  return `${family} of ${machines.toSorted().join(' ')}`;
}

/** The firewall rules of a lab. */
export class FirewallRules {
  constructor(private readonly lab: Lab) {}

  /** A FirewallRule of the suite. */
  manifest(name: string, spec: Omit<FirewallRuleSpec, 'cloudRef'>): Manifest {
    return {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'FirewallRule',
      metadata: { name: this.lab.named(name), namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, ...spec },
    };
  }

  /** All of them, by kubectl. */
  async all(): Promise<ShownFirewallRule[]> {
    return listSchema.parse(JSON.parse(await this.lab.dispatcher.kubectl(['get', 'fw', '-o', 'json']))).items;
  }

  /** Waits until what is said of the present declaration is as given. */
  until(name: string, ready: { status: string; reason?: string; message?: unknown }): Promise<ShownFirewallRule> {
    return eventually(
      async () => {
        const shown = await this.lab.dispatcher.kubectl(['get', 'fw', this.lab.named(name), '-o', 'json']);
        const rule = ruleSchema.parse(JSON.parse(shown));
        const { generation } = rule.metadata;
        expect(conditionOf(rule, 'Ready')).toMatchObject({ ...ready, observedGeneration: generation });
        return rule;
      },
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
  }

  /** Waits until each is in force on all its machines, as it is declared. */
  async untilInForce(withinMs = PATIENCE_MS): Promise<void> {
    await eventually(
      async () => {
        const late = (await this.all()).filter((rule) => {
          const { targets } = rule.status;
          const ready = conditionOf(rule, 'Ready');
          const told = ready?.status === 'True' && ready.observedGeneration === rule.metadata.generation;
          return !told || targets?.matched !== targets?.reached;
        });
        expect(late.map((rule) => [rule.metadata.name, conditionOf(rule, 'Ready')?.message])).toEqual([]);
      },
      withinMs,
      LOOK_EVERY_MS,
    );
  }

  /** `kubectl delete` of all, without waiting until they are gone. */
  async deleteAll(): Promise<void> {
    await this.lab.dispatcher.kubectl(['delete', 'fw', '--all', '--wait=false']);
  }

  /** All of the suite, by the stock client. */
  async inCloud(): Promise<ShownFirewall> {
    const [groups, ports, rules] = await openstackSession([GROUPS, PORTS, RULES]);
    const columns = Object.keys(shownPort.shape).flatMap((column) => ['-c', column]);
    // This client's list of ports does not show their groups.
    const each = await openstackSession(this.#ofSuite(ports).map(({ ID }) => ['port', 'show', ID, ...columns, '-f', 'json']));
    const ours = this.#ofSuite(groups).filter(({ Description }) => Description?.startsWith(TAG));
    return new ShownFirewall(ours, shownPort.array().parse(each), shownRules.parse(rules));
  }

  /** Looks at the cloud by the stock client until `check` does not throw. */
  untilCloud(check: (shown: ShownFirewall) => void, withinMs = PATIENCE_MS): Promise<ShownFirewall> {
    return eventually(
      async () => {
        const shown = await this.inCloud();
        check(shown);
        return shown;
      },
      withinMs,
      LOOK_EVERY_MS,
    );
  }

  /** Removes whatever ports and groups of the suite are left, with the stock client. */
  async sweep(): Promise<void> {
    const [groups, ports] = await openstackSession([GROUPS, PORTS]);
    await openstackSession([
      ...this.#ofSuite(ports).map(({ ID }) => ['port', 'delete', ID]),
      ...this.#ofSuite(groups).map(({ ID }) => ['security', 'group', 'delete', ID]),
    ]);
  }

  /** Those whose names are the suite's, or of a machine, an assignment or a label of it. */
  #ofSuite(list: unknown): z.infer<typeof named> {
    return named.parse(list).filter(({ Name }) => Name.startsWith(`${this.lab.suite}-`) || Name.includes(` ${this.lab.suite}-`));
  }
}
