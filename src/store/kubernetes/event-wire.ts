import { z } from 'zod';
import { eventSchema } from '../../resources/core.js';
import type { Resource } from '../../resources/metadata.js';
import type { Draft } from '../store.js';
import { microTime } from './micro-time.js';
import type { Place } from './paths.js';

/** Where Events are written and read. To `kubectl get events` and `kubectl describe` the same objects are core/v1 Events. */
export const EVENTS: Place = { group: 'events.k8s.io', version: 'v1', plural: 'events', namespaced: true };

/** What Kubernetes asks for and the port does not: what was done, where nothing was. */
const NO_ACTION = 'None';
/** Kubernetes counts bytes. */
const NOTE_BYTES = 1_024;

/**
 * A core/v1 Event as events.k8s.io/v1 has it: one that came more than once is a series. What only the old API knows (`source`,
 * `count`, the two timestamps) goes into the fields that took its place: the API server refuses it beside them.
 */
export function encodeEvent({ apiVersion: _version, kind, metadata, ...fields }: Draft): Record<string, unknown> {
  const event = eventSchema.partial().parse(fields);
  const times = event.series?.count ?? event.count ?? 1;
  const began = event.eventTime ?? event.firstTimestamp ?? event.lastTimestamp;
  const last = event.series?.lastObservedTime ?? event.lastTimestamp ?? began;
  return {
    apiVersion: `${EVENTS.group}/${EVENTS.version}`,
    kind,
    metadata,
    regarding: event.involvedObject,
    reason: event.reason,
    note: cut(event.message ?? ''),
    type: event.type,
    action: event.action || NO_ACTION,
    eventTime: began && microTime(new Date(began)),
    reportingController: event.reportingComponent || event.source?.component,
    reportingInstance: (event.reportingInstance || event.source?.host)?.slice(0, 128),
    ...(event.related && { related: event.related }),
    ...(times > 1 && last && { series: { count: times, lastObservedTime: microTime(new Date(last)) } }),
  };
}

const wireSchema = z.looseObject({
  regarding: z.looseObject({}).default({}),
  note: z.string().optional(),
  eventTime: z.string().nullish(),
  reportingController: z.string().optional(),
  series: z.looseObject({ count: z.number(), lastObservedTime: z.string() }).nullish(),
  deprecatedSource: z.looseObject({ component: z.string().optional() }).optional(),
  deprecatedFirstTimestamp: z.string().nullish(),
  deprecatedLastTimestamp: z.string().nullish(),
  deprecatedCount: z.number().optional(),
});

/** The way back, also of Events that others wrote by the old API. */
export function decodeEvent(resource: Resource): Resource {
  const { apiVersion: _version, kind, metadata, ...fields } = resource;
  const { regarding, note, reportingController, series, ...others } = wireSchema.parse(fields);
  const { deprecatedSource, deprecatedFirstTimestamp, deprecatedLastTimestamp, deprecatedCount, ...rest } = others;
  const component = reportingController || deprecatedSource?.component;
  return {
    ...rest,
    apiVersion: 'v1',
    kind,
    metadata,
    involvedObject: regarding,
    message: note,
    source: { ...deprecatedSource, ...(component && { component }) },
    ...(component && { reportingComponent: component }),
    count: series?.count ?? deprecatedCount ?? 1,
    firstTimestamp: deprecatedFirstTimestamp ?? rest.eventTime,
    lastTimestamp: series?.lastObservedTime ?? deprecatedLastTimestamp ?? rest.eventTime,
    ...(series && { series }),
  };
}

function cut(text: string): string {
  const bytes = Buffer.from(text);
  // A character cut in two reads as U+FFFD.
  return bytes.length <= NOTE_BYTES
    ? text
    : bytes
        .subarray(0, NOTE_BYTES)
        .toString('utf8')
        .replace(/\uFFFD+$/, '');
}
