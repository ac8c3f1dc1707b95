import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { plan } from '../../../src/reconcilers/firewall/plan.js';
import { describeStep, subjectOf } from '../../../src/reconcilers/firewall/steps.js';
import { targetOf } from '../../../src/reconcilers/firewall/target.js';
import { trafficKey } from '../../../src/reconcilers/firewall/traffic.js';
import { wishesOf } from '../../../src/reconcilers/firewall/wishes.js';
import type { FirewallRule } from '../../../src/resources/firewall-rule.js';
import { machineOf, Network, ruleOf } from './fixtures.js';

const MACHINES = [machineOf('web-1'), machineOf('web-2'), machineOf('db-1', { app: 'db' })];
/** More rounds than anything here needs. */
const MOST_ROUNDS = 20;

/** Wishes for the rules, and each machine's port told what it is to have: the work of gathering, in small. */
function declare(network: Network, rules: readonly FirewallRule[]) {
  const groupIdOf = (key: string) =>
    [...network.groups.values()]
      .filter(({ owner }) => owner?.key === key)
      .map(({ id }) => id)
      .sort()[0];
  const wishes = wishesOf(rules, MACHINES, groupIdOf);
  for (const { record } of MACHINES) {
    const wanted = [...wishes.values()].filter(({ machines }) => machines.some((one) => one.record === record));
    const known = network.ports.get(record.metadata.name);
    network.port(
      record.metadata.name,
      wanted.map(({ target }) => target.key),
      known?.port.groupIds,
    );
  }
  return wishes;
}

/** Follows the plan until nothing is left. @param refuses steps that fail. @returns the steps taken, in words. */
function settle(
  network: Network,
  rules: readonly FirewallRule[],
  { refuses = () => false, after = () => undefined }: { refuses?: (subject: string) => boolean; after?: () => void } = {},
): string[] {
  const taken: string[] = [];
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const made = plan(declare(network, rules), network.observation());
    const openings = made.openings.filter((step) => !refuses(subjectOf(step)));
    const steps = openings.length > 0 ? openings : made.closings;
    if (steps.length === 0) return taken;
    for (const step of steps) {
      network.take(step);
      taken.push(describeStep(step));
      after();
    }
  }
  throw new Error(`no end: ${taken.join('; ')}`);
}

/** What is open on a machine through groups of ours, in words. */
const openOn = (network: Network, machine: string) => [...new Set(network.openOn(machine).map(trafficKey))].sort();
const WEB = 'Ingress IPv4 tcp 80 80 0.0.0.0/0 *';

describe('a plan', () => {
  it('makes one group for all rules of a target, fills it, attaches it, and then takes out what the cloud put there', () => {
    const network = new Network();
    const steps = settle(network, [ruleOf('web'), ruleOf('web-too'), ruleOf('tls', { ports: [{ from: 443 }] })]);
    expect(steps).toEqual([
      'create security group "dispatcher default app=web"',
      'open Ingress TCP 80 from 0.0.0.0/0 in security group group-0001',
      'open Ingress TCP 443 from 0.0.0.0/0 in security group group-0001',
      'attach security group group-0001 to port web-1',
      'attach security group group-0001 to port web-2',
      'close Egress any protocol to 0.0.0.0/0 in security group group-0001',
      'close Egress any protocol to ::/0 in security group group-0001',
    ]);
    expect(openOn(network, 'db-1')).toEqual([]);
    expect(network.ports.get('web-1')?.port.groupIds).toEqual(['default', 'group-0001']);
  });

  it('closes what one of several rules claimed only when the last of them goes', () => {
    const network = new Network();
    settle(network, [ruleOf('web'), ruleOf('web-too')]);
    expect(settle(network, [ruleOf('web-too')])).toEqual([]);
    expect(openOn(network, 'web-1')).toEqual([WEB]);
    settle(network, []);
    expect(network.groups.size).toBe(0);
    expect(network.ports.get('web-1')?.port.groupIds).toEqual(['default']);
  });

  it('opens what takes the place of another before it closes that', () => {
    const network = new Network();
    settle(network, [ruleOf('web')]);
    expect(settle(network, [ruleOf('web', { ports: [{ from: 80, to: 81 }] })])).toEqual([
      'open Ingress TCP 80-81 from 0.0.0.0/0 in security group group-0001',
      'close Ingress TCP 80 from 0.0.0.0/0 in security group group-0001',
    ]);
  });

  it('closes nothing that what could not be opened overlaps, and the rest', () => {
    const network = new Network();
    settle(network, [ruleOf('web'), ruleOf('tls', { ports: [{ from: 443 }] })]);
    const wider = ruleOf('web', { ports: [{ from: 80, to: 81 }] });
    settle(network, [wider], { refuses: (subject) => subject.includes('tcp 80 81') });
    expect(openOn(network, 'web-1')).toEqual([WEB]);
    expect(plan(declare(network, [wider]), network.observation()).held).toBe(1);
  });

  it('leaves no gap where a machine goes from one target to another with the same ports', () => {
    const network = new Network();
    settle(network, [ruleOf('web')]);
    const byName = ruleOf('web', { virtualMachineRef: { name: 'web-1' } });
    const refused = (subject: string) => subject.startsWith('group');
    settle(network, [byName], { refuses: refused });
    expect(openOn(network, 'web-1')).toEqual([WEB]);
    // Nobody else is to have it, and nothing holds it there.
    expect(openOn(network, 'web-2')).toEqual([]);
    settle(network, [byName]);
    expect(openOn(network, 'web-1')).toEqual([WEB]);
    expect(network.groups.size).toBe(1);
  });

  it('has one of two groups of the same key, made where a reply was lost, take over from the other', () => {
    const network = new Network();
    const rule = ruleOf('web');
    const { key } = targetOf(rule);
    settle(network, [rule]);
    network.group(key, [], 'group-0000');
    let always = true;
    const after = () => {
      always &&= openOn(network, 'web-1').includes(WEB);
    };
    settle(network, [rule], { after });
    expect([...network.groups.keys()]).toEqual(['group-0000']);
    expect(always).toBe(true);
  });

  it('leaves ports alone of which nobody may say anything, and those that look at no groups', () => {
    const network = new Network();
    const rules = [ruleOf('web')];
    const id = network.group('other', [], 'group-0000');
    network.port('unknown', undefined, [id]);
    network.port('open', [targetOf(ruleOf('web')).key], [], false);
    settle(network, rules);
    expect(network.ports.get('unknown')?.port.groupIds).toEqual([id]);
    expect(network.ports.get('open')?.port.groupIds).toEqual([]);
    expect(network.groups.has(id)).toBe(true);
  });

  it('refers to the machines of a peer by the group of its target, which is made first', () => {
    const network = new Network();
    settle(network, [ruleOf('db', { selector: { matchLabels: { app: 'db' } }, peerRef: { name: 'web' } }), ruleOf('web')]);
    const web = [...network.groups.values()].find(({ name }) => name === targetOf(ruleOf('web')).key);
    expect(network.openOn('db-1')).toEqual(
      (['IPv4', 'IPv6'] as const).map((family) => expect.objectContaining({ family, groupId: web?.id })),
    );
  });
});

