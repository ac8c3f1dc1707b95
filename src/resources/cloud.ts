import { z } from 'zod';
import { conditionSchema } from './conditions.js';
import { duration } from './duration.js';
import type { KindDefinition } from './kind.js';
import { GROUP, labelName, resourceName, type Typed, VERSION } from './metadata.js';

export const cloudSpecSchema = z.strictObject({
  engine: z
    .enum(['simulator', 'openstack'])
    .describe('What kind of cloud this is. simulator needs nothing else: it is the simulated OpenStack built in.'),
  endpoint: z
    .string()
    .max(2048)
    .regex(/^https?:\/\/[!-~]+$/, 'must be an http or https URL')
    .optional()
    .describe(
      "The identity service's URL, such as https://cloud.example:5000/v3. Dispatcher talks to it and to what its catalog names.",
    ),
  region: z.string().min(1).max(255).optional().describe("The catalog's region; unset: the first that the catalog lists."),
  project: z
    .strictObject({
      name: z.string().min(1).max(255).optional(),
      id: z.string().min(1).max(64).optional(),
      domain: z.string().min(1).max(255).optional().describe('The name of the domain of the project. Default: Default.'),
    })
    .optional()
    .describe('The project whose servers these are. An application credential already bears one.'),
  credentialsRef: z
    .strictObject({ namespace: labelName, name: resourceName })
    .optional()
    .describe(
      'The Secret with username, password and userDomain, or applicationCredentialId and applicationCredentialSecret, or clouds.yaml. ca.crt in it is trusted beside the usual authorities.',
    ),
  limits: z
    .strictObject({
      requestsPerSecond: z.number().positive().max(10_000).optional().describe('Calls a second at most. Default 50.'),
      inFlight: z.int().min(1).max(1024).optional().describe('Calls at once at most. Default 16.'),
      servers: z.int().min(0).max(1_000_000).optional().describe('Servers of ours at most; beyond it, none is created.'),
      assignmentsPerNamespace: z
        .int()
        .min(0)
        .max(1_000_000)
        .optional()
        .describe('Machines of this cloud that the assignments of one namespace may have at once; beyond it, they wait.'),
    })
    .optional(),
  cistern: z
    .strictObject({
      endpoint: z
        .string()
        .max(2048)
        .regex(/^https?:\/\/[!-~]+$/, 'must be an http or https URL')
        .describe('Where it is, up to and with the version: http://cistern.example:5071/api/v1.'),
      cloud: z.string().min(1).max(253).optional().describe('What it calls this cloud. Default: metadata.name.'),
      credentialsRef: z
        .strictObject({ namespace: labelName, name: resourceName })
        .optional()
        .describe('The Secret with the token that it demands, under the key token.'),
      interval: duration.optional().describe('Between looks at its nodes. Default 5s.'),
    })
    .optional()
    .describe(
      'The inventory that knows which machine is free, faulty, or whose. Machines of this cloud are then assigned only as it agrees.',
    ),
  observe: z
    .strictObject({
      interval: duration
        .optional()
        .describe('Between delta polls while something moves; five times that while nothing does. Default 2s.'),
      auditInterval: duration.optional().describe('Between full lists. Default 60s.'),
      settleTime: duration
        .optional()
        .describe('How long after a create of unknown outcome a server may still appear before another is made. Default 30s.'),
    })
    .optional(),
  buildTimeout: duration.optional().describe('How long a server may stay in building before it is replaced. Default 10m.'),
  requestTimeout: duration
    .optional()
    .describe('How long one call may take before it is given up; its outcome then counts as unknown. Default 30s.'),
  orphans: z
    .strictObject({
      policy: z
        .enum(['Delete', 'Report'])
        .optional()
        .describe('What becomes of servers with our tag and no record. Default Delete.'),
      gracePeriod: duration
        .optional()
        .describe('How old an orphan must be, by our own sight of it, before it is deleted. Default 10m.'),
      perHour: z.int().min(0).max(10_000).optional().describe('Orphans deleted in an hour at most. Default 20.'),
    })
    .optional(),
  allowedNamespaces: z.array(labelName).max(256).optional().describe('The namespaces that may use this cloud. Unset: all.'),
  paused: z.boolean().optional().describe('True: nothing is changed in this cloud; it is still observed.'),
});

