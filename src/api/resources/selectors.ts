import { isStoreError } from '../../store/errors.js';
import { parseLabelSelector } from '../../store/selectors.js';
import type { LabelSelector } from '../../store/store.js';
import { badRequest } from './errors.js';

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

/** A label selector as `kubectl -l` writes it. @throws ApiError BadRequest that quotes what cannot be understood. */
export function labelSelector(text: string): LabelSelector {
  try {
    return parseLabelSelector(text);
  } catch (error) {
    throw isStoreError(error, 'Invalid') ? badRequest('labelSelector', error.message) : error;
  }
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
