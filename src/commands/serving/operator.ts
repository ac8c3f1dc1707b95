import { hostname } from 'node:os';
import type { Logger } from 'pino';
import { cisternApi } from '../../api/cistern/app.js';
import { v1Api } from '../../api/v1/app.js';
import { clusterCallers, NO_LOGIN } from '../../api/v1/cluster-callers.js';
import { ConfigError, type ServeConfig } from '../../config.js';
import type { Environment } from '../../environment.js';
import { isStoreError } from '../../store/errors.js';
import { openKubernetesStore } from '../../store/kubernetes/open.js';
import { version } from '../version.js';
import { Closing } from './closing.js';
import { startEngine } from './engine.js';
import type { Running } from './shutdown.js';

/**
 * Starts all that `dispatcher serve` is on the Kubernetes plane: the reconcilers over the cluster's API server, one of all replicas
 * working at a time, and the plain-HTTP door, on which API v1 acts with the rights of who asks. What was started is closed again if a later
 * part fails. `ended` never settles: an API server that is away is waited for.
 * @throws ConfigError if it is not known where the API server is; StoreError or what a part throws: each message says what to do.
 */
export function startOperator(config: ServeConfig, environment: Environment, log: Logger): Promise<Running> {
  return Closing.around(log, (closing) => start(config, environment, log, closing));
}

async function start(config: ServeConfig, environment: Environment, log: Logger, closing: Closing): Promise<Running> {
  const { kubeconfig, leaseNamespace } = config;
  const store = await openKubernetesStore({
    environment,
    ...(kubeconfig !== undefined && { kubeconfig }),
    ...(leaseNamespace !== undefined && { namespace: leaseNamespace }),
  }).catch((error: unknown) => {
    if (isStoreError(error, 'Invalid')) throw new ConfigError(`--kubeconfig: ${error.message}`);
    throw error;
  });
  closing.add(() => store.close());
  const plane = {
    store,
    installation: store.installationId,
    election: { leases: store.leases, name: 'dispatcher', holder: `${hostname()}/${environment.id()}` },
    ping: () => store.ping(),
  };
  const { common, clouds, declaredClouds, openDoor } = await startEngine(plane, config, environment, log, closing);
  const { server, namespace } = store;
  const resourceApiUrl = () => server;
  const callers = clusterCallers({ plane: store, environment, clouds: declaredClouds });
  const dialect = { ...common, callers, login: NO_LOGIN, clouds, resourceApiUrl };
  const http = await openDoor(config.http, resourceApiUrl, v1Api(dialect), cisternApi(dialect));
  log.info({ http: http.url, server, leaseNamespace: namespace, version: version() }, 'serving');
  return { ended: new Promise(() => undefined), close: () => closing.close() };
}
