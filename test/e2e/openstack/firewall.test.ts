import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { z } from 'zod';
import { Chance } from '../../../src/clouds/simulator/model/chance.js';
import type { FirewallRuleSpec } from '../../../src/resources/firewall-rule.js';
import type { VirtualMachineSpec } from '../../../src/resources/virtual-machine.js';
import { eventually } from '../../support/eventually.js';
import { FirewallRules, peers } from '../support/firewall-rules.js';
import { Lab, LOOK_EVERY_MS, type Manifest, PATIENCE_MS } from '../support/lab.js';
import { DEMO, describeOnOpenStack, openstack, openstackAsAdmin, openstackJson, openstackSession } from '../support/openstack.js';
import { Stock } from '../support/stock.js';

jest.setTimeout(300_000);

type Rule = Omit<FirewallRuleSpec, 'cloudRef'>;

const NETWORKS = [{ name: 'demo-net' }];
/** Short, to keep the test short: each attempt that a kill leaves open waits so long. */
const SETTINGS = {
  observe: { interval: '1s', auditInterval: '10s', settleTime: '10s' },
  // A port that a killed process has asked for comes late at times, when another has taken its place.
  orphans: { gracePeriod: '5s', perHour: 1_000 },
};
/** So few calls at once that there is something left to do at each kill. */
const SLOW = { inFlight: 4, requestsPerSecond: 50 };
const MACHINES = 20;
const KILLS = 6;
/** After a start at most, milliseconds. */
const LONGEST_LIFE_MS = 2_000;

const APP = 'fw-app';
const ROLE = 'fw-role';
const FLEET = 'fw-fleet';
const SIDE = 'fw-side';

/** A group that somebody makes with the stock client. */
const FOREIGN = 'fw-foreign';
const quotaSchema = z.looseObject({ 'secgroup-rules': z.number() });

const WEB: Rule = {
  selector: { matchLabels: { [APP]: 'web' } },
  direction: 'Ingress',
  protocol: 'TCP',
  ports: [{ from: 80 }, { from: 8000, to: 8100 }],
  cidrs: ['0.0.0.0/0', '::/0'],
};
const WEB_OPEN = [
  'ingress tcp 8000:8100 0.0.0.0/0',
  'ingress tcp 8000:8100 ::/0',
  'ingress tcp 80:80 0.0.0.0/0',
  'ingress tcp 80:80 ::/0',
];