const counter = z.int().nonnegative();

export const cloudStatusSchema = z.strictObject({
  observedGeneration: counter.optional(),
  conditions: z.array(conditionSchema).max(32).optional(),
  /** When the last complete observation began. RFC 3339. */
  observedAt: z.string().max(40).optional(),
  servers: z
    .strictObject({ total: counter, ours: counter, building: counter, error: counter, orphans: counter })
    .optional()
    .describe('Servers in the project at the last complete observation.'),
  volumes: z
    .strictObject({ ours: counter, orphans: counter })
    .optional()
    .describe(
      'Volumes with our owner tag, and those of them that no record has: these may hold data, and are never deleted by us.',
    ),
  quota: z
    .strictObject({
      instances: z.int(),
      instancesUsed: counter,
      cores: z.int(),
      coresUsed: counter,
      ramMiB: z.int(),
      ramUsedMiB: counter,
    })
    .optional()
    .describe('What the cloud allows; -1 is no limit.'),
  calls: z
    .strictObject({ total: counter, failed: counter, throttled: counter })
    .optional()
    .describe('Calls made by this process since it started.'),
  cistern: z
    .strictObject({
      observedAt: z.string().max(40).optional(),
      nodes: counter,
      free: counter,
      faulty: counter,
      lastError: z.strictObject({ at: z.string().max(40), message: z.string().max(2048) }).optional(),
    })
    .optional()
    .describe('What the inventory said when it was last looked at.'),
  lastError: z.strictObject({ at: z.string().max(40), message: z.string().max(2048) }).optional(),
});

export type CloudSpec = z.infer<typeof cloudSpecSchema>;
export type CloudStatus = z.infer<typeof cloudStatusSchema>;
export type Cloud = Typed<CloudSpec, CloudStatus>;

export const cloudKind: KindDefinition = {
  group: GROUP,
  version: VERSION,
  kind: 'Cloud',
  plural: 'clouds',
  singular: 'cloud',
  shortNames: [],
  categories: ['dispatcher'],
  namespaced: false,
  description: 'A cloud project that VirtualMachines are made in: where it is, who we are there, and how hard it may be asked.',
  schema: z.strictObject({ spec: cloudSpecSchema, status: cloudStatusSchema.optional() }),
  statusSubresource: true,
  printerColumns: [
    { name: 'Engine', type: 'string', jsonPath: '.spec.engine', description: 'The kind of cloud' },
    {
      name: 'Ready',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: 'Whether it answers',
    },
    { name: 'Reason', type: 'string', jsonPath: '.status.conditions[?(@.type=="Ready")].reason', description: 'Why' },
    { name: 'Servers', type: 'integer', jsonPath: '.status.servers.total', description: 'Servers in the project' },
    { name: 'Ours', type: 'integer', jsonPath: '.status.servers.ours', description: 'Servers that Dispatcher made' },
    { name: 'Observed', type: 'date', jsonPath: '.status.observedAt', description: 'Last complete observation' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
    { name: 'Endpoint', type: 'string', jsonPath: '.spec.endpoint', description: 'Where it is', priority: 1 },
  ],
  rules: [
    {
      at: ['spec'],
      cel: "self.engine == 'simulator' || (has(self.endpoint) && has(self.credentialsRef))",
      message: 'an engine other than simulator needs endpoint and credentialsRef',
      field: 'spec.endpoint',
      check: (value) => {
        const spec = cloudSpecSchema.safeParse(value);
        return !spec.success || spec.data.engine === 'simulator' || (!!spec.data.endpoint && !!spec.data.credentialsRef);
      },
    },
  ],
};
