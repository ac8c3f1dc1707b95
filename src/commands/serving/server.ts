import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { Login } from '../../api/auth/log-in.js';
import { cisternApi } from '../../api/cistern/app.js';
import type { PageRow } from '../../api/page.js';
import { resourceApi } from '../../api/resources/app.js';
import type { Mutation } from '../../api/resources/call.js';
import { serveTls } from '../../api/serve.js';
import { type TlsOptions, tlsMaterial } from '../../api/tls.js';
import { v1Api } from '../../api/v1/app.js';
import { ownCallers } from '../../api/v1/own-callers.js';
import { ConfigError, type ServeConfig } from '../../config.js';
import type { Environment } from '../../environment.js';
import { kindNamed } from '../../resources/registry.js';
import { type AuditRecord, AuditWriter } from '../../store/audit-writer.js';
import { startEmbeddedPostgres } from '../../store/postgres/embedded.js';
import { migrate } from '../../store/postgres/migrate.js';
import { openPostgresStore, type PostgresStore } from '../../store/postgres/open.js';
import { version } from '../version.js';
import { Closing } from './closing.js';
import { openDataDir } from './data-dir.js';
import { openCipher } from './encryption-key.js';
import { listen, startEngine } from './engine.js';
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
 * Starts all that `dispatcher serve` is on the Postgres plane, in order: database, migrations, store, controllers, APIs.
 * What was started is closed again if a later part fails.
 * @throws ConfigError, StoreError or what a part throws: each message says what to do.
 */
export function startServer(config: ServeConfig, environment: Environment, log: Logger): Promise<RunningServer> {
  return Closing.around(log, (closing) => start(config, environment, log, closing));
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

  const plane = {
    store,
    installation: store.installationId,
    simulatorPersistence: store.simulatorDocuments,
    // Nobody else works on an embedded database: no lease of a killed process has to be waited for.
    ...(config.databaseUrl !== undefined && {
      election: { leases: store.leases, name: 'dispatcher', holder: `${hostname()}/${environment.id()}` },
    }),
    ping: () => store.ping(),
  };
  const { simulator, common, machines, clouds, openDoor } = await startEngine(plane, config, environment, log, closing);
  const audit = new AuditWriter(store.audit, environment, log);
  closing.add(() => audit.close());
  const { tokens, users } = store;
  const login = new Login({ users, tokens, environment, record: (record) => audit.record(record) });
  const onMutation = (mutation: Mutation) => {
    log.info({ ...mutation }, 'change asked for');
    audit.record(auditRecordOf(mutation));
  };
  const access = { ...common, store, tokens, login, onMutation };
  const https = await listen('--https', config.https, closing, (address) => serveTls(resourceApi(access), { ...address, tls }));
  if (config.v1Open) {
    log.warn(
      '--v1-open: whoever can reach --http may start, stop and assign machines in the namespace default without a token; only /api/v1/test demands one',
    );
  }
  const resourceApiUrl = () => https.url;
  const callers = ownCallers({ store, tokens, environment, open: config.v1Open });
  const dialect = { ...common, callers, login, onMutation, clouds, resourceApiUrl };
  const http = await openDoor(config.http, resourceApiUrl, v1Api(dialect), cisternApi(dialect));
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
  return { http: http.url, https: https.url, simulator, store, machines, ended, close: () => closing.close() };
}

function auditRecordOf({ user, verb, key, subresource, code, requestId, address }: Mutation): AuditRecord {
  const { group, plural } = kindNamed(key.kind);
  const resource = subresource === undefined ? plural : `${plural}/${subresource}`;
  return { user, verb, group, resource, namespace: key.namespace, name: key.name, code, requestId, address };
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
