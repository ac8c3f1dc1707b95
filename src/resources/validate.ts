import { z } from 'zod';
import type { KindDefinition } from './kind.js';
import { objectMetaSchema } from './metadata.js';

/** One thing that is wrong with a resource, in the terms of Kubernetes' `Status.details.causes`. */
export interface FieldError {
  readonly reason:
    | 'FieldValueRequired'
    | 'FieldValueInvalid'
    | 'FieldValueTypeInvalid'
    | 'FieldValueNotSupported'
    | 'FieldValueTooLong'
    | 'FieldValueTooMany'
    | 'FieldValueForbidden'
    | 'UnknownField';
  /** The path from the resource's root: `spec.networks[0].name`. */
  readonly field: string;
  /** The same path in its parts. */
  readonly path: readonly PropertyKey[];
  /** A sentence without the field's name at its start. The value is quoted (cut to 64 characters) but never a Secret's. */
  readonly message: string;
}

/** More than this many errors tell a person nothing new. */
const MOST_ERRORS = 64;

/**
 * What is wrong with a manifest of a kind: metadata, unknown fields, types, bounds, and the kind's rules.
 *
 * @param manifest what a person sent, or what stands in a row; anything at all.
 * @param old the resource as it stands, for rules about changes; undefined on create.
 * @returns an empty list if nothing is wrong; at most 64 errors. Never throws.
 */
export function validate(definition: KindDefinition, manifest: unknown, old?: unknown): FieldError[] {
  const parsed = wholeSchema(definition).safeParse(manifest, { reportInput: true });
  const secret = definition.kind === 'Secret';
  const issues = parsed.success ? [] : parsed.error.issues.slice(0, MOST_ERRORS);
  const errors = issues.flatMap((issue) => fieldErrors(issue, [], secret)).slice(0, MOST_ERRORS);
  for (const rule of definition.rules) {
    if (rule.check(valueAt(manifest, rule.at), valueAt(old, rule.at))) continue;
    errors.push({ reason: 'FieldValueInvalid', field: rule.field, path: rule.field.split('.'), message: rule.message });
  }
  return errors;
}

const wholeSchemas = new WeakMap<KindDefinition, z.ZodObject>();

function wholeSchema(definition: KindDefinition): z.ZodObject {
  const known = wholeSchemas.get(definition);
  if (known) return known;
  const text = z.string().max(317).optional();
  const whole = definition.schema.extend({ apiVersion: text, kind: text, metadata: objectMetaSchema.optional() });
  wholeSchemas.set(definition, whole);
  return whole;
}

/** `spec.networks[0].name` for ['spec', 'networks', 0, 'name']; keys with dots stand in brackets, as in Kubernetes. */
export function formatPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === 'number') return `${text}[${part}]`;
    const name = String(part);
    if (/[./]/.test(name)) return `${text}[${name}]`;
    return text === '' ? name : `${text}.${name}`;
  }, '');
}

function fieldErrors(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[], secret: boolean): FieldError[] {
  const path = [...prefix, ...issue.path];
  const at = (reason: FieldError['reason'], message: string): FieldError[] => [
    { reason, field: formatPath(path), path, message },
  ];
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.slice(0, MOST_ERRORS).map((key) => {
        const field = formatPath([...path, key]);
        return { reason: 'UnknownField', field, path: [...path, key], message: `unknown field "${field}"` };
      });
    case 'invalid_union': {
      // The branch that got furthest is the one that was meant: its errors help, "no branch matched" does not.
      const branches = issue.errors.filter((branch) => branch.length > 0);
      const deepest = branches.toSorted((a, b) => depth(b) - depth(a))[0] ?? [];
      if (depth(deepest) > 0) return deepest.flatMap((inner) => fieldErrors(inner, path, secret));
      const allowed = branches.flat().map(expectation).join(' or ');
      return at('FieldValueInvalid', `must be ${allowed}, got ${describe(issue.input, secret)}`);
    }
    case 'invalid_key':
      return at('FieldValueInvalid', `key ${issue.issues.map((inner) => inner.message).join(' and ')}`);
    case 'invalid_type':
      if (issue.input === undefined) return at('FieldValueRequired', 'required value');
      return at('FieldValueTypeInvalid', `must be ${expectation(issue)}, got ${describe(issue.input, secret)}`);
    case 'invalid_value':
      if (issue.input === undefined) return at('FieldValueRequired', 'required value');
      return at('FieldValueNotSupported', `must be ${expectation(issue)}, got ${describe(issue.input, secret)}`);
    case 'too_big': {
      const { origin, maximum } = issue;
      if (origin === 'string') return at('FieldValueTooLong', `must have at most ${maximum} characters${got(issue, secret)}`);
      if (origin === 'array') return at('FieldValueTooMany', `must have at most ${maximum} items${got(issue, secret)}`);
      return at('FieldValueInvalid', `must be ${issue.inclusive ? 'at most' : 'less than'} ${maximum}${got(issue, secret)}`);
    }
    case 'too_small': {
      const { origin, minimum } = issue;
      if (origin === 'string')
        return at('FieldValueInvalid', `must have at least ${count(minimum, 'character')}${got(issue, secret)}`);
      if (origin === 'array') return at('FieldValueInvalid', `must have at least ${count(minimum, 'item')}${got(issue, secret)}`);
      return at('FieldValueInvalid', `must be ${issue.inclusive ? 'at least' : 'more than'} ${minimum}${got(issue, secret)}`);
    }
    default:
      return at('FieldValueInvalid', `${issue.message}${got(issue, secret)}`);
  }
}

const count = (number: number | bigint, noun: string) => `${number} ${noun}${number === 1 ? '' : 's'}`;

const got = (issue: z.core.$ZodIssue, secret: boolean) => (secret ? '' : `, got ${describe(issue.input, secret)}`);

/** How deep the deepest issue of a branch lies; an unknown key lies one deeper than the object it is in. */
const depth = (issues: readonly z.core.$ZodIssue[]): number =>
  issues.reduce((most, issue) => Math.max(most, issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)), 0);

function expectation(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type') return article(issue.expected === 'record' ? 'object' : issue.expected);
  if (issue.code !== 'invalid_value') return issue.message;
  const values = issue.values.map((value) => JSON.stringify(value)).join(', ');
  return issue.values.length === 1 ? values : `one of ${values}`;
}

function article(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function describe(value: unknown, secret: boolean): string {
  if (secret) return 'another value';
  if (value === undefined) return 'nothing';
  if (Array.isArray(value)) return `an array of ${count(value.length, 'item')}`;
  if (value !== null && typeof value === 'object') return 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value);
  return text.length > 64 ? `${text.slice(0, 63)}… (${text.length - 2} characters)` : text;
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, part) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, part) : undefined),
    value,
  );
}
