import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import type { KindDefinition } from './kind.js';
import { labelName, type Resource } from './metadata.js';

const base64 = z
  .string()
  .max(1_400_000)
  .regex(/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/, 'must be base64');
const secretKey = z
  .string()
  .min(1)
  .max(253)
  .regex(/^[-._a-zA-Z0-9]+$/, 'must be letters, digits, "-", "_" or "."');

export const secretSchema = z.strictObject({
  type: z.string().max(253).optional().describe('As in Kubernetes. Default: Opaque.'),
  data: z.record(secretKey, base64).nullish().describe('Values in base64.'),
  stringData: z
    .record(secretKey, z.string().max(1_048_576))
    .nullish()
    .describe('Values as text; written only: they end up in data.'),
  immutable: z.boolean().optional(),
});

/** A Secret as a store holds it: all values in `data`. */
export type Secret = Resource & z.infer<typeof secretSchema>;

/** The values of a Secret as text. Values that are not base64 read as far as they are. */
export function secretValues(secret: Secret): Record<string, string> {
  const decoded = Object.entries(secret.data ?? {}).map(([key, value]) => [key, Buffer.from(value, 'base64').toString('utf8')]);
  return { ...Object.fromEntries(decoded), ...(secret.stringData ?? {}) };
}

function typeOf(secret: unknown): unknown {
  const read = z.looseObject({ type: z.unknown() }).partial().safeParse(secret);
  return read.data?.type ?? 'Opaque';
}

export const secretKind: KindDefinition = {
  group: '',
  version: 'v1',
  kind: 'Secret',
  plural: 'secrets',
  singular: 'secret',
  shortNames: [],
  categories: [],
  namespaced: true,
  description: 'Values that must not be seen: credentials of clouds, user data. Encrypted at rest.',
  schema: secretSchema,
  statusSubresource: false,
  printerColumns: [],
  rules: [
    {
      at: [],
      cel: 'self.type == oldSelf.type',
      message: 'field is immutable',
      field: 'type',
      check: (value, old) => old === undefined || typeOf(value) === typeOf(old),
    },
    {
      at: [],
      cel: '!has(oldSelf.immutable) || !oldSelf.immutable || (self.immutable && self.data == oldSelf.data)',
      message: 'cannot be changed while immutable is true: delete the Secret and create it anew',
      field: 'data',
      check: (value, old) => {
        const before = secretSchema.partial().loose().safeParse(old);
        if (!before.success || !before.data.immutable) return true;
        const after = secretSchema.partial().loose().safeParse(value);
        return !!after.data?.immutable && isDeepStrictEqual(after.data.data ?? {}, before.data.data ?? {});
      },
    },
  ],
};

export const namespaceKind: KindDefinition = {
  group: '',
  version: 'v1',
  kind: 'Namespace',
  plural: 'namespaces',
  singular: 'namespace',
  shortNames: ['ns'],
  categories: [],
  namespaced: false,
  description: 'A room for resources: names are unique in it. Deleting it deletes all that is in it.',
  schema: z.strictObject({
    spec: z.strictObject({ finalizers: z.array(z.string().max(253)).max(32).optional() }).optional(),
    status: z
      .strictObject({
        phase: z.enum(['Active', 'Terminating']).optional(),
        conditions: z
          .array(z.record(z.string().max(64), z.unknown()))
          .max(32)
          .optional(),
      })
      .optional(),
  }),
  statusSubresource: true,
  printerColumns: [
    { name: 'Status', type: 'string', jsonPath: '.status.phase', description: 'Active or Terminating' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
  rules: [
    {
      at: ['metadata', 'name'],
      cel: "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$') && size(self) <= 63",
      message: 'must have at most 63 lower case letters, digits and "-", and start and end with a letter or digit',
      field: 'metadata.name',
      check: (value) => value === undefined || labelName.safeParse(value).success,
    },
  ],
};

const text = z.string().max(1024);
const objectReference = z.strictObject({
  apiVersion: text.optional(),
  kind: text.optional(),
  namespace: text.optional(),
  name: text.optional(),
  uid: text.optional(),
  resourceVersion: text.optional(),
  fieldPath: text.optional(),
});

export const eventSchema = z.strictObject({
  involvedObject: objectReference,
  reason: z.string().max(128).optional(),
  message: text.optional(),
  type: z.string().max(64).optional(),
  action: z.string().max(128).optional(),
  source: z.strictObject({ component: text.optional(), host: text.optional() }).optional(),
  count: z.int().optional(),
  firstTimestamp: z.string().max(40).nullish(),
  lastTimestamp: z.string().max(40).nullish(),
  eventTime: z.string().max(40).nullish(),
  reportingComponent: text.optional(),
  reportingInstance: text.optional(),
  related: objectReference.optional(),
  series: z.strictObject({ count: z.int().optional(), lastObservedTime: z.string().max(40).nullish() }).optional(),
});

/** A `v1` Event: what happened to a resource, for people. Kept for an hour. */
export type Event = Resource & z.infer<typeof eventSchema>;

export const eventKind: KindDefinition = {
  group: '',
  version: 'v1',
  kind: 'Event',
  plural: 'events',
  singular: 'event',
  shortNames: ['ev'],
  categories: [],
  namespaced: true,
  description: 'What happened to a resource, for people. Kept for an hour.',
  schema: eventSchema,
  statusSubresource: false,
  printerColumns: [],
  rules: [],
};
