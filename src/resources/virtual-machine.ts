import { z } from 'zod';
import { conditionSchema } from './conditions.js';
import { fieldOf } from './field-of.js';
import { type KindDefinition, readyPath } from './kind.js';
import { GROUP, nameReference, type Typed, VERSION } from './metadata.js';
import { exactlyOne, SAME_CLOUD } from './rules.js';

/** What a person writes on a VirtualMachine that is broken, though the cloud does not see it: why. Taken away, it is whole again. */
export const FAULTY_ANNOTATION = 'dispatcher.dev/faulty';

const nameOrId = z.string().min(1).max(255);

const MOST_METADATA_KEYS = 120;

/** Keys and values as Nova bounds them; keys that begin with `dispatcher.` are kept for the owner tag. */
const serverMetadata = z
  .record(
    z
      .string()
      .min(1)
      .max(255)
      .regex(
        /^(?!dispatcher\.)[a-zA-Z0-9\-_:. ]+$/,
        'must be letters, digits, "-", "_", ":", "." or spaces, and not begin with "dispatcher."',
      ),
    z.string().max(255),
  )
  .refine((all) => Object.keys(all).length <= MOST_METADATA_KEYS, { message: `must have at most ${MOST_METADATA_KEYS} keys` })
  .meta({ maxProperties: MOST_METADATA_KEYS });

const serverTag = z
  .string()
  .min(1)
  .max(60)
  .regex(/^(?!dispatcher[:.])[^,/]+$/, 'must be without "," and "/", and not begin with "dispatcher:"');

const network = z.strictObject({ name: nameOrId.describe('The name or id of a network.') });

export const virtualMachineSpecSchema = z.strictObject({
  cloudRef: nameReference.describe('The Cloud that it runs in. Cannot be changed.'),
  image: nameOrId.describe('The name or id of an image. Changed: see onChange.'),
  flavor: nameOrId.describe('The name or id of a flavor. Changed: the server is resized in place.'),
  keyName: z.string().min(1).max(255).optional().describe('The name of a key pair in the cloud. Changed: see onChange.'),
  hostname: z
    .string()
    .min(1)
    .max(63)
    .regex(/^[a-zA-Z0-9]([-a-zA-Z0-9.]*[a-zA-Z0-9])?$/, 'must be letters, digits, "-" and "."')
    .optional()
    .describe("The server's name in the cloud. Default: metadata.name."),
  networks: z
    .union([z.literal('none'), z.array(network).min(1).max(16)])
    .optional()
    .describe('The networks it has an address on, or none. Unset: the cloud chooses. Changed: see onChange.'),
  userData: z
    .string()
    .max(65_535)
    .optional()
    .describe('cloud-init user data as text, at most 65535 bytes encoded. Changed: see onChange.'),
  userDataFrom: z
    .strictObject({ secretRef: z.strictObject({ name: nameReference.shape.name, key: z.string().min(1).max(253) }) })
    .optional()
    .describe('User data from a key of a Secret in the same namespace.'),
  metadata: serverMetadata.optional().describe("The server's metadata in the cloud; other keys there are removed."),
  tags: z.array(serverTag).max(40).optional().describe("The server's tags in the cloud; other tags there are removed."),
  powerState: z.enum(['Running', 'Stopped']).optional().describe('Default: Running.'),
  deletionPolicy: z
    .enum(['Delete', 'Orphan'])
    .optional()
    .describe('What becomes of the server when this resource is deleted. Default: Delete.'),
  management: z
    .enum(['Manage', 'Observe'])
    .optional()
    .describe('Observe: nothing is changed; status.plan shows what would be. Default: Manage.'),
  adopt: z
    .strictObject({ id: z.string().min(1).max(64).optional(), name: z.string().min(1).max(255).optional() })
    .optional()
    .describe('A server that is there already: exactly one must match. It is never created in its stead.'),
  onChange: z
    .enum(['Replace', 'Hold'])
    .optional()
    .describe('What a change does that the cloud cannot make in place (image, key, user data, networks). Default: Hold.'),
  rebuilds: z
    .int()
    .min(0)
    .max(1_000_000_000)
    .optional()
    .describe('Raised: the server is rebuilt from its image in place, and what is on its disk is lost. Default: 0.'),
  claimRef: z
    .strictObject({
      name: nameReference.shape.name,
      uid: z.string().min(1).max(64),
      epoch: z.int().min(1),
    })
    .optional()
    .describe(
      'The VirtualMachineAssignment of this namespace that has this machine or had it last, and the epoch of that binding. Written by the controller: in no template.',
    ),
  protected: z.boolean().optional().describe('True: it is neither deleted nor replaced until this is false.'),
  paused: z.boolean().optional().describe('True: nothing is changed and no plan is made.'),
});

const time = z.string().max(40);
const text = z.string().max(2048);
const resolved = z.strictObject({ id: z.string().max(255), name: z.string().max(255).optional() });

/** The record of one attempt to create, written before the cloud is asked. */
export const ledgerSchema = z.strictObject({
  /** 1 for the first attempt for this record; never reused. */
  attempt: z.int().min(1),
  /** Borne by the server in its metadata: tells a twin of an earlier attempt from the one that is bound. */
  token: z.string().min(1).max(64),
  serverName: z.string().min(1).max(255),
  /** A digest of what was asked for. */
  specHash: z.string().max(64),
  /** When the entry was written: before the request was sent. */
  at: time,
  /** Why nothing more can come of this attempt (refused by the cloud, or its server is gone); absent while something may. */
  closed: text.optional(),
});

