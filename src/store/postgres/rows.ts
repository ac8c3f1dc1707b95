import { apiVersionOf } from '../../resources/kind.js';
import type { OwnerReference, Resource } from '../../resources/metadata.js';
import { kindNamed } from '../../resources/registry.js';
import type { Draft } from '../store.js';

/** The columns of `resources` that a {@link Row} has. */
export const COLUMNS = [
  'uid',
  'kind',
  'namespace',
  'name',
  'generation',
  'resource_version',
  'created_version',
  'creation_timestamp',
  'deletion_timestamp',
  'labels',
  'annotations',
  'finalizers',
  'owner_references',
  'other_metadata',
  'spec',
  'status',
  'extra',
] as const;

/** {@link COLUMNS} for a SELECT or RETURNING, of the table or alias given. */
export function columns(table: string): string {
  return COLUMNS.map((column) => `${table}.${column}`).join(', ');
}

/** What a caller sets of a row. */
export interface WrittenRow {
  readonly kind: string;
  /** '' for cluster-scoped kinds. */
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly finalizers: readonly string[];
  readonly owner_references: readonly OwnerReference[];
  readonly other_metadata: Readonly<Record<string, unknown>>;
  readonly spec: unknown;
  readonly status: unknown;
  readonly extra: Readonly<Record<string, unknown>>;
}

/** A row of `resources` as the database hands it out. */
export interface Row extends WrittenRow {
  readonly uid: string;
  readonly generation: number;
  readonly resource_version: number;
  readonly created_version: number;
  /** RFC 3339. */
  readonly creation_timestamp: string;
  readonly deletion_timestamp: string | null;
}

/** A row as the resource it is. `extra` holds what stands beside metadata, spec and status: decrypted, for a Secret. */
export function toResource(row: Row, extra: Readonly<Record<string, unknown>> = row.extra): Resource {
  return {
    ...extra,
    apiVersion: apiVersionOf(kindNamed(row.kind)),
    kind: row.kind,
    metadata: {
      ...row.other_metadata,
      name: row.name,
      ...(row.namespace !== '' && { namespace: row.namespace }),
      uid: row.uid,
      resourceVersion: String(row.resource_version),
      generation: row.generation,
      creationTimestamp: row.creation_timestamp,
      ...(row.deletion_timestamp !== null && { deletionTimestamp: row.deletion_timestamp }),
      ...(isFilled(row.labels) && { labels: row.labels }),
      ...(isFilled(row.annotations) && { annotations: row.annotations }),
      ...(row.finalizers.length > 0 && { finalizers: row.finalizers }),
      ...(row.owner_references.length > 0 && { ownerReferences: row.owner_references }),
    },
    ...(row.spec !== null && { spec: row.spec }),
    ...(row.status !== null && { status: row.status }),
  };
}

/** What of a draft is written, under the name and namespace that were found right. */
export function toRow(draft: Draft, namespace: string, name: string): WrittenRow {
  const { apiVersion: _apiVersion, kind, metadata, spec, status, ...extra } = draft;
  const { labels, annotations, finalizers, ownerReferences, generateName, managedFields } = metadata;
  return {
    kind,
    namespace,
    name,
    labels: labels ?? {},
    annotations: annotations ?? {},
    finalizers: finalizers ?? [],
    owner_references: ownerReferences ?? [],
    other_metadata: { generateName, managedFields },
    spec: spec ?? null,
    status: kindNamed(kind).statusSubresource ? null : (status ?? null),
    extra,
  };
}

function isFilled(object: object): boolean {
  for (const _ in object) return true;
  return false;
}
