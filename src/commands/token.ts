import { Command } from 'commander';
import { MASTERS } from '../api/auth/authorize.js';
import { ConfigError, databaseSchema, readConfig, tokenSchema } from '../config.js';
import { addSettings } from './options.js';
import { withAccess } from './serving/access.js';
import { textTable } from './table.js';

const HELP = `
A token of a user ("dispatcher user --help") has the rights that the user has whenever it is used. One issued to a name that is
no user's lets its bearer do everything.`;

/** `dispatcher token`. */
export function command(): Command {
  const create = new Command('create')
    .description('Issues a token, and prints it: this once, and never again.')
    .requiredOption('--user <NAME>', 'whose it is: it has the rights of that user, or all if there is none of that name')
    .option('--expires-in <DURATION>', 'how long it is good, such as 12h', '720h')
    .option('--description <TEXT>', 'what it is for', '')
    .action((values) => createToken(values));
  const list = new Command('list').description('Lists the tokens, but not what they are.').action((values) => listTokens(values));
  const revoke = new Command('revoke')
    .description('Revokes a token. One of nobody who is a user may still be taken for two seconds.')
    .argument('<ID>', 'as in the list')
    .action((id, values) => revokeToken(id, values));
  const token = new Command('token').description('Issues, lists and revokes tokens of the API.').addHelpText('after', HELP);
  for (const subcommand of [create, list, revoke]) token.addCommand(addSettings(subcommand, 'dataDir', 'databaseUrl'));
  return token;
}

async function createToken(values: Record<string, string>): Promise<void> {
  const { user, expiresIn, ...where } = readConfig(tokenSchema, values);
  const description = values.description?.slice(0, 1000) ?? '';
  const options = { groups: [MASTERS], expiresAt: new Date(Date.now() + expiresIn), ...(description && { description }) };
  const { id, token, known } = await withAccess(where, async ({ tokens, users, record }) => {
    const issued = await tokens.issue(user, options);
    await record('create', 'tokens', issued.id);
    return { ...issued, known: (await users.get(user)) !== undefined };
  });
  const rights = known ? 'with the rights of that user' : 'which is no user: it lets its bearer do everything';
  process.stderr.write(`token ${id} of ${user}, ${rights}; good until ${options.expiresAt.toISOString()}:\n`);
  process.stdout.write(`${token}\n`);
}

async function listTokens(values: unknown): Promise<void> {
  const standing = await withAccess(readConfig(databaseSchema, values), ({ tokens }) => tokens.list());
  const rows = standing.map(({ id, user, ofUser, createdAt, expiresAt, description }) => [
    id,
    user,
    ofUser ? "the user's" : 'all',
    createdAt.toISOString(),
    expiresAt ? `${expiresAt.toISOString()}${expiresAt.getTime() <= Date.now() ? ' (expired)' : ''}` : 'never',
    description ?? '',
  ]);
  process.stdout.write(textTable([['ID', 'USER', 'RIGHTS', 'CREATED', 'EXPIRES', 'DESCRIPTION'], ...rows]));
}

async function revokeToken(id: string, values: unknown): Promise<void> {
  await withAccess(readConfig(databaseSchema, values), async ({ tokens, record }) => {
    if (!(await tokens.revoke(id))) throw new ConfigError(`there is no token ${id}: see "dispatcher token list"`);
    await record('delete', 'tokens', id);
  });
  process.stdout.write(`revoked ${id}\n`);
}
