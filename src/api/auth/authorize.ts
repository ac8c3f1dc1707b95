import { KINDS } from '../../resources/registry.js';
import type { Grant } from '../../store/users.js';
import { ApiError } from '../resources/errors.js';
import type { User } from './authenticate.js';
import { REVIEWS, ROLES, type Rule } from './roles.js';

/** The group whose members may do everything. Who has no role and is not in it may do nothing with resources. */
export const MASTERS = 'system:masters';

/** What may be read without saying who one is. */
const OPEN = new Set(['/healthz', '/livez', '/readyz', '/version']);
/** What anybody who is known may read: what there is, not what it holds. */
const KNOWN = ['/api', '/api/v1', '/apis', '/apis/*', '/openapi/*'];

/** The paths that any known user may GET, as a SelfSubjectRulesReview tells them. */
export const READABLE_PATHS: readonly string[] = [...OPEN, ...KNOWN];

/** True for paths that need no token. */
export function isOpen(path: string): boolean {
  return OPEN.has(path);
}

/** True if a path is one of {@link READABLE_PATHS}. */
export function isReadable(path: string): boolean {
  return READABLE_PATHS.some((each) => (each.endsWith('*') ? path.startsWith(each.slice(0, -1)) : path === each));
}

/** Something that somebody would do. Texts are as clients send them: `*` means any, and what is not known is allowed to few. */
export interface Access {
  readonly verb: string;
  readonly group: string;
  /** The plural. */
  readonly resource: string;
  /** '' for none. */
  readonly subresource: string;
  /** '' for all namespaces, and for what has none. */
  readonly namespace: string;
  /** '' for a collection. */
  readonly name: string;
}

/** True if a user may do that. */
export function mayDo(user: User, access: Access): boolean {
  return isMaster(user) || rolesOf(user).some(({ rules, grant }) => rules.some((rule) => covers(rule, grant, access)));
}

/** The rules that hold for a user in a namespace, with the Namespace's name where it is all that a rule is about. */
export function rulesIn(user: User, namespace: string): readonly (Rule & { readonly name?: string })[] {
  if (isMaster(user)) return [{ groups: ['*'], resources: ['*'], verbs: ['*'], where: 'all' }, ...REVIEWS];
  return rolesOf(user).flatMap(({ rules, grant }) =>
    rules
      .filter(({ where }) => holds(where, grant, namespace))
      .map((rule) => (rule.where === 'granted' && grant && isAbout(rule, 'namespaces') ? { ...rule, name: namespace } : rule)),
  );
}

/** @throws ApiError Forbidden in the words of a Kubernetes API server. */
export function authorize(user: User, access: Access): void {
  if (!mayDo(user, access)) throw forbidden(user.name, access);
}

/** A 403 in the words of a Kubernetes API server. */
export function forbidden(user: string, access: Access): ApiError {
  const { verb, group, resource, subresource, name } = access;
  const namespace = namespaceOf(access);
  const what = group === '' ? resource : `${resource}.${group}`;
  const where = namespace === '' ? 'at the cluster scope' : `in the namespace "${namespace}"`;
  const whole = subresource === '' ? resource : `${resource}/${subresource}`;
  return new ApiError(
    'Forbidden',
    `${what}${name === '' ? '' : ` "${name}"`} is forbidden: User "${user}" cannot ${verb} resource "${whole}" in API group "${group}" ${where}`,
  );
}

function isMaster({ groups }: User): boolean {
  return groups.includes(MASTERS);
}

function rolesOf({ grants = [] }: User): { readonly rules: readonly Rule[]; readonly grant?: Grant }[] {
  return [...grants.map((grant) => ({ rules: ROLES[grant.role], grant })), { rules: REVIEWS }];
}

function covers({ groups, resources, verbs, where }: Rule, grant: Grant | undefined, access: Access): boolean {
  const whole = access.subresource === '' ? access.resource : `${access.resource}/${access.subresource}`;
  return (
    has(groups, access.group) && has(resources, whole) && has(verbs, access.verb) && holds(where, grant, namespaceOf(access))
  );
}

function has(allowed: readonly string[], asked: string): boolean {
  return allowed.includes('*') || allowed.includes(asked);
}

function holds(where: Rule['where'], grant: Grant | undefined, namespace: string): boolean {
  if (where === 'anyone' || grant?.namespaces === undefined) return where === 'anyone' || grant !== undefined;
  return where === 'granted' && grant.namespaces.includes(namespace);
}

/** The namespace that decides: of a Namespace it is its name; what has none is in none, whatever a client says. */
function namespaceOf({ group, resource, namespace, name }: Access): string {
  const definition = KINDS.find((kind) => kind.group === group && kind.plural === resource);
  if (definition?.kind === 'Namespace') return name || namespace;
  return definition && !definition.namespaced ? '' : namespace;
}

function isAbout({ resources }: Rule, plural: string): boolean {
  return resources.includes(plural);
}
