import { z } from 'zod';
import { cidrSchema, IS_CIDRS, readCidr } from './cidr.js';
import { conditionSchema } from './conditions.js';
import { fieldOf } from './field-of.js';
import { type KindDefinition, type Rule, readyPath } from './kind.js';
import { GROUP, labelsSchema, nameReference, type Typed, VERSION } from './metadata.js';
import { SAME_CLOUD } from './rules.js';

const port = z.int().min(1).max(65_535);

/** One port, or a range of them with both its ends. */
export const portRangeSchema = z.strictObject({
  from: port.describe('A port, or the first of a range.'),
  to: port.optional().describe('The last of the range. Default: from.'),
});

const MOST_PORTS = 32;

/** Ports in ranges that neither overlap nor run backwards. */
const portRangesSchema = z.array(portRangeSchema).min(1).max(MOST_PORTS).check(distinctRanges);

/** The same for two protocols at once. */
export const protocolPortsSchema = z
  .array(portRangeSchema.extend({ protocol: z.enum(['TCP', 'UDP']) }))
  .min(1)
  .max(MOST_PORTS)
  .check(distinctRanges);

/** What {@link portRangesSchema} and {@link protocolPortsSchema} check, in a CRD. */
export const portsRules = (field: string, sameProtocol = ''): readonly Rule[] =>
  [
    { cel: 'self.all(p, !has(p.to) || p.from <= p.to)', message: 'to must not be less than from' },
    {
      cel: `self.all(p, self.exists_one(q, ${sameProtocol}q.from <= (has(p.to) ? p.to : p.from) && p.from <= (has(q.to) ? q.to : q.from)))`,
      message: 'ranges must not overlap',
    },
    // The schema's own check says which of them.
  ].map((rule) => ({ ...rule, at: ['spec', 'ports'], field, check: () => true }));

/** Networks of either family. */
export const cidrsSchema = z.array(cidrSchema).min(1).max(64);

/** What {@link cidrsSchema} checks, in a CRD. */
export const CIDRS_RULE = {
  cel: IS_CIDRS,
  message: 'each must be a network such as 10.0.0.0/8 or 2001:db8::/32, with no bits set beyond its prefix',
  check: () => true,
};

const octet = z.int().min(0).max(255);

export const firewallRuleSpecSchema = z.strictObject({
  cloudRef: nameReference.describe('The Cloud that its machines run in. Cannot be changed.'),
  virtualMachineRef: nameReference.optional().describe('For this VirtualMachine of the namespace. Exactly one of the three.'),
  selector: z
    .strictObject({ matchLabels: labelsSchema.meta({ maxProperties: 64 }) })
    .optional()
    .describe('For every VirtualMachine of the namespace and the Cloud that has these labels.'),
  assignmentRef: nameReference
    .optional()
    .describe('For whichever VirtualMachine this VirtualMachineAssignment has: the rule follows the user.'),
  direction: z.enum(['Ingress', 'Egress']).describe('Ingress: who may reach the machines. Egress: whom they may reach.'),
  protocol: z.enum(['TCP', 'UDP', 'ICMP', 'Any']).describe('ICMP is that of the family of each network.'),
  ports: portRangesSchema.optional().describe('With TCP or UDP: which ports. Unset: all.'),
  icmp: z
    .strictObject({ type: octet, code: octet.optional().describe('Unset: all codes of the type.') })
    .optional()
    .describe('With ICMP: which messages, by the numbers of the family. Unset: all.'),
  cidrs: cidrsSchema.optional().describe('The other side, as networks of either family. This or peerRef.'),
  peerRef: nameReference
    .optional()
    .describe('The other side, as the machines of another FirewallRule of the namespace and the Cloud, or of this one itself.'),
});

const time = z.string().max(40);
const text = z.string().max(2048);

export const firewallRuleStatusSchema = z.strictObject({
  observedGeneration: z.int().nonnegative().optional(),
  conditions: z.array(conditionSchema).max(32).optional(),
  securityGroup: z
    .strictObject({ id: z.string().max(255), name: z.string().max(255) })
    .optional()
    .describe('The security group that bears it in the cloud: shared by all rules of the same target.'),
  formerGroups: z
    .array(z.string().max(255))
    .max(32)
    .optional()
    .describe('Groups that it was in before it was for other machines, by id, until it is closed there.'),
  rules: z.int().nonnegative().optional().describe('Rules in that group that stand for it.'),
  targets: z
    .strictObject({
      matched: z.int().nonnegative().describe('Machines that it is for now.'),
      reached: z.int().nonnegative().describe('Those of them on whose every port it is in force.'),
    })
    .optional(),
  problems: z
    .array(z.strictObject({ virtualMachine: z.string().max(253), message: text }))
    .max(32)
    .optional()
    .describe('Machines that it does not reach, and why; the first 32.'),
  observedAt: time.optional(),
});

export type FirewallRuleSpec = z.infer<typeof firewallRuleSpecSchema>;
export type FirewallRuleStatus = z.infer<typeof firewallRuleStatusSchema>;
export type FirewallRule = Typed<FirewallRuleSpec, FirewallRuleStatus>;

