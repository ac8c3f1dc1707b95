import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { startCommand } from '../support/command.js';

let base: string;

beforeAll(async () => {
  base = await mkdtemp(join(tmpdir(), 'dispatcher-main-'));
  await writeFile(join(base, 'file'), '');
  await writeFile(join(base, 'short.key'), 'c2hvcnQ=\n');
});

afterAll(async () => {
  await rm(base, { recursive: true });
});

describe('what cannot be used is told in one sentence, with an exit status of 1', () => {
  test.each([
    { reason: 'no such command', args: ['frobnicate'], message: /unknown command 'frobnicate'/ },
    { reason: 'no such flag', args: ['serve', '--bogus'], message: /unknown option '--bogus'/ },
    { reason: 'a flag without its value', args: ['serve', '--http'], message: /argument missing/ },
    { reason: 'an argument too many', args: ['version', 'please'], message: /too many arguments/ },
    { reason: 'a bad address', args: ['serve', '--http', 'nonsense'], message: /--http: must be HOST:PORT/ },
    {
      reason: 'an address of nobody here',
      args: ['serve', '--https', '192.0.2.1:0', '--database-url', 'postgresql://127.0.0.1:1/x'],
      message: /cannot connect to the database 127\.0\.0\.1:1\/x/,
    },
    {
      reason: 'a data directory that is a file',
      args: ['serve', '--data-dir', 'file'],
      message: /--data-dir .*file cannot be used/,
    },
    { reason: 'one below a file', args: ['demo', '--data-dir', 'file/x'], message: /--data-dir .*file\/x cannot be used/ },
    {
      reason: 'one where nothing can be made',
      args: ['serve', '--data-dir', '/proc/x'],
      message: /--data-dir \/proc\/x cannot be used/,
    },
    {
      reason: 'a key file that is not there',
      args: ['serve', '--encryption-key-file', 'none.key'],
      message: /--encryption-key-file .*none\.key cannot be read/,
    },
    {
      reason: 'a key that is too short',
      args: ['serve', '--encryption-key-file', 'short.key'],
      message: /short\.key must hold 32 bytes in base64: make one with "openssl rand -base64 32"/,
    },
    {
      reason: 'a certificate that is not there',
      args: ['serve', '--tls-cert', 'none.crt', '--tls-key', 'none.key'],
      message: /--tls-cert and --tls-key cannot be used: .*none\.(crt|key)/,
    },
    {
      reason: 'no server to speak of',
      args: ['kubeconfig'],
      message: /no server is running on the data directory .*dispatcher serve/,
    },
    { reason: 'nor for tokens', args: ['token', 'list'], message: /no server is running on the data directory/ },
    { reason: 'a token for nobody', args: ['token', 'create'], message: /required option '--user <NAME>' not specified/ },
    {
      reason: 'a user without a role',
      args: ['user', 'create', 'ann', '--password-stdin'],
      message: /required option '--role <ROLE>'/,
    },
    {
      reason: 'without a password',
      args: ['user', 'create', 'ann', '--role', 'agent'],
      message: /required option '--password-stdin'/,
    },
    {
      reason: 'with a role that there is not',
      args: ['user', 'create', 'ann', '--role', 'root', '--password-stdin'],
      message: /^dispatcher: --role: must be admin, agent or viewer\n$/,
    },
    {
      reason: 'in a namespace that cannot be',
      args: ['user', 'create', 'ann', '--role', 'agent', '--namespace', 'A_B', '--password-stdin'],
      message: /^dispatcher: --namespace: .*\n$/,
    },
    {
      reason: 'of a name that none may have',
      args: ['user', 'create', 'system:masters', '--role', 'admin', '--password-stdin'],
      message: /^dispatcher: NAME: must not begin with system:\n$/,
    },
    {
      reason: 'with an empty password',
      args: ['user', 'create', 'ann', '--role', 'agent', '--password-stdin'],
      message: /^dispatcher: the password on the standard input must be 8 to 1024 characters, got 0\n$/,
    },
    {
      reason: 'no server to disable one on',
      args: ['user', 'disable', 'ann'],
      message: /no server is running on the data directory/,
    },
    { reason: 'nobody to delete', args: ['user', 'delete'], message: /missing required argument 'NAME'/ },
    { reason: 'nowhere to listen', args: ['simulate'], message: /required option '--listen <HOST:PORT>' not specified/ },
    { reason: 'no number', args: ['simulate', '--listen', '127.0.0.1:0', '--latency', 'x'], message: /--latency: .*number/ },
    { reason: 'too much', args: ['simulate', '--listen', '127.0.0.1:0', '--error-rate', '2'], message: /--error-rate: / },
  ])('$reason: $args', async ({ args, message }) => {
    const { code, stdout, stderr } = await startCommand(args, base).ended;
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
    expect({ code, stdout: stdout.replace(/^\{.*\n/gm, '') }).toEqual({ code: 1, stdout: '' });
  });

  test('the environment is read where no flag is given, and the flag wins', async () => {
    const env = { DISPATCHER_HTTP: 'from-environment' };
    expect((await startCommand(['serve'], base, env).ended).stderr).toContain('got "from-environment"');
    expect((await startCommand(['serve', '--http', 'from-flag'], base, env).ended).stderr).toContain('got "from-flag"');
  });

  test('the password of a database is never shown', async () => {
    const env = { DATABASE_URL: 'postgresql://ann:hunter2@127.0.0.1:1/x' };
    const { code, stdout, stderr } = await startCommand(['serve'], base, env).ended;
    expect(code).toBe(1);
    expect(stderr).toContain('cannot connect to the database 127.0.0.1:1/x as ann');
    expect(stdout + stderr).not.toContain('hunter2');
  });
});

describe('help', () => {
  test.each([
    'serve',
    'demo',
    'kubeconfig',
    'token',
    'token create',
    'token list',
    'token revoke',
    'user',
    'user create',
    'user list',
    'user role',
    'user disable',
    'user enable',
    'user password',
    'user delete',
    'audit',
    'simulate',
    'version',
  ])('of %s says what it does and takes', async (name) => {
    const { code, stdout } = await startCommand([...name.split(' '), '--help'], base).ended;
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: dispatcher ${name}`);
    expect(stdout.split('\n')[2]).toMatch(/^\w.*/);
  });

  test('of the whole names every command', async () => {
    const { code, stdout } = await startCommand(['--help'], base).ended;
    expect(code).toBe(0);
    for (const name of ['serve', 'demo', 'kubeconfig', 'token', 'user', 'simulate', 'version'])
      expect(stdout).toMatch(`\n  ${name} `);
  });
});

test('version prints the version of package.json', async () => {
  expect(await startCommand(['version'], base).ended).toEqual({ code: 0, stdout: 'dispatcher 0.1.0\n', stderr: '' });
});
