import { ApiError } from '../resources/errors.js';
import type { User } from './authenticate.js';

/** The group whose members may do everything with resources; nobody else may do anything with them. */
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

/** True if a user may use resources at all: the one role that there is. */
export function mayUseResources({ groups }: User): boolean {
  return groups.includes(MASTERS);
}

/** @throws ApiError Forbidden that says who may not do what, and who may. */
export function authorize(user: User, verb: string, what: string): void {
  if (mayUseResources(user)) return;
  throw new ApiError('Forbidden', `${what} is forbidden: user "${user.name}" cannot ${verb} it; members of ${MASTERS} can`);
}
