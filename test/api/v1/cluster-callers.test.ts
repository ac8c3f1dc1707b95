import { afterEach, beforeEach, expect, test } from '@jest/globals';
import express from 'express';
import type { Access } from '../../../src/api/auth/authorize.js';
import { type Listening, serveHttp } from '../../../src/api/serve.js';
import { v1Api } from '../../../src/api/v1/app.js';
import { CloudUnavailable } from '../../../src/api/v1/cloud-reader.js';
import { clusterCallers, NO_LOGIN } from '../../../src/api/v1/cluster-callers.js';
import { systemEnvironment as environment } from '../../../src/environment.js';
import { StoreError } from '../../../src/store/errors.js';
import { captureLog } from '../../support/log.js';
import { MemoryStore } from '../../support/memory-store.js';
import { vmDraft } from '../../support/resources.js';
import { failureOf, type V1Client, v1Client } from '../../support/v1-client.js';
import { v1Cloud } from '../../support/v1-world.js';

const TOKEN = 'token-of-ann';
const START = { body: { name: 'web', image: 'i', size: 's' } };

let cluster: MemoryStore;
let server: Listening;
let client: V1Client;
let log: ReturnType<typeof captureLog>;
/** What the API server allows, as `verb resource in namespace`. */
let allowed: Set<string>;
/** What it says of who asks, and what came to it, by token. */
let whoAmI: () => { name: string; groups: string[] };
let asked: string[];
let readClouds: () => void;

/** v1 over an API server that knows what is `allowed`. */
beforeEach(async () => {
  cluster = new MemoryStore(environment);
  await cluster.create(v1Cloud({ engine: 'simulator' }));
  await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
  const clouds = (await cluster.list('Cloud')).items;
  log = captureLog();
  allowed = new Set();
  asked = [];
  whoAmI = () => ({ name: 'ann', groups: [] });
  readClouds = () => undefined;
  const textOf = ({ verb, resource, namespace }: Access) => `${verb} ${resource} in ${namespace || 'all'}`;
  const plane = {
    as: (token: string | undefined) => ({
      store: cluster,
      whoAmI: async () => {
        asked.push(`${token} who`);
        return whoAmI();
      },
      may: async (access: Access) => {
        asked.push(`${token} ${textOf(access)}`);
        return allowed.has(textOf(access));
      },
    }),
  };
  const app = v1Api({
    callers: clusterCallers({
      plane,
      // No time goes by.
      environment: { ...environment, now: () => new Date(0) },
      clouds: () => {
        readClouds();
        return clouds;
      },
    }),
    clouds: {
      servers: () => ({ servers: [], observedAt: new Date(0) }),
      images: async () => [],
      flavors: async () => [],
      projects: async () => [],
      has: async () => true,
    },
    login: NO_LOGIN,
    environment,
    log: log.log,
    version: '0.0.0-test',
    waitMs: 0,
    resourceApiUrl: () => 'https://api-server',
  });
  server = await serveHttp(express().use('/api/v1', app), { host: '127.0.0.1', port: 0 });
  client = v1Client(server.url, TOKEN);
});
afterEach(() => server.close(0));

const machines = async () => (await cluster.list('VirtualMachine')).items.map(({ metadata }) => metadata.namespace);
const names = async (path: string) => JSON.stringify((await client('GET', path)).body).match(/"name":"\w+"/g);

