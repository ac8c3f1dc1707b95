import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { writeRun } from '../../src/commands/serving/run-file.js';
import { systemEnvironment } from '../../src/environment.js';
import type { PostgresStore } from '../../src/store/postgres/open.js';
import { startCommand } from '../support/command.js';
import { makeDatabase, type TestDatabase } from '../support/postgres.js';

let database: TestDatabase;
let store: PostgresStore;
let base: string;

beforeAll(async () => {
  database = await makeDatabase();
  store = await database.open();
  base = await mkdtemp(join(tmpdir(), 'dispatcher-user-'));
  const { connectionString: databaseUrl } = database;
  const http = 'http://127.0.0.1:1';
  await writeRun(base, { pid: process.pid, version: '0', http, https: 'https://127.0.0.1:2', ca: 'CA', databaseUrl });
}, 60_000);
afterAll(async () => {
  await rm(base, { recursive: true });
  await database.drop();
});

const PASSWORD = 'correct-horse';

/** Runs a command on the database, without the flags that say where it is. */
const run = (args: string, input?: string) => startCommand([...args.split(' '), '--data-dir', base], base, {}, input).ended;
const ok = async (args: string, input?: string) => {
  const ran = await run(args, input);
  expect({ args, code: ran.code, stderr: ran.stderr }).toEqual({ args, code: 0, stderr: '' });
  return ran.stdout;
};

describe('dispatcher user', () => {
  test('makes a user, lists it, changes its role and password, disables, enables and deletes it', async () => {
    const made = await ok('user create ann --role agent --namespace team --namespace lab --password-stdin', `${PASSWORD}\n`);
    expect(made).toBe('user ann is agent in team, lab\n');
    expect(await store.users.verify('ann', PASSWORD)).toMatchObject({ grants: [{ role: 'agent', namespaces: ['team', 'lab'] }] });
    expect(await ok('user list')).toMatch(/^NAME +ROLE +STATE +CREATED\nann +agent in team, lab +enabled +\S+\n$/);

    expect(await ok('user role ann --role viewer')).toBe('user ann is viewer in all namespaces now\n');
    expect((await store.users.get('ann'))?.grants).toEqual([{ role: 'viewer' }]);

    const { token } = await store.tokens.issue('ann', { groups: [] });
    expect(await ok('user disable ann')).toBe('user ann is disabled\n');
    expect(await ok('user list')).toMatch(/\nann .* disabled /);
    expect(await store.tokens.find(token)).toBeUndefined();
    expect(await ok('user enable ann')).toBe('user ann is enabled\n');
    expect(await store.tokens.find(token)).toBeDefined();

    expect(await ok('user password ann --password-stdin', 'another-horse')).toBe(
      'user ann has another password, and no token any more\n',
    );
    expect(await store.tokens.find(token)).toBeUndefined();
    expect(await store.users.verify('ann', 'another-horse')).toBeDefined();

    expect(await ok('user delete ann')).toBe('user ann is deleted\n');
    expect(await store.users.list()).toEqual([]);
  });

  test('tells in one sentence what cannot be done', async () => {
    await store.users.create({ name: 'bob', grants: [{ role: 'viewer' }], password: PASSWORD });
    for (const [args, message] of [
      ['user create bob --role viewer --password-stdin', 'user bob already exists'],
      ['user disable nobody', 'there is no user nobody: see "dispatcher user list"'],
      ['user password nobody --password-stdin', 'there is no user nobody: see "dispatcher user list"'],
      ['user delete nobody', 'there is no user nobody: see "dispatcher user list"'],
    ] as const) {
      expect(await run(args, PASSWORD)).toEqual({ code: 1, stdout: '', stderr: `dispatcher: ${message}\n` });
    }
  });

  test('says so when tokens of that name were there before', async () => {
    const { token } = await store.tokens.issue('carol', { groups: ['system:masters'] });
    const ran = await run('user create carol --role viewer --password-stdin', PASSWORD);
    expect(ran).toMatchObject({ code: 0, stderr: 'tokens issued to carol before, which have the rights of this user now: 1\n' });
    expect(await store.tokens.find(token)).toMatchObject({ groups: [], grants: [{ role: 'viewer' }] });
  });
});

