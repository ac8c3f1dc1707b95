import { join } from 'node:path';
import { Command } from 'commander';
import { demoSchema, readConfig, SETTINGS, serveSchema } from '../config.js';
import { systemEnvironment } from '../environment.js';
import { watchConvergence } from './demo/convergence.js';
import { freeOr } from './demo/ports.js';
import { applySamples } from './demo/samples.js';
import { addSettings } from './options.js';
import { openDataDir } from './serving/data-dir.js';
import { openLogFile } from './serving/log.js';
import { startServer } from './serving/server.js';
import { runUntilStopped } from './serving/shutdown.js';

const HELP = `
What is declared is in manifests/samples; what is there already (of an earlier demo) is kept as it stands. Other free ports
are taken where the usual ones are not free. The log is in demo.log in the data directory. Ctrl-C stops it.`;

/** `dispatcher demo`. */
export function command(): Command {
  const demo = new Command('demo')
    .description('Serves with sample machines on a simulated cloud, and shows how they converge.')
    .option('--until-converged', 'exit with status 0 as soon as every machine is Ready')
    .addHelpText('after', HELP);
  return addSettings(demo, 'dataDir').action(run);
}

async function run(values: unknown): Promise<void> {
  const { dataDir, untilConverged } = readConfig(demoSchema, values);
  await openDataDir(dataDir);
  const log = openLogFile(join(dataDir, 'demo.log'));
  const config = readConfig(serveSchema, {
    plane: 'postgres',
    dataDir,
    http: await freeOr(SETTINGS.http.default),
    https: await freeOr(SETTINGS.https.default),
    logLevel: SETTINGS.logLevel.default,
    concurrency: SETTINGS.concurrency.default,
  });
  const print = (text: string) => process.stdout.write(`${text}\n`);
  const start = async () => {
    print(`Dispatcher's demo: starting in ${dataDir} (log: demo.log there)`);
    const server = await startServer(config, systemEnvironment, log);
    const { created, kept, machines } = await applySamples(server.store).catch(async (error) => {
      await server.close();
      throw error;
    });
    print(`The page is ${server.http}, the resource API ${server.https}. Declared now: ${created}; kept from before: ${kept}.`);
    print(`The simulated cloud is an OpenStack at ${server.simulator} (user, project: demo; password: demo-secret).`);
    print(`For kubectl, from here: npx dispatcher kubeconfig --data-dir ${dataDir} > kubeconfig\n`);
    const stopped = new AbortController();
    const converged = watchConvergence(server.machines, machines, process.stdout, untilConverged, stopped.signal);
    const close = async () => {
      stopped.abort();
      await server.close();
    };
    return { ended: Promise.race([server.ended, converged]), close };
  };
  process.exitCode = await runUntilStopped(start, log);
  print(process.exitCode === 0 ? 'Stopped. What was made is kept for the next demo.' : 'It could not go on: see demo.log.');
}