const ruleChanges = fc.record({
  target: fc.constantFrom<Parameters<typeof ruleOf>[1]>(
    { selector: { matchLabels: { app: 'web' } } },
    { selector: { matchLabels: { app: 'db' } } },
    { selector: { matchLabels: {} } },
    { virtualMachineRef: { name: 'web-1' } },
  ),
  from: fc.integer({ min: 80, max: 82 }),
  length: fc.integer({ min: 0, max: 2 }),
  cidr: fc.constantFrom('0.0.0.0/0', '10.0.0.0/8', '10.1.0.0/16', '::/0'),
});
const ruleSets = fc
  .array(ruleChanges, { maxLength: 5 })
  .map((all) =>
    all.map(({ target, from, length, cidr }, index) =>
      ruleOf(`rule-${index}`, { ...target, ports: [{ from, to: from + length }], cidrs: [cidr] }),
    ),
  );
/** What the rules declare for each machine, each port and network apart. */
function declared(rules: readonly FirewallRule[], machine: string): ReadonlySet<string> {
  const wishes = wishesOf(rules, MACHINES, () => undefined);
  const its = [...wishes.values()].filter(({ machines }) => machines.some(({ record }) => record.metadata.name === machine));
  return atoms(its.flatMap(({ traffic }) => [...traffic.values()]));
}
function atoms(traffic: readonly Parameters<typeof trafficKey>[0][]): ReadonlySet<string> {
  return new Set(
    traffic.flatMap(({ cidr, from = 1, to = 100 }) =>
      Array.from({ length: to - from + 1 }, (_, index) => `${from + index} ${cidr}`),
    ),
  );
}

describe('whatever is declared, one after another', () => {
  it('ends with exactly the union for each machine, in whatever order the rules stand, and nothing left over', () => {
    fc.assert(
      fc.property(fc.array(ruleSets, { minLength: 1, maxLength: 4 }), fc.infiniteStream(fc.nat()), (sets, chance) => {
        const network = new Network();
        for (const rules of sets) {
          const shuffled = rules.map((rule) => ({ rule, at: chance.next().value })).sort((a, b) => a.at - b.at);
          settle(
            network,
            shuffled.map(({ rule }) => rule),
          );
          for (const { record } of MACHINES) {
            const { name } = record.metadata;
            expect([...atoms(network.openOn(name))].sort()).toEqual([...declared(rules, name)].sort());
          }
          expect(network.groups.size).toBe(new Set(rules.map((rule) => targetOf(rule).key)).size);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('never closes, for a moment, what was open and is declared, whatever cannot be opened', () => {
    fc.assert(
      fc.property(ruleSets, ruleSets, fc.nat(3), (before, rules, failing) => {
        const network = new Network();
        settle(network, before);
        const wide = MACHINES.map(({ record }) => record.metadata.name);
        const kept = new Map(
          wide.map((name) => [name, new Set([...atoms(network.openOn(name))].filter((one) => declared(rules, name).has(one)))]),
        );
        const after = () => {
          for (const name of wide) {
            const open = atoms(network.openOn(name));
            for (const one of kept.get(name) ?? []) expect(open.has(one)).toBe(true);
          }
        };
        settle(network, rules, {
          refuses: (subject) => (subject.length + failing) % 4 === 0 && !subject.startsWith('port'),
          after,
        });
      }),
      { numRuns: 120 },
    );
  });
});
