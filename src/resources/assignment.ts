import { z } from 'zod';
import { conditionSchema } from './conditions.js';
import { duration } from './duration.js';
import { fieldOf, nameLength } from './field-of.js';
import { CIDRS_RULE, cidrsSchema, portsRules, protocolPortsSchema } from './firewall-rule.js';
import { type KindDefinition, readyPath } from './kind.js';
import { GROUP, labelsSchema, nameReference, type Typed, VERSION } from './metadata.js';
import { applicationName } from './recipe.js';
import { unchangeable } from './rules.js';
import { virtualMachineStatusSchema } from './virtual-machine.js';

/** With `-ports-tcp` behind it, it is still a name. */
const LONGEST_NAME_WITH_PORTS = 243;

/** Whom a machine is for: a name in the application's own terms. */
export const userName = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[^\p{Z}\p{Cc}](?:[^\p{Cc}]*[^\p{Z}\p{Cc}])?$/u,
    'must be without control characters, and not begin or end with a space',
  );

export const assignmentSpecSchema = z.strictObject({
  user: userName.describe('Whom the machine is for. Cannot be changed.'),
  application: applicationName.describe('What it is for: one of the applications of a Recipe. Cannot be changed.'),
  poolRef: nameReference.optional().describe('The VirtualMachinePool to take from. Cannot be changed.'),
  virtualMachineRef: nameReference.optional().describe('The one VirtualMachine to take. Cannot be changed.'),
  selector: z
    .strictObject({ matchLabels: labelsSchema.meta({ maxProperties: 64 }) })
    .optional()
    .describe('Which VirtualMachines it may be, whether in a pool or not. Cannot be changed.'),
  priority: z
    .int()
    .min(-1_000_000)
    .max(1_000_000)
    .optional()
    .describe('Of those that wait, the highest is served first. Default: 0.'),
  ttl: duration.optional().describe('How long after it was first bound it ends. Unset: never.'),
  idleTimeout: duration
    .optional()
    .describe(
      'How long after the last activity it ends: the annotation dispatcher.dev/active-at (a time in RFC 3339), or what the inventory reports. Unset: never.',
    ),
  onFailure: z
    .enum(['Reassign', 'Hold'])
    .optional()
    .describe(
      'What happens when its machine is gone or faulty: another one is given, or it is kept and told. Default: Reassign.',
    ),
  release: z
    .enum(['Delete', 'Recycle', 'Keep'])
    .optional()
    .describe(
      'What becomes of the machine in the end: deleted, rebuilt for the next user, or left as it is. Default: as its pool says; Keep for a machine in no pool.',
    ),
  ports: protocolPortsSchema
    .optional()
    .describe("Ports of the machine that are open for the user's addresses while the user has it, by FirewallRules of its own."),
  userCidrs: cidrsSchema.optional().describe("The user's addresses, as networks. Needed by ports."),
});

const time = z.string().max(40);
const text = z.string().max(2048);

export const assignmentStatusSchema = z.strictObject({
  observedGeneration: z.int().nonnegative().optional(),
  conditions: z.array(conditionSchema).max(32).optional(),
  virtualMachine: z
    .strictObject({ name: z.string().max(253), uid: z.string().max(64) })
    .optional()
    .describe('The VirtualMachine that it has: bound only while that one names this assignment and this epoch too.'),
  epoch: z.int().min(1).optional().describe('Raised each time a machine is bound.'),
  skipped: z
    .int()
    .min(1)
    .optional()
    .describe('The last epoch that a machine was claimed for and then not handed out: nothing is bound for it any more.'),
  cloud: z.string().max(253).optional(),
  id: z.string().max(255).optional().describe("The server's id in the cloud when it was bound."),
  addresses: virtualMachineStatusSchema.shape.addresses,
  place: z.int().min(1).optional().describe('While it waits: its place among those that wait for the same machines. 1 is next.'),
  waitingSince: time.optional().describe('While it waits: since when, to the millisecond.'),
  boundAt: time.optional().describe('When the present machine was bound.'),
  firstBoundAt: time.optional(),
  expiresAt: time.optional().describe('When it ends, by ttl or idleTimeout, as far as is known.'),
  activeAt: time.optional().describe('The last activity that is known.'),
  move: z
    .strictObject({ from: z.string().max(253), id: z.string().max(255).optional(), at: time, why: text })
    .optional()
    .describe('The last time that it was parted from a machine: from which, with which server, and why.'),
  ended: z.strictObject({ at: time, why: text }).optional().describe('When and why it ended. It is never bound again.'),
});

