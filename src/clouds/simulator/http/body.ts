import type { z } from 'zod';
import { plainly, pythonic, Refusal } from '../model/refusal.js';

/** Reads a body by a schema. @throws Refusal 400 in the words of the real services, whose schemas say the same. */
export function parseBody<T>(schema: z.ZodType<T>, body: unknown): T {
  if (body === undefined || body === null || typeof body !== 'object') throw new Refusal(400, 'Malformed request body');
  if (!isText(body)) throw new Refusal(400, 'Malformed request body: it has a character that cannot be kept');
  const result = schema.safeParse(body);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Refusal(400, issue === undefined ? 'Malformed request body' : words(issue, body));
}

/** Digits in a text as the number that they are, since the real services take both; all else as it is. For `z.preprocess`. */
export function wholeNumber(value: unknown): unknown {
  return typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
}

function words(issue: z.core.$ZodIssue, body: unknown): string {
  const value = at(body, issue.path);
  if (value === undefined && issue.code !== 'unrecognized_keys') {
    const missing = `'${String(issue.path.at(-1))}' is a required property`;
    return issue.path.length < 2 ? missing : about(issue.path.slice(0, -1), body, missing);
  }
  // A key that is refused is told of the object that has it.
  if (issue.code === 'invalid_key') {
    const pattern = "'^[a-zA-Z0-9-_:. ]{1,255}$'";
    const key = pythonic(issue.path.at(-1));
    return about(issue.path.slice(0, -1), body, `${key} does not match any of the regexes: ${pattern}`);
  }
  return about(issue.path, body, why(issue, value));
}

function about(path: readonly PropertyKey[], body: unknown, what: string): string {
  if (path.length === 0) return what;
  return `Invalid input for field/attribute ${String(path.at(-1))}. Value: ${plainly(at(body, path))}. ${what}`;
}

function why(issue: z.core.$ZodIssue, value: unknown): string {
  const shown = pythonic(value);
  if (issue.code === 'unrecognized_keys') {
    const verb = issue.keys.length > 1 ? 'were' : 'was';
    return `Additional properties are not allowed (${issue.keys.map(pythonic).join(', ')} ${verb} unexpected)`;
  }
  if (issue.code === 'too_small') {
    return typeof value === 'number' ? `${shown} is less than the minimum of ${issue.minimum}` : `${shown} is too short`;
  }
  if (issue.code === 'too_big') {
    return typeof value === 'number' ? `${shown} is greater than the maximum of ${issue.maximum}` : `${shown} is too long`;
  }
  if (issue.code === 'invalid_type') {
    return `${shown} is not of type '${issue.expected === 'record' ? 'object' : issue.expected}'`;
  }
  if (issue.code === 'invalid_format' && issue.format === 'regex') {
    const pattern = issue.pattern?.replace(/^\/|\/$/g, '').replaceAll('\\/', '/') ?? '';
    return `${shown} does not match '${pattern}'`;
  }
  if (issue.code === 'invalid_value') return `${shown} is not one of ${pythonic(issue.values)}`;
  return `${shown} is not valid under any of the given schemas`;
}

function at(value: unknown, path: readonly PropertyKey[]): unknown {
  let found = value;
  for (const key of path) found = typeof found === 'object' && found !== null ? Reflect.get(found, key) : undefined;
  return found;
}

/** False if a text in it has NUL or half a surrogate pair, which a JSON column of PostgreSQL does not take. */
export function isText(value: unknown): boolean {
  if (typeof value === 'string') return !value.includes('\u0000') && !/\p{Surrogate}/u.test(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([key, part]) => isText(key) && isText(part));
}
