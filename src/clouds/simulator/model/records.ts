import { z } from 'zod';

const time = z.number().nonnegative();

/** What of a server changes by itself as time passes. */
const stepSchema = z.strictObject({
  /** When. Milliseconds since 1970. */
  at: time,
  /** What then is different. */
  set: z.strictObject({
    vmState: z.enum(['building', 'active', 'stopped', 'paused', 'suspended', 'resized', 'error', 'deleted']).exactOptional(),
    taskState: z.string().nullable().exactOptional(),
    powerState: z.int().exactOptional(),
    hosted: z.boolean().exactOptional(),
    flavorId: z.string().exactOptional(),
    previousFlavorId: z.string().nullable().exactOptional(),
    launchedAt: time.exactOptional(),
    terminatedAt: time.exactOptional(),
    fault: z.strictObject({ message: z.string(), at: time }).exactOptional(),
  }),
  /** What else happens then: its ports come up, its ports and volumes go, or it is forgotten. */
  effect: z.enum(['connect', 'release', 'forget']).exactOptional(),
  /** False: `updated` is taken away, as when a host was chosen and has not touched the server yet. */
  touches: z.boolean(),
});

/** One coming change of a server. */
export type Step = z.infer<typeof stepSchema>;

/** A server. Never changed in place: each change is a new record. Times are milliseconds since 1970. */
export const serverSchema = z.strictObject({
  id: z.string(),
  /** Larger than that of every older server. */
  sequence: z.int(),
  name: z.string(),
  description: z.string().nullable(),
  projectId: z.string(),
  userId: z.string(),
  imageId: z.string(),
  flavorId: z.string(),
  /** The flavor before a resize that is not yet confirmed. */
  previousFlavorId: z.string().nullable(),
  keyName: z.string().nullable(),
  userData: z.string().nullable(),
  metadata: z.record(z.string(), z.string()),
  tags: z.array(z.string()),
  portIds: z.array(z.string()),
  volumes: z.array(z.strictObject({ volumeId: z.string(), attachmentId: z.string(), device: z.string(), at: time })),
  created: time,
  /** Null: no host has touched it yet. */
  updated: time.nullable(),
  launchedAt: time.nullable(),
  terminatedAt: time.nullable(),
  vmState: z.enum(['building', 'active', 'stopped', 'paused', 'suspended', 'resized', 'error', 'deleted']),
  taskState: z.string().nullable(),
  powerState: z.int(),
  /** True once a host was chosen for it. */
  hosted: z.boolean(),
  locked: z.boolean(),
  fault: z.strictObject({ message: z.string(), at: time }).nullable(),
  /** The newest first, at most 20. */
  actions: z.array(z.strictObject({ action: z.string(), requestId: z.string(), userId: z.string(), at: time })),
  /** What is still to happen by itself, in order. */
  steps: z.array(stepSchema),
});

/** A server; see {@link serverSchema}. */
export type ServerRecord = z.infer<typeof serverSchema>;

/** A port: an address on a network, and what bears it. */
export const portSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  description: z.string().default(''),
  tags: z.array(z.string()).default([]),
  projectId: z.string(),
  networkId: z.string(),
  mac: z.string(),
  address: z.string(),
  deviceId: z.string(),
  deviceOwner: z.string(),
  status: z.enum(['DOWN', 'ACTIVE']),
  groupIds: z.array(z.string()),
  /** True: made for a server by nova, and goes with it. */
  owned: z.boolean(),
  created: time,
  updated: time,
  revision: z.int(),
});

/** A port; see {@link portSchema}. */
export type PortRecord = z.infer<typeof portSchema>;

const ruleSchema = z.strictObject({
  id: z.string(),
  direction: z.enum(['ingress', 'egress']),
  ethertype: z.enum(['IPv4', 'IPv6']),
  /** A name or a number, as it was asked for; null: any. */
  protocol: z.string().nullable(),
  /** The first and the last port; of ICMP the type and the code. */
  from: z.int().nullable(),
  to: z.int().nullable(),
  /** With the host bits that were asked for. */
  prefix: z.string().nullable(),
  remoteGroupId: z.string().nullable(),
  /** Null: made with its group. */
  description: z.string().nullable(),
  created: time,
});

/** One rule of a security group. */
export type RuleRecord = z.infer<typeof ruleSchema>;

/** A security group with its rules. */
export const groupSchema = z.strictObject({
  id: z.string(),
  name: z.string(),
  description: z.string(),
  tags: z.array(z.string()),
  projectId: z.string(),
  rules: z.array(ruleSchema),
  created: time,
  updated: time,
  revision: z.int(),
});

/** A security group; see {@link groupSchema}. */
export type GroupRecord = z.infer<typeof groupSchema>;

/** A volume. */
export const volumeSchema = z.strictObject({
  id: z.string(),
  name: z.string().nullable(),
  description: z.string().nullable(),
  projectId: z.string(),
  userId: z.string(),
  size: z.int(),
  metadata: z.record(z.string(), z.string()),
  created: time,
  /** What is being done to it, until `readyAt`; null: nothing. */
  task: z.enum(['creating', 'attaching', 'detaching', 'extending', 'deleting']).nullable().default(null),
  /** When the task ends; without one, when the volume last changed. */
  readyAt: time,
  /** The size that it has once it is extended. */
  extendTo: z.int().nullable().default(null),
  serverId: z.string().nullable(),
});

/** A volume; see {@link volumeSchema}. */
export type VolumeRecord = z.infer<typeof volumeSchema>;

const limits = z.record(z.string(), z.int().min(-1));

/** What a project may have at most, by the names of Neutron and of Cinder. What is not named has no limit but the usual one. */
export const quotaSchema = z.strictObject({ projectId: z.string(), network: limits, volume: limits });

/** The limits of a project; see {@link quotaSchema}. */
export type QuotaRecord = z.infer<typeof quotaSchema>;

/** A key pair of a user. */
export const keyPairSchema = z.strictObject({
  name: z.string(),
  userId: z.string(),
  number: z.int(),
  type: z.enum(['ssh', 'x509']),
  publicKey: z.string(),
  fingerprint: z.string(),
  created: time,
});

/** A key pair; see {@link keyPairSchema}. */
export type KeyPairRecord = z.infer<typeof keyPairSchema>;

/** A token. Without a project it is good for Keystone alone. */
export const tokenSchema = z.strictObject({
  id: z.string(),
  userId: z.string(),
  projectId: z.string().nullable(),
  methods: z.array(z.string()),
  auditId: z.string(),
  issued: time,
  expires: time,
});

/** A token; see {@link tokenSchema}. */
export type TokenRecord = z.infer<typeof tokenSchema>;
