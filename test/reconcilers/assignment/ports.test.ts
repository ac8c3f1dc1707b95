import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { assignmentOfRule, planPorts } from '../../../src/reconcilers/assignment/ports.js';
import type { AssignmentSpec, AssignmentStatus } from '../../../src/resources/assignment.js';
import type { Condition } from '../../../src/resources/conditions.js';
import type { Resource } from '../../../src/resources/metadata.js';
import { Rig } from '../../support/rig.js';
import { assignment } from './fixtures.js';

const OWNER = {
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'VirtualMachineAssignment',
  name: 'alice',
  uid: 'uid-alice',
  controller: true,
};
const SSH: Partial<AssignmentSpec> = { ports: [{ from: 22, protocol: 'TCP' }], userCidrs: ['198.51.100.7/32'] };
const BOTH: Partial<AssignmentSpec> = {
  ports: [
    { from: 53, protocol: 'UDP' },
    { from: 22, protocol: 'TCP' },
    { from: 8000, to: 8100, protocol: 'TCP' },
  ],
  userCidrs: ['198.51.100.7/32', '2001:db8::7/128'],
};
const BOUND: AssignmentStatus = { virtualMachine: { name: 'web-1', uid: 'uid-web-1' }, epoch: 1, cloud: 'lab' };
const LOST: AssignmentStatus = { epoch: 1, cloud: 'lab' };

const spec = (changes: object = {}) => ({
  cloudRef: { name: 'lab' },
  assignmentRef: { name: 'alice' },
  direction: 'Ingress',
  protocol: 'TCP',
  ports: [{ from: 22 }],
  cidrs: ['198.51.100.7/32'],
  ...changes,
});
const SSH_SPEC = spec();

/** The rule for TCP, or another, that says `Ready` with that status. */
function rule(changes: object = {}, metadata: object = {}, ready?: Pick<Condition, 'status' | 'reason'>): Resource {
  const at = { observedGeneration: 3, lastTransitionTime: '2026-01-01T00:00:00Z', message: 'in words' };
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'FirewallRule',
    metadata: {
      name: 'alice-ports-tcp',
      namespace: 'default',
      uid: 'uid-rule',
      resourceVersion: '7',
      generation: 3,
      creationTimestamp: '2026-01-01T00:00:00Z',
      ownerReferences: [OWNER],
      ...metadata,
    },
    spec: spec(changes),
    ...(ready && { status: { conditions: [{ type: 'Ready', ...ready, ...at }] } }),
  };
}
const open = { status: 'True', reason: 'InForce' } as const;
const going = { deletionTimestamp: '2026-01-02T00:00:00Z' };

interface Case {
  readonly reason: string;
  readonly spec?: Partial<AssignmentSpec>;
  readonly status?: AssignmentStatus;
  readonly metadata?: object;
  readonly rules?: readonly Resource[];
  /** `Open alice-ports-tcp`. */
  readonly does?: readonly string[];
  /** `True Open` of PortsOpen; undefined: it is not there. */
  readonly says?: string;
}

