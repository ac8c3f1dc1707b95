import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { SecurityGroup } from '../../../src/clouds/network-driver.js';
import { trafficKey } from '../../../src/reconcilers/firewall/traffic.js';
import { firewallRuleStatusSchema } from '../../../src/resources/firewall-rule.js';
import { INSTALLATION, Rig } from '../../support/rig.js';
import { failure } from '../../support/scripted-cloud.js';

let rig: Rig;

beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

const WEB = { metadata: { name: 'web-1', namespace: 'default', labels: { app: 'web' } } };
const OPEN = 'Ingress IPv4 tcp 80 80 0.0.0.0/0 *';

async function declareRule(name = 'web', spec: Record<string, unknown> = {}): Promise<void> {
  await rig.store.create({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'FirewallRule',
    metadata: { name, namespace: 'default' },
    spec: {
      cloudRef: { name: 'lab' },
      ...(spec.virtualMachineRef || spec.assignmentRef ? {} : { selector: { matchLabels: { app: 'web' } } }),
      direction: 'Ingress',
      protocol: 'TCP',
      ports: [{ from: 80 }],
      ...(spec.peerRef ? {} : { cidrs: ['0.0.0.0/0'] }),
      ...spec,
    },
  });
}

/** A VirtualMachine with the label app=web and a declared network, whose server runs. */
async function withMachine(spec: Record<string, unknown> = {}): Promise<void> {
  const machine = await rig.declare('web-1', { networks: [{ name: 'net' }], ...spec });
  await rig.store.update({ ...machine, metadata: { ...machine.metadata, labels: WEB.metadata.labels } });
  await rig.until('it is bound', () => rig.status('web-1').id === 's1');
  rig.cloud.put('s1', { state: 'Running' });
  await rig.until('it is Ready', () => rig.said('VirtualMachine', 'web-1').Ready === 'True Running');
}

async function withRule(spec: Record<string, unknown> = {}): Promise<void> {
  await rig.declareCloud({ orphans: { gracePeriod: '30s' } });
  rig.start();
  await declareRule('web', spec);
}

const ready = (name = 'web') => rig.said('FirewallRule', name).Ready;
const inForce = (name = 'web') => rig.until(`${name} is in force`, () => ready(name) === 'True InForce');
const status = (name = 'web') => firewallRuleStatusSchema.parse(rig.get('FirewallRule', name).status ?? {});
const ours = (): SecurityGroup[] =>
  [...rig.cloud.groups.all.values()].filter(({ owner }) => owner?.installation === INSTALLATION);
const groupsOn = (port = 'p1') => [...(rig.cloud.ports.all.get(port)?.groupIds ?? [])].sort();
const openIn = (group: SecurityGroup | undefined) => (group?.rules ?? []).map(trafficKey).sort();

describe('a rule', () => {
  test('is there before the machine: the machine waits for its group, and has it and the default one from the first moment', async () => {
    await withRule();
    await withMachine();
    await inForce();
    expect(rig.cloud.ports.requests).toEqual([expect.objectContaining({ groupIds: ['default', 'g1'] })]);
    expect(rig.cloud.count('setPortGroups')).toBe(0);
    expect(openIn(ours()[0])).toEqual([OPEN]);
    expect(status()).toMatchObject({ securityGroup: { id: 'g1' }, rules: 1, targets: { matched: 1, reached: 1 } });
    await rig.until('the machine says so', () => rig.status('web-1').firewall !== undefined);
    expect(rig.status('web-1').firewall).toEqual({
      groups: [
        { id: 'default', name: 'default', ours: false },
        { id: 'g1', name: 'dispatcher default app=web', ours: true },
      ],
      rules: ['Egress any protocol to 0.0.0.0/0', 'Ingress TCP 80 from 0.0.0.0/0'],
    });
  });

  test('goes when what it opened is closed, and not before', async () => {
    await withRule();
    await withMachine();
    await inForce();
    const gate = rig.cloud.hold('setPortGroups');
    await rig.remove('FirewallRule', 'web');
    await rig.pass(30_000);
    expect(rig.get('FirewallRule', 'web').metadata.finalizers).toEqual(['dispatcher.dev/firewall']);
    expect(groupsOn()).toEqual(['default', 'g1']);
    gate.open();
    await rig.until('it is gone', () => rig.find('FirewallRule', 'web') === undefined);
    expect(groupsOn()).toEqual(['default']);
    expect(ours()).toEqual([]);
  });

  test('that a quota keeps from being opened says so in the words of the cloud; the machine is made, and the rule later', async () => {
    await rig.declareCloud();
    rig.start();
    const quota = failure('Quota', "Quota exceeded for resources: ['security_group_rule'].");
    for (let again = 0; again < 3; again += 1) rig.cloud.fail('createSecurityGroupRules', quota);
    await declareRule();
    await withMachine();
    await rig.until('it is told', () => ready() === 'False Quota');
    expect(rig.message('FirewallRule', 'web')).toContain("['security_group_rule']");
    expect(rig.status('web-1').id).toBe('s1');
    await inForce();
    expect(openIn(ours()[0])).toEqual([OPEN]);
  });

  test.each([
    {
      spec: { virtualMachineRef: { name: 'db-1' } },
      field: 'spec.virtualMachineRef.name',
      what: 'there is no VirtualMachine default/db-1',
    },
    {
      spec: { assignmentRef: { name: 'bob' } },
      field: 'spec.assignmentRef.name',
      what: 'there is no VirtualMachineAssignment default/bob',
    },
    { spec: { peerRef: { name: 'db' } }, field: 'spec.peerRef.name', what: 'there is no FirewallRule default/db' },
  ])('that names what is not there says so by its field: $field', async ({ spec, field, what }) => {
    await withRule(spec);
    await rig.until('it is told', () => ready() === 'False ReferenceNotFound');
    expect(rig.message('FirewallRule', 'web')).toBe(`${field}: ${what}`);
    expect(rig.said('FirewallRule', 'web').Stalled).toBe('True ReferenceNotFound');
    expect(ours()).toEqual([]);
  });

  test('for a machine whose ports are not to be touched says that it does not reach it', async () => {
    await withRule();
    await withMachine();
    await inForce();
    await rig.edit('VirtualMachine', 'web-1', { management: 'Observe' });
    await rig.until('it is told', () => ready() === 'False NotReached');
    expect(status().problems).toEqual([
      { virtualMachine: 'web-1', message: 'spec.management is Observe: its ports are left as they are' },
    ]);
    await rig.remove('FirewallRule', 'web');
    await rig.pass(60_000);
    expect(groupsOn()).toEqual(['default', 'g1']);
  });

  test('in a cloud without a firewall says so, keeps nobody waiting, and can go', async () => {
    rig.cloud.break('listSecurityGroups', failure('Unsupported', 'this cloud has no network service'));
    await withRule();
    await withMachine({ networks: undefined });
    await rig.until('it is told', () => ready() === 'False FirewallUnsupported');
    expect(rig.said('FirewallRule', 'web').Stalled).toBe('True FirewallUnsupported');
    await rig.remove('FirewallRule', 'web');
    await rig.until('it is gone', () => rig.find('FirewallRule', 'web') === undefined);
  });
});

