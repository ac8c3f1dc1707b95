import type { OwnCall, Reply } from '../http/service.js';
import { pythonic, Refusal } from '../model/refusal.js';

/** Something as Neutron shows it. */
export type Row = Readonly<Record<string, unknown>>;

/** A collection of Neutron's. */
export interface Collection {
  /** As in the body of a list: `ports`. */
  readonly name: string;
  /** Of something that is not there; also of an unknown marker, unless `lenient`. */
  readonly notFound: (id: string | undefined) => Refusal;
  /** True: an unknown marker begins at the first page again, as Neutron does with some. */
  readonly lenient?: boolean;
  /** The fields to filter by, beside tags; others are refused. Undefined: any. */
  readonly filters?: ReadonlySet<string>;
}

const SPECIAL: ReadonlySet<string> = new Set(['fields', 'limit', 'marker', 'page_reverse', 'sort_key', 'sort_dir']);
const TAGS: ReadonlySet<string> = new Set(['tags', 'tags-any', 'not-tags', 'not-tags-any']);

/**
 * Filters by any field, chooses fields, pages by marker in the order of ids: the same for all of Neutron.
 * Nothing is shown that is not on the page or before it, for there may be ten thousand.
 */
export function list<T extends { readonly id: string }>(
  { query, origin, target }: OwnCall,
  collection: Collection,
  records: readonly T[],
  show: (record: T) => Row,
): Reply {
  const { name, notFound, lenient = false } = collection;
  const filters = [...new Set(query.keys())].filter((key) => !SPECIAL.has(key));
  const unknown = filters.filter((key) => collection.filters?.has(key) === false && !TAGS.has(key));
  if (unknown.length > 0) throw new Refusal(400, `${pythonic(unknown)} is invalid attribute for filtering`);
  const marker = query.get('marker');
  const known = marker !== null && records.some(({ id }) => id === marker);
  if (marker !== null && !known && !lenient) throw notFound(marker);
  const rest = records.filter(({ id }) => !known || id > marker).sort((one, other) => (one.id < other.id ? -1 : 1));
  const limit = Number(query.get('limit') ?? 0);
  const page: Row[] = [];
  for (const record of rest) {
    if (limit > 0 && page.length === limit) break;
    const row = show(record);
    if (filters.every((key) => query.getAll(key).some((value) => matches(row, key, value)))) page.push(row);
  }
  const last = page.at(-1);
  const next = new URLSearchParams(query);
  if (typeof last?.id === 'string') next.set('marker', last.id);
  const links = [{ rel: 'next', href: `${origin}${target.replace(/\?.*$/, '')}?${next}` }];
  const shown = page.map((row) => chosen(row, query));
  return { status: 200, json: { [name]: shown, ...(limit > 0 && page.length === limit && { [`${name}_links`]: links }) } };
}

/** One thing, with the fields that are asked for. */
export function one({ query }: OwnCall, name: string, row: Row): Reply {
  return { status: 200, json: { [name]: chosen(row, query) } };
}

/** @throws Refusal 412 if a call was meant for another revision than the one that is there. */
export function guardRevision(call: OwnCall, revision: number): void {
  const expected = /^revision_number=(\d+)$/.exec(call.header('if-match') ?? '')?.[1];
  if (expected === undefined || Number(expected) === revision) return;
  const message = `Constrained to ${expected}, but current revision is ${revision}`;
  throw new Refusal(412, message, 'RevisionNumberConstraintFailed');
}

function chosen(row: Row, query: URLSearchParams): Row {
  const fields = query.getAll('fields');
  return fields.length === 0 ? row : Object.fromEntries(Object.entries(row).filter(([key]) => fields.includes(key)));
}

function matches(row: Row, key: string, value: string): boolean {
  if (TAGS.has(key)) {
    const has = (tag: string) => Array.isArray(row.tags) && row.tags.includes(tag);
    const wanted = value.split(',');
    const found = key.endsWith('any') ? wanted.some(has) : wanted.every(has);
    return found !== key.startsWith('not');
  }
  const field = row[key];
  if (key === 'fixed_ips') {
    const [part = '', wanted] = value.split('=');
    return Array.isArray(field) && field.some((address) => address[part] === wanted);
  }
  if (Array.isArray(field)) return field.includes(value);
  return typeof field === 'boolean' ? String(field) === value.toLowerCase() : String(field) === value;
}
