import { z } from 'zod';
import type { User } from '../auth/authenticate.js';
import { MASTERS, mayUseResources, READABLE_PATHS } from '../auth/authorize.js';
import type { Answer } from './call.js';
import { badRequest } from './errors.js';

const reviewSchema = z.looseObject({ spec: z.looseObject({ namespace: z.string().max(63).optional() }).optional() });
const WHY = `members of ${MASTERS} may do everything, others nothing`;

/** What the reviews say, by path: about the caller alone. Nothing is kept. */
const REVIEWS: Readonly<
  Record<string, (user: User) => { readonly kind: string; readonly apiVersion: string; readonly status: object }>
> = {
  '/apis/authentication.k8s.io/v1/selfsubjectreviews': (user) => ({
    kind: 'SelfSubjectReview',
    apiVersion: 'authentication.k8s.io/v1',
    status: { userInfo: { username: user.name, groups: user.groups } },
  }),
  '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews': (user) => ({
    kind: 'SelfSubjectAccessReview',
    apiVersion: 'authorization.k8s.io/v1',
    status: { allowed: mayUseResources(user), reason: WHY },
  }),
  '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews': (user) => ({
    kind: 'SelfSubjectRulesReview',
    apiVersion: 'authorization.k8s.io/v1',
    status: {
      resourceRules: mayUseResources(user) ? [{ verbs: ['*'], apiGroups: ['*'], resources: ['*'] }] : [],
      nonResourceRules: [{ verbs: ['get'], nonResourceURLs: READABLE_PATHS }],
      incomplete: false,
    },
  }),
};

/** True if a path is that of a review. */
export function isReview(path: string): boolean {
  return path in REVIEWS;
}

/** Answers POST of a review. @throws ApiError BadRequest. */
export function answerReview(path: string, user: User, body: unknown): Answer {
  const parsed = reviewSchema.safeParse(body ?? {});
  const answer = REVIEWS[path]?.(user);
  if (!parsed.success || !answer) throw badRequest('spec', 'the body is not a review');
  const { kind, apiVersion, status } = answer;
  return { code: 201, body: { kind, apiVersion, metadata: { creationTimestamp: null }, spec: parsed.data.spec ?? {}, status } };
}
