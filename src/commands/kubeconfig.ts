import { userInfo } from 'node:os';
import { Command } from 'commander';
import { MASTERS } from '../api/auth/authorize.js';
import { renderKubeconfig } from '../api/kubeconfig.js';
import { readConfig, tokenSchema } from '../config.js';
import type { Grant } from '../store/users.js';
import { addSettings } from './options.js';
import { withAccess } from './serving/access.js';
import { readRun } from './serving/run-file.js';

const HELP = `
It holds a new token: keep it as you would a password. The token has the rights of the user of that name ("dispatcher user
--help"); if there is none, it lets its bearer do everything.

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
  const { token, grants } = await withAccess({ dataDir, databaseUrl }, async ({ tokens, users, record }) => {
    const issued = await tokens.issue(user, { groups: [MASTERS], expiresAt, description: 'kubeconfig' });
    await record('create', 'tokens', issued.id);
    return { token: issued.token, grants: (await users.get(user))?.grants ?? [] };
  });
  process.stdout.write(renderKubeconfig({ server: https, caPem: ca, token, user, namespace: homeOf(grants) }));
}

/** The namespace that somebody most likely means: `default`, unless all roles are for others. */
function homeOf(grants: readonly Grant[]): string {
  const named = grants.flatMap(({ namespaces }) => namespaces ?? ['default']);
  return named.includes('default') ? 'default' : (named[0] ?? 'default');
}
