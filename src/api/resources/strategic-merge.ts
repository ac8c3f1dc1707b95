import { isObject } from './admission.js';
import { badRequest } from './errors.js';

/** Lists that merge instead of being replaced, by path: '' for lists of plain values, else the field that tells items apart. */
const MERGED_LISTS: Readonly<Record<string, string>> = {
  'metadata.finalizers': '',
  'metadata.ownerReferences': 'uid',
  'status.conditions': 'type',
};
const DELETE_PLAIN = '$deleteFromPrimitiveList/';
const ORDER = '$setElementOrder/';

type Fields = Readonly<Record<string, unknown>>;

/**
 * Kubernetes' strategic merge patch, for the kinds of the core group: as a merge patch, but that the lists which Kubernetes
 * merges are merged, and that the directives `$patch`, `$retainKeys`, `$deleteFromPrimitiveList` and `$setElementOrder` are heard.
 *
 * @throws ApiError BadRequest for a directive that is not one of these.
 */
export function strategicMerge(document: unknown, patch: Fields, path = ''): unknown {
  const { $patch: directive, $retainKeys: retained, ...changes } = patch;
  if (directive === 'replace') return changes;
  if (directive === 'delete') return {};
  if (directive !== undefined && directive !== 'merge') throw badRequest('$patch', '$patch must be replace, merge or delete');
  const merged = new Map(Object.entries(isObject(document) ? document : {}));
  if (Array.isArray(retained)) {
    for (const key of merged.keys()) if (!retained.includes(key)) merged.delete(key);
  }
  for (const [key, value] of Object.entries(changes)) {
    if (key.startsWith('$')) continue;
    const inner = path === '' ? key : `${path}.${key}`;
    if (value === null) merged.delete(key);
    else if (Array.isArray(value)) merged.set(key, mergeList(merged.get(key), value, inner));
    else if (isObject(value)) merged.set(key, strategicMerge(merged.get(key), value, inner));
    else merged.set(key, value);
  }
  for (const [key, value] of Object.entries(changes)) if (key.startsWith('$')) applyListDirective(merged, key, value, path);
  return Object.fromEntries(merged);
}

function mergeList(current: unknown, patch: readonly unknown[], path: string): unknown[] {
  const key = MERGED_LISTS[path];
  const standing: readonly unknown[] = Array.isArray(current) ? current : [];
  if (key === undefined) return [...patch];
  if (key === '') return [...new Set([...standing, ...patch])];
  if (patch.some((item) => isObject(item) && item.$patch === 'replace'))
    return patch.filter((item) => isObject(item) && !item.$patch);
  const items = new Map(standing.map((item) => [keyIn(item, key), item]));
  for (const item of patch) {
    if (!isObject(item)) throw badRequest(path, `every item of ${path} must be an object with ${key}`);
    const { $patch: directive, ...rest } = item;
    if (directive === 'delete') items.delete(keyIn(item, key));
    else items.set(keyIn(item, key), strategicMerge(items.get(keyIn(item, key)), rest, `${path}[]`));
  }
  return [...items.values()];
}

function applyListDirective(merged: Map<string, unknown>, directive: string, value: unknown, path: string): void {
  const name = directive.slice(directive.indexOf('/') + 1);
  const known = directive.startsWith(DELETE_PLAIN) || directive.startsWith(ORDER);
  if (!known || !Array.isArray(value)) throw badRequest(directive, `the directive ${directive.slice(0, 64)} is not known`);
  const list = merged.get(name);
  if (!Array.isArray(list)) return;
  if (directive.startsWith(DELETE_PLAIN)) {
    merged.set(
      name,
      list.filter((item) => !value.includes(item)),
    );
    return;
  }
  const key = MERGED_LISTS[path === '' ? name : `${path}.${name}`] ?? '';
  const order = value.map((item) => keyIn(item, key));
  const rank = (item: unknown) => (order.includes(keyIn(item, key)) ? order.indexOf(keyIn(item, key)) : order.length);
  merged.set(
    name,
    list.toSorted((a, b) => rank(a) - rank(b)),
  );
}

function keyIn(item: unknown, key: string): unknown {
  return key !== '' && isObject(item) ? item[key] : item;
}
