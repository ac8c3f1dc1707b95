import { join } from 'node:path';
import { resourceApi } from '../src/api/resources/app.js';
import { serveTls } from '../src/api/serve.js';
import { tlsMaterial } from '../src/api/tls.js';
import { openCipher } from '../src/commands/serving/encryption-key.js';
import { openLog } from '../src/commands/serving/log.js';
import { writeRun } from '../src/commands/serving/run-file.js';
import { systemEnvironment as environment } from '../src/environment.js';
import { startEmbeddedPostgres } from '../src/store/postgres/embedded.js';
import { migrate } from '../src/store/postgres/migrate.js';
import { openPostgresStore } from '../src/store/postgres/open.js';
import { ROOT } from './processes.js';

/**
 * `node records.js DATA_DIR`: the resource API over the embedded PostgreSQL as `dispatcher serve` has it, but for the reconcilers,
 * for an API server has none. PostgreSQL does not wait for the disk, as the etcd that this is compared with does not.
 */
const [, , dataDir = ''] = process.argv;
const log = await openLog({ logFormat: 'json', logLevel: 'info' });
const database = await startEmbeddedPostgres({ dataDir, environment, log, settings: { fsync: 'off' } });
await migrate(database.connectionString, log, `${ROOT}prisma/migrations`);
const cipher = await openCipher(dataDir, undefined);
const store = await openPostgresStore({ connectionString: database.connectionString, cipher, environment, log });
const tls = await tlsMaterial({ directory: join(dataDir, 'tls'), hosts: ['127.0.0.1'], environment });
const onMutation = (mutation: object) => log.info({ ...mutation }, 'change asked for');
const app = resourceApi({ store, tokens: store.tokens, log, version: 'bench', environment, onMutation });
const server = await serveTls(app, { host: '127.0.0.1', port: 0, tls });
const { url } = server;
await writeRun(dataDir, {
  ...{ pid: process.pid, version: 'bench', http: url, https: url, ca: tls.ca },
  databaseUrl: database.connectionString,
});
process.once('SIGTERM', async () => {
  await server.close(1_000);
  await store.close();
  await database.stop();
});
