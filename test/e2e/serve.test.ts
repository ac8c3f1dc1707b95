import { execFile } from 'node:child_process';
import { readFile, stat } from 'node:fs/promises';
import { request } from 'node:https';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { z } from 'zod';
import { connect } from '../../src/store/postgres/connection.js';
import { makeDataDir, type RunningCommand, startCommand } from '../support/command.js';
import { eventually } from '../support/eventually.js';

const runSchema = z.object({ pid: z.number(), http: z.string(), https: z.string(), ca: z.string(), databaseUrl: z.string() });

let dataDir: string;
let remove: () => Promise<void>;
let running: RunningCommand[];

beforeEach(async () => {
  ({ dataDir, remove } = await makeDataDir());
  running = [];
});

afterEach(async () => {
  // The last one started may work on the first one's database.
  for (const command of running.reverse()) {
    command.kill('SIGTERM');
    await command.ended;
  }
  await remove();
});

/** Starts `serve` on free ports. Resolves when it is ready. */
async function serve(where = dataDir, ...more: string[]): Promise<{ command: RunningCommand; run: z.infer<typeof runSchema> }> {
  const anywhere = ['--http', '127.0.0.1:0', '--https', '127.0.0.1:0', '--log-format', 'json'];
  const command = startCommand(['serve', '--data-dir', where, ...anywhere, ...more]);
  running.push(command);
  const run = await eventually(async () => {
    const found = runSchema.parse(JSON.parse(await readFile(join(where, 'run.json'), 'utf8')));
    expect(found.pid).toBe(command.pid);
    return found;
  });
  await eventually(async () => expect((await fetch(`${run.http}/readyz`)).status).toBe(200));
  return { command, run };
}

function dispatcher(...args: string[]) {
  return startCommand([...args, '--data-dir', dataDir]).ended;
}

function get(url: string, ca: string, token?: string): Promise<number | undefined> {
  return call('GET', url, ca, token === undefined ? {} : { Authorization: `Bearer ${token}` });
}

function post(url: string, ca: string, token: string, body: string): Promise<number | undefined> {
  return call('POST', url, ca, { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }, body);
}

function call(
  method: string,
  url: string,
  ca: string,
  headers: Record<string, string>,
  body?: string,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    request(url, { method, ca, headers, agent: false }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode));
    })
      .once('error', reject)
      .end(body);
  });
}

async function query(databaseUrl: string, sql: string): Promise<unknown[]> {
  const client = await connect(databaseUrl, 'psql');
  try {
    return (await client.query({ text: sql, rowMode: 'array' })).rows.flat();
  } finally {
    await client.end();
  }
}

