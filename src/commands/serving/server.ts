import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { collectDefaultMetrics, Registry } from 'prom-client';
import { plainHttp } from '../../api/http.js';
import type { PageRow } from '../../api/page.js';
import { resourceApi } from '../../api/resources/app.js';
import { type Address, type Listening, serveHttp, serveTls } from '../../api/serve.js';
import { type TlsOptions, tlsMaterial } from '../../api/tls.js';
import { startSimulator } from '../../clouds/simulator/simulator.js';
import { ConfigError, type ServeConfig } from '../../config.js';
import { startDispatcher } from '../../dispatcher.js';
import type { Environment } from '../../environment.js';
import { startEmbeddedPostgres } from '../../store/postgres/embedded.js';
import { migrate } from '../../store/postgres/migrate.js';
import { openPostgresStore, type PostgresStore } from '../../store/postgres/open.js';
import { version } from '../version.js';
import { Closing } from './closing.js';
import { openDataDir } from './data-dir.js';
import { driverFactory } from './drivers.js';
import { openCipher } from './encryption-key.js';
import { rowOf } from './row.js';
import { removeRun, writeRun } from './run-file.js';
import type { Running } from './shutdown.js';
import { startUpkeep } from './upkeep.js';

/** A server that is up. `ended` rejects if it cannot go on, and never resolves; `close` stops the embedded PostgreSQL last. */
export interface RunningServer extends Running {
  /** Where health, metrics and the page are: http://127.0.0.1:5070. */
  readonly http: string;
  /** Where the resource API is: https://127.0.0.1:5443. */
  readonly https: string;
  /** Where the simulated cloud is logged in to. */
  readonly simulator: string;
  readonly store: PostgresStore;
  /** The machines as last seen, each as a line. */
  machines(): PageRow[];
}

const HOUR_MS = 3_600_000;

/**
 * Starts everything that `dispatcher serve` is, in order: database, migrations, store, controllers, APIs.
 * What was started is closed again if a later part fails.
 * @throws ConfigError, StoreError or what a part throws: each message says what to do.
 */
export async function startServer(config: ServeConfig, environment: Environment, log: Logger): Promise<RunningServer> {
  const closing = new Closing();
  try {
    return await start(config, environment, log, closing);
  } catch (error) {
    await closing.close().catch((err: unknown) => log.error({ err }, 'closing failed'));
    throw error;
  }
}

async function start(config: ServeConfig, environment: Environment, log: Logger, closing: Closing): Promise<RunningServer> {
  const { dataDir } = config;
  await openDataDir(dataDir);
  const cipher = await openCipher(dataDir, config.encryptionKeyFile);
  const tlsOptions = tlsOptionsOf(config, environment);
  const tls = await tlsMaterial(tlsOptions).catch((error) => {
    throw new ConfigError(`--tls-cert and --tls-key cannot be used: ${error.message}`);
  });

  let lose: (error: Error) => void = () => undefined;
  const ended = new Promise<void>((_resolve, reject) => {
    lose = reject;
  });
  ended.catch(() => undefined);
  const databaseUrl = config.databaseUrl ?? (await embeddedDatabase(dataDir, environment, log, closing, lose));
  await migrate(databaseUrl, log);
  const store = await openPostgresStore({ connectionString: databaseUrl, cipher, environment, log });
  closing.add(() => store.close());

  const simulator = await startSimulator({
    host: '127.0.0.1',
    port: 0,
    persistence: store.simulatorDocuments,
    environment,
    log: log.child({ part: 'simulator' }),
  });
  closing.add(() => simulator.close());
  const metrics = new Registry();
  collectDefaultMetrics({ register: metrics });
  const installation = store.installationId;
  const dispatcher = startDispatcher({
    store,
    environment,
    log,
    installation,
    makeDriver: driverFactory({ environment, log, installation, simulatorUrl: simulator.url }),
    concurrency: config.concurrency,
    metrics,
    // Nobody else works on an embedded database: no lease of a killed process has to be waited for.
    ...(config.databaseUrl !== undefined && {
      election: { leases: store.leases, name: 'dispatcher', holder: `${hostname()}/${environment.id()}` },
    }),
  });
  closing.add(() => dispatcher.stop());
  const checks = {
    database: () => store.ping(),
    caches: async () => {
      if (!dispatcher.synced) throw new Error('what is declared is not read yet');
    },
  };
  const common = { checks, log, environment, version: version() };
  const https = await listen('--https', config.https, closing, (address) => {
    const onMutation = (mutation: object) => log.info({ ...mutation }, 'change asked for');
    return serveTls(resourceApi({ ...common, store, tokens: store.tokens, onMutation }), { ...address, tls });
  });
  const machines = () => dispatcher.list('VirtualMachine').map(rowOf);
  const snapshot = async () => ({
    virtualMachines: machines(),
    clouds: dispatcher.list('Cloud').map(rowOf),
  });
  const http = await listen('--http', config.http, closing, (address) =>
    serveHttp(plainHttp({ ...common, metrics, snapshot, resourceApiUrl: () => https.url }), address),
  );
  closing.add(
    startUpkeep(
      [
        { name: 'history', schedule: '*/5 * * * *', run: () => store.prune() },
        {
          name: 'events',
          schedule: '*/5 * * * *',
          run: () => store.expireEvents(new Date(environment.now().getTime() - HOUR_MS)),
        },
        { name: 'certificate', schedule: '30 3 * * *', run: async () => https.renew(await tlsMaterial(tlsOptions)) },
      ],
      log,
    ),
  );
  closing.add(() => removeRun(dataDir));
  await writeRun(dataDir, { pid: process.pid, version: version(), http: http.url, https: https.url, ca: tls.ca, databaseUrl });
  log.info({ http: http.url, https: https.url, dataDir, version: version() }, 'serving');
  return { http: http.url, https: https.url, simulator: simulator.url, store, machines, ended, close: () => closing.close() };
}

async function embeddedDatabase(
  dataDir: string,
  environment: Environment,
  log: Logger,
  closing: Closing,
  onLost: (error: Error) => void,
): Promise<string> {
  const embedded = await startEmbeddedPostgres({ dataDir, environment, log, onLost });
  closing.add(() => embedded.stop());
  return embedded.connectionString;
}

function tlsOptionsOf({ dataDir, https, tlsCert, tlsKey }: ServeConfig, environment: Environment): TlsOptions {
  const wildcard = https.host === '0.0.0.0' || https.host === '::';
  const given = tlsCert !== undefined && tlsKey !== undefined ? { cert: tlsCert, key: tlsKey } : undefined;
  const hosts = wildcard ? [hostname()] : [https.host];
  return { directory: join(dataDir, 'tls'), hosts, environment, ...(given && { given }) };
}

async function listen(
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
