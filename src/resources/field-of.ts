/** What stands under a name in a value that may be anything; undefined if nothing can. For the rules of a kind. Never throws. */
export function fieldOf(value: unknown, field: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined;
}

/** True if exactly one of two fields stands in a value, or there is no value. */
export function isOneOf(value: unknown, one: string, other: string): boolean {
  return value === undefined || (fieldOf(value, one) === undefined) !== (fieldOf(value, other) === undefined);
}

/** What a store adds to a `generateName`. */
const GENERATED = 5;

/** How long the name of a resource is, or will be when the store has made it; 0 for none. Never throws. */
export function nameLength(resource: unknown): number {
  const metadata = fieldOf(resource, 'metadata');
  const [name, prefix] = [fieldOf(metadata, 'name'), fieldOf(metadata, 'generateName')];
  if (typeof name === 'string') return name.length;
  return typeof prefix === 'string' ? prefix.length + GENERATED : 0;
}
