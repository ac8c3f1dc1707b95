import type { z } from 'zod';
import type { KindDefinition } from './kind.js';
import { objectMetaSchema } from './metadata.js';

/** One thing that is wrong with a resource, in the terms of Kubernetes' `Status.details.causes`. */
export interface FieldError {
  readonly reason: 'FieldValueRequired' | 'FieldValueInvalid' | 'FieldValueForbidden' | 'UnknownField';
  /** The path from the resource's root: `spec.networks[0].name`. */
  readonly field: string;
  /** A sentence without the field's name at its start. The value is quoted (cut to 64 characters) but never a Secret's. */
  readonly message: string;
}

/**
 * All that is wrong with a manifest of a kind: metadata, unknown fields, types, bounds, and the kind's rules.
 *
 * @param manifest what a person sent, or what stands in a row; anything at all.
 * @param old the resource as it stands, for rules about changes; undefined on create.
 * @returns an empty list if nothing is wrong. Never throws.
 */
export function validate(definition: KindDefinition, manifest: unknown, old?: unknown): FieldError[] {
  const whole = definition.schema.extend({ apiVersion: stringField, kind: stringField, metadata: objectMetaSchema.optional() });
  const parsed = whole.safeParse(manifest, { reportInput: true });
  const errors = parsed.success
    ? []
    : parsed.error.issues.flatMap((issue) => fieldErrors(issue, [], definition.kind === 'Secret'));
  for (const rule of definition.rules) {
    if (rule.check(valueAt(manifest, rule.at), valueAt(old, rule.at))) continue;
    errors.push({ reason: 'FieldValueInvalid', field: rule.field, message: rule.message });
  }
  return errors;
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

const stringField = objectMetaSchema.shape.selfLink;

function fieldErrors(issue: z.core.$ZodIssue, prefix: readonly PropertyKey[], secret: boolean): FieldError[] {
  const path = [...prefix, ...issue.path];
  const at = (reason: FieldError['reason'], message: string): FieldError => ({ reason, field: formatPath(path), message });
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => ({
        reason: 'UnknownField',
        field: formatPath([...path, key]),
        message: `unknown field "${formatPath([...path, key])}"`,
      }));
    case 'invalid_union': {
      // The branch that got furthest is the one that was meant: its errors help, "no branch matched" does not.
      const branches = issue.errors.filter((branch) => branch.length > 0);
      const deepest = branches.toSorted((a, b) => depth(b) - depth(a))[0];
      return deepest ? deepest.flatMap((inner) => fieldErrors(inner, path, secret)) : [at('FieldValueInvalid', issue.message)];
    }
    case 'invalid_key':
      return issue.issues.map((inner) => at('FieldValueInvalid', `key ${inner.message}`));
    case 'invalid_type':
      if (issue.input === undefined) return [at('FieldValueRequired', 'required value')];
      return [at('FieldValueInvalid', `must be ${article(issue.expected)}, got ${describe(issue.input, secret)}`)];
    case 'invalid_value':
      return [
        at(
          'FieldValueInvalid',
          `must be one of ${issue.values.map((value) => JSON.stringify(value)).join(', ')}, got ${describe(issue.input, secret)}`,
        ),
      ];
    default:
      return [at('FieldValueInvalid', `${issue.message}${secret ? '' : `, got ${describe(issue.input, secret)}`}`)];
  }
}

const depth = (issues: readonly z.core.$ZodIssue[]): number =>
  Math.max(...issues.map((issue) => issue.path.length + (issue.code === 'unrecognized_keys' ? 1 : 0)));

function article(type: string): string {
  return /^[aeiou]/.test(type) ? `an ${type}` : `a ${type}`;
}

function describe(value: unknown, secret: boolean): string {
  if (secret) return 'another value';
  if (Array.isArray(value)) return 'an array';
  if (value !== null && typeof value === 'object') return 'an object';
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 64 ? `${text.slice(0, 63)}… (${text.length - 2} characters)` : text;
}

function valueAt(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (inner, part) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, part) : undefined),
    value,
  );
}