describeOnOpenStack('Firewall rules on a real OpenStack', () => {
  let lab: Lab;
  let firewall: FirewallRules;
  let stock: Stock;

  const machine = (name: string, labels: Readonly<Record<string, string>>, spec: Partial<VirtualMachineSpec> = {}): Manifest => {
    const { metadata, ...rest } = lab.machine(name, { networks: NETWORKS, ...spec });
    return { ...rest, metadata: { ...Object(metadata), labels } };
  };

  beforeAll(async () => {
    lab = await Lab.open('fw', SETTINGS);
    firewall = new FirewallRules(lab);
    stock = new Stock(lab);
    await firewall.sweep();
  });
  afterAll(async () => {
    await lab?.close();
    await firewall?.sweep();
  });

  it('opens a new machine from its first packet on: its port is made with its groups', async () => {
    await lab.apply(
      firewall.manifest('web', WEB),
      machine('web', { [APP]: 'web' }, { onChange: 'Replace' }),
      machine('one', { [ROLE]: 'desk' }),
      machine('two', { [ROLE]: 'desk' }),
    );
    await lab.until('web', { status: 'True' });
    await firewall.untilInForce();
    await firewall.untilCloud((shown) => expect(shown.openOn('fw-web')).toEqual(WEB_OPEN));
    expect(await lab.dispatcher.cloudCalls('setPortGroups')).toBe(0);
  });

  it('keeps it open while it is replaced: the port stays, and nobody takes a group off it', async () => {
    const before = (await firewall.inCloud()).port('fw-web');
    await lab.change('web', { userData: '#cloud-config\n' });
    const { status } = await lab.until('web', { status: 'True' });
    expect(status.id).not.toBe(before.device_id);
    const shown = await firewall.inCloud();
    expect(shown.port('fw-web')).toEqual({ ...before, device_id: status.id });
    expect(shown.openOn('fw-web')).toEqual(WEB_OPEN);
    expect(await lab.dispatcher.cloudCalls('setPortGroups')).toBe(0);
  });

  it('follows a user from machine to machine, and closes the one that was left', async () => {
    const open = ['ingress tcp 22:22 198.51.100.7/32'];
    await lab.apply(
      firewall.manifest('ssh', {
        assignmentRef: { name: 'fw-alice' },
        direction: 'Ingress',
        protocol: 'TCP',
        ports: [{ from: 22 }],
        cidrs: ['198.51.100.7/32'],
      }),
      stock.assignment('fw-alice', { application: 'galaxy', selector: { matchLabels: { [ROLE]: 'desk' } } }),
    );
    const first = await stock.untilBound('fw-alice');
    const other = first.machine === 'fw-one' ? 'fw-two' : 'fw-one';
    await firewall.untilCloud((shown) => {
      expect(shown.openOn(first.machine)).toEqual(open);
      expect(shown.openOn(other)).toEqual([]);
    });
    await openstack('server', 'delete', first.id);
    const second = await stock.untilBound('fw-alice', first);
    expect(second.machine).toBe(other);
    await firewall.untilCloud((shown) => {
      expect(shown.port(other).device_id).toBe(second.id);
      expect(shown.openOn(other)).toEqual(open);
      expect(shown.openOn(first.machine)).toEqual([]);
    });
  });

  it('puts right what the stock client changes of ours, and shows what is not ours and leaves it', async () => {
    const before = await firewall.inCloud();
    const { id: port } = before.port('fw-web');
    const [group = ''] = before.ourGroupsOn('fw-web');
    const removed = before.rules.find(({ groupId, cidr }) => groupId === group && cidr === '::/0')?.id ?? '';
    const traffic = ['--protocol', 'tcp', '--dst-port', '9999', '--remote-ip', '203.0.113.9/32', '-f', 'json'];
    await openstackSession([
      ['security', 'group', 'rule', 'delete', removed],
      ['security', 'group', 'rule', 'create', ...traffic, group],
      ['security', 'group', 'create', FOREIGN, '-f', 'json'],
      ['security', 'group', 'rule', 'create', ...traffic, FOREIGN],
      ['port', 'set', '--security-group', FOREIGN, port],
      ['port', 'unset', '--security-group', group, port],
    ]);
    const shown = await firewall.untilCloud((now) => {
      expect(now.openOn('fw-web')).toEqual(WEB_OPEN);
      expect(now.rules.map(({ id }) => id)).not.toContain(removed);
    });
    const groups = shown.port('fw-web').security_group_ids;
    expect(groups).toHaveLength(3);
    expect(groups).toEqual(expect.arrayContaining(before.port('fw-web').security_group_ids));
    await eventually(
      async () => {
        const { status } = await lab.get('web');
        const told = Object.fromEntries((status.firewall?.groups ?? []).map(({ name, ours }) => [name, ours]));
        expect(told).toEqual({ default: false, [FOREIGN]: false, [`dispatcher default ${APP}=web`]: true });
        expect(status.firewall?.rules).toEqual(
          expect.arrayContaining([
            'Ingress TCP 9999 from 203.0.113.9/32',
            'Ingress TCP 8000-8100 from ::/0',
            'Ingress any protocol from IPv4 of default',
            'Egress any protocol to 0.0.0.0/0',
          ]),
        );
      },
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
    await openstackSession([
      ['port', 'unset', '--security-group', FOREIGN, port],
      ['security', 'group', 'delete', FOREIGN],
    ]);
  });

  it('names the quota that a rule exceeds, goes on with all else, and opens it once there is room', async () => {
    const quota = (limit: number) => openstackAsAdmin('quota', 'set', `--secgroup-rules=${limit}`, DEMO.project);
    const before = await openstackJson(quotaSchema, 'quota', 'show');
    const { rules } = await firewall.inCloud();
    // Enough for the two with which Neutron makes a group, and one.
    await quota(rules.length + 3);
    try {
      const many = {
        direction: 'Ingress',
        protocol: 'UDP',
        ports: [5, 6, 7, 8, 9].map((from) => ({ from: from * 100 })),
      } as const;
      await lab.apply(
        firewall.manifest('many', { ...many, virtualMachineRef: { name: 'fw-late' }, cidrs: ['192.0.2.0/24'] }),
        machine('late', { [APP]: 'web' }),
      );
      const message = expect.stringMatching(/security_group_rule.*To do: raise the quota/s);
      await firewall.until('many', { status: 'False', reason: 'Quota', message });
      await lab.until('late', { status: 'True' });
      const { status } = await firewall.until('web', { status: 'True', reason: 'InForce' });
      expect(status.targets).toEqual({ matched: 2, reached: 2 });
    } finally {
      await quota(before['secgroup-rules']);
    }
    await firewall.until('many', { status: 'True', reason: 'InForce' });
    const open = [5, 6, 7, 8, 9].map((from) => `ingress udp ${from}00:${from}00 192.0.2.0/24`);
    await firewall.untilCloud((shown) => expect(shown.openOn('fw-late')).toEqual([...WEB_OPEN, ...open].sort()));
  });

  it(`ends with what ${MACHINES} machines with 10 rules each declare, though it is killed ${KILLS} times at random moments`, async () => {
    const seed = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 2 ** 31));
    const chance = new Chance(Math.random, seed);
    process.stdout.write(`kill -9 at moments of seed ${seed}; SEED=${seed} repeats them\n`);
    const any = (below: number) => Math.floor(chance.number() * below);
    // All is declared before anything is done: else most of it is done before the first kill.
    await lab.apply(lab.cloud({ ...SETTINGS, limits: SLOW, paused: true }));

    const numbers = Array.from({ length: MACHINES }, (_, index) => index + 1);
    const sides = new Map(numbers.map((number) => [number, number % 2 === 0 ? 'left' : 'right']));
    const rules = new Map<string, Rule>([
      ...Object.entries(SHARED),
      ...numbers.flatMap((number) =>
        Object.entries(ownRules(number)).map(([name, rule]) => [`${name}-${number}`, rule] as const),
      ),
    ]);
    const manifest = (number: number) => machine(`vm-${number}`, { [FLEET]: 'storm', [SIDE]: sides.get(number) ?? '' });
    const declare = (...names: string[]) =>
      names.flatMap((name) => {
        const rule = rules.get(name);
        return rule ? [firewall.manifest(name, rule)] : [];
      });
    await lab.apply(...declare(...rules.keys()), ...numbers.map(manifest));
    await lab.apply(lab.cloud({ ...SETTINGS, limits: SLOW }));

    const calls = () => lab.dispatcher.cloudCalls('createSecurityGroupRules');
    const done: string[] = [];
    for (let kill = 0; kill < KILLS; kill += 1) {
      const before = await calls();
      // In each life a rule moves to other ports, a machine to the other side, and one rule is exchanged for another.
      const [moved, turned, exchanged] = [1 + any(MACHINES), 1 + any(MACHINES), 1 + any(MACHINES)];
      rules.set(`office-${moved}`, { ...ownRules(moved).office, ports: [{ from: 3000 + kill, to: 3100 + kill }] });
      sides.set(turned, sides.get(turned) === 'left' ? 'right' : 'left');
      const [gone, instead] = [`wide-${exchanged}`, `wider-${exchanged}`];
      rules.delete(gone);
      rules.set(instead, { ...ownRules(exchanged).wide, ports: [{ from: 8100, to: 8300 + kill }] });
      await lab.apply(...declare(`office-${moved}`, instead), manifest(turned));
      await lab.dispatcher.kubectl(['delete', 'fw', '--wait=false', '--ignore-not-found', lab.named(gone)]);
      await eventually(async () => expect(await calls()).toBeGreaterThan(before), PATIENCE_MS);
      await new Promise((resolve) => setTimeout(resolve, chance.number() * LONGEST_LIFE_MS));
      done.push(`${(await lab.servers()).length}/${(await calls()) - before}`);
      await lab.dispatcher.kill();
      await lab.dispatcher.start();
    }
    process.stdout.write(`servers, and calls for rules since the kill before, at the kills: ${done.join(' ')}\n`);
    await lab.apply(lab.cloud(SETTINGS));
    await lab.untilConverged(180_000);
    await firewall.untilInForce(120_000);

    const names = numbers.map((number) => lab.named(`vm-${number}`));
    const labelsOf = (name: string) => ({ [FLEET]: 'storm', [SIDE]: sides.get(Number(name.replace('fw-vm-', ''))) });
    const chosenBy = ({ virtualMachineRef, selector }: Rule) =>
      names.filter((name) =>
        virtualMachineRef
          ? virtualMachineRef.name === name
          : Object.entries(selector?.matchLabels ?? {}).every(([label, value]) => Object(labelsOf(name))[label] === value),
      );
    const declared = names.map((name) => {
      const open = [...rules.values()].filter((rule) => chosenBy(rule).includes(name));
      return [name, [...new Set(open.flatMap((rule) => allows(rule, (peer) => chosenBy(rules.get(peer) ?? rule))))].sort()];
    });
    await firewall.untilCloud((shown) => expect(names.map((name) => [name, shown.openOn(name)])).toEqual(declared), 120_000);
  });

  it('leaves nothing in the cloud when all is deleted, though it is killed meanwhile', async () => {
    const { groups } = await firewall.inCloud();
    await stock.release('fw-alice');
    await lab.dispatcher.kubectl(['delete', 'fw,vm', '--all', '--wait=false']);
    await eventually(async () => expect((await lab.servers()).length).toBeLessThan(MACHINES), PATIENCE_MS);
    await lab.dispatcher.kill();
    await lab.dispatcher.start();
    await lab.untilEmpty(120_000);
    await eventually(async () => expect(await firewall.all()).toEqual([]), PATIENCE_MS);
    const left = await firewall.untilCloud(({ ports }) => expect(ports).toEqual([]));
    expect(groups).not.toEqual([]);
    expect(left.groups).toEqual([]);
  });
});

