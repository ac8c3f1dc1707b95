import { userInfo } from 'node:os';
import { Command } from 'commander';
import { MASTERS } from '../api/auth/authorize.js';
import { renderKubeconfig } from '../api/kubeconfig.js';
import { readConfig, tokenSchema } from '../config.js';
import { addSettings } from './options.js';
import { readRun } from './serving/run-file.js';
import { withTokens } from './serving/tokens.js';

const HELP = `
It holds a new token of that user, who may do everything: keep it as you would a password.

  dispatcher kubeconfig > kubeconfig
  kubectl --kubeconfig kubeconfig get virtualmachines`;

/** `dispatcher kubeconfig`. */
export function command(): Command {
  const kubeconfig = new Command('kubeconfig')
    .description('Prints a kubeconfig for the server that runs on a data directory.')
    .option('--user <NAME>', 'whose token it holds', userInfo().username)
    .option('--expires-in <DURATION>', 'how long the token is good, such as 12h', '720h')
    .addHelpText('after', HELP);
  return addSettings(kubeconfig, 'dataDir').action(run);
}

async function run(values: unknown): Promise<void> {
  const { dataDir, user, expiresIn } = readConfig(tokenSchema, values);
  const { https, ca, databaseUrl } = await readRun(dataDir);
  const expiresAt = new Date(Date.now() + expiresIn);
  const { token } = await withTokens({ dataDir, databaseUrl }, (tokens) =>
    tokens.issue(user, { groups: [MASTERS], expiresAt, description: 'kubeconfig' }),
  );
  process.stdout.write(renderKubeconfig({ server: https, caPem: ca, token, user, namespace: 'default' }));
}