const TARGETS = ['virtualMachineRef', 'selector', 'assignmentRef'] as const;

export const firewallRuleKind: KindDefinition = {
  group: GROUP,
  version: VERSION,
  kind: 'FirewallRule',
  plural: 'firewallrules',
  singular: 'firewallrule',
  shortNames: ['fw', 'fws'],
  categories: ['dispatcher'],
  namespaced: true,
  description: 'Ports that are open on whichever virtual machines it is for at the moment, for as long as this stands.',
  schema: z.strictObject({ spec: firewallRuleSpecSchema, status: firewallRuleStatusSchema.optional() }),
  statusSubresource: true,
  printerColumns: [
    { name: 'Ready', type: 'string', jsonPath: readyPath('status'), description: 'Whether it is in force on all its machines' },
    { name: 'Reason', type: 'string', jsonPath: readyPath('reason'), description: 'Why' },
    { name: 'Direction', type: 'string', jsonPath: '.spec.direction', description: 'Ingress or Egress' },
    { name: 'Protocol', type: 'string', jsonPath: '.spec.protocol', description: 'The protocol' },
    { name: 'Matched', type: 'integer', jsonPath: '.status.targets.matched', description: 'Machines that it is for' },
    { name: 'Reached', type: 'integer', jsonPath: '.status.targets.reached', description: 'Machines on which it is in force' },
    { name: 'Cloud', type: 'string', jsonPath: '.spec.cloudRef.name', description: 'The cloud', priority: 1 },
    { name: 'Group', type: 'string', jsonPath: '.status.securityGroup.id', description: 'The security group', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
    { name: 'Message', type: 'string', jsonPath: readyPath('message'), description: 'The whole reason', priority: 1 },
  ],
  rules: [
    SAME_CLOUD,
    {
      at: ['spec'],
      cel: '[has(self.virtualMachineRef), has(self.selector), has(self.assignmentRef)].filter(set, set).size() == 1',
      message: 'exactly one of virtualMachineRef, selector and assignmentRef must be set',
      field: 'spec.virtualMachineRef',
      check: (value) => TARGETS.filter((field) => fieldOf(value, field) !== undefined).length === 1,
    },
    {
      at: ['spec'],
      cel: 'has(self.cidrs) != has(self.peerRef)',
      message: 'exactly one of cidrs and peerRef must be set',
      field: 'spec.cidrs',
      check: (value) => (fieldOf(value, 'cidrs') !== undefined) !== (fieldOf(value, 'peerRef') !== undefined),
    },
    {
      at: ['spec'],
      cel: '!has(self.ports) || self.protocol in ["TCP", "UDP"]',
      message: 'may be set with protocol TCP or UDP only',
      field: 'spec.ports',
      check: (value) => fieldOf(value, 'ports') === undefined || ['TCP', 'UDP'].includes(String(fieldOf(value, 'protocol'))),
    },
    {
      at: ['spec'],
      cel: '!has(self.icmp) || self.protocol == "ICMP"',
      message: 'may be set with protocol ICMP only',
      field: 'spec.icmp',
      check: (value) => fieldOf(value, 'icmp') === undefined || fieldOf(value, 'protocol') === 'ICMP',
    },
    {
      at: ['spec'],
      cel: '!has(self.icmp) || (has(self.cidrs) && (self.cidrs.all(c, c.contains(":")) || self.cidrs.all(c, !c.contains(":"))))',
      message: 'must be networks of one family when icmp is set: IPv4 and IPv6 number their messages differently',
      field: 'spec.cidrs',
      check: (value) => fieldOf(value, 'icmp') === undefined || familiesOf(fieldOf(value, 'cidrs')).size === 1,
    },
    ...portsRules('spec.ports'),
    { ...CIDRS_RULE, at: ['spec', 'cidrs'], field: 'spec.cidrs' },
  ],
};

function familiesOf(cidrs: unknown): ReadonlySet<string> {
  if (!Array.isArray(cidrs)) return new Set();
  return new Set(
    cidrs.flatMap((cidr) => {
      const read = readCidr(String(cidr));
      return typeof read === 'string' ? [] : [read.family];
    }),
  );
}

type Range = z.infer<typeof portRangeSchema> & { readonly protocol?: string };

function distinctRanges(context: z.core.ParsePayload<Range[]>): void {
  for (const [index, range] of context.value.entries()) {
    const last = range.to ?? range.from;
    const overlapped = context.value
      .slice(0, index)
      .find(({ from, to = from, protocol }) => protocol === range.protocol && from <= last && range.from <= to);
    const message =
      last < range.from
        ? `to must not be less than from: ${words(range)}`
        : overlapped && `must not overlap another range: ${words(range)} overlaps ${words(overlapped)}`;
    if (message) context.issues.push({ code: 'custom', path: [index], input: range, message });
  }
}

function words({ from, to = from }: Range): string {
  return from === to ? String(from) : `${from} to ${to}`;
}
