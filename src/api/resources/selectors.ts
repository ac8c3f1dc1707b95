import { labelsSchema } from '../../resources/metadata.js';
import type { LabelRequirement, LabelSelector } from '../../store/store.js';
import { type ApiError, badRequest } from './errors.js';

/** What `--field-selector` says, parsed: all must hold. */
export type FieldSelector = readonly FieldRequirement[];

/** One requirement on the text at a path; a field that is absent reads as ''. */
export interface FieldRequirement {
  readonly path: string;
  readonly equal: boolean;
  readonly value: string;
}

const EVERY_KIND = ['metadata.name', 'metadata.namespace'];
const OF_KIND: Readonly<Record<string, readonly string[]>> = {
  Event: [
    ...['kind', 'namespace', 'name', 'uid', 'apiVersion', 'resourceVersion', 'fieldPath'].map(
      (field) => `involvedObject.${field}`,
    ),
    ...['reason', 'type', 'source', 'reportingComponent'],
  ],
  Namespace: ['status.phase'],
  Secret: ['type'],
};
const SET = /^([^\s!=()]+)\s+(in|notin)\s*\(([^()]*)\)$/;
const EQUALITY = /^([^\s!=()]+)\s*(==|=|!=)\s*([^\s!=()]*)$/;

/**
 * A label selector as `kubectl -l` writes it: `a=b,c!=d,e in (f,g),h notin (i),j,!k`.
 *
 * @throws ApiError BadRequest that quotes what cannot be understood.
 */
export function parseLabelSelector(text: string): LabelSelector {
  return splitOutsideParentheses(text).map((part): LabelRequirement => {
    const set = SET.exec(part);
    if (set) {
      const [, key = '', operator, values = ''] = set;
      const list = values.split(',').map((value) => value.trim());
      return check({ key, operator: operator === 'in' ? 'In' : 'NotIn', values: list }, part);
    }
    const equality = EQUALITY.exec(part);
    if (equality) {
      const [, key = '', operator, value = ''] = equality;
      return check({ key, operator: operator === '!=' ? 'NotIn' : 'In', values: [value] }, part);
    }
    const absent = part.startsWith('!');
    return check({ key: absent ? part.slice(1).trim() : part, operator: absent ? 'DoesNotExist' : 'Exists', values: [] }, part);
  });
}

/**
 * A field selector as `kubectl --field-selector` writes it: `metadata.name=a,type!=Normal`.
 *
 * @throws ApiError BadRequest for what cannot be understood, and for fields that the kind does not offer.
 */
export function parseFieldSelector(text: string, kind: string): FieldSelector {
  const offered = [...EVERY_KIND, ...(OF_KIND[kind] ?? [])];
  return text
    .split(',')
    .filter((part) => part !== '')
    .map((part) => {
      const [, path = '', operator, value = ''] = /^([^=!]+)(==|=|!=)(.*)$/.exec(part) ?? [];
      if (!operator) throw badRequest('fieldSelector', `"${part}" is not a field selector: write FIELD=VALUE or FIELD!=VALUE`);
      if (!offered.includes(path)) {
        throw badRequest('fieldSelector', `"${path}" is not a field to select ${kind}s by: choose of ${offered.join(', ')}`);
      }
      return { path, equal: operator !== '!=', value };
    });
}

/** True if a resource (or anything with such fields) keeps every requirement. */
export function matchesFields(selector: FieldSelector, resource: unknown): boolean {
  return selector.every(({ path, equal, value }) => (fieldText(resource, path) === value) === equal);
}

/** The one name that a selector allows, if it names one. */
export function selectedName(selector: FieldSelector): string | undefined {
  return selector.find(({ path, equal }) => path === 'metadata.name' && equal)?.value;
}

function fieldText(resource: unknown, path: string): string {
  // `source` of an event stands for its component, as in Kubernetes.
  const parts = path === 'source' ? ['source', 'component'] : path.split('.');
  const found = parts.reduce<unknown>(
    (at, part) => (typeof at === 'object' && at !== null ? Reflect.get(at, part) : undefined),
    resource,
  );
  return typeof found === 'string' ? found : '';
}

function check(requirement: LabelRequirement, part: string): LabelRequirement {
  const values = requirement.values.length > 0 ? requirement.values : [''];
  const sound = values.every((value) => labelsSchema.safeParse({ [requirement.key]: value }).success);
  if (!sound) throw unreadable(part);
  return requirement;
}

function unreadable(part: string): ApiError {
  return badRequest('labelSelector', `"${part}" is not a label selector: write KEY=VALUE, KEY!=VALUE, KEY in (A,B), KEY or !KEY`);
}

function splitOutsideParentheses(text: string): string[] {
  const parts: string[] = [];
  let depth = 0;
  let from = 0;
  for (let at = 0; at <= text.length; at++) {
    const character = text[at];
    if (character === '(') depth++;
    else if (character === ')') depth--;
    else if (character === undefined || (character === ',' && depth === 0)) {
      parts.push(text.slice(from, at).trim());
      from = at + 1;
    }
  }
  return parts.filter((part) => part !== '');
}
