import { isObject } from './admission.js';

/**
 * The paths of fields, as server-side apply counts them: every scalar and empty object, and every list as a whole, but for the
 * few lists whose items are told apart. A path is the list of its elements as JSON: `["f:spec","f:image"]`,
 * `["f:metadata","f:finalizers","v:\"a\""]`, `["f:status","f:conditions","k:{\"type\":\"Ready\"}","f:status"]`.
 */
export type FieldSet = ReadonlySet<string>;

/** Lists whose items are owned one by one: '' for sets of plain values, else the field that tells items apart. */
const SEPARATE_LISTS: Readonly<Record<string, string>> = {
  'f:metadata f:finalizers': '',
  'f:metadata f:ownerReferences': 'uid',
};

/** What a manager never owns: what says which resource is meant, and what only the server sets. */
const UNOWNED = new Set(
  [
    'name',
    'generateName',
    'namespace',
    'uid',
    'resourceVersion',
    'generation',
    'creationTimestamp',
    'deletionTimestamp',
    'managedFields',
  ]
    .map((field) => ['f:metadata', `f:${field}`])
    .concat([['f:apiVersion'], ['f:kind'], ['f:status']])
    .map((path) => JSON.stringify(path)),
);

/** The fields of a resource (or of a part of one) that can be owned. */
export function fieldsOf(resource: unknown): FieldSet {
  const found = new Set<string>();
  collect(resource, [], found);
  return found;
}

function collect(value: unknown, path: readonly string[], found: Set<string>): void {
  const name = JSON.stringify(path);
  if (UNOWNED.has(name)) return;
  const key = SEPARATE_LISTS[path.join(' ')];
  if (Array.isArray(value) && key !== undefined) {
    for (const item of value) collect(item, [...path, elementOf(item, key)], found);
  } else if (isObject(value) && (path.length === 0 || Object.keys(value).length > 0)) {
    for (const [field, inner] of Object.entries(value)) collect(inner, [...path, `f:${field}`], found);
  } else {
    found.add(name);
  }
}

function elementOf(item: unknown, key: string): string {
  return key !== '' && isObject(item) ? `k:${JSON.stringify({ [key]: item[key] })}` : `v:${JSON.stringify(item)}`;
}

/** The value at a path; undefined if nothing is there. */
export function valueAt(resource: unknown, path: string): unknown {
  return elements(path).reduce<unknown>((at, element) => {
    if (Array.isArray(at)) return at[indexOf(at, element)];
    return isObject(at) ? at[element.slice(2)] : undefined;
  }, resource);
}

/** A copy of `resource` with a value at a path; what is missing on the way is made. */
export function withValue(resource: unknown, path: string, value: unknown): unknown {
  return put(resource, elements(path), value);
}

function put(at: unknown, [element, ...rest]: readonly string[], value: unknown): unknown {
  // An empty object claims that there is one, not that it is empty.
  if (element === undefined) return isObject(value) && Object.keys(value).length === 0 && isObject(at) ? at : value;
  if (!element.startsWith('f:')) {
    const list: readonly unknown[] = Array.isArray(at) ? at : [];
    const index = indexOf(list, element);
    const item = put(index < 0 ? undefined : list[index], rest, rest.length === 0 ? parsed(element) : value);
    return index < 0 ? [...list, item] : list.with(index, item);
  }
  const fields = isObject(at) ? at : {};
  return { ...fields, [element.slice(2)]: put(fields[element.slice(2)], rest, value) };
}

/** A copy of `resource` without what is at some paths, and without the objects and lists that this leaves empty. */
export function withoutValues(resource: unknown, paths: readonly string[]): unknown {
  // The field that an item is found by goes last.
  const ordered = [...paths.filter((path) => !isItemKey(path)), ...paths.filter(isItemKey)];
  return ordered.reduce<unknown>((at, path) => take(at, elements(path)) ?? {}, resource);
}

function isItemKey(path: string): boolean {
  const [item = '', field = ''] = elements(path).slice(-2);
  if (!item.startsWith('k:')) return false;
  const keys = parsed(item);
  return isObject(keys) && field.slice(2) in keys;
}

function take(at: unknown, [element, ...rest]: readonly string[]): unknown {
  if (element === undefined) return undefined;
  if (Array.isArray(at)) {
    const index = indexOf(at, element);
    if (index < 0) return at;
    const inner = rest.length === 0 ? undefined : take(at[index], rest);
    const left = inner === undefined ? at.toSpliced(index, 1) : at.with(index, inner);
    return left.length === 0 ? undefined : left;
  }
  const field = element.slice(2);
  if (!isObject(at) || !(field in at)) return at;
  const { [field]: standing, ...others } = at;
  const inner = take(standing, rest);
  const left = inner === undefined ? others : { ...others, [field]: inner };
  return Object.keys(left).length === 0 ? undefined : left;
}

function indexOf(list: readonly unknown[], element: string): number {
  const wanted = parsed(element);
  if (!element.startsWith('k:') || !isObject(wanted)) return list.indexOf(wanted);
  return list.findIndex((item) => isObject(item) && Object.entries(wanted).every(([key, value]) => item[key] === value));
}

function parsed(element: string): unknown {
  return JSON.parse(element.slice(2));
}

function elements(path: string): readonly string[] {
  const list: unknown = JSON.parse(path);
  return Array.isArray(list) ? list.map(String) : [];
}

/** A set as `fieldsV1` writes it: `{"f:spec":{"f:image":{}}}`. */
export function toFieldsV1(fields: FieldSet): Record<string, unknown> {
  const root: Tree = new Map();
  for (const path of fields) {
    let at = root;
    for (const element of elements(path)) {
      const inner: Tree = at.get(element) ?? new Map();
      at.set(element, inner);
      at = inner;
    }
  }
  return written(root);
}

interface Tree extends Map<string, Tree> {}

function written(tree: Tree): Record<string, unknown> {
  return Object.fromEntries([...tree].map(([element, inner]) => [element, written(inner)]));
}

/** What {@link toFieldsV1} (or a Kubernetes client) wrote. Elements that are not ours are left out. */
export function fromFieldsV1(fieldsV1: unknown): FieldSet {
  const found = new Set<string>();
  read(fieldsV1, [], found);
  return found;
}

function read(node: unknown, path: readonly string[], found: Set<string>): void {
  const entries = isObject(node) ? Object.entries(node).filter(([element]) => isElement(element)) : [];
  if (entries.length === 0 && path.length > 0) found.add(JSON.stringify(path));
  for (const [element, inner] of entries) read(inner, [...path, element], found);
}

function isElement(element: string): boolean {
  if (element.startsWith('f:')) return true;
  if (!element.startsWith('k:') && !element.startsWith('v:')) return false;
  try {
    JSON.parse(element.slice(2));
    return true;
  } catch {
    return false;
  }
}

/** A path as Kubernetes shows it to people: `.spec.image`, `.metadata.finalizers[="a"]`. */
export function showPath(path: string): string {
  return elements(path)
    .map((element) => {
      if (element.startsWith('f:')) return `.${element.slice(2)}`;
      if (element.startsWith('v:')) return `[=${element.slice(2)}]`;
      const keys = parsed(element);
      const pairs = isObject(keys) ? Object.entries(keys).map(([key, value]) => `${key}=${JSON.stringify(value)}`) : [];
      return `[${pairs.join(',')}]`;
    })
    .join('');
}
