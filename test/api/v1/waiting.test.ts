import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Mutation } from '../../../src/api/resources/call.js';
import { captureLog } from '../../support/log.js';
import { failureOf, type V1Client, v1Client } from '../../support/v1-client.js';
import { v1World } from '../../support/v1-world.js';

const mutations: Mutation[] = [];
const { log, lines } = captureLog();
let world: Awaited<ReturnType<typeof v1World>>;
let client: V1Client;
let body: Record<string, unknown>;

// Open, and impatient.
beforeAll(async () => {
  const onMutation = (mutation: Mutation) => mutations.push(mutation);
  world = await v1World({ open: true, waitMs: 300, wrongTokensPerMinute: 3, onMutation, log });
  client = v1Client(world.url);
  const { items } = await world.store.list('Cloud');
  const [cloud] = items;
  if (!cloud) throw new Error('there is no Cloud');
  // Its machines wait: none may be made in it.
  await world.store.create({ ...cloud, metadata: { name: 'full' }, spec: { engine: 'simulator', limits: { servers: 0 } } });
  await world.ready('lab');
  await world.ready('full');
  body = { name: 'web', image: '11111111-1111-4111-8111-111111111111', size: '1' };
}, 60_000);
afterAll(() => world.close());

const machines = async () => (await world.store.list('VirtualMachine')).items;
const assignments = async () => (await world.store.list('VirtualMachineAssignment')).items;

describe('what is not done in time', () => {
  test('a machine that has to wait is told by 202, and its declaration stands', async () => {
    const reply = await client('POST', '/vm/start/full', { body });
    const [machine] = await machines();
    const { name = '' } = machine?.metadata ?? {};
    expect({ code: reply.code, body: reply.body }).toEqual({
      code: 202,
      body: {
        status: 'accepted',
        status_code: 202,
        message: expect.stringMatching(
          /^Node "web" is declared, and has no server yet; see VirtualMachine default\/web-\w+: .*limit/,
        ),
        look_at: `https://127.0.0.1:5443/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines/${name}`,
      },
    });
    expect(reply.headers.location).toBe(
      `https://127.0.0.1:5443/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines/${name}`,
    );
    expect(machine).toMatchObject({ metadata: { labels: { 'dispatcher.dev/v1': 'true' } }, spec: { hostname: 'web' } });
    const stopped = await client('PUT', '/vm/stop/full', { body: { hostname: 'web' } });
    expect(stopped.body).toEqual({ status: 'ok', result: 'Node web deleted' });
  });

  test('an assignment that waits for a machine is told by 202, and keeps its place', async () => {
    const kind = (what: string, spec: object) => ({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: what,
      metadata: { name: 'empty', namespace: 'default' },
      spec,
    });
    await world.store.create(kind('Recipe', { image: 'cirros-fake', flavor: 'm1.tiny', applications: ['scarce'] }));
    await world.store.create(
      kind('VirtualMachinePool', { cloudRef: { name: 'full' }, recipeRef: { name: 'empty' }, replicas: 1, maxSize: 1 }),
    );
    const asked = { user: 'eve', vm_type: 'scarce' };
    const emulated = await client('PUT', '/vm/action/assign/full', { body: { ...asked, emulate: true } });
    expect(failureOf(emulated)).toEqual({ code: 409, message: 'no node is free for the vm_type "scarce"' });
    expect(await assignments()).toEqual([]);
    expect(failureOf(await client('PUT', '/vm/action/assign', { body: asked })).message).toMatch(
      /no pool of the cloud "fake_driver"/,
    );
    const reply = await client('PUT', '/vm/action/assign/full', { body: asked });
    expect({ code: reply.code, body: reply.body }).toMatchObject({
      code: 202,
      body: {
        message: expect.stringMatching(/^no node could be assigned to "eve" yet; see VirtualMachineAssignment default\/eve-/),
      },
    });
    expect(await assignments()).toEqual([expect.objectContaining({ spec: { user: 'eve', application: 'scarce' } })]);
  });
});

describe('what comes to nothing', () => {
  test('a machine that the cloud refuses is told with the reason, and its declaration is taken back', async () => {
    const before = (await machines()).length;
    mutations.length = 0;
    const failure = failureOf(await client('POST', '/vm/start', { body: { ...body, name: 'keyless', keyname: 'absent' } }));
    expect(failure).toEqual({ code: 400, message: expect.stringMatching(/absent/) });
    expect(mutations.map(({ verb, key, code }) => [verb, key.kind, code])).toEqual([
      ['create', 'VirtualMachine', 201],
      ['delete', 'VirtualMachine', 200],
    ]);
    expect((await machines()).filter(({ metadata }) => !metadata.deletionTimestamp).length).toBe(before);
  });
});

describe('an open door', () => {
  test('lets anybody act as an agent of default, and the audit says so', async () => {
    mutations.length = 0;
    const reply = await client('POST', '/vm/start', { body: { ...body, name: 'open' } });
    expect(reply.code).toBe(200);
    expect(mutations).toEqual([
      expect.objectContaining({
        user: 'system:anonymous',
        verb: 'create',
        key: { kind: 'VirtualMachine', namespace: 'default', name: expect.stringMatching(/^open-/) },
        code: 201,
        requestId: reply.headers['audit-id'],
        address: '127.0.0.1',
      }),
    ]);
    expect((await client('PUT', '/vm/stop', { body: { hostname: 'open' } })).code).toBe(200);
  });

  test('leads nowhere else', async () => {
    mutations.length = 0;
    const failure = failureOf(await client('POST', '/vm/start?namespace=elsewhere', { body }));
    expect(failure).toMatchObject({ code: 403, message: expect.stringContaining('system:anonymous') });
    expect(mutations).toMatchObject([{ verb: 'create', key: { namespace: 'elsewhere', name: '' }, code: 403 }]);
  });

  test.each(['/test/start', '/test/7/kill'])('PUT %s demands a token all the same', async (path) => {
    expect(failureOf(await client('PUT', path)).code).toBe(401);
  });

  test('a wrong token is wrong, is not logged, and too many of them are told to wait', async () => {
    const ask = () => client('GET', '/nodes?auth_token=dispatcher_secret');
    for (let time = 0; time < 3; time++) expect(failureOf(await ask()).code).toBe(401);
    const reply = await ask();
    expect(failureOf(reply).code).toBe(429);
    expect(reply.headers['retry-after']).toBe('60');
    expect(JSON.stringify(lines)).not.toContain('dispatcher_secret');
  });
});
