import { z } from 'zod';
import { conditionSchema } from './conditions.js';
import type { KindDefinition } from './kind.js';
import { GROUP, nameReference, type Typed, VERSION } from './metadata.js';
import { SAME_CLOUD } from './rules.js';

export const keyPairSpecSchema = z.strictObject({
  cloudRef: nameReference.describe('The Cloud that it is imported into. Cannot be changed.'),
  publicKey: z
    .string()
    .min(1)
    .max(16_384)
    .regex(
      /^(ssh-(rsa|ed25519|dss)|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/=]+( [^\n]*)?\n?$/,
      'must be one public key in OpenSSH format',
    )
    .describe('The public key in OpenSSH format. Changed: the key pair is made anew; servers keep what they booted with.'),
  deletionPolicy: z
    .enum(['Delete', 'Orphan'])
    .optional()
    .describe('What becomes of the key pair in the cloud when this resource is deleted. Default: Delete.'),
});

export const keyPairStatusSchema = z.strictObject({
  observedGeneration: z.int().nonnegative().optional(),
  conditions: z.array(conditionSchema).max(32).optional(),
  fingerprint: z.string().max(255).optional().describe('The fingerprint that the cloud reports.'),
  /** A digest of the public key that this resource put there; absent: the key pair in the cloud is not ours. */
  publicKeyHash: z.string().max(64).optional(),
});

export type KeyPairSpec = z.infer<typeof keyPairSpecSchema>;
export type KeyPairStatus = z.infer<typeof keyPairStatusSchema>;
export type KeyPair = Typed<KeyPairSpec, KeyPairStatus>;

export const keyPairKind: KindDefinition = {
  group: GROUP,
  version: VERSION,
  kind: 'KeyPair',
  plural: 'keypairs',
  singular: 'keypair',
  shortNames: ['kp'],
  categories: ['dispatcher'],
  namespaced: true,
  description: "A public key in a cloud, under this resource's name, for VirtualMachines to boot with.",
  schema: z.strictObject({ spec: keyPairSpecSchema, status: keyPairStatusSchema.optional() }),
  statusSubresource: true,
  printerColumns: [
    {
      name: 'Ready',
      type: 'string',
      jsonPath: '.status.conditions[?(@.type=="Ready")].status',
      description: 'Whether it is in the cloud',
    },
    { name: 'Fingerprint', type: 'string', jsonPath: '.status.fingerprint', description: 'Its fingerprint' },
    { name: 'Cloud', type: 'string', jsonPath: '.spec.cloudRef.name', description: 'The cloud that it is in' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
  rules: [SAME_CLOUD],
};
