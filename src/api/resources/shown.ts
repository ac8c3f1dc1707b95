import { GROUP, type Resource } from '../../resources/metadata.js';
import { isObject } from './admission.js';

type Fields = Readonly<Record<string, unknown>>;

/** What Kubernetes says of its own kinds even where nothing was said. */
const DEFAULTS: Readonly<Record<string, Fields>> = {
  Secret: { type: 'Opaque' },
  Event: { eventTime: null, reportingComponent: '', reportingInstance: '' },
};

/**
 * A resource as a client of Kubernetes knows its kind: those of Kubernetes itself count no generations and have their defaults, and
 * what is being deleted says that it has no time left.
 */
export function shown(resource: Resource): object {
  const { metadata } = resource;
  const isOurs = resource.apiVersion.startsWith(`${GROUP}/`);
  if (isOurs && metadata.deletionTimestamp === undefined) return resource;
  const { generation, ...rest } = metadata;
  const told = {
    ...rest,
    ...(isOurs && { generation }),
    ...(rest.deletionTimestamp !== undefined && { deletionGracePeriodSeconds: 0 }),
  };
  return { ...(isOurs ? {} : DEFAULTS[resource.kind]), ...resource, metadata: told };
}

/** What a dry run is answered with: a version that was never given is not told, but the one that stands, if any does. */
export function withVersion(body: unknown, version: string | undefined): unknown {
  if (!isObject(body) || !isObject(body.metadata)) return body;
  const { resourceVersion: _, ...metadata } = body.metadata;
  return { ...body, metadata: { ...metadata, ...(version !== undefined && { resourceVersion: version }) } };
}
