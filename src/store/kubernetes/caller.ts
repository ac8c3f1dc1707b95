import { z } from 'zod';
import type { Environment } from '../../environment.js';
import { StoreError } from '../errors.js';
import type { Store } from '../store.js';
import type { Connection, Link } from './connection.js';
import { KubernetesLeases } from './leases.js';
import { collectionPath, type Place } from './paths.js';
import { Requests } from './requests.js';
import { ResourceStore } from './resource-store.js';

/** What somebody would do with resources; a `namespace` of '' means all, and a `name` of '' all of them. */
export interface ReviewedAccess {
  readonly verb: string;
  readonly group: string;
  /** The plural. */
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * The Kubernetes plane with the rights of one caller: everything goes to the API server with the caller's own token. Every call may throw
 * StoreError Unauthorized for a token that is not (or no longer) good, Forbidden for what the API server refuses, Unavailable.
 */
export interface CallerPlane {
  readonly store: Store;
  /** Who the API server takes the caller for. */
  whoAmI(): Promise<{ readonly name: string; readonly groups: readonly string[] }>;
  /** Whether the API server says that the caller may do that. */
  may(access: ReviewedAccess): Promise<boolean>;
}

const SELF: Place = { group: 'authentication.k8s.io', version: 'v1', plural: 'selfsubjectreviews', namespaced: false };
const ACCESS: Place = { group: 'authorization.k8s.io', version: 'v1', plural: 'selfsubjectaccessreviews', namespaced: false };

const selfSchema = z.object({
  status: z.object({ userInfo: z.object({ username: z.string().min(1), groups: z.array(z.string()).optional() }) }),
});
const accessSchema = z.object({ status: z.object({ allowed: z.boolean() }) });

/**
 * {@link CallerPlane}.
 * @param bare a connection without credentials, shared by all callers.
 * @param token undefined for a caller who bears none.
 */
export function callerPlane(bare: Connection, token: string | undefined, environment: Environment): CallerPlane {
  const link: Link = {
    server: bare.server,
    access: async () => ({ ...(await bare.access()), headers: token === undefined ? {} : { authorization: `Bearer ${token}` } }),
  };
  const requests = new Requests(link, environment);
  const review = async <Answer>(place: Place, kind: string, spec: object, schema: z.ZodType<Answer>): Promise<Answer> => {
    const call = `create ${kind}`;
    const body = { apiVersion: `${place.group}/${place.version}`, kind, ...spec };
    const answer = await requests.send({ method: 'POST', path: collectionPath(place), body, call, resource: place });
    const parsed = schema.safeParse(answer);
    if (!parsed.success) throw new StoreError('Unavailable', `${call}: what the API server answered is no ${kind}`);
    return parsed.data;
  };
  return {
    store: new ResourceStore({
      requests,
      environment,
      leases: new KubernetesLeases(requests, environment, bare.namespace),
    }),
    whoAmI: async () => {
      const { userInfo } = (await review(SELF, 'SelfSubjectReview', {}, selfSchema)).status;
      return { name: userInfo.username, groups: userInfo.groups ?? [] };
    },
    may: async (access) => {
      const spec = { resourceAttributes: access };
      return (await review(ACCESS, 'SelfSubjectAccessReview', { spec }, accessSchema)).status.allowed;
    },
  };
}
