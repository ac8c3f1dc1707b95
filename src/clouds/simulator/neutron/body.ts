import { z } from 'zod';
import { isText } from '../http/body.js';
import type { OwnCall } from '../http/service.js';
import { Refusal } from '../model/refusal.js';

/** What a body asks for: one thing, or with `bulk` several, which are made all or none. */
interface Wanted<T> {
  readonly bulk: boolean;
  readonly items: readonly T[];
}

/** Reads `{"port": {...}}` or `{"ports": [{...}]}`. @throws Refusal 400 in Neutron's words. */
export function readMany<T>(call: OwnCall, name: string, schema: z.ZodType<T>): Wanted<T> {
  const body = z.record(z.string(), z.unknown()).safeParse(call.body);
  const many = body.data?.[`${name}s`];
  if (many === undefined) return { bulk: false, items: [readOne(call, name, schema)] };
  const list = z.array(z.unknown()).safeParse(many);
  if (list.data === undefined || list.data.length === 0) throw new Refusal(400, 'Resources required');
  return { bulk: true, items: list.data.map((item) => read(schema, item)) };
}

/** Reads `{"port": {...}}`. @throws Refusal 400 in Neutron's words. */
export function readOne<T>({ body }: OwnCall, name: string, schema: z.ZodType<T>): T {
  const found = typeof body === 'object' && body !== null ? Reflect.get(body, name) : undefined;
  if (found === undefined) throw new Refusal(400, `Unable to find '${name}' in request body`);
  return read(schema, found);
}

function read<T>(schema: z.ZodType<T>, value: unknown): T {
  if (!isText(value)) {
    throw new Refusal(400, 'Invalid input for operation: it has a character that cannot be kept.', 'InvalidInput');
  }
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw new Refusal(400, issue === undefined ? 'Bad request' : words(issue, value));
}

function words(issue: z.core.$ZodIssue, body: unknown): string {
  if (issue.code === 'unrecognized_keys') return `Unrecognized attribute(s) '${issue.keys.join(', ')}'`;
  const [field = ''] = issue.path.map(String);
  let value = body;
  for (const key of issue.path) value = typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
  if (value === undefined) return `Failed to parse request. Required attribute '${field}' not specified`;
  return `Invalid input for ${field}. Reason: ${reason(issue, value)}.`;
}

function reason(issue: z.core.$ZodIssue, value: unknown): string {
  if (issue.code === 'invalid_value') return `${value} is not in valid_values`;
  if (issue.code === 'too_big') return `'${value}' exceeds maximum length of ${issue.maximum}`;
  if (issue.code === 'too_small') return `'${value}' is too small - must be at least '${issue.minimum}'`;
  if (issue.code === 'invalid_format') return `'${value}' is not a valid ${issue.format === 'guid' ? 'UUID' : issue.format}`;
  if (issue.code === 'custom') return issue.message;
  const expected = issue.code === 'invalid_type' ? issue.expected : 'value';
  return `'${value}' is not a valid ${expected}`;
}
