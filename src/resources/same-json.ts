/**
 * True if two values are the same as JSON: the order of keys does not count, and a key with undefined is not there.
 * Stops at the first difference, and allocates little: reconcilers ask this at every pass.
 */
export function sameJson(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false;
  if (Array.isArray(a) || Array.isArray(b)) {
    if (!Array.isArray(a) || !Array.isArray(b) || a.length !== b.length) return false;
    return a.every((item, index) => sameJson(item, b[index]));
  }
  let keys = 0;
  for (const key in a) {
    const value: unknown = Reflect.get(a, key);
    if (value === undefined) continue;
    keys += 1;
    if (!sameJson(value, Reflect.get(b, key))) return false;
  }
  for (const key in b) if (Reflect.get(b, key) !== undefined) keys -= 1;
  return keys === 0;
}