export type AssignmentSpec = z.infer<typeof assignmentSpecSchema>;
export type AssignmentStatus = z.infer<typeof assignmentStatusSchema>;
export type Assignment = Typed<AssignmentSpec, AssignmentStatus>;

const IMMUTABLE = ['user', 'application', 'poolRef', 'virtualMachineRef', 'selector'] as const;

export const assignmentKind: KindDefinition = {
  group: GROUP,
  version: VERSION,
  kind: 'VirtualMachineAssignment',
  plural: 'virtualmachineassignments',
  singular: 'virtualmachineassignment',
  shortNames: ['vma', 'vmas'],
  categories: ['dispatcher'],
  namespaced: true,
  description: 'One virtual machine for one user and one application, for as long as this stands.',
  schema: z.strictObject({ spec: assignmentSpecSchema, status: assignmentStatusSchema.optional() }),
  statusSubresource: true,
  printerColumns: [
    { name: 'Ready', type: 'string', jsonPath: readyPath('status'), description: 'Whether the user has a machine' },
    { name: 'Reason', type: 'string', jsonPath: readyPath('reason'), description: 'Why' },
    { name: 'User', type: 'string', jsonPath: '.spec.user', description: 'Whom it is for' },
    { name: 'Application', type: 'string', jsonPath: '.spec.application', description: 'What it is for' },
    { name: 'Machine', type: 'string', jsonPath: '.status.virtualMachine.name', description: 'The machine that the user has' },
    { name: 'Address', type: 'string', jsonPath: '.status.addresses[0].address', description: 'Its first address' },
    { name: 'Place', type: 'integer', jsonPath: '.status.place', description: 'Its place among those that wait' },
    { name: 'Expires', type: 'string', jsonPath: '.status.expiresAt', description: 'When it ends', priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
    { name: 'Message', type: 'string', jsonPath: readyPath('message'), description: 'The whole reason', priority: 1 },
  ],
  rules: [
    {
      at: [],
      cel: `!has(self.spec.ports) || size(self.metadata.name) <= ${LONGEST_NAME_WITH_PORTS}`,
      message: `must have at most ${LONGEST_NAME_WITH_PORTS} characters with spec.ports: their FirewallRules are named after it`,
      field: 'metadata.name',
      check: (value) => fieldOf(fieldOf(value, 'spec'), 'ports') === undefined || nameLength(value) <= LONGEST_NAME_WITH_PORTS,
    },
    {
      at: ['spec'],
      cel: '[has(self.poolRef), has(self.virtualMachineRef), has(self.selector)].filter(set, set).size() <= 1',
      message: 'at most one of poolRef, virtualMachineRef and selector may be set',
      field: 'spec.poolRef',
      check: (value) =>
        ['poolRef', 'virtualMachineRef', 'selector'].filter((field) => fieldOf(value, field) !== undefined).length <= 1,
    },
    {
      at: ['spec'],
      cel: 'has(self.ports) == has(self.userCidrs)',
      message: "must be set together with ports: the user's addresses",
      field: 'spec.userCidrs',
      check: (value) => (fieldOf(value, 'ports') === undefined) === (fieldOf(value, 'userCidrs') === undefined),
    },
    ...portsRules('spec.ports', 'p.protocol == q.protocol && '),
    { ...CIDRS_RULE, at: ['spec', 'userCidrs'], field: 'spec.userCidrs' },
    ...IMMUTABLE.map((field) => unchangeable(field, 'cannot be changed: declare another assignment')),
  ],
};
