import { fieldOf, isOneOf } from './field-of.js';
import type { Rule } from './kind.js';

/** A resource stays in the Cloud that it was declared in. */
export const SAME_CLOUD: Rule = {
  at: ['spec', 'cloudRef'],
  cel: 'self == oldSelf',
  message: 'cannot be changed: delete the resource and declare it anew in the other cloud',
  field: 'spec.cloudRef',
  check: (value, old) => old === undefined || JSON.stringify(value) === JSON.stringify(old),
};

/** A field of the spec that stays as it was declared, set or not. */
export function unchangeable(field: string, message: string): Rule {
  return {
    at: ['spec'],
    cel: `has(self.${field}) == has(oldSelf.${field}) && (!has(self.${field}) || self.${field} == oldSelf.${field})`,
    message,
    field: `spec.${field}`,
    check: (value, old) => old === undefined || JSON.stringify(fieldOf(value, field)) === JSON.stringify(fieldOf(old, field)),
  };
}

/** A field of the spec that, where it is set, has exactly one of two fields. */
export function exactlyOne(field: string, one: string, other: string): Rule {
  return {
    at: ['spec'],
    cel: `!has(self.${field}) || (has(self.${field}.${one}) != has(self.${field}.${other}))`,
    message: `exactly one of ${one} and ${other} must be set`,
    field: `spec.${field}`,
    check: (value) => isOneOf(fieldOf(value, field), one, other),
  };
}
