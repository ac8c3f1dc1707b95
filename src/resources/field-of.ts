/** What stands under a name in a value that may be anything; undefined if nothing can. For the rules of a kind. Never throws. */
export function fieldOf(value: unknown, field: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined;
}

/** True if exactly one of two fields stands in a value, or there is no value. */
export function isOneOf(value: unknown, one: string, other: string): boolean {
  return value === undefined || (fieldOf(value, one) === undefined) !== (fieldOf(value, other) === undefined);
}
