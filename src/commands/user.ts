import { Command } from 'commander';
import { ConfigError, databaseSchema, grantSchema, namedUserSchema, readConfig } from '../config.js';
import type { Grant } from '../store/users.js';
import { addSettings } from './options.js';
import { readPassword } from './password.js';
import { type AccessStores, withAccess } from './serving/access.js';
import { textTable } from './table.js';

const HELP = `
A user logs in with a password, and uses tokens: see "dispatcher token create --help" and "dispatcher kubeconfig --help".

  admin   everything; in named namespaces: machines, key pairs, Secrets and Events there, and no Cloud
  agent   manages machines and key pairs, and reads Clouds and Events
  viewer  reads machines, key pairs, Clouds and Events, and no Secret`;

const PASSWORD = 'read the password from the standard input; one of its line ends does not count';

/** `dispatcher user`. */
export function command(): Command {
  const user = new Command('user').description('Makes, lists, disables and deletes users of the API, with what each may do.');
  user.addHelpText('after', HELP);
  const add = (subcommand: Command) => user.addCommand(addSettings(subcommand, 'dataDir', 'databaseUrl'));
  const named = (name: string, description: string) =>
    new Command(name).description(description).argument('<NAME>', 'the user, as in the list');

  add(
    withRole(new Command('create').description('Makes a user who has one role.').argument('<NAME>', 'what to call the user'))
      .requiredOption('--password-stdin', PASSWORD)
      .addHelpText('after', `${HELP}\n\n  dispatcher user create ann --role agent --namespace team --password-stdin < password`)
      .action(createUser),
  );
  add(new Command('list').description('Lists the users, with what each may do.').action(listUsers));
  add(
    withRole(named('role', 'Gives a user another role, in place of all that the user had; it counts at once.'))
      .addHelpText('after', HELP)
      .action(changeRole),
  );
  add(named('disable', 'Refuses a user and the tokens of the user from now on, until enabled again.').action(switching(true)));
  add(named('enable', 'Lets a user who was disabled in again, with the tokens from before.').action(switching(false)));
  add(
    named('password', 'Sets another password, and revokes all tokens of the user.')
      .requiredOption('--password-stdin', PASSWORD)
      .action(changePassword),
  );
  add(named('delete', 'Deletes a user with all tokens of the user.').action(deleteUser));
  return user;
}

function withRole(command: Command): Command {
  return command
    .requiredOption('--role <ROLE>', 'admin, agent or viewer: see below')
    .option('--namespace <NAME...>', 'where the user has the role; without it: in all namespaces');
}

async function createUser(name: string, values: object): Promise<void> {
  const { role, namespace, ...where } = readConfig(grantSchema, { ...values, name });
  const password = await readPassword(process.stdin);
  const grant = grantOf(role, namespace);
  await withAccess(where, async ({ users, tokens, record }) => {
    await users.create({ name, grants: [grant], password });
    await record('create', 'users', name);
    const older = (await tokens.list()).filter(({ user }) => user === name).length;
    if (older > 0) process.stderr.write(`tokens issued to ${name} before, which have the rights of this user now: ${older}\n`);
  });
  process.stdout.write(`user ${name} is ${describeGrant(grant)}\n`);
}

async function listUsers(values: unknown): Promise<void> {
  const users = await withAccess(readConfig(databaseSchema, values), ({ users }) => users.list());
  const rows = users.map(({ name, grants, disabled, createdAt }) => [
    name,
    grants.map(describeGrant).join('; '),
    disabled ? 'disabled' : 'enabled',
    createdAt.toISOString(),
  ]);
  process.stdout.write(textTable([['NAME', 'ROLE', 'STATE', 'CREATED'], ...rows]));
}

async function changeRole(name: string, values: object): Promise<void> {
  const { role, namespace, ...where } = readConfig(grantSchema, { ...values, name });
  const grant = grantOf(role, namespace);
  await change(name, where, ({ users }) => users.setGrants(name, [grant]));
  process.stdout.write(`user ${name} is ${describeGrant(grant)} now\n`);
}

function switching(disabled: boolean) {
  return async (name: string, values: object): Promise<void> => {
    const where = readConfig(namedUserSchema, { ...values, name });
    await change(name, where, ({ users }) => users.setDisabled(name, disabled));
    process.stdout.write(`user ${name} is ${disabled ? 'disabled' : 'enabled'}\n`);
  };
}

async function changePassword(name: string, values: object): Promise<void> {
  const where = readConfig(namedUserSchema, { ...values, name });
  const password = await readPassword(process.stdin);
  await change(name, where, ({ users }) => users.setPassword(name, password));
  process.stdout.write(`user ${name} has another password, and no token any more\n`);
}

async function deleteUser(name: string, values: object): Promise<void> {
  const where = readConfig(namedUserSchema, { ...values, name });
  await change(name, where, ({ users }) => users.delete(name), 'delete');
  process.stdout.write(`user ${name} is deleted\n`);
}

async function change(
  name: string,
  where: Parameters<typeof withAccess>[0],
  work: (stores: AccessStores) => Promise<boolean>,
  verb: 'update' | 'delete' = 'update',
): Promise<void> {
  await withAccess(where, async (stores) => {
    if (!(await work(stores))) throw new ConfigError(`there is no user ${name}: see "dispatcher user list"`);
    await stores.record(verb, 'users', name);
  });
}

function grantOf(role: Grant['role'], namespaces: readonly string[] | undefined): Grant {
  return { role, ...(namespaces && { namespaces: [...new Set(namespaces)] }) };
}

function describeGrant({ role, namespaces }: Grant): string {
  return `${role} in ${namespaces?.join(', ') ?? 'all namespaces'}`;
}
