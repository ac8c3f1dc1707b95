import type { ProposedCondition } from '../resources/conditions.js';
import type { FieldError } from '../resources/validate.js';

const MOST_TOLD = 5;

/** What is said of a resource whose spec cannot be read: a row written by hand is not validated before. */
export function invalidSpec(errors: readonly FieldError[]): ProposedCondition[] {
  const told = errors.slice(0, MOST_TOLD).map(({ field, message }) => `${field}: ${message}`);
  const message = `${told.join('; ')}${errors.length > MOST_TOLD ? `; and ${errors.length - MOST_TOLD} more` : ''}`;
  return [
    { type: 'Ready', status: 'False', reason: 'InvalidSpec', message },
    { type: 'Stalled', status: 'True', reason: 'InvalidSpec', message },
  ];
}