export const virtualMachineStatusSchema = z.strictObject({
  observedGeneration: z.int().nonnegative().optional(),
  conditions: z.array(conditionSchema).max(32).optional(),
  id: z.string().max(255).optional().describe("The server's id in the cloud: the one bound to this record."),
  state: z.string().max(64).optional().describe('The state that the cloud reports.'),
  addresses: z
    .array(z.strictObject({ network: z.string().max(255), address: z.string().max(64), type: z.enum(['Fixed', 'Floating']) }))
    .max(64)
    .optional(),
  image: resolved.optional(),
  flavor: resolved.optional(),
  ports: z
    .array(
      z.strictObject({
        id: z.string().max(255).describe("The port's id in the cloud."),
        network: z.string().max(255).describe("The network's id."),
        address: z.string().max(64).optional(),
        /** When it was known to be there: a list of ports that began later shows it, or it is gone. */
        at: time.optional(),
      }),
    )
    .max(16)
    .optional()
    .describe('The ports of ours that its declared networks have become: they and their addresses outlive its servers.'),
  firewall: z
    .strictObject({
      groups: z
        .array(z.strictObject({ id: z.string().max(255), name: z.string().max(255), ours: z.boolean() }))
        .max(64)
        .describe('The security groups on its ports. Those that are not ours are never changed: the default group among them.'),
      rules: z.array(z.string().max(255)).max(256).describe('All that they allow together; the first 256.'),
    })
    .optional()
    .describe('What the cloud lets through to and from it, as last seen.'),
  ledger: ledgerSchema.optional(),
  /** What the bound server was made with, of that which the cloud does not tell. */
  applied: z
    .strictObject({
      /** The ledger's token of the attempt that made it. */
      attempt: z.string().max(64).optional(),
      image: z.string().max(255).optional(),
      imageId: z.string().max(255).optional(),
      keyName: z.string().max(255).optional(),
      userDataHash: z.string().max(64).optional(),
      networks: z.string().max(4096).optional(),
      /** The spec.rebuilds that the server has seen. */
      rebuilds: z.int().nonnegative().optional(),
    })
    .optional(),
  /** A rebuild that was asked for and whose outcome is not known. */
  rebuild: z.strictObject({ number: z.int().min(1), at: time }).optional(),
  assignment: z
    .strictObject({ name: z.string().max(253), user: z.string().max(253), application: z.string().max(253) })
    .optional()
    .describe('The assignment that has this machine, as both of them say.'),
  /** When the bound server was first seen running or stopped after it was made or rebuilt: from then on it may hold data. */
  builtAt: time.optional(),
  failures: z
    .strictObject({ count: z.int().nonnegative(), at: time, message: text, id: z.string().max(255).optional() })
    .optional()
    .describe('Builds that failed in a row, and the last one in the words of the cloud.'),
  observedAt: time.optional().describe('When what is said of the server was true.'),
  plan: z
    .array(z.strictObject({ step: z.string().max(64), detail: text }))
    .max(32)
    .optional()
    .describe('What is about to be done, or with management Observe would be.'),
});

export type VirtualMachineSpec = z.infer<typeof virtualMachineSpecSchema>;
export type VirtualMachineStatus = z.infer<typeof virtualMachineStatusSchema>;
export type Ledger = z.infer<typeof ledgerSchema>;
export type VirtualMachine = Typed<VirtualMachineSpec, VirtualMachineStatus>;

export const virtualMachineKind: KindDefinition = {
  group: GROUP,
  version: VERSION,
  kind: 'VirtualMachine',
  plural: 'virtualmachines',
  singular: 'virtualmachine',
  shortNames: ['vm', 'vms'],
  categories: ['dispatcher'],
  namespaced: true,
  description: 'One virtual machine in one cloud. Exactly one server exists for it, whatever crashes or gets lost.',
  schema: z.strictObject({ spec: virtualMachineSpecSchema, status: virtualMachineStatusSchema.optional() }),
  statusSubresource: true,
  printerColumns: [
    { name: 'Ready', type: 'string', jsonPath: readyPath('status'), description: 'Whether the server is as declared' },
    { name: 'Reason', type: 'string', jsonPath: readyPath('reason'), description: 'Why' },
    { name: 'State', type: 'string', jsonPath: '.status.state', description: 'The state that the cloud reports' },
    { name: 'Address', type: 'string', jsonPath: '.status.addresses[0].address', description: 'The first address' },
    { name: 'Cloud', type: 'string', jsonPath: '.spec.cloudRef.name', description: 'The cloud that it runs in' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
    { name: 'Id', type: 'string', jsonPath: '.status.id', description: "The server's id in the cloud", priority: 1 },
    { name: 'Image', type: 'string', jsonPath: '.spec.image', description: 'The image', priority: 1 },
    { name: 'Flavor', type: 'string', jsonPath: '.spec.flavor', description: 'The flavor', priority: 1 },
    { name: 'User', type: 'string', jsonPath: '.status.assignment.user', description: 'The user who has it', priority: 1 },
    { name: 'Message', type: 'string', jsonPath: readyPath('message'), description: 'The whole reason', priority: 1 },
  ],
  rules: [
    SAME_CLOUD,
    {
      at: ['spec'],
      cel: '!(has(self.userData) && has(self.userDataFrom))',
      message: 'only one of userData and userDataFrom may be set',
      field: 'spec.userDataFrom',
      check: (value) => fieldOf(value, 'userData') === undefined || fieldOf(value, 'userDataFrom') === undefined,
    },
    exactlyOne('adopt', 'id', 'name'),
  ],
};
