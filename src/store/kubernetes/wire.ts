import { z } from 'zod';
import { apiVersionOf } from '../../resources/kind.js';
import { formatKey, type ObjectMeta, type Resource, type ResourceKey } from '../../resources/metadata.js';
import { kindNamed } from '../../resources/registry.js';
import { StoreError } from '../errors.js';
import type { Draft } from '../store.js';
import type { Subject } from './errors.js';
import { decodeEvent, EVENTS, encodeEvent } from './event-wire.js';
import type { Place } from './paths.js';

/** How a kind travels to the API server and back. */
export interface Wire extends Place {
  /**
   * How it is updated. `replace`: whole, so that what is no longer given goes. `merge`: what is given; for Events, of which the
   * API server lets nothing but the series change.
   */
  readonly updates: 'replace' | 'merge';
  /** What a write sends: without what the server sets. */
  encode(draft: Draft): Record<string, unknown>;
  /** @throws StoreError Unavailable for what is no resource. */
  decode(object: unknown): Resource;
}

/** The wire of a kind. @throws RangeError for a kind that is not served. */
export function wireOf(kind: string): Wire {
  const definition = kindNamed(kind);
  if (kind === 'Event') {
    return {
      ...EVENTS,
      updates: 'merge',
      encode: (draft) => encodeEvent(withoutServerSet(draft)),
      decode: (object) => decodeEvent(decode(object, kind, EVENTS)),
    };
  }
  const { group, version, plural, namespaced } = definition;
  return {
    ...{ group, version, plural, namespaced },
    updates: 'replace',
    encode: (draft) => {
      const { status, ...rest } = withoutServerSet(draft);
      return definition.statusSubresource || status === undefined ? rest : { ...rest, status };
    },
    decode: (object) => decode(object, kind, definition),
  };
}

/** What a call is about. Of Secrets, nothing that the API server says of their values is ever repeated. */
export function subjectOf(verb: string, { group, version, plural }: Place, key: ResourceKey): Subject {
  const name = key.name === '' ? `${key.kind}${key.namespace && ` in ${key.namespace}`}` : formatKey(key);
  return { call: `${verb} ${name}`, resource: { group, version, plural }, secret: key.kind === 'Secret' };
}

const objectSchema = z.looseObject({ metadata: z.record(z.string(), z.unknown()) });

/**
 * Items of a list bear neither apiVersion nor kind where the kind is Kubernetes' own, Secrets and Namespaces no generation, the
 * answer of a dry run no version. `managedFields` is dropped: it is the larger part of many resources, and the API server keeps
 * it for who writes without it.
 */
function decode(object: unknown, kind: string, place: Pick<Place, 'group' | 'version'>): Resource {
  const parsed = objectSchema.safeParse(object);
  if (!parsed.success) throw notAResource(kind);
  const { metadata: given, ...fields } = parsed.data;
  const { managedFields: _fields, ...rest } = given;
  const metadata: unknown = { generation: 1, resourceVersion: '', ...rest };
  if (!isObjectMeta(metadata)) throw notAResource(kind);
  return { ...fields, apiVersion: apiVersionOf(place), kind, metadata };
}

const metaSchema = z.object({
  name: z.string().min(1),
  namespace: z.string().optional(),
  uid: z.string(),
  resourceVersion: z.string(),
  generation: z.number(),
  creationTimestamp: z.string(),
  deletionTimestamp: z.string().optional(),
  generateName: z.string().optional(),
  labels: z.record(z.string(), z.string()).optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  finalizers: z.array(z.string()).optional(),
  ownerReferences: z
    .array(z.looseObject({ apiVersion: z.string(), kind: z.string(), name: z.string(), uid: z.string() }))
    .optional(),
});

function isObjectMeta(metadata: unknown): metadata is ObjectMeta {
  return metaSchema.safeParse(metadata).success;
}

function notAResource(kind: string): StoreError {
  return new StoreError('Unavailable', `the API server answered something that is no ${kind}: is it one, or a proxy before it?`);
}

function withoutServerSet(draft: Draft): Draft {
  const { creationTimestamp: _created, deletionTimestamp: _deleted, generation: _generation, ...rest } = draft.metadata;
  const { managedFields: _fields, ...metadata } = rest;
  return { ...draft, metadata };
}
