import { Command } from 'commander';
import { MASTERS } from '../api/auth/authorize.js';
import { ConfigError, databaseSchema, readConfig, tokenSchema } from '../config.js';
import { addSettings } from './options.js';
import { withTokens } from './serving/tokens.js';

/** `dispatcher token`. */
export function command(): Command {
  const create = new Command('create')
    .description('Issues a token, and prints it: this once, and never again.')
    .requiredOption('--user <NAME>', 'whose it is')
    .option('--expires-in <DURATION>', 'how long it is good, such as 12h', '720h')
    .option('--description <TEXT>', 'what it is for', '')
    .action((values) => createToken(values));
  const list = new Command('list').description('Lists the tokens, but not what they are.').action((values) => listTokens(values));
  const revoke = new Command('revoke')
    .description('Revokes a token; requests may still be answered for two seconds.')
    .argument('<ID>', 'as in the list')
    .action((id, values) => revokeToken(id, values));
  const token = new Command('token').description(
    'Issues, lists and revokes tokens of the API: each lets its user do everything.',
  );
  for (const subcommand of [create, list, revoke]) token.addCommand(addSettings(subcommand, 'dataDir', 'databaseUrl'));
  return token;
}

async function createToken(values: Record<string, string>): Promise<void> {
  const { user, expiresIn, ...where } = readConfig(tokenSchema, values);
  const description = values.description?.slice(0, 1000) ?? '';
  const options = { groups: [MASTERS], expiresAt: new Date(Date.now() + expiresIn), ...(description && { description }) };
  const { id, token } = await withTokens(where, (tokens) => tokens.issue(user, options));
  process.stderr.write(`token ${id} of ${user}, good until ${options.expiresAt.toISOString()}:\n`);
  process.stdout.write(`${token}\n`);
}

async function listTokens(values: unknown): Promise<void> {
  const standing = await withTokens(readConfig(databaseSchema, values), (tokens) => tokens.list());
  const rows = standing.map(({ id, user, createdAt, expiresAt, description }) => [
    id,
    user,
    createdAt.toISOString(),
    expiresAt ? `${expiresAt.toISOString()}${expiresAt.getTime() <= Date.now() ? ' (expired)' : ''}` : 'never',
    description ?? '',
  ]);
  const table = [['ID', 'USER', 'CREATED', 'EXPIRES', 'DESCRIPTION'], ...rows];
  const widths = [0, 1, 2, 3, 4].map((column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  for (const row of table) {
    process.stdout.write(
      `${row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd()}\n`,
    );
  }
}

async function revokeToken(id: string, values: unknown): Promise<void> {
  const revoked = await withTokens(readConfig(databaseSchema, values), (tokens) => tokens.revoke(id));
  if (!revoked) throw new ConfigError(`there is no token ${id}: see "dispatcher token list"`);
  process.stdout.write(`revoked ${id}\n`);
}
