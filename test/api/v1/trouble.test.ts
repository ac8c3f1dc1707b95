import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import express from 'express';
import { type Listening, serveHttp } from '../../../src/api/serve.js';
import { v1Api } from '../../../src/api/v1/app.js';
import { type CloudReader, CloudUnavailable } from '../../../src/api/v1/cloud-reader.js';
import { ownCallers } from '../../../src/api/v1/own-callers.js';
import { systemEnvironment } from '../../../src/environment.js';
import { StoreError } from '../../../src/store/errors.js';
import { captureLog } from '../../support/log.js';
import { MemoryStore } from '../../support/memory-store.js';
import { failureOf, type V1Client, v1Client } from '../../support/v1-client.js';
import { v1Cloud } from '../../support/v1-world.js';

const START = { name: 'web', image: 'i', size: 's' };
let store: MemoryStore;
let server: Listening;
let client: V1Client;
let declared: Promise<void>;
let log: ReturnType<typeof captureLog>;
let clouds: CloudReader;

/** A door that is open, patient, and over declarations that nobody acts on. */
beforeEach(async () => {
  store = new MemoryStore(systemEnvironment);
  log = captureLog();
  await store.create(v1Cloud({ engine: 'simulator' }));
  clouds = {
    servers: () => ({ servers: [], observedAt: new Date(0) }),
    images: async () => [],
    flavors: async () => [],
    projects: async () => [],
    has: async () => true,
  };
  let told: () => void = () => undefined;
  declared = new Promise((resolve) => {
    told = resolve;
  });
  const app = v1Api({
    callers: ownCallers({ store, tokens: { find: async () => undefined }, environment: systemEnvironment, open: true }),
    clouds: {
      servers: (cloud) => clouds.servers(cloud),
      images: (cloud) => clouds.images(cloud),
      flavors: (cloud) => clouds.flavors(cloud),
      projects: (cloud) => clouds.projects(cloud),
      has: (...asked) => clouds.has(...asked),
    },
    login: { logIn: () => Promise.reject(new StoreError('Unavailable', 'too many passwords are being checked')) },
    environment: systemEnvironment,
    log: log.log,
    version: '0.0.0-test',
    waitMs: 60_000,
    resourceApiUrl: () => 'https://127.0.0.1:5443',
    onMutation: () => told(),
  });
  const door = express().use('/api/v1', app);
  door.once('drain', () => app.emit('drain'));
  server = await serveHttp(door, { host: '127.0.0.1', port: 0 });
  client = v1Client(server.url);
});
afterEach(() => server.close(1000));

describe('while an assign waits', () => {
  test('an inventory that cannot be reached ends it with 503, as in the service of 2015, and nothing is left declared', async () => {
    const meta = { name: 'galaxy', namespace: 'default' };
    const apiVersion = 'dispatcher.dev/v1alpha1';
    const recipe = { image: 'i', flavor: 'f', applications: ['galaxy'] };
    const pool = { cloudRef: { name: 'lab' }, recipeRef: { name: 'galaxy' }, replicas: 1, maxSize: 1 };
    await store.create({ apiVersion, kind: 'Recipe', metadata: meta, spec: recipe });
    await store.create({ apiVersion, kind: 'VirtualMachinePool', metadata: meta, spec: pool });
    const reply = client('PUT', '/vm/action/assign', { body: { user: 'alice', vm_type: 'galaxy' } });
    await declared;
    const [assignment] = (await store.list('VirtualMachineAssignment')).items;
    const said = { status: 'False', reason: 'InventoryUnreachable', message: 'it is away', observedGeneration: 1 };
    const conditions = [{ type: 'Ready', lastTransitionTime: '2026-01-01T00:00:00Z', ...said }];
    if (assignment) await store.updateStatus({ ...assignment, status: { conditions } });
    expect(failureOf(await reply)).toEqual({ code: 503, message: 'it is away' });
    expect((await store.list('VirtualMachineAssignment')).items).toEqual([]);
  });
});

describe('while a start waits', () => {
  test('a server that drains answers it at once', async () => {
    const reply = client('POST', '/vm/start', { body: START });
    await declared;
    await server.close(30_000);
    expect((await reply).code).toBe(202);
  });

  test('a declaration that another deletes is told as deleted', async () => {
    const reply = client('POST', '/vm/start', { body: START });
    await declared;
    const [machine] = (await store.list('VirtualMachine')).items;
    await store.delete({ kind: 'VirtualMachine', namespace: 'default', name: machine?.metadata.name ?? '' });
    expect(failureOf(await reply)).toEqual({ code: 409, message: 'the declaration was deleted meanwhile' });
  });

  test('the id that the cloud gives ends it', async () => {
    const reply = client('POST', '/vm/start', { body: START });
    await declared;
    const [machine] = (await store.list('VirtualMachine')).items;
    if (machine) await store.updateStatus({ ...machine, status: { id: 's1', state: 'Building' } });
    expect((await reply).body).toMatchObject({ status: 'ok', nodes: { id: 's1', name: 'web', state: 'pending' } });
  });
});

describe('what cannot be told', () => {
  test('a cloud that is not connected here is a 503 with its reason', async () => {
    clouds = { ...clouds, has: () => Promise.reject(new CloudUnavailable('the cloud lab is not connected here')) };
    const reply = await client('POST', '/vm/start', { body: START });
    expect(failureOf(reply)).toEqual({ code: 503, message: 'the cloud lab is not connected here' });
    expect(reply.headers['retry-after']).toBe('5');
    expect((await store.list('VirtualMachine')).items).toEqual([]);
  });

  test('a server that cannot check passwords now says so', async () => {
    expect(failureOf(await client('POST', '/auth', { body: { username: 'a', password: 'b' } })).code).toBe(503);
  });

  test('a fault of ours is a 500 without its text, which is in the log', async () => {
    clouds = { ...clouds, images: () => Promise.reject(new Error('password=hunter2')) };
    const reply = await client('GET', '/images');
    expect(failureOf(reply).code).toBe(500);
    expect(reply.text).not.toContain('hunter2');
    expect(log.lines).toMatchObject([{ msg: 'request failed', method: 'GET', path: '/images' }]);
  });
});

describe('a machine whose declaration says that it stays', () => {
  test.each([{ protected: true }, { paused: true }, { management: 'Observe' }, { deletionPolicy: 'Orphan' }])(
    '%j is not stopped',
    async (kept) => {
      const machine = await store.create({
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: 'VirtualMachine',
        metadata: { name: 'kept', namespace: 'default' },
        spec: { cloudRef: { name: 'lab' }, image: 'i', flavor: 'f', ...kept },
      });
      await store.updateStatus({ ...machine, status: { id: 's1', state: 'Running' } });
      const failure = failureOf(await client('PUT', '/vm/stop', { body: { node: 's1' } }));
      expect(failure).toEqual({ code: 409, message: expect.stringContaining(`spec.${Object.keys(kept)[0]}`) });
      expect((await store.list('VirtualMachine')).items).toHaveLength(1);
    },
  );
});
