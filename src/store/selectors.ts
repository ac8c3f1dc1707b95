import { StoreError } from './errors.js';
import type { LabelRequirement, LabelSelector } from './store.js';

/** True if resources with these labels are chosen. As in Kubernetes, NotIn holds for a label that is not there. */
export function matches(labels: Readonly<Record<string, string>> | undefined, selector: LabelSelector): boolean {
  return selector.every(({ key, operator, values }) => {
    const value = labels !== undefined && Object.hasOwn(labels, key) ? labels[key] : undefined;
    switch (operator) {
      case 'In':
        return value !== undefined && values.includes(value);
      case 'NotIn':
        return value === undefined || !values.includes(value);
      case 'Exists':
        return value !== undefined;
      case 'DoesNotExist':
        return value === undefined;
      default:
        return operator satisfies never;
    }
  });
}

const KEY = /^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/;
const VALUE = /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/;
const SET = /^(\S+)\s+(in|notin)\s*\(([^()]*)\)$/;
const EQUALITY = /^([^\s=!]+)\s*(==|=|!=)\s*([^\s=!]*)$/;

/**
 * Reads what `kubectl -l` takes: `a=b`, `a==b`, `a!=b`, `a`, `!a`, `a in (b,c)`, `a notin (b,c)`, joined by commas.
 * An empty text chooses all.
 * @throws StoreError Invalid, naming the part that is not understood.
 */
export function parseLabelSelector(text: string): LabelSelector {
  if (text.trim() === '') return [];
  // A comma inside parentheses parts values, not requirements.
  return text.split(/,(?![^()]*\))/).map((part) => parseRequirement(part.trim()));
}

function parseRequirement(part: string): LabelRequirement {
  const set = SET.exec(part);
  if (set) {
    const [, key = '', operator, list = ''] = set;
    return checked(part, {
      key,
      operator: operator === 'in' ? 'In' : 'NotIn',
      values: list.split(',').map((value) => value.trim()),
    });
  }
  const equality = EQUALITY.exec(part);
  if (equality) {
    const [, key = '', operator, value = ''] = equality;
    return checked(part, { key, operator: operator === '!=' ? 'NotIn' : 'In', values: [value] });
  }
  if (part.startsWith('!')) return checked(part, { key: part.slice(1).trim(), operator: 'DoesNotExist', values: [] });
  return checked(part, { key: part, operator: 'Exists', values: [] });
}

function checked(part: string, requirement: LabelRequirement): LabelRequirement {
  if (!KEY.test(requirement.key)) {
    throw new StoreError(
      'Invalid',
      `label selector ${JSON.stringify(part)}: ${JSON.stringify(requirement.key)} is not a label key`,
    );
  }
  const wrong = requirement.values.find((value) => !VALUE.test(value));
  if (wrong !== undefined) {
    throw new StoreError('Invalid', `label selector ${JSON.stringify(part)}: ${JSON.stringify(wrong)} is not a label value`);
  }
  return requirement;
}