const CASES: readonly Case[] = [
  { reason: 'no ports, no rules, no condition', spec: {}, status: BOUND },
  { reason: 'nothing is made before a machine is bound: its cloud is not known', spec: SSH, says: 'False Unbound' },
  { reason: 'the rule is made when it is bound', spec: SSH, status: BOUND, does: ['Open tcp'], says: 'Unknown Opening' },
  {
    reason: 'each protocol has one',
    spec: BOTH,
    status: BOUND,
    does: ['Open tcp', 'Open udp'],
    says: 'Unknown Opening',
  },
  { reason: 'a rule that has said nothing yet', spec: SSH, status: BOUND, rules: [rule()], says: 'Unknown Opening' },
  { reason: 'a rule in force', spec: SSH, status: BOUND, rules: [rule({}, {}, open)], says: 'True Open' },
  {
    reason: 'a rule that spoke of its declaration before the last change',
    spec: SSH,
    status: BOUND,
    rules: [rule({}, { generation: 4 }, open)],
    says: 'Unknown Opening',
  },
  {
    reason: 'a rule that cannot be in force tells why',
    spec: SSH,
    status: BOUND,
    rules: [rule({}, {}, { status: 'False', reason: 'QuotaExceeded' })],
    says: 'False QuotaExceeded',
  },
  {
    reason: 'a rule of which it is not known',
    spec: SSH,
    status: BOUND,
    rules: [rule({}, {}, { status: 'Unknown', reason: 'CloudUnreachable' })],
    says: 'Unknown CloudUnreachable',
  },
  {
    reason: 'what is closed outweighs what is not known',
    spec: BOTH,
    status: BOUND,
    rules: [
      rule(
        { ports: [{ from: 22 }, { from: 8000, to: 8100 }], cidrs: BOTH.userCidrs },
        {},
        { status: 'False', reason: 'QuotaExceeded' },
      ),
    ],
    does: ['Open udp'],
    says: 'False QuotaExceeded',
  },
  {
    reason: 'other ports are written into the rule that is there',
    spec: { ...SSH, ports: [{ from: 2222, protocol: 'TCP' }] },
    status: BOUND,
    rules: [rule({}, {}, open)],
    does: ['Change tcp'],
    says: 'Unknown Opening',
  },
  {
    reason: 'and other addresses',
    spec: { ...SSH, userCidrs: ['203.0.113.0/24'] },
    status: BOUND,
    rules: [rule({}, {}, open)],
    does: ['Change tcp'],
    says: 'Unknown Opening',
  },
  {
    reason: 'what somebody else changed in it is changed back',
    spec: SSH,
    status: BOUND,
    rules: [rule({ cidrs: ['0.0.0.0/0'] }, {}, open)],
    does: ['Change tcp'],
    says: 'Unknown Opening',
  },
  {
    reason: 'another protocol: what opens comes before what closes',
    spec: { ...SSH, ports: [{ from: 53, protocol: 'UDP' }] },
    status: BOUND,
    rules: [rule({}, {}, open)],
    does: ['Open udp', 'Close tcp'],
    says: 'Unknown Opening',
  },
  { reason: 'no ports any more', spec: {}, status: BOUND, rules: [rule({}, {}, open)], does: ['Close tcp'] },
  { reason: 'a rule that goes already is not deleted twice', spec: {}, status: BOUND, rules: [rule({}, going, open)] },
  {
    reason: 'a rule that somebody deletes is made anew when it is gone',
    spec: SSH,
    status: BOUND,
    rules: [rule({}, going, open)],
    says: 'Unknown Replacing',
  },
  {
    reason: 'a machine in another Cloud: a rule cannot move, so the old one goes first',
    spec: SSH,
    status: { ...BOUND, cloud: 'other' },
    rules: [rule({}, {}, open)],
    does: ['Close tcp'],
    says: 'Unknown Replacing',
  },
  {
    reason: 'between two machines the rule stands, and nothing is open',
    spec: SSH,
    status: LOST,
    rules: [rule({}, {}, open)],
    says: 'False Unbound',
  },
  {
    reason: 'the end closes all',
    spec: BOTH,
    status: { ...BOUND, ended: { at: '2026-01-02T00:00:00Z', why: 'its ttl is over' } },
    rules: [rule({}, {}, open), rule({}, { name: 'alice-ports-udp' })],
    does: ['Close tcp', 'Close udp'],
  },
  { reason: 'so does its deletion', spec: SSH, status: BOUND, metadata: going, rules: [rule()], does: ['Close tcp'] },
  {
    reason: 'a rule of that name that somebody declared is not touched',
    spec: SSH,
    status: BOUND,
    rules: [rule({ ports: [{ from: 1 }] }, { ownerReferences: undefined }, open)],
    says: 'False NameTaken',
  },
  {
    reason: 'nor is that of an assignment of this name that was there before',
    spec: SSH,
    status: BOUND,
    rules: [rule({}, { ownerReferences: [{ ...OWNER, uid: 'uid-before' }] }, open)],
    says: 'False NameTaken',
  },
  {
    reason: 'nor one that it owns among others, and does not control',
    spec: SSH,
    status: BOUND,
    rules: [rule({}, { ownerReferences: [{ ...OWNER, controller: false }] })],
    says: 'False NameTaken',
  },
  {
    reason: 'not even at the end',
    spec: SSH,
    status: BOUND,
    metadata: going,
    rules: [rule({}, { ownerReferences: undefined })],
  },
];

describe('the plan for the ports of an assignment', () => {
  test.each(CASES)('$reason', ({ spec: declared = {}, status = {}, metadata = {}, rules = [], does = [], says }) => {
    const { steps, conditions } = planPorts(assignment('alice', declared, status, metadata), rules);
    expect(steps.map(({ kind, rule: { metadata: of } }) => `${kind} ${of.name.replace('alice-ports-', '')}`)).toEqual(does);
    expect(conditions.map((one) => [one.type, `${one.status} ${one.reason}`])).toEqual(says ? [['PortsOpen', says]] : []);
  });

  test('a rule is the assignment’s own, and follows it', () => {
    const { steps } = planPorts(assignment('alice', BOTH, BOUND), []);
    expect(steps).toEqual([
      {
        kind: 'Open',
        rule: {
          apiVersion: 'dispatcher.dev/v1alpha1',
          kind: 'FirewallRule',
          metadata: { name: 'alice-ports-tcp', namespace: 'default', ownerReferences: [OWNER] },
          spec: spec({ ports: [{ from: 22 }, { from: 8000, to: 8100 }], cidrs: BOTH.userCidrs }),
        },
      },
      expect.objectContaining({
        rule: expect.objectContaining({ spec: spec({ protocol: 'UDP', ports: [{ from: 53 }], cidrs: BOTH.userCidrs }) }),
      }),
    ]);
  });

  test.each([
    ['alice-ports-tcp', 'alice'],
    ['alice-ports-udp', 'alice'],
    ['a-ports-tcp-ports-udp', 'a-ports-tcp'],
    ['alice-ports-icmp', undefined],
    ['alice', undefined],
    ['-ports-tcp', undefined],
  ])('a rule %s is that of %s', (name, owner) => {
    expect(assignmentOfRule(rule({}, { name })).map((key) => key.name)).toEqual(owner === undefined ? [] : [owner]);
  });
});

