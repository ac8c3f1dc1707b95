/**
 * A value as server-side apply can take it: without objects in objects that hold nothing, undefined if nothing is left. Where an
 * object had fields that are no longer applied and is itself applied empty, the API server makes it null, and refuses that.
 */
export function withoutEmptyObjects(value: unknown): unknown {
  if (!isObject(value)) return value ?? undefined;
  const parts = Object.entries(value).flatMap(([name, part]): Array<[string, unknown]> => {
    const kept = withoutEmptyObjects(part);
    return kept === undefined ? [] : [[name, kept]];
  });
  return parts.length === 0 ? undefined : Object.fromEntries(parts);
}

/** One step of a JSON Patch. */
export interface Removal {
  readonly op: 'remove';
  readonly path: string;
}

/**
 * What server-side apply has left in a status beside what was applied: fields and conditions that somebody else wrote and that
 * are therefore not ours to let go of. In the order in which they can be removed.
 */
export function leftovers(applied: unknown, status: unknown, path = '/status'): Removal[] {
  if (!isObject(status)) return [];
  const wanted = isObject(applied) ? applied : {};
  return Object.entries(status).flatMap(([name, part]) => {
    const inner = `${path}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`;
    const kept = wanted[name];
    if (kept === undefined) return [{ op: 'remove' as const, path: inner }];
    // The only list of which each item has its own owner; others are applied whole.
    if (path === '/status' && name === 'conditions') return extraConditions(kept, part, inner);
    return leftovers(kept, part, inner);
  });
}

function extraConditions(applied: unknown, conditions: unknown, path: string): Removal[] {
  const wanted = new Set(typesOf(applied));
  const extra = typesOf(conditions).flatMap((type, index) => (wanted.has(type) ? [] : [index]));
  // From the end, so that the places of the others stay what they are.
  return extra.reverse().map((index) => ({ op: 'remove', path: `${path}/${index}` }));
}

function typesOf(conditions: unknown): unknown[] {
  return Array.isArray(conditions) ? conditions.map((condition) => (isObject(condition) ? condition.type : undefined)) : [];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