describe('dispatcher serve', () => {
  test('serves on what it says, lets in who has a token, and leaves nothing running when it is stopped', async () => {
    const { command, run } = await serve();
    const machines = `${run.https}/apis/dispatcher.dev/v1alpha1/virtualmachines`;
    expect(await get(machines, run.ca)).toBe(401);
    expect((await fetch(`${run.http}/metrics`)).status).toBe(200);
    for (const name of ['run.json', 'encryption.key']) expect((await stat(join(dataDir, name))).mode & 0o777).toBe(0o600);

    const kubeconfig = await dispatcher('kubeconfig', '--user', 'ann');
    expect({ code: kubeconfig.code, stderr: kubeconfig.stderr }).toEqual({ code: 0, stderr: '' });
    const { clusters, users } = parse(kubeconfig.stdout);
    expect(clusters[0].cluster.server).toBe(run.https);
    const ca = Buffer.from(clusters[0].cluster['certificate-authority-data'], 'base64').toString();
    expect(await get(machines, ca, users[0].user.token)).toBe(200);

    const token = (await dispatcher('token', 'create', '--user', 'bob', '--expires-in', '1h')).stdout.trim();
    expect(await get(machines, run.ca, token)).toBe(200);
    const secret = JSON.stringify({ metadata: { name: 'kept' }, stringData: { password: 'hunter2' } });
    expect(await post(`${run.https}/api/v1/namespaces/default/secrets`, run.ca, token, secret)).toBe(201);
    expect(await post(`${run.https}/api/v1/namespaces/absent/secrets`, run.ca, token, secret)).toBe(404);
    expect(await post(`${run.https}/api/v1/namespaces/default/secrets?dryRun=All`, run.ca, token, secret)).toBe(409);
    await eventually(async () => {
      const { code, stdout } = await dispatcher('audit', '--user', 'bob', '--json');
      const what = { user: 'bob', verb: 'create', group: '', resource: 'secrets', address: '127.0.0.1' };
      expect({
        code,
        entries: stdout
          .trim()
          .split('\n')
          .map((line) => JSON.parse(line)),
      }).toEqual({
        code: 0,
        entries: [
          expect.objectContaining({ ...what, namespace: 'default', name: 'kept', code: 201 }),
          expect.objectContaining({ ...what, namespace: 'absent', code: 404 }),
        ],
      });
      expect(stdout).not.toContain('hunter2');
    });
    const { stdout: list } = await dispatcher('token', 'list');
    expect(list).not.toContain(token);
    const [id = ''] = /^\S+(?= {2}bob )/m.exec(list) ?? [];
    expect(await dispatcher('token', 'revoke', id)).toMatchObject({ code: 0, stdout: `revoked ${id}\n` });
    await eventually(async () => expect(await get(machines, run.ca, token)).toBe(401));
    expect(await dispatcher('token', 'revoke', id)).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('there is no token'),
    });

    command.kill('SIGTERM');
    const { code, stdout } = await command.ended;
    expect(code).toBe(0);
    for (const line of stdout.trim().split('\n'))
      expect(JSON.parse(line)).toMatchObject({ level: expect.any(String), msg: expect.any(String) });
    expect(stdout).not.toContain(new URL(run.databaseUrl).password);
    await expect(stat(join(dataDir, 'run.json'))).rejects.toThrow(/ENOENT/);
    await expect(connect(run.databaseUrl, 'psql')).rejects.toThrow(/ECONNREFUSED/);
    expect(await dispatcher('token', 'list')).toMatchObject({ code: 1, stderr: expect.stringContaining('no server is running') });
  });

  test('a second one on the same data directory is refused, and the first is not disturbed', async () => {
    const { run } = await serve();
    const second = await dispatcher('serve', '--http', '127.0.0.1:0', '--https', '127.0.0.1:0');
    expect(second).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/another Dispatcher is running on the data directory/),
    });
    expect((await fetch(`${run.http}/readyz`)).status).toBe(200);
  });

  test('a port that is taken is named, and nothing is left running', async () => {
    const { run } = await serve();
    const other = await makeDataDir();
    const taken = ['--http', new URL(run.http).host, '--https', '127.0.0.1:0'];
    const second = await startCommand(['serve', '--data-dir', other.dataDir, ...taken]).ended;
    expect(second).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/--http 127\.0\.0\.1:\d+ cannot be listened on .*choose another/),
    });
    await other.remove();
  });

  test('after kill -9 it goes on with all that was declared', async () => {
    const first = await serve();
    await query(first.run.databaseUrl, `INSERT INTO clouds (name, spec) VALUES ('kept', '{"engine": "simulator"}')`);
    process.kill(first.command.pid, 'SIGKILL');
    await first.command.ended;
    const second = await serve();
    expect(second.command.stdout()).toContain('"adopted":true');
    expect(await query(second.run.databaseUrl, 'SELECT name FROM clouds')).toEqual(['kept']);
  });

  test('it says that it cannot go on when its database is taken away, and exits 1', async () => {
    const { command, run } = await serve();
    await promisify(execFile)('kill', [
      '-KILL',
      String((await query(run.databaseUrl, "SELECT split_part(pg_read_file('postmaster.pid'), chr(10), 1)"))[0]),
    ]);
    const { code, stdout } = await command.ended;
    expect(code).toBe(1);
    expect(stdout).toContain('the embedded PostgreSQL ended');
  });

  test('of two on one database one acts, both serve, and one with another key is refused', async () => {
    const { run } = await serve();
    await query(run.databaseUrl, 'CREATE DATABASE shared');
    const databaseUrl = run.databaseUrl.replace('/dispatcher?', '/shared?');
    const shared = ['--database-url', databaseUrl, '--encryption-key-file', join(dataDir, 'encryption.key')];
    await serve(join(dataDir, 'first'), ...shared);
    await query(databaseUrl, `INSERT INTO clouds (name, spec) VALUES ('simulated', '{"engine": "simulator"}')`);
    const readyOf = async (name: string) =>
      query(databaseUrl, `SELECT status #>> '{conditions,0,status}' FROM clouds WHERE name = '${name}'`);
    await eventually(async () => expect(await readyOf('simulated')).toEqual(['True']));
    const second = await serve(join(dataDir, 'second'), ...shared);
    expect(second.command.stdout()).not.toContain('leadership gained');

    const token = (await startCommand(['token', 'create', '--user', 'ann', '--database-url', databaseUrl]).ended).stdout.trim();
    const secret = JSON.stringify({ metadata: { name: 'kept' }, stringData: { password: 'hunter2' } });
    expect(await post(`${second.run.https}/api/v1/namespaces/default/secrets`, second.run.ca, token, secret)).toBe(201);
    const stranger = ['serve', '--data-dir', join(dataDir, 'third'), '--database-url', databaseUrl, '--https', '127.0.0.1:0'];
    const { code, stderr } = await startCommand(stranger).ended;
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringMatching(/holds 1 Secrets encrypted with key/) });
  });
});