/** The rules that many machines share: three of them are for each. */
const SHARED: Readonly<Record<string, Rule>> = {
  mesh: { ...inFleet({ [FLEET]: 'storm' }), direction: 'Ingress', protocol: 'Any', peerRef: { name: 'fw-mesh' } },
  admin: {
    ...inFleet({ [FLEET]: 'storm' }),
    direction: 'Ingress',
    protocol: 'TCP',
    ports: [{ from: 22 }],
    cidrs: ['192.0.2.0/24', '2001:db8:1::/48'],
  },
  left: { ...inFleet({ [SIDE]: 'left' }), direction: 'Egress', protocol: 'UDP', ports: [{ from: 123 }], cidrs: ['::/0'] },
  right: { ...inFleet({ [SIDE]: 'right' }), direction: 'Ingress', protocol: 'ICMP', cidrs: ['198.51.100.0/24', '::/0'] },
};

function inFleet(matchLabels: Readonly<Record<string, string>>): Pick<Rule, 'selector'> {
  return { selector: { matchLabels: { ...matchLabels } } };
}

/** The rules for one machine alone: seven. */
function ownRules(number: number) {
  const virtualMachineRef = { name: `fw-vm-${number}` };
  const into = { virtualMachineRef, direction: 'Ingress' } as const;
  return {
    site: { ...into, protocol: 'TCP', ports: [{ from: 80 }, { from: 8000, to: 8100 }], cidrs: ['0.0.0.0/0', '::/0'] },
    office: { ...into, protocol: 'TCP', ports: [{ from: 2000 + number }], cidrs: [`10.${number}.0.0/16`] },
    names: { ...into, protocol: 'UDP', ports: [{ from: 53 }], cidrs: [`2001:db8:${number}::/48`, '192.0.2.53/32'] },
    ping: { ...into, protocol: 'ICMP', icmp: { type: 8 }, cidrs: ['203.0.113.0/24'] },
    wide: { ...into, protocol: 'TCP', ports: [{ from: 8050, to: 8200 }], cidrs: ['203.0.113.0/24'] },
    data: { ...into, protocol: 'TCP', ports: [{ from: 5432 }], peerRef: { name: 'fw-left' } },
    out: { virtualMachineRef, direction: 'Egress', protocol: 'TCP', ports: [{ from: 443 }], cidrs: ['0.0.0.0/0'] },
  } satisfies Record<string, Rule>;
}

/** What a rule says, in the words of the stock client. @param machinesOf those that another rule is for. */
function allows(rule: Rule, machinesOf: (rule: string) => readonly string[]): string[] {
  const { peerRef } = rule;
  const sides = peerRef
    ? ['IPv4', 'IPv6'].map((family) => ({ family, words: peers(family, machinesOf(peerRef.name.replace('fw-', ''))) }))
    : (rule.cidrs ?? []).map((cidr) => ({ family: cidr.includes(':') ? 'IPv6' : 'IPv4', words: cidr }));
  const ranges = rule.icmp ? [` type=${rule.icmp.type}`] : (rule.ports?.map(({ from, to = from }) => ` ${from}:${to}`) ?? ['']);
  return sides.flatMap(({ family, words }) => {
    const protocol = rule.protocol === 'ICMP' && family === 'IPv6' ? 'ipv6-icmp' : rule.protocol.toLowerCase();
    return ranges.map((range) => `${rule.direction.toLowerCase()} ${protocol}${range} ${words}`);
  });
}
