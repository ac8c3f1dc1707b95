import { z } from 'zod';

/** The API group and version of every kind that Dispatcher defines itself. */
export const GROUP = 'dispatcher.dev';
/** The only served version of {@link GROUP}. */
export const VERSION = 'v1alpha1';

/** RFC 1123 subdomain: the names that Kubernetes accepts for resources, at most 253 characters. */
export const resourceName = z
  .string()
  .min(1)
  .max(253)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
    'must consist of lower case letters, digits, "-" and ".", and start and end with a letter or digit',
  );

/** RFC 1123 label: the names that Kubernetes accepts for namespaces, at most 63 characters. */
export const labelName = z
  .string()
  .min(1)
  .max(63)
  .regex(
    /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
    'must consist of lower case letters, digits and "-", and start and end with a letter or digit',
  );

const qualifiedName = z
  .string()
  .min(1)
  .max(317)
  .regex(
    /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/,
    'must be a name part of at most 63 characters, with an optional "prefix/"',
  );

const labelValue = z
  .string()
  .max(63)
  .regex(/^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$/, 'must be letters, digits, "-", "_" or "."');

/** Labels as Kubernetes bounds them. */
export const labelsSchema = z.record(qualifiedName, labelValue);

const ownerReferenceSchema = z.strictObject({
  apiVersion: z.string().min(1).max(317),
  kind: z.string().min(1).max(63),
  name: resourceName,
  uid: z.string().min(1).max(64),
  controller: z.boolean().optional(),
  blockOwnerDeletion: z.boolean().optional(),
});

/** One owner of a resource; when the last owner is gone, the resource is deleted. */
export type OwnerReference = z.infer<typeof ownerReferenceSchema>;

const managedFieldSchema = z.strictObject({
  manager: z.string().max(128),
  operation: z.enum(['Apply', 'Update']),
  apiVersion: z.string().max(317),
  time: z.string().max(40).optional(),
  fieldsType: z.literal('FieldsV1'),
  fieldsV1: z.record(z.string().max(1024), z.unknown()),
  subresource: z.string().max(63).optional(),
});

/** The fields that one manager (a person, a program) has set, as server-side apply keeps them. */
export type ManagedField = z.infer<typeof managedFieldSchema>;

/**
 * `metadata` as Kubernetes defines it, every part bounded. The fields that a server sets are accepted from a
 * caller, since a manifest read back carries them; which of them count is the store's business.
 */
export const objectMetaSchema = z.strictObject({
  name: resourceName.optional(),
  generateName: z.string().max(248).optional(),
  namespace: labelName.optional(),
  uid: z.string().max(64).optional(),
  resourceVersion: z.string().max(32).optional(),
  generation: z.int().nonnegative().optional(),
  creationTimestamp: z.string().max(40).nullish(),
  deletionTimestamp: z.string().max(40).optional(),
  deletionGracePeriodSeconds: z.int().nonnegative().optional(),
  labels: labelsSchema.optional(),
  annotations: z
    .record(qualifiedName, z.string().max(262_144))
    .refine((all) => Object.values(all).reduce((sum, value) => sum + value.length, 0) <= 262_144, {
      message: 'annotations may hold 262144 characters in all',
    })
    .optional(),
  finalizers: z.array(qualifiedName).max(32).optional(),
  ownerReferences: z.array(ownerReferenceSchema).max(32).optional(),
  managedFields: z.array(managedFieldSchema).max(64).optional(),
  selfLink: z.string().max(1024).optional(),
});

/** `metadata` of a resource that a store has accepted: what a server sets is there. Times are RFC 3339, UTC. */
export interface ObjectMeta {
  readonly name: string;
  /** Absent for cluster-scoped kinds. */
  readonly namespace?: string;
  readonly uid: string;
  /** Opaque but for equality; in one plane, a larger number is a later write. */
  readonly resourceVersion: string;
  /** Raised by a change of `spec` only. */
  readonly generation: number;
  readonly creationTimestamp: string;
  readonly deletionTimestamp?: string;
  readonly generateName?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
  readonly ownerReferences?: readonly OwnerReference[];
  /** Kept from the first server-side apply on. */
  readonly managedFields?: readonly ManagedField[];
}

/** A name that a resource of some kind bears; `namespace` is '' for cluster-scoped kinds. */
export interface ResourceKey {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** `Kind/namespace/name`: a key as a map key and for log lines. */
export function formatKey(key: ResourceKey): string {
  return `${key.kind}/${key.namespace}/${key.name}`;
}

/** The key of a resource. */
export function keyOf(resource: Resource): ResourceKey {
  return { kind: resource.kind, namespace: resource.metadata.namespace ?? '', name: resource.metadata.name };
}

/**
 * Any resource as it stands in a store: the manifest as an object. `spec` and `status` are unchecked here, since a
 * row written by hand may hold anything; a kind's schema turns them into types. `Secret` keeps `type`, `data` and
 * `Event` its own fields beside `metadata`, as in Kubernetes.
 */
export interface Resource {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: ObjectMeta;
  readonly spec?: unknown;
  readonly status?: unknown;
  readonly [field: string]: unknown;
}

/** A resource whose `spec` and `status` have passed their kind's schema. */
export interface Typed<Spec, Status> extends Resource {
  readonly spec: Spec;
  readonly status?: Status;
}

/** A pointer to a resource in the same namespace, or to a cluster-scoped one. */
export const nameReference = z.strictObject({ name: resourceName });
