import { isDeepStrictEqual } from 'node:util';
import type { ManagedField, Resource } from '../../resources/metadata.js';
import { ApiError } from './errors.js';
import { type FieldSet, fieldsOf, fromFieldsV1, showPath, toFieldsV1, valueAt, withoutValues, withValue } from './field-set.js';

/** Who owned all that stood when a resource was first applied on the server's side. As in Kubernetes. */
const BEFORE_FIRST_APPLY = 'before-first-apply';
const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';

/** Who makes a change, and when. */
export interface Author {
  readonly manager: string;
  readonly apiVersion: string;
  readonly now: Date;
  /** What it is made through, if not the resource itself. */
  readonly subresource?: string;
}

/** A resource after a change, and who owns what of it. */
export interface Owned {
  readonly resource: unknown;
  readonly managedFields: readonly ManagedField[];
}

/**
 * Server-side apply: `live` with all that `configuration` declares, and without what this manager declared before and nobody
 * else owns. A value that differs from what another manager has set is a conflict, unless it is forced; equal values are shared.
 *
 * @param live undefined: the resource is made.
 * @throws ApiError Conflict with one cause for each field that another owns.
 */
export function applyConfiguration(live: Resource | undefined, configuration: unknown, author: Author, force: boolean): Owned {
  const declared = fieldsOf(configuration);
  const standing = live ? (live.metadata.managedFields ?? [beforeFirstApply(live, author)]) : [];
  const before = standing.find((entry) => isApply(entry, author.manager));
  const others = standing.filter((entry) => entry !== before).map((entry) => ({ entry, fields: fromFieldsV1(entry.fieldsV1) }));

  const changed = [...declared].filter((path) => !isDeepStrictEqual(valueAt(live, path), valueAt(configuration, path)));
  const conflicts = others.flatMap(({ entry, fields }) =>
    changed.filter((path) => fields.has(path)).map((path) => ({ owner: ownerOf(entry), path })),
  );
  if (conflicts.length > 0 && !force && !isTakenOver(live, conflicts, author)) throw conflict(conflicts);

  const dropped = [...fromFieldsV1(before?.fieldsV1)].filter(
    (path) => !declared.has(path) && !others.some(({ fields }) => fields.has(path)),
  );
  const removed = withoutValues(live ?? {}, dropped);
  const resource = [...declared].reduce<unknown>((at, path) => withValue(at, path, valueAt(configuration, path)), removed);

  const taken = new Set(conflicts.map(({ path }) => path));
  const kept = others.map(({ entry, fields }) => narrowed(entry, fields, (path) => !taken.has(path)));
  const mine = entryFor(author, 'Apply', declared, before);
  return { resource, managedFields: [...kept.filter((entry) => entry !== undefined), mine] };
}

/**
 * Who owns what after a change that was not applied: the fields that were set anew belong to its author alone, those that are
 * gone to nobody. A resource that was never applied on the server's side has no owners to keep.
 */
export function trackUpdate(old: Resource, changed: unknown, author: Author): readonly ManagedField[] | undefined {
  const standing = old.metadata.managedFields;
  if (!standing || standing.length === 0) return undefined;
  const now = fieldsOf(changed);
  const set = new Set([...now].filter((path) => !isDeepStrictEqual(valueAt(old, path), valueAt(changed, path))));
  const before = standing.find(
    ({ manager, operation, subresource }) =>
      manager === author.manager && operation === 'Update' && subresource === author.subresource,
  );
  const kept = standing
    .filter((entry) => entry !== before)
    .map((entry) => narrowed(entry, fromFieldsV1(entry.fieldsV1), (path) => now.has(path) && !set.has(path)));
  const mine = new Set([...fromFieldsV1(before?.fieldsV1)].filter((path) => now.has(path)).concat(...set));
  const entry = mine.size > 0 ? [entryFor(author, 'Update', mine, before)] : [];
  return [...kept.filter((each) => each !== undefined), ...entry];
}

interface FieldConflict {
  /** Who set the field, as Kubernetes shows it to people. */
  readonly owner: string;
  readonly path: string;
}

/** An applier by its name; who changed something otherwise also by the version it was written in. */
function ownerOf({ manager, operation, apiVersion, subresource }: ManagedField): string {
  const named = `${JSON.stringify(manager)}${subresource === undefined ? '' : ` with subresource ${JSON.stringify(subresource)}`}`;
  return operation === 'Update' ? `${named} using ${apiVersion}` : named;
}

/** kubectl may change on the server's side what kubectl applied on the client's side before: its annotation tells what that was. */
function isTakenOver(live: Resource | undefined, conflicts: readonly FieldConflict[], { manager }: Author): boolean {
  const annotation = live?.metadata.annotations?.[LAST_APPLIED];
  if (manager !== 'kubectl' || annotation === undefined) return false;
  const before = fieldsOf(parsed(annotation));
  const own = JSON.stringify(['f:metadata', 'f:annotations', `f:${LAST_APPLIED}`]);
  return conflicts.every(({ path }) => before.has(path) || path === own);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isApply(entry: ManagedField, manager: string): boolean {
  return entry.manager === manager && entry.operation === 'Apply' && entry.subresource === undefined;
}

function beforeFirstApply(live: Resource, author: Author): ManagedField {
  return entryFor({ ...author, manager: BEFORE_FIRST_APPLY }, 'Update', fieldsOf(live), undefined);
}

/** The entry of an author. It keeps its time while it says the same, so that a change of nothing changes nothing. */
function entryFor(
  author: Author,
  operation: ManagedField['operation'],
  fields: FieldSet,
  before: ManagedField | undefined,
): ManagedField {
  const { manager, apiVersion, now, subresource } = author;
  const fieldsV1 = toFieldsV1(fields);
  if (before?.apiVersion === apiVersion && isDeepStrictEqual(fromFieldsV1(before.fieldsV1), fields)) return before;
  const time = now.toISOString().replace(/\.\d+Z$/, 'Z');
  const through = subresource === undefined ? {} : { subresource };
  return { manager, operation, apiVersion, time, fieldsType: 'FieldsV1', fieldsV1, ...through };
}

function narrowed(entry: ManagedField, fields: FieldSet, keep: (path: string) => boolean): ManagedField | undefined {
  const left = new Set([...fields].filter(keep));
  if (left.size === fields.size) return entry;
  return left.size === 0 ? undefined : { ...entry, fieldsV1: toFieldsV1(left) };
}

function conflict(conflicts: readonly FieldConflict[]): ApiError {
  const causes = conflicts.map(({ owner, path }) => ({
    reason: 'FieldManagerConflict',
    message: `conflict with ${owner}`,
    field: showPath(path),
  }));
  return new ApiError('Conflict', conflictText(conflicts), { causes });
}

function conflictText(conflicts: readonly FieldConflict[]): string {
  const [first] = conflicts;
  if (conflicts.length === 1 && first) {
    return `Apply failed with 1 conflict: conflict with ${first.owner}: ${showPath(first.path)}`;
  }
  const owners = [...new Set(conflicts.map(({ owner }) => owner))].sort();
  const lists = owners.map((owner) => {
    const paths = conflicts.filter((each) => each.owner === owner).map(({ path }) => `\n- ${showPath(path)}`);
    return `conflicts with ${owner}:${paths.join('')}`;
  });
  return `Apply failed with ${conflicts.length} conflicts: ${lists.join('\n')}`;
}