describe('dispatcher audit', () => {
  test('prints what was asked for, by whom and since when, and what commands changed', async () => {
    const entry = { verb: 'delete', group: 'dispatcher.dev', resource: 'virtualmachines', namespace: 'team', name: 'web' };
    const from = { code: 403, requestId: 'request-1', address: '192.0.2.7' };
    const old = new Date(Date.now() - 7_200_000);
    await store.audit.append([
      { ...entry, ...from, id: systemEnvironment.id(), at: old, user: 'eve' },
      { ...entry, ...from, id: systemEnvironment.id(), at: new Date(), user: 'eve', resource: 'virtualmachines/status' },
    ]);
    await ok('user create fay --role viewer --password-stdin', PASSWORD);
    const lines = (await ok('audit --since 1h')).split('\n');
    expect(lines[0]).toMatch(/^TIME +USER +VERB +RESOURCE +CODE +ADDRESS +AUDIT-ID$/);
    expect(lines).toContainEqual(
      expect.stringMatching(
        /^\S+Z +eve +delete +virtualmachines\.dispatcher\.dev\/status team web +403 +192\.0\.2\.7 +request-1$/,
      ),
    );
    expect(lines).toContainEqual(expect.stringMatching(/^\S+Z +local:\S+ +create +users fay +201$/));
    expect(
      (await ok('audit --since 3h --user eve --json'))
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line)),
    ).toEqual([
      expect.objectContaining({ ...entry, ...from, at: old.toISOString() }),
      expect.objectContaining({ ...from, resource: 'virtualmachines/status' }),
    ]);
    expect(await run('audit --since yesterday')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^dispatcher: --since: /),
    });
  });
});

describe('tokens and kubeconfigs', () => {
  test('of a user have that user’s rights, never more', async () => {
    await store.users.create({ name: 'dan', grants: [{ role: 'agent', namespaces: ['team'] }], password: PASSWORD });
    const created = await run('token create --user dan --expires-in 1h');
    expect(created).toMatchObject({ code: 0, stderr: expect.stringMatching(/of dan, with the rights of that user; good until/) });
    const kubeconfig = parse(await ok('kubeconfig --user dan'));
    expect(kubeconfig.contexts[0].context).toEqual({ cluster: 'dispatcher', user: 'dan', namespace: 'team' });
    for (const token of [created.stdout.trim(), kubeconfig.users[0].user.token]) {
      expect(await store.tokens.find(token)).toMatchObject({ user: 'dan', groups: [], grants: [{ role: 'agent' }] });
    }
    expect(await ok('token list')).toMatch(/ dan +the user's +\S+ +\S+ +kubeconfig\n/);
    await store.users.setDisabled('dan', true);
    for (const args of ['token create --user dan', 'kubeconfig --user dan']) {
      expect(await run(args)).toEqual({ code: 1, stdout: '', stderr: 'dispatcher: user dan is disabled\n' });
    }
  });

  test('of a name that is no user’s do everything, as they did', async () => {
    const created = await run('token create --user me');
    expect(created.stderr).toMatch(/of me, which is no user: it lets its bearer do everything; good until/);
    const kubeconfig = parse(await ok('kubeconfig --user me'));
    expect(kubeconfig.contexts[0].context.namespace).toBe('default');
    for (const token of [created.stdout.trim(), kubeconfig.users[0].user.token]) {
      expect(await store.tokens.find(token)).toMatchObject({ user: 'me', groups: ['system:masters'] });
    }
    expect(await ok('token list')).toMatch(/ me +all +/);
  });
});