const VMA = 'VirtualMachineAssignment';
const RULE = 'FirewallRule';
let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

async function bound(changes: object = SSH): Promise<void> {
  await rig.withReadyMachine('web-1');
  await declare(VMA, 'alice', { user: 'alice', application: 'galaxy', virtualMachineRef: { name: 'web-1' }, ...changes });
  await rig.until('alice is bound', () => rig.said(VMA, 'alice').Ready === 'True Bound', 5_000);
}

async function declare(kind: string, name: string, fields: object): Promise<void> {
  await rig.store.create({ apiVersion: 'dispatcher.dev/v1alpha1', kind, metadata: { name, namespace: 'default' }, spec: fields });
}

const specOf = (name: string) => rig.find(RULE, name)?.spec;

describe('an assignment with ports', () => {
  test('is bound first; then its rule is declared, and its own', async () => {
    await bound();
    await rig.until('the rule is there', () => rig.find(RULE, 'alice-ports-tcp') !== undefined, 1_000);
    expect(specOf('alice-ports-tcp')).toEqual(SSH_SPEC);
    expect(rig.get(RULE, 'alice-ports-tcp').metadata.ownerReferences).toEqual([
      { ...OWNER, uid: rig.get(VMA, 'alice').metadata.uid },
    ]);
    expect(rig.said(VMA, 'alice')).toHaveProperty('PortsOpen');
    const [binding, declared] = [`store: updateStatus ${VMA} alice`, `store: create ${RULE} alice-ports-tcp`];
    expect(rig.journal.indexOf(binding)).toBeLessThan(rig.journal.indexOf(declared));
  });

  test('follows its ports as they change, puts right what others change, and takes the rule back in the end', async () => {
    await bound();
    await rig.edit(VMA, 'alice', BOTH);
    await rig.until('both are there', () => rig.find(RULE, 'alice-ports-udp') !== undefined, 1_000);
    expect(specOf('alice-ports-tcp')).toMatchObject({ ports: [{ from: 22 }, { from: 8000, to: 8100 }] });
    await rig.edit(RULE, 'alice-ports-udp', { cidrs: ['0.0.0.0/0'] });
    await rig.until('it is put right', () => JSON.stringify(specOf('alice-ports-udp')).includes('2001:db8::7/128'), 1_000);
    await rig.edit(VMA, 'alice', SSH);
    await rig.until(
      'UDP is closed',
      () => rig.find(RULE, 'alice-ports-udp')?.metadata.deletionTimestamp !== undefined || !rig.find(RULE, 'alice-ports-udp'),
      1_000,
    );
    await rig.edit(VMA, 'alice', { ports: undefined, userCidrs: undefined });
    await rig.until('all is closed', () => rig.find(RULE, 'alice-ports-tcp') === undefined);
    await rig.until('nothing is said of it', () => rig.said(VMA, 'alice').PortsOpen === undefined, 1_000);
  });

  test('that is deleted leaves no rule behind', async () => {
    await bound({ ...SSH, release: 'Keep' });
    await rig.until('the rule is there', () => rig.find(RULE, 'alice-ports-tcp') !== undefined, 1_000);
    await rig.remove(VMA, 'alice');
    await rig.until('both are gone', () => !rig.find(VMA, 'alice') && !rig.find(RULE, 'alice-ports-tcp'));
  });

  test('whose rule has the name of another is told, and takes it when the other is gone', async () => {
    await rig.declareCloud({}, 'elsewhere');
    await declare(RULE, 'alice-ports-tcp', { ...SSH_SPEC, cloudRef: { name: 'elsewhere' }, ports: [{ from: 1 }] });
    await bound();
    await rig.until('it is told', () => rig.said(VMA, 'alice').PortsOpen === 'False NameTaken', 1_000);
    expect(rig.message(VMA, 'alice', 'PortsOpen')).toContain('FirewallRule alice-ports-tcp');
    expect(specOf('alice-ports-tcp')).toMatchObject({ ports: [{ from: 1 }] });
    await rig.remove(RULE, 'alice-ports-tcp');
    await rig.until('its own is there', () => JSON.stringify(specOf('alice-ports-tcp')) === JSON.stringify(SSH_SPEC));
  });

  test('that is refused its rule is bound all the same, and has it later', async () => {
    rig.faults.beforeWrite = async (operation, key) => {
      if (operation === 'create' && key.kind === RULE) throw new Error('the store is busy');
    };
    await bound();
    await rig.pass(5_000);
    expect(rig.said(VMA, 'alice')).toMatchObject({ Ready: 'True Bound', PortsOpen: 'Unknown Opening' });
    rig.faults = {};
    await rig.until('the rule is there', () => rig.find(RULE, 'alice-ports-tcp') !== undefined);
  });
});
