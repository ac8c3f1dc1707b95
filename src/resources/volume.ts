import { z } from 'zod';
import { conditionSchema } from './conditions.js';
import { type KindDefinition, readyPath } from './kind.js';
import { GROUP, nameReference, type Typed, VERSION } from './metadata.js';
import { exactlyOne, SAME_CLOUD, unchangeable } from './rules.js';
import { ledgerSchema } from './virtual-machine.js';

const TIB = 1_000_000;

export const volumeSpecSchema = z.strictObject({
  cloudRef: nameReference.describe('The Cloud that it is in. Cannot be changed.'),
  sizeGiB: z.int().min(1).max(TIB).describe('Raised: it grows, in use where the cloud can. Cannot be made less.'),
  type: z
    .string()
    .min(1)
    .max(255)
    .optional()
    .describe("A volume type's name or id, for when it is made. Unset: the cloud's own. Cannot be changed."),
  attachTo: z
    .strictObject({
      virtualMachineRef: nameReference.optional().describe('This VirtualMachine of the namespace.'),
      assignmentRef: nameReference
        .optional()
        .describe('Whichever VirtualMachine this VirtualMachineAssignment has: the volume follows the user.'),
    })
    .optional()
    .describe('Where it is attached. Changed or removed: it is detached there, though the machine runs. Unset: nowhere.'),
  deletionPolicy: z
    .enum(['Retain', 'Delete'])
    .optional()
    .describe(
      'What becomes of it when this resource is deleted, which waits while it is attached where it is declared. Default: Retain.',
    ),
  adopt: z
    .strictObject({ id: z.string().min(1).max(64).optional(), name: z.string().min(1).max(255).optional() })
    .optional()
    .describe('A volume that is there already: exactly one must match. It is never created in its stead.'),
});

const time = z.string().max(40);
const text = z.string().max(2048);

export const volumeStatusSchema = z.strictObject({
  observedGeneration: z.int().nonnegative().optional(),
  conditions: z.array(conditionSchema).max(32).optional(),
  id: z.string().max(255).optional().describe("The volume's id in the cloud: the one bound to this record."),
  state: z.string().max(64).optional().describe('The state that the cloud reports.'),
  sizeGiB: z.int().nonnegative().optional().describe('Its size in the cloud.'),
  type: z.string().max(255).optional(),
  attachment: z
    .strictObject({
      virtualMachine: z.string().max(253).optional().describe('The VirtualMachine of the namespace.'),
      serverId: z.string().max(255),
      device: z.string().max(255).optional(),
      askedAt: time.optional().describe('While the cloud does not report it attached there yet: since when that is asked for.'),
    })
    .optional()
    .describe('Where it is attached, or is about to be. A server that is not ours and was not declared is not told here.'),
  ledger: ledgerSchema.optional(),
  /** The token of the attempt that the bound volume is of: the ledger's, unless one came from an earlier attempt. */
  attempt: z.string().max(64).optional(),
  /** When it was first seen usable: from then on it may hold data. */
  builtAt: time.optional(),
  failures: z
    .strictObject({ count: z.int().nonnegative(), at: time, message: text, id: z.string().max(255).optional() })
    .optional(),
  observedAt: time.optional(),
});

export type VolumeSpec = z.infer<typeof volumeSpecSchema>;
export type VolumeStatus = z.infer<typeof volumeStatusSchema>;
export type Volume = Typed<VolumeSpec, VolumeStatus>;

export const volumeKind: KindDefinition = {
  group: GROUP,
  version: VERSION,
  kind: 'Volume',
  plural: 'volumes',
  singular: 'volume',
  shortNames: ['vol', 'vols'],
  categories: ['dispatcher'],
  namespaced: true,
  description: 'One disk in one cloud, which outlives the machines that it is attached to.',
  schema: z.strictObject({ spec: volumeSpecSchema, status: volumeStatusSchema.optional() }),
  statusSubresource: true,
  printerColumns: [
    { name: 'Ready', type: 'string', jsonPath: readyPath('status'), description: 'Whether the volume is as declared' },
    { name: 'Reason', type: 'string', jsonPath: readyPath('reason'), description: 'Why' },
    { name: 'GiB', type: 'integer', jsonPath: '.status.sizeGiB', description: 'Its size in the cloud' },
    { name: 'State', type: 'string', jsonPath: '.status.state', description: 'The state that the cloud reports' },
    { name: 'Machine', type: 'string', jsonPath: '.status.attachment.virtualMachine', description: 'Where it is attached' },
    { name: 'Cloud', type: 'string', jsonPath: '.spec.cloudRef.name', description: 'The cloud', priority: 1 },
    { name: 'Id', type: 'string', jsonPath: '.status.id', description: "The volume's id in the cloud", priority: 1 },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
    { name: 'Message', type: 'string', jsonPath: readyPath('message'), description: 'The whole reason', priority: 1 },
  ],
  rules: [
    SAME_CLOUD,
    {
      at: ['spec', 'sizeGiB'],
      cel: 'self >= oldSelf',
      message: 'cannot be made less: a volume does not shrink',
      field: 'spec.sizeGiB',
      check: (value, old) => typeof old !== 'number' || typeof value !== 'number' || value >= old,
    },
    ...['type', 'adopt'].map((field) => unchangeable(field, 'cannot be changed: declare another volume')),
    exactlyOne('attachTo', 'virtualMachineRef', 'assignmentRef'),
    exactlyOne('adopt', 'id', 'name'),
  ],
};
