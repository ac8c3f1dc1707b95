import { Command } from 'commander';
import { readConfig, serveSchema } from '../config.js';
import { systemEnvironment } from '../environment.js';
import { addSettings } from './options.js';
import { openLog } from './serving/log.js';
import { startServer } from './serving/server.js';
import { runUntilStopped } from './serving/shutdown.js';

const HELP = `
With --plane kubernetes it is an operator: declare with kubectl in the cluster, where manifests/crds are installed. Of the APIs it
serves v1, for tokens of the cluster.

SIGTERM or SIGINT drains: it takes no more requests, finishes the step in hand, gives its leases up, stops the embedded
PostgreSQL, and exits 0 within 25 seconds. A second one ends it at once, which loses nothing.

Then, from another terminal:
  dispatcher kubeconfig > kubeconfig && kubectl --kubeconfig kubeconfig get virtualmachines`;

/** `dispatcher serve`. */
export function command(): Command {
  const serve = new Command('serve')
    .description('Keeps the machines as declared, and serves the APIs, until stopped.')
    .addHelpText('after', HELP);
  addSettings(
    serve,
    'plane',
    'kubeconfig',
    'leaseNamespace',
    'dataDir',
    'http',
    'https',
    'databaseUrl',
    'concurrency',
    'tlsCert',
    'tlsKey',
  );
  return addSettings(serve, 'encryptionKeyFile', 'v1Open', 'logFormat', 'logLevel').action(run);
}

async function run(values: unknown): Promise<void> {
  const config = readConfig(serveSchema, values);
  const log = await openLog(config);
  // Each plane pays for its own client only.
  const start = config.plane === 'kubernetes' ? (await import('./serving/operator.js')).startOperator : startServer;
  process.exitCode = await runUntilStopped(() => start(config, systemEnvironment, log), log);
}
