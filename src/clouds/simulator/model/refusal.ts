/** A request that the simulated cloud declines: status and words of the real one. Each service wraps it in its own form. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  /** @param type Neutron's name of the error, such as `NetworkNotFound`. */
  constructor(
    readonly status: number,
    message: string,
    readonly type: string = 'HTTPBadRequest',
  ) {
    super(message);
  }
}

/** Shows a value as the real services do in their messages: as Python would. */
export function pythonic(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  if (value === null || value === undefined) return 'None';
  if (typeof value === 'boolean') return value ? 'True' : 'False';
  if (Array.isArray(value)) return `[${value.map(pythonic).join(', ')}]`;
  if (typeof value === 'object') {
    const fields = Object.entries(value).filter(([, field]) => field !== undefined);
    return `{${fields.map(([key, field]) => `'${key}': ${pythonic(field)}`).join(', ')}}`;
  }
  return String(value);
}

/** As {@link pythonic}, but with a text as it is. */
export function plainly(value: unknown): string {
  return typeof value === 'string' ? value : pythonic(value);
}
