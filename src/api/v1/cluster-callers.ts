import type { Environment } from '../../environment.js';
import type { Resource } from '../../resources/metadata.js';
import { isStoreError } from '../../store/errors.js';
import type { KubernetesStore } from '../../store/kubernetes/open.js';
import { Authenticator } from '../auth/authenticate.js';
import type { Caller, Callers } from './callers.js';
import { V1Error } from './errors.js';
import { askedNamespace, DEFAULT_NAMESPACE } from './namespace.js';

/** What {@link clusterCallers} works with. */
export interface ClusterCallersOptions {
  readonly plane: Pick<KubernetesStore, 'as'>;
  readonly environment: Environment;
  /** The Clouds as last seen by who runs this. @throws CloudUnavailable while they are not known. */
  readonly clouds: () => readonly Resource[];
}

const NOBODY = 'system:anonymous';

/**
 * Callers with tokens of the cluster: the API server says who they are and what they may, and what they read and write goes to it with
 * their own token. They work in the namespace that the query names, or `default`. Who bears a token is remembered for two seconds, by its
 * digest; what one may is asked anew each time.
 */
export function clusterCallers({ plane, environment, clouds }: ClusterCallersOptions): Callers {
  const authenticator = new Authenticator({ find: (token) => whoBears(plane, token) }, environment);
  const callerOf = (name: string, token: string | undefined, namespace: string): Caller => {
    const { store, may } = plane.as(token);
    return { name, store, may, namespaces: [namespace] };
  };
  return {
    bearer: async (token, query) => {
      const { name } = await authenticator.bearer(token);
      return callerOf(name, token, askedNamespace(query) ?? DEFAULT_NAMESPACE);
    },
    nobody: callerOf(NOBODY, undefined, DEFAULT_NAMESPACE),
    clouds: async () => clouds(),
  };
}

async function whoBears(plane: Pick<KubernetesStore, 'as'>, token: string) {
  try {
    const { name, groups } = await plane.as(token).whoAmI();
    // Something before the API server has dropped the token.
    return name === NOBODY ? undefined : { id: '', user: name, groups };
  } catch (error) {
    if (isStoreError(error, 'Unauthorized')) return undefined;
    throw error;
  }
}

/** What logs nobody in: the passwords of a cluster's users are not ours to ask for. */
export const NO_LOGIN = {
  logIn: (): Promise<never> =>
    Promise.reject(
      new V1Error(
        501,
        'no passwords are known here: use a token of the cluster, such as `kubectl create token NAME` makes for a service account',
      ),
    ),
};