describe('what is open stays open', () => {
  test('when a row written by hand makes its rule unreadable, until that can be read again', async () => {
    await withRule();
    await withMachine();
    await inForce();
    await rig.edit('FirewallRule', 'web', { ports: [{ from: 'eighty' }] });
    await rig.until('it is told', () => ready() === 'False InvalidSpec');
    expect(rig.message('FirewallRule', 'web')).toContain('spec.ports[0].from');
    await rig.pass(120_000);
    expect(openIn(ours()[0])).toEqual([OPEN]);
    expect(groupsOn()).toEqual(['default', 'g1']);
    await rig.edit('FirewallRule', 'web', { ports: [{ from: 81 }] });
    await inForce();
    expect(openIn(ours()[0])).toEqual(['Ingress IPv4 tcp 81 81 0.0.0.0/0 *']);
  });

  test('while the Cloud is paused, though the rule is deleted', async () => {
    await withRule();
    await withMachine();
    await inForce();
    await rig.edit('Cloud', 'lab', { paused: true });
    await rig.pass(5_000);
    await rig.remove('FirewallRule', 'web');
    await rig.pass(60_000);
    expect(ready()).toBe('Unknown CloudPaused');
    expect(groupsOn()).toEqual(['default', 'g1']);
    await rig.edit('Cloud', 'lab', { paused: undefined });
    await rig.until('it is gone', () => rig.find('FirewallRule', 'web') === undefined);
    expect(ours()).toEqual([]);
  });
});

describe('what is changed in the cloud', () => {
  test('is put right in our groups and on ports, and left alone elsewhere', async () => {
    await withRule();
    await withMachine();
    await inForce();
    await rig.pass(30_000);
    const [group] = ours();
    if (!group) throw new Error('no group');
    rig.cloud.groups.put({
      ...group,
      rules: [{ id: 'theirs', direction: 'Ingress', family: 'IPv4', protocol: 'udp', from: 53, to: 53 }],
    });
    rig.cloud.groups.put({ id: 'foreign', name: 'foreign', rules: [], isDefault: false });
    rig.cloud.ports.put('p1', { groupIds: ['foreign'] });
    // The pace of a quiet cloud is a look every ten seconds; what is to be closed is looked at once more.
    await rig.pass(20_000);
    expect(openIn(ours()[0])).toEqual([OPEN]);
    expect(groupsOn()).toEqual(['foreign', 'g1']);
    await rig.until('the machine tells of it', () => rig.status('web-1').firewall?.groups[0]?.id === 'foreign');
  });

  test('a group with our tag that no rule is about goes after the grace period', async () => {
    await withRule();
    rig.cloud.groups.put({
      id: 'lost',
      name: 'lost',
      owner: { installation: INSTALLATION, key: 'nobody' },
      rules: [],
      isDefault: false,
    });
    rig.cloud.groups.put({
      id: 'other',
      name: 'other',
      owner: { installation: 'elsewhere', key: 'nobody' },
      rules: [],
      isDefault: false,
    });
    await inForce();
    await rig.pass(25_000);
    expect(rig.cloud.groups.all.has('lost')).toBe(true);
    await rig.until('it is gone', () => !rig.cloud.groups.all.has('lost'), 60_000);
    expect(rig.cloud.groups.all.has('other')).toBe(true);
  });
});
