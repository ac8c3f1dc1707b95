import type { Environment } from '../../environment.js';
import { StoreError } from '../errors.js';
import type { Store } from '../store.js';
import { type CallerPlane, callerPlane } from './caller.js';
import { Connection, type ConnectionOptions } from './connection.js';
import { KubernetesLeases } from './leases.js';
import { Requests } from './requests.js';
import { ResourceStore } from './resource-store.js';

/** The Kubernetes plane. */
export interface KubernetesStore extends Store {
  /** The uid of the cluster's namespace kube-system: marks what Dispatcher in this cluster has made in clouds. */
  readonly installationId: string;
  /** Where the API server is. */
  readonly server: string;
  /** The namespace that this process belongs to: its leases are there. */
  readonly namespace: string;
  /** The same plane as somebody else sees it; undefined: as who bears no token. Nothing is asked yet. */
  as(token: string | undefined): CallerPlane;
  /** Resolves if the API server answers and is ready. @throws StoreError Unavailable. */
  ping(): Promise<void>;
  /** Breaks connections and watches; to be called when all that uses the store is finished. */
  close(): Promise<void>;
}

/** How {@link openKubernetesStore} opens. */
export interface KubernetesStoreOptions extends ConnectionOptions {
  readonly environment: Environment;
  /** Where leases are kept. Default: the namespace of the context, in a cluster that of the pod. */
  readonly namespace?: string;
}

/**
 * Opens the Kubernetes plane. CustomResourceDefinitions may come later: until then what needs them fails, saying so.
 * @throws StoreError Invalid if no configuration can be found or used; Unavailable if the API server does not answer or does not
 *   take the credentials; Forbidden if they do not allow to get the namespace kube-system.
 */
export async function openKubernetesStore(options: KubernetesStoreOptions): Promise<KubernetesStore> {
  const { environment } = options;
  const connection = await Connection.open(options);
  const bare = await connection.withoutCredentials();
  const close = async () => void (await Promise.all([connection.close(), bare.close()]));
  try {
    const requests = new Requests(connection, environment);
    const namespace = options.namespace ?? connection.namespace;
    const leases = new KubernetesLeases(requests, environment, namespace);
    const resources = new ResourceStore({ requests, environment, leases });
    const system = await resources.get({ kind: 'Namespace', namespace: '', name: 'kube-system' });
    if (!system) throw new StoreError('Unavailable', `the cluster at ${connection.server} has no namespace kube-system`);
    return Object.assign(resources, {
      installationId: system.metadata.uid,
      server: connection.server,
      namespace,
      as: (token: string | undefined) => callerPlane(bare, token, environment),
      ping: async () => {
        await requests.send({ method: 'GET', path: '/readyz', call: 'ask whether it is ready' });
      },
      close,
    });
  } catch (error) {
    await close();
    throw error;
  }
}
