import type { ResourceKey } from '../../resources/metadata.js';
import { StoreError } from '../errors.js';
import type { LabelRequirement, LabelSelector } from '../store.js';

/** Where the API server serves a kind. */
export interface Place {
  readonly group: string;
  readonly version: string;
  readonly plural: string;
  readonly namespaced: boolean;
}

/** The resources of a kind: in one namespace, or without one in all. */
export function collectionPath({ group, version, plural, namespaced }: Place, namespace?: string): string {
  const root = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const room = namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${room}/${plural}`;
}

/** One resource. @throws StoreError Invalid without a name, or without a namespace where the kind has one. */
export function resourcePath(place: Place, { kind, namespace, name }: ResourceKey): string {
  if (name === '') throw new StoreError('Invalid', `${kind} needs metadata.name`);
  if (place.namespaced && namespace === '') throw new StoreError('Invalid', `${kind} ${name} needs metadata.namespace`);
  return `${collectionPath(place, namespace)}/${encodeURIComponent(name)}`;
}

/** `?a=b&c=d` of those that are there; nothing if none is. */
export function query(parameters: Readonly<Record<string, string | number | undefined>>): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value !== undefined) given.set(name, String(value));
  return given.size === 0 ? '' : `?${given}`;
}

/** A selector as `labelSelector` takes it; undefined if it chooses all. */
export function selectorText(selector: LabelSelector | undefined): string | undefined {
  return selector && selector.length > 0 ? selector.map(requirementText).join(',') : undefined;
}

function requirementText({ key, operator, values }: LabelRequirement): string {
  const [first = '', ...more] = values;
  switch (operator) {
    case 'In':
      return more.length === 0 ? `${key}=${first}` : `${key} in (${values.join(',')})`;
    case 'NotIn':
      return more.length === 0 ? `${key}!=${first}` : `${key} notin (${values.join(',')})`;
    case 'Exists':
      return key;
    case 'DoesNotExist':
      return `!${key}`;
    default:
      return operator satisfies never;
  }
}
