import type { Logger } from 'pino';
import { collectDefaultMetrics, Registry } from 'prom-client';
import type { Checks } from '../../api/health.js';
import { type PlainHttpOptions, plainHttp } from '../../api/http.js';
import type { PageRow } from '../../api/page.js';
import { type Address, type Listening, serveHttp } from '../../api/serve.js';
import { type CloudReader, CloudUnavailable } from '../../api/v1/cloud-reader.js';
import type { SimulatorPersistence } from '../../clouds/simulator/persistence.js';
import { startSimulator } from '../../clouds/simulator/simulator.js';
import { ConfigError, type ServeConfig } from '../../config.js';
import { type DispatcherOptions, startDispatcher } from '../../dispatcher.js';
import type { Environment } from '../../environment.js';
import type { Resource } from '../../resources/metadata.js';
import type { Store } from '../../store/store.js';
import { version } from '../version.js';
import type { Closing } from './closing.js';
import { cloudReader } from './cloud-reader.js';
import { driverFactory } from './drivers.js';
import { rowOf } from './row.js';

/** Where resources live, with what else the engine needs of such a place. */
export interface Plane {
  readonly store: Store;
  /** Marks what is ours in clouds: the same for all replicas and for ever. */
  readonly installation: string;
  /** Without it, this process always leads. */
  readonly election?: DispatcherOptions['election'];
  /** What the built-in simulated cloud keeps its state in; without it, nothing outlives the process. */
  readonly simulatorPersistence?: SimulatorPersistence;
  /** What /readyz asks of it: rejects if it does not answer. */
  ping(): Promise<unknown>;
}

/** The reconcilers at work on a plane, and the plain-HTTP door on them. */
export interface Engine {
  /** Where the simulated cloud is logged in to. */
  readonly simulator: string;
  /** What the doors share. */
  readonly common: Pick<PlainHttpOptions, 'checks' | 'log' | 'environment' | 'version'>;
  /** The machines as last seen, each as a line. */
  machines(): PageRow[];
  /** What is known of the clouds. */
  readonly clouds: CloudReader;
  /** The Clouds as last seen. @throws CloudUnavailable until all is known that is declared. */
  declaredClouds(): readonly Resource[];
  /** Serves health, metrics, the page and the APIs that are handed in. @param resourceApiUrl where the declarations are written to. */
  openDoor(
    address: Address,
    resourceApiUrl: () => string,
    v1: PlainHttpOptions['v1'],
    cistern?: PlainHttpOptions['cistern'],
  ): Promise<Listening>;
}

/** Starts the built-in simulated cloud and the reconcilers on a plane. `closing` takes what ends them. */
export async function startEngine(
  plane: Plane,
  { concurrency }: Pick<ServeConfig, 'concurrency'>,
  environment: Environment,
  log: Logger,
  closing: Closing,
): Promise<Engine> {
  const { store, installation, election, simulatorPersistence } = plane;
  const simulator = await startSimulator({
    host: '127.0.0.1',
    port: 0,
    ...(simulatorPersistence && { persistence: simulatorPersistence }),
    environment,
    log: log.child({ part: 'simulator' }),
  });
  closing.add(() => simulator.close());
  const metrics = new Registry();
  collectDefaultMetrics({ register: metrics });
  const makeDriver = driverFactory({ environment, log, installation, simulatorUrl: simulator.url });
  const dispatcher = startDispatcher({
    store,
    environment,
    log,
    installation,
    makeDriver,
    concurrency,
    metrics,
    ...(election && { election }),
  });
  closing.add(() => dispatcher.stop());
  const checks: Checks = {
    store: () => plane.ping(),
    caches: async () => {
      if (!dispatcher.synced) throw new Error('what is declared is not read yet');
    },
  };
  const common = { checks, log, environment, version: version() };
  const machines = () => dispatcher.list('VirtualMachine').map(rowOf);
  const snapshot = async () => ({ virtualMachines: machines(), clouds: dispatcher.list('Cloud').map(rowOf) });
  const openDoor: Engine['openDoor'] = (address, resourceApiUrl, v1, cistern) =>
    listen('--http', address, closing, (there) =>
      serveHttp(plainHttp({ ...common, metrics, snapshot, resourceApiUrl, v1, ...(cistern && { cistern }) }), there),
    );
  const clouds = cloudReader((cloud) => dispatcher.connection(cloud));
  const declaredClouds = () => {
    if (dispatcher.synced) return dispatcher.list('Cloud');
    throw new CloudUnavailable('which clouds are declared is not known yet');
  };
  return { simulator: simulator.url, common, machines, clouds, declaredClouds, openDoor };
}

/** Listens where a flag says; `closing` takes what ends it. @throws ConfigError that names the flag if it cannot be listened there. */
export async function listen(
  flag: string,
  address: Address,
  closing: Closing,
  serve: (address: Address) => Promise<Listening>,
): Promise<Listening> {
  const listening = await serve(address).catch((error) => {
    throw new ConfigError(`${flag} ${address.host}:${address.port} cannot be listened on (${error.message}): choose another`);
  });
  closing.add(() => listening.close());
  return listening;
}
