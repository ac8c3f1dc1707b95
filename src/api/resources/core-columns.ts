import type { PrinterColumn } from '../../resources/kind.js';
import type { Resource } from '../../resources/metadata.js';
import { age } from './age.js';

/** What stands in a column of a resource's row. */
export type Cell = (resource: Resource, now: Date) => unknown;

type CoreColumn = Omit<PrinterColumn, 'jsonPath'> & { readonly read: Cell };

/** The columns of Kubernetes' own kinds that no path can tell, by API version and kind, as in a cluster; the name's place is among them. */
export const CORE_COLUMNS: Readonly<Record<string, Readonly<Record<string, readonly CoreColumn[]>>>> = {
  v1: {
    Secret: [
      column('Name', 'The name, unique in its namespace', ({ metadata }) => metadata.name),
      column('Type', 'What it is for', ({ type }) => type ?? 'Opaque'),
      { ...column('Data', 'How many values it holds', ({ data }) => Object.keys(fieldsOf(data)).length), type: 'integer' },
      column('Age', 'Age', ({ metadata }, now) => age(metadata.creationTimestamp, now)),
    ],
    Event: [
      column('Last Seen', 'When it happened last', (event, now) => age(lastSeen(event), now)),
      column('Type', 'Normal or Warning', ({ type }) => type),
      column('Reason', 'What happened', ({ reason }) => reason),
      column('Object', 'To which resource', objectOf),
      wide('Subobject', 'To which part of it', ({ involvedObject }) => textOf(involvedObject, 'fieldPath')),
      wide('Source', 'Who says so', sourceOf),
      column('Message', 'In words', ({ message }) => (typeof message === 'string' ? message.trim() : message)),
      wide('First Seen', 'When it happened first', (event, now) => age(firstSeen(event), now)),
      wide('Count', 'How often', ({ series, count }) => fieldsOf(series).count ?? (count || 1)),
      wide('Name', 'The name, unique in its namespace', ({ metadata }) => metadata.name),
    ],
  },
};

function column(name: string, description: string, read: Cell): CoreColumn {
  return { name, type: 'string', description, read };
}

function wide(name: string, description: string, read: Cell): CoreColumn {
  return { ...column(name, description, read), priority: 1 };
}

function firstSeen({ firstTimestamp, eventTime }: Resource): unknown {
  return firstTimestamp ?? eventTime;
}

function lastSeen(event: Resource): unknown {
  return fieldsOf(event.series).lastObservedTime ?? event.lastTimestamp ?? firstSeen(event);
}

function objectOf({ involvedObject }: Resource): string {
  const [kind, name] = [textOf(involvedObject, 'kind').toLowerCase(), textOf(involvedObject, 'name')];
  return name === '' ? kind : `${kind}/${name}`;
}

function sourceOf({ source, reportingComponent }: Resource): unknown {
  const [component, host] = [textOf(source, 'component'), textOf(source, 'host')];
  if (component === '') return reportingComponent ?? '';
  return host === '' ? component : `${component}, ${host}`;
}

function textOf(value: unknown, name: string): string {
  const found = fieldsOf(value)[name];
  return typeof found === 'string' ? found : '';
}

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
