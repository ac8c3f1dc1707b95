import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { renderKubeconfig } from '../../src/api/kubeconfig.js';
import type { PostgresStore } from '../../src/store/postgres/open.js';
import type { Grant } from '../../src/store/users.js';
import { servedApi } from '../support/api-server.js';
import { kubectl } from '../support/kubectl.js';
import { makeDatabase, type TestDatabase } from '../support/postgres.js';

let database: TestDatabase;
let access: PostgresStore;
let api: Awaited<ReturnType<typeof servedApi>>;

beforeAll(async () => {
  database = await makeDatabase();
  access = await database.open();
  api = await servedApi({ tokens: access.tokens });
  await api.store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
  await api.store.create({
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'keys', namespace: 'team' },
    stringData: { password: 'hunter2' },
  });
}, 60_000);
afterAll(async () => {
  await api.close();
  await database.drop();
});

/** kubectl with the kubeconfig of a user who is made for it. */
async function as(name: string, ...grants: Grant[]) {
  await access.users.create({ name, grants, password: 'correct-horse' });
  const { token } = await access.tokens.issue(name, { groups: ['system:masters'] });
  const kubeconfig = join(api.directory, `kubeconfig-${name}`);
  await writeFile(kubeconfig, renderKubeconfig({ server: api.url, caPem: api.ca, token, user: name, namespace: 'team' }));
  return kubectl(kubeconfig, api.directory);
}

const manifest = JSON.stringify({
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'VirtualMachine',
  metadata: { name: 'web-1', namespace: 'team' },
  spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'tiny' },
});

const pool = JSON.stringify({
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'VirtualMachinePool',
  metadata: { name: 'galaxy', namespace: 'team' },
  spec: { cloudRef: { name: 'lab' }, recipeRef: { name: 'galaxy' }, replicas: 5, maxSize: 40 },
});

describe('stock kubectl of a user', () => {
  test('who is an agent in a namespace manages its machines, and is refused the rest', async () => {
    const run = await as('agent', { role: 'agent', namespaces: ['team'] });
    expect(await run(['apply', '-f', '-'], manifest)).toMatchObject({ code: 0, stdout: expect.stringContaining('created') });
    expect(await run(['get', 'vm', '-o', 'name'])).toMatchObject({ code: 0, stdout: 'virtualmachine.dispatcher.dev/web-1\n' });
    expect(await run(['get', 'clouds'])).toMatchObject({ code: 0 });
    expect((await run(['get', 'secret', 'keys'])).stderr).toBe(
      'Error from server (Forbidden): secrets "keys" is forbidden: User "agent" cannot get resource "secrets" in API group "" in the namespace "team"\n',
    );
    expect((await run(['get', 'vm', '-A'])).stderr).toBe(
      'Error from server (Forbidden): virtualmachines.dispatcher.dev is forbidden: User "agent" cannot list resource "virtualmachines" in API group "dispatcher.dev" at the cluster scope\n',
    );
    expect((await run(['create', '-n', 'default', '-f', '-'], manifest.replace('"team"', '"default"'))).stderr).toContain(
      'cannot create resource "virtualmachines" in API group "dispatcher.dev" in the namespace "default"',
    );
    expect(await run(['delete', 'vm', 'web-1'])).toMatchObject({ code: 0 });
    expect(await run(['apply', '-f', '-'], pool)).toMatchObject({ code: 0 });
    expect(await run(['scale', 'vmpool', 'galaxy', '--replicas=3'])).toMatchObject({ code: 0 });
  });

  test('who is a viewer reads, but no Secret, and changes nothing', async () => {
    const run = await as('viewer', { role: 'viewer' });
    expect(await run(['get', 'vm,vmpool,vma,fw,vol,recipes,clouds,keypairs,events', '-A'])).toMatchObject({ code: 0 });
    for (const args of [
      ['get', 'secrets', '-A'],
      ['get', 'secret', 'keys', '-o', 'yaml'],
      ['describe', 'secret', 'keys'],
    ]) {
      const ran = await run(args);
      expect(ran).toMatchObject({ code: 1, stderr: expect.stringContaining('Forbidden') });
      expect(ran.stdout + ran.stderr).not.toContain(Buffer.from('hunter2').toString('base64'));
    }
    expect((await run(['scale', 'vmpool', 'galaxy', '--replicas=9'])).stderr).toContain(
      'User "viewer" cannot patch resource "virtualmachinepools/scale" in API group "dispatcher.dev" in the namespace "team"',
    );
    expect((await run(['create', '--dry-run=server', '-f', '-'], manifest)).stderr).toContain(
      'User "viewer" cannot create resource "virtualmachines"',
    );
  });

  test('tells truly who one is and what one may do', async () => {
    const run = await as('both', { role: 'viewer' }, { role: 'agent', namespaces: ['team'] });
    const who = (await run(['auth', 'whoami'])).stdout;
    expect(who).toMatch(/Username +both/);
    expect(who).toMatch(/\[dispatcher:viewer dispatcher:agent system:authenticated\]/);
    for (const [question, answer] of [
      ['delete vm', 'yes'],
      ['delete vm -n default', 'no'],
      ['list vm -A', 'yes'],
      ['delete vm -A', 'no'],
      ['update vm --subresource=status', 'no'],
      ['patch vmpool --subresource=scale', 'yes'],
      ['patch vmpool --subresource=scale -n default', 'no'],
      ['get clouds', 'yes'],
      ['delete clouds', 'no'],
      ['get secrets', 'no'],
      ['get namespaces', 'yes'],
      ['get /openapi/v3', 'yes'],
      ['get /metrics', 'no'],
      ['* *', 'no'],
    ] as const) {
      const { stdout } = await run(['auth', 'can-i', ...question.split(' ')]);
      expect({ question, answer: stdout.trim() }).toEqual({ question, answer });
    }
    const list = (await run(['auth', 'can-i', '--list'])).stdout;
    expect(list).toMatch(/virtualmachines\.dispatcher\.dev .*\[get list watch create update patch delete deletecollection\]/);
    expect(list).toMatch(/clouds\.dispatcher\.dev +\[\] +\[\] +\[get list watch\]/);
    expect(list).not.toContain('secrets');
    const elsewhere = (await run(['auth', 'can-i', '--list', '-n', 'default'])).stdout;
    expect(elsewhere).toMatch(/virtualmachines\.dispatcher\.dev +\[\] +\[\] +\[get list watch\]/);
  });

  test('who is disabled is refused from then on, and let in again when enabled', async () => {
    const run = await as('gone', { role: 'admin' });
    expect(await run(['get', 'secrets'])).toMatchObject({ code: 0 });
    await access.users.setDisabled('gone', true);
    expect((await run(['get', 'secrets'])).stderr).toContain('Unauthorized');
    await access.users.setDisabled('gone', false);
    expect(await run(['get', 'secrets'])).toMatchObject({ code: 0 });
  });
});
