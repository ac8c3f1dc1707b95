import { z } from 'zod';
import type { User } from '../auth/authenticate.js';
import { isReadable, mayDo, READABLE_PATHS, rulesIn } from '../auth/authorize.js';
import type { Answer } from './call.js';
import { badRequest } from './errors.js';

const text = z.string().max(253).default('');
const accessSchema = z.looseObject({
  resourceAttributes: z
    .looseObject({ verb: text, group: text, resource: text, subresource: text, namespace: text, name: text })
    .optional(),
  nonResourceAttributes: z.looseObject({ path: z.string().max(1024).default(''), verb: text }).optional(),
});
const rulesSchema = z.looseObject({ namespace: z.string().max(63).default('') });

/** A review's kind, and what it says of a caller; undefined if what it asks cannot be understood. */
interface Review {
  readonly kind: string;
  readonly apiVersion: string;
  status(user: User, spec: unknown): object | undefined;
}

/** What the reviews say, by path: about the caller alone. Nothing is kept. */
const REVIEWS: Readonly<Record<string, Review>> = {
  '/apis/authentication.k8s.io/v1/selfsubjectreviews': {
    kind: 'SelfSubjectReview',
    apiVersion: 'authentication.k8s.io/v1',
    status: (user) => ({ userInfo: { username: user.name, groups: user.groups } }),
  },
  '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews': {
    kind: 'SelfSubjectAccessReview',
    apiVersion: 'authorization.k8s.io/v1',
    status: (user, spec) => {
      const { resourceAttributes, nonResourceAttributes } = accessSchema.safeParse(spec).data ?? {};
      if (resourceAttributes) return { allowed: mayDo(user, resourceAttributes) };
      if (!nonResourceAttributes) return undefined;
      const { verb, path } = nonResourceAttributes;
      return { allowed: (verb === 'get' || verb === 'head') && isReadable(path) };
    },
  },
  '/apis/authorization.k8s.io/v1/selfsubjectrulesreviews': {
    kind: 'SelfSubjectRulesReview',
    apiVersion: 'authorization.k8s.io/v1',
    status: (user, spec) => {
      const asked = rulesSchema.safeParse(spec);
      if (!asked.success) return undefined;
      return {
        resourceRules: rulesIn(user, asked.data.namespace).map(({ verbs, groups, resources, name }) => ({
          verbs,
          apiGroups: groups,
          resources,
          ...(name !== undefined && { resourceNames: [name] }),
        })),
        nonResourceRules: [{ verbs: ['get'], nonResourceURLs: READABLE_PATHS }],
        incomplete: false,
      };
    },
  },
};

/** True if a path is that of a review. */
export function isReview(path: string): boolean {
  return Object.hasOwn(REVIEWS, path);
}

/** Answers POST of a review. @throws ApiError BadRequest. */
export function answerReview(path: string, user: User, body: unknown): Answer {
  const parsed = z.looseObject({ spec: z.looseObject({}).nullish() }).safeParse(body ?? {});
  const review = REVIEWS[path];
  const spec = parsed.data?.spec ?? {};
  const status = parsed.success ? review?.status(user, spec) : undefined;
  if (!review || !status) throw badRequest('spec', 'the body is not a review that can be understood');
  const { kind, apiVersion } = review;
  return { code: 201, body: { kind, apiVersion, metadata: { creationTimestamp: null }, spec, status } };
}