test('what is started goes to the namespace of the query, or default, if the API server lets it', async () => {
  allowed.add('create virtualmachines in default').add('create virtualmachines in team');
  expect((await client('POST', '/vm/start', START)).body).toMatchObject({
    status_code: 202,
    look_at: expect.stringMatching(/^https:\/\/api-server\/apis\/dispatcher\.dev\/v1alpha1\/namespaces\/default\//),
  });
  expect((await client('POST', '/vm/start?namespace=team', START)).code).toBe(202);
  expect(failureOf(await client('POST', '/vm/start?namespace=other', START))).toEqual({
    code: 403,
    message:
      'virtualmachines.dispatcher.dev is forbidden: User "ann" cannot create resource "virtualmachines" in API group "dispatcher.dev" in the namespace "other"',
  });
  expect(await machines()).toEqual(['default', 'team']);
});

test('what is shown is that of the namespace of the query, or default, or of all namespaces to who may see them', async () => {
  for (const namespace of ['default', 'team']) await cluster.create(vmDraft(`in${namespace}`, { namespace }));
  const path = '/monitor/list';
  expect((await client('GET', path)).code).toBe(403);
  allowed.add('list virtualmachines in default').add('list virtualmachines in team');
  expect(await names(path)).toEqual(['"name":"indefault"']);
  expect(await names(`${path}?namespace=team`)).toEqual(['"name":"inteam"']);
  expect((await client('GET', `${path}?namespace=..`)).code).toBe(400);
  allowed.add('list virtualmachines in all');
  expect(await names(path)).toEqual(['"name":"indefault"', '"name":"inteam"']);
});

test.each([
  ['/cloud', 'list clouds in all'],
  ['/images', 'get clouds in all'],
  ['/flavors/lab', 'get clouds in all'],
  ['/tenants/fake_driver', 'get clouds in all'],
  ['/nodes', 'list virtualmachines in default'],
])('what the operator knows at %s is shown to who may %s, and to nobody else', async (path, right) => {
  expect(failureOf(await client('GET', path)).code).toBe(403);
  allowed.add(right);
  expect((await client('GET', path)).code).toBe(200);
});

test('nobody is asked for but who bears the token, and who that is only once in two seconds', async () => {
  for (let count = 0; count < 3; count++) await client('PUT', '/test/start');
  await client('GET', '/cloud');
  expect(asked).toEqual([`${TOKEN} who`, `${TOKEN} list clouds in all`]);
});

test.each([
  ['that the API server does not accept', () => new StoreError('Unauthorized', 'no'), 401],
  ['of which the API server cannot be asked', () => new StoreError('Unavailable', 'away'), 503],
])('a token %s', async (_what, error, code) => {
  whoAmI = () => {
    throw error();
  };
  expect(failureOf(await client('PUT', '/test/start')).code).toBe(code);
});

test('a token that was lost on the way to the API server is none', async () => {
  whoAmI = () => ({ name: 'system:anonymous', groups: ['system:unauthenticated'] });
  expect(failureOf(await client('PUT', '/test/start')).code).toBe(401);
});

test.each([
  ['refuses', 'Forbidden', 403],
  ['no longer takes the token for', 'Unauthorized', 401],
] as const)('a write that the API server %s is answered so', async (_what, reason, code) => {
  allowed.add('create virtualmachines in default');
  cluster.create = () => Promise.reject(new StoreError(reason, 'a quota'));
  expect(failureOf(await client('POST', '/vm/start', START))).toEqual({ code, message: 'a quota' });
});

test('Clouds that are not known yet are not taken for none', async () => {
  readClouds = () => {
    throw new CloudUnavailable('not known yet');
  };
  expect(failureOf(await client('GET', '/images')).code).toBe(503);
});

test('no password is taken, no token is needed for what is anybody’s, and none is logged', async () => {
  const reply = await client('POST', '/auth', { body: { username: 'ann', password: 'horse' }, token: undefined });
  expect(failureOf(reply)).toEqual({ code: 501, message: expect.stringContaining('kubectl create token') });
  expect((await client('GET', '/', { token: undefined })).code).toBe(200);
  expect(failureOf(await client('GET', '/images', { token: undefined })).code).toBe(401);
  cluster.list = () => Promise.reject(new Error('a fault of ours'));
  allowed.add('list virtualmachines in all');
  expect((await client('GET', `/nodes?auth_token=${TOKEN}`)).code).toBe(500);
  expect(log.messages()).toContain('request failed');
  expect(JSON.stringify(log.lines)).not.toContain(TOKEN);
});
