import { badRequest } from './errors.js';

/** True for `true` and `1`, and for the bare name. @throws ApiError BadRequest for anything that is neither yes nor no. */
export function flag(query: URLSearchParams, name: string): boolean {
  const value = query.get(name);
  if (value === null || value === 'false' || value === '0') return false;
  if (value === 'true' || value === '1' || value === '') return true;
  throw badRequest(name, `the parameter ${name} must be true or false, got "${value.slice(0, 64)}"`);
}

/** A whole number of at least 0, or undefined. @throws ApiError BadRequest for anything else. */
export function integer(query: URLSearchParams, name: string): number | undefined {
  const value = query.get(name);
  if (value === null || value === '') return undefined;
  if (/^\d{1,15}$/.test(value)) return Number(value);
  throw badRequest(name, `the parameter ${name} must be a whole number of at least 0, got "${value.slice(0, 64)}"`);
}

/** One of `values`, or undefined if it is absent or empty. @throws ApiError BadRequest for anything else. */
export function choice<Value extends string>(query: URLSearchParams, name: string, values: readonly Value[]): Value | undefined {
  const value = query.get(name);
  if (value === null || value === '') return undefined;
  const found = values.find((known) => known === value);
  if (found !== undefined) return found;
  throw badRequest(name, `the parameter ${name} must be ${values.join(' or ')}, got "${value.slice(0, 64)}"`);
}
