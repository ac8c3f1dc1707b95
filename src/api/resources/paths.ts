import { apiVersionOf, type KindDefinition } from '../../resources/kind.js';
import { KINDS } from '../../resources/registry.js';
import { ApiError, badRequest, type StatusDetails } from './errors.js';

/** What is read and written beside a resource itself. */
export type Subresource = 'status' | 'scale';

/** What a path means: a collection (no `name`), a resource, or a subresource of it. */
export interface Target {
  readonly definition: KindDefinition;
  /** '' for cluster-scoped kinds, undefined for all namespaces. */
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: Subresource | undefined;
}

const BY_PATH = new Map(KINDS.map((definition) => [`${apiVersionOf(definition)}/${definition.plural}`, definition]));

/**
 * The meaning of a path such as `/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines/web/status`.
 *
 * @throws ApiError NotFound if no kind is served there; BadRequest for broken percent-encoding.
 */
export function parsePath(path: string): Target {
  const parts = path.split('/').filter((part) => part !== '');
  const decoded = parts.map(decode);
  const root = decoded[0] === 'api' ? 2 : 3;
  const apiVersion = decoded.slice(1, root).join('/');
  const rest = decoded.slice(root);
  const scoped =
    rest[0] === 'namespaces' && rest.length > 2 && !(apiVersion === 'v1' && rest[2] === 'status' && rest.length === 3);
  const [plural = '', name, subresource, ...excess] = scoped ? rest.slice(2) : rest;
  const definition = BY_PATH.get(`${apiVersion}/${plural}`);
  const known = definition && excess.length === 0 && (!scoped || definition.namespaced);
  // Without a namespace, a namespaced kind has one path: the collection over all namespaces.
  if (!known || (definition.namespaced && !scoped && name !== undefined)) throw unknownPath(path);
  if (subresource !== undefined && !hasSubresource(definition, subresource)) throw unknownPath(path);
  const namespace = definition.namespaced ? (scoped ? rest[1] : undefined) : '';
  return { definition, namespace, name, subresource };
}

function hasSubresource({ statusSubresource, scale }: KindDefinition, name: string): name is Subresource {
  return (name === 'status' && statusSubresource) || (name === 'scale' && scale !== undefined);
}

/** A 404 for a path that means nothing here. */
export function unknownPath(path: string): ApiError {
  return new ApiError('NotFound', `the server could not find the requested resource (nothing is served at ${path})`);
}

/** The resource that a target means, as `Status.details` name it. */
export function detailsOf({ definition, name }: Target): StatusDetails {
  return { ...(name === undefined ? {} : { name }), group: definition.group, kind: definition.plural };
}

/** `virtualmachines.dispatcher.dev`, or `secrets` for the core group. */
export function qualifiedPlural({ group, plural }: KindDefinition): string {
  return group === '' ? plural : `${plural}.${group}`;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest('path', `the path has broken percent-encoding: ${part}`);
  }
}
