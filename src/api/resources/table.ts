import { apiVersionOf, type KindDefinition, type PrinterColumn } from '../../resources/kind.js';
import type { Resource } from '../../resources/metadata.js';
import { age } from './age.js';
import { type Cell, CORE_COLUMNS } from './core-columns.js';
import { shown } from './shown.js';

/** How much of each resource a row carries: `includeObject` of a request. */
export type IncludeObject = 'None' | 'Metadata' | 'Object';

type Reader = (resource: unknown) => unknown;

/** A `meta.k8s.io/v1` Table of resources of one kind, as `kubectl get` shows them: Name, then the kind's printer columns. */
export function tableOf(
  definition: KindDefinition,
  resources: readonly Resource[],
  metadata: object,
  include: IncludeObject,
  now: Date,
): object {
  const { definitions, readers } = columnsOf(definition);
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: definitions,
    rows: resources.map((resource) => ({
      cells: readers.map((read) => read(resource, now)),
      ...(include === 'None' ? {} : { object: include === 'Object' ? shown(resource) : metadataOf(resource) }),
    })),
  };
}

/** A resource without all but its metadata. */
export function metadataOf(resource: Resource): object {
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', ...metadataIn(shown(resource)) };
}

function metadataIn(whole: object): object {
  return 'metadata' in whole ? { metadata: whole.metadata } : {};
}

interface Columns {
  readonly definitions: readonly object[];
  readonly readers: readonly Cell[];
}
const columns = new Map<KindDefinition, Columns>();

function columnsOf(definition: KindDefinition): Columns {
  const known = columns.get(definition);
  if (known) return known;
  const own = CORE_COLUMNS[apiVersionOf(definition)]?.[definition.kind];
  const made = {
    definitions: own?.map(({ read: _, ...column }) => describe(column)) ?? [NAME, ...definition.printerColumns.map(describe)],
    readers: own?.map(({ read }) => read) ?? [nameOf, ...definition.printerColumns.map(cellOf)],
  };
  columns.set(definition, made);
  return made;
}

const NAME = { name: 'Name', type: 'string', format: 'name', description: 'The name, unique in its namespace', priority: 0 };
const nameOf: Cell = ({ metadata }) => metadata.name;

/** Dates are shown as ages, as in Kubernetes: the cell is text. */
function describe({ name, type, description, priority }: Omit<PrinterColumn, 'jsonPath'>): object {
  return { name, type: type === 'date' ? 'string' : type, format: '', description, priority: priority ?? 0 };
}

function cellOf({ jsonPath, type }: PrinterColumn): Cell {
  const read = readerOf(jsonPath);
  return (resource, now) => {
    const value = read(resource);
    if (value === undefined || value === null) return null;
    if (type === 'date') return age(value, now);
    return typeof value === 'object' ? JSON.stringify(value) : value;
  };
}

/**
 * Reads what a simple JSONPath means: fields, `[0]`, and `[?(@.field=="text")]`.
 *
 * @throws RangeError for a path of another form: a fault of a kind's definition.
 */
export function readerOf(jsonPath: string): Reader {
  const steps: Reader[] = [];
  let rest = jsonPath;
  while (rest !== '') {
    const [matched, field, index, key = '', text] =
      /^(?:\.([A-Za-z0-9_-]+)|\[(\d+)\]|\[\?\(@\.([A-Za-z0-9_]+)==["']([^"']*)["']\)\])/.exec(rest) ?? [];
    if (!matched) throw new RangeError(`printer column path ${jsonPath} cannot be read at ${rest}`);
    if (field !== undefined) steps.push((at) => property(at, field));
    else if (index !== undefined) steps.push((at) => (Array.isArray(at) ? at[Number(index)] : undefined));
    else steps.push((at) => (Array.isArray(at) ? at.find((item) => property(item, key) === text) : undefined));
    rest = rest.slice(matched.length);
  }
  return (resource) => steps.reduce((at, step) => step(at), resource);
}

function property(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined;
}
