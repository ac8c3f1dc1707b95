import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import express from 'express';
import { pino } from 'pino';
import { cisternApi } from '../../../src/api/cistern/app.js';
import { nodeNumber } from '../../../src/api/node-number.js';
import type { Mutation } from '../../../src/api/resources/call.js';
import { type Listening, serveHttp } from '../../../src/api/serve.js';
import { asAssignment, asMachine } from '../../../src/api/typed.js';
import { CloudUnavailable } from '../../../src/api/v1/cloud-reader.js';
import { ownCallers } from '../../../src/api/v1/own-callers.js';
import { CisternClient } from '../../../src/cistern/client.js';
import { isCisternError } from '../../../src/cistern/errors.js';
import { isFree } from '../../../src/cistern/protocol.js';
import { systemEnvironment } from '../../../src/environment.js';
import type { Resource } from '../../../src/resources/metadata.js';
import type { TokenStore } from '../../../src/store/tokens.js';
import { MemoryStore } from '../../support/memory-store.js';
import { vmDraft, vmKey } from '../../support/resources.js';

const KIND = 'VirtualMachineAssignment';
const API_VERSION = 'dispatcher.dev/v1alpha1';
const TOKENS: Pick<TokenStore, 'find'> = {
  find: async (token) => {
    const role = { 'agent-token': 'agent', 'viewer-token': 'viewer' } as const;
    if (token !== 'agent-token' && token !== 'viewer-token') return undefined;
    return { id: '1', user: token, groups: [], grants: [{ role: role[token], namespaces: ['default'] }] };
  },
};

let store: MemoryStore;
let server: Listening;
let told: string[];
let ending: AbortController;
let binding: Promise<void>;
let clients: CisternClient[];

const unavailable = () => {
  throw new CloudUnavailable('no cloud is read here');
};

async function start(waitMs = 20_000): Promise<void> {
  const api = cisternApi({
    callers: ownCallers({ store, tokens: TOKENS, environment: systemEnvironment, open: true }),
    log: pino({ level: 'silent' }),
    version: '0.0.0-test',
    environment: systemEnvironment,
    resourceApiUrl: () => 'https://127.0.0.1:5443',
    login: { logIn: unavailable },
    clouds: { servers: unavailable, images: unavailable, flavors: unavailable, projects: unavailable, has: unavailable },
    onMutation: ({ user, verb, key, code }: Mutation) => told.push(`${user} ${verb} ${key.kind} ${code}`),
    waitMs,
  });
  server = await serveHttp(express().use('/cistern/api/v1', api), { host: '127.0.0.1', port: 0 });
}

function client(token: string | undefined = 'agent-token', cloud = 'lab'): CisternClient {
  const endpoint = `${server.url}/cistern/api/v1`;
  const made = new CisternClient({ endpoint, cloud, token, environment: systemEnvironment });
  clients.push(made);
  return made;
}

const failureOf = (call: Promise<unknown>) =>
  call.then(
    () => 'nothing failed',
    (error: unknown) => (isCisternError(error) ? `${error.code} ${error.message.replace(/^.*?: HTTP /, '')}` : error),
  );

/** A machine of `lab` that runs, with the server `server-of-NAME`. */
async function machine(name: string, change: { hostname?: string; annotations?: Record<string, string> } = {}): Promise<void> {
  const { hostname, annotations = {} } = change;
  const vm = await store.create(vmDraft(name, { annotations }, hostname === undefined ? {} : { hostname }));
  const { generation } = vm.metadata;
  await writeStatus(vm, {
    observedGeneration: generation,
    id: `server-of-${name}`,
    state: 'Running',
    builtAt: '2026-05-01T08:00:00Z',
    conditions: [ready(generation, 'True', 'Running')],
  });
}

const ready = (observedGeneration: number, status: string, reason: string, message = 'as declared') => ({
  type: 'Ready',
  status,
  reason,
  message,
  observedGeneration,
  lastTransitionTime: '2026-05-01T08:00:00Z',
});

async function writeStatus(resource: Resource, status: object): Promise<Resource> {
  return store.updateStatus({ ...resource, status });
}

async function writeMachine(name: string, claimRef: object | undefined, assignment: object | undefined): Promise<void> {
  const vm = await store.get(vmKey(name));
  const { spec, status } = (vm && asMachine(vm)) ?? {};
  if (!vm || !spec) return;
  const { claimRef: _claim, ...rest } = spec;
  const written = await store.update({ ...vm, spec: { ...rest, ...(claimRef && { claimRef }) } });
  const { generation } = written.metadata;
  const { assignment: _assignment, ...told } = status ?? {};
  const conditions = [ready(generation, 'True', 'Running')];
  await writeStatus(written, { ...told, observedGeneration: generation, conditions, ...(assignment && { assignment }) });
}

/** Binds assignments to the machines that they name and gives machines back, as the reconcilers do. */
async function bind(signal: AbortSignal): Promise<void> {
  for await (const event of store.watch(KIND, '0', signal)) {
    if (event.type === 'Bookmark') continue;
    const assignment = asAssignment(event.object);
    const name = assignment?.spec.virtualMachineRef?.name;
    if (!assignment || name === undefined) continue;
    const { metadata, spec } = assignment;
    const vm = await store.get(vmKey(name));
    const claim = (vm && asMachine(vm))?.spec.claimRef;
    if (event.type === 'Deleted' && claim?.uid === metadata.uid) await writeMachine(name, undefined, undefined);
    if (event.type !== 'Added' || !vm || claim) continue;
    const { user, application } = spec;
    await writeMachine(name, { name: metadata.name, uid: metadata.uid, epoch: 1 }, undefined);
    const conditions = [ready(metadata.generation, 'True', 'Bound')];
    const { uid } = vm.metadata;
    await writeStatus(event.object, { conditions, epoch: 1, virtualMachine: { name, uid }, id: `server-of-${name}` });
    await writeMachine(name, { name: metadata.name, uid: metadata.uid, epoch: 1 }, { name: metadata.name, user, application });
  }
}

const users = () => store.everything(KIND).map((each) => asAssignment(each)?.spec.user);
const ALICE = { user: 'alice', vmType: 'galaxy' };

beforeEach(async () => {
  store = new MemoryStore(systemEnvironment);
  told = [];
  clients = [];
  ending = new AbortController();
  await store.create({ apiVersion: API_VERSION, kind: 'Cloud', metadata: { name: 'lab' }, spec: { engine: 'simulator' } });
  binding = bind(ending.signal);
});
afterEach(async () => {
  for (const each of clients) each.close();
  await server.close(0);
  ending.abort();
  await binding;
});

describe('the list of nodes', () => {
  test('tells what is free, and the faulty ones only to who asks for them', async () => {
    await machine('one');
    await machine('two', { annotations: { 'dispatcher.dev/faulty': 'its disk clicks' } });
    await start();
    const nodes = await client().nodes();
    expect(nodes.map(({ hostname, faulty, ...node }) => [hostname, faulty, isFree({ hostname, faulty, ...node })])).toEqual([
      ['one', false, true],
      ['two', true, false],
    ]);
  });

  test('may be empty', async () => {
    await start();
    expect(await client().nodes()).toEqual([]);
  });

  test('may be asked for without a body', async () => {
    await machine('one');
    await start();
    const answer = await fetch(`${server.url}/cistern/api/v1/nodes/lab`, { headers: { authorization: 'Bearer agent-token' } });
    expect([answer.status, await answer.json()]).toMatchObject([200, { status: 'ok', nodes: [{ id_vm: 'server-of-one' }] }]);
  });

  test('of a cloud that is not there is refused, which is no outage', async () => {
    await start();
    expect(await failureOf(client('agent-token', 'attic').nodes())).toBe(
      'Refused 400: Cloud not valid - there is no cloud "attic"',
    );
  });

  test.each([[undefined], ['wrong-token']])('is not told with the token %s, though v1 may be open', async (token) => {
    await start();
    const headers = token === undefined ? {} : { 'x-auth-token': token };
    const { status } = await fetch(`${server.url}/cistern/api/v1/nodes/lab`, { headers });
    expect(status).toBe(401);
  });
});

describe('an assign', () => {
  test.each([['one'], ['web'], ['server-of-one']])(
    'gives a machine, here called %s, and the list tells it at once',
    async (hostname) => {
      await machine('one', { hostname: 'web' });
      await start();
      expect(await client().assign({ hostname, ...ALICE })).toEqual({
        serverId: 'server-of-one',
        result: 'Node server-of-one assigned',
      });
      expect(await client().nodes()).toMatchObject([{ serverId: 'server-of-one', user: 'alice', status: 'ASSIGNED' }]);
      expect(store.everything(KIND).map(({ spec }) => spec)).toEqual([
        { user: 'alice', application: 'galaxy', virtualMachineRef: { name: 'one' }, onFailure: 'Hold' },
      ]);
      expect(told).toEqual([`agent-token create ${KIND} 201`]);
    },
  );

  test("tells the node's number", async () => {
    await machine('one');
    await start();
    const answer = await fetch(`${server.url}/cistern/api/v1/vm/assign/lab`, {
      method: 'POST',
      headers: { 'x-auth-token': 'agent-token' },
      body: JSON.stringify({ hostname: 'one', user: 'alice', vm_type: 'galaxy' }),
    });
    const uid = (await store.get(vmKey('one')))?.metadata.uid ?? '';
    expect(await answer.json()).toMatchObject({ status: 'ok', id_vm: 'server-of-one', id: nodeNumber(uid) });
  });

  test('that is asked for again is answered alike, and declares nothing more', async () => {
    await machine('one');
    await start();
    const first = await client().assign({ hostname: 'one', ...ALICE });
    expect(await client().assign({ hostname: 'one', ...ALICE })).toEqual(first);
    expect(users()).toEqual(['alice']);
  });

  test('is refused while another has the machine, and leaves nothing', async () => {
    await machine('one');
    await start();
    await client().assign({ hostname: 'one', ...ALICE });
    const refused = await failureOf(client().assign({ hostname: 'one', user: 'bob', vmType: 'galaxy' }));
    expect(refused).toBe('Refused 409: Node server-of-one is assigned to another');
    expect(users()).toEqual(['alice']);
  });

  test('of a faulty machine is refused', async () => {
    await machine('one', { annotations: { 'dispatcher.dev/faulty': 'its disk clicks' } });
    await start();
    expect(await failureOf(client().assign({ hostname: 'one', ...ALICE }))).toBe('Refused 409: Node server-of-one is faulty');
    expect(users()).toEqual([]);
  });

  test('that comes to nothing in time is refused, and taken back', async () => {
    await machine('one');
    ending.abort();
    await binding;
    await start(50);
    const refused = await failureOf(client().assign({ hostname: 'one', ...ALICE }));
    expect(refused).toBe('Refused 409: Node server-of-one could not be assigned in time');
    expect(users()).toEqual([]);
  });

  test.each([
    ['nobody is called so', 'attic', 'no useful node id here'],
    ['several are called so', 'web', '2 nodes are called "web": name one by its server\'s id'],
  ])('is refused where %s', async (_why, hostname, message) => {
    await machine('one', { hostname: 'web' });
    await machine('two', { hostname: 'web' });
    await start();
    expect(await failureOf(client().assign({ hostname, ...ALICE }))).toBe(`Refused 400: ${message}`);
  });

  test('is not for who may only look', async () => {
    await machine('one');
    await start();
    expect(await failureOf(client('viewer-token').assign({ hostname: 'one', ...ALICE }))).toMatch(/^Unauthorized 403: /);
    expect(users()).toEqual([]);
  });
});

describe('a release', () => {
  test('gives the machine back, and the list tells it at once', async () => {
    await machine('one');
    await start();
    await client().assign({ hostname: 'one', ...ALICE });
    expect(await client().release('one')).toEqual({ serverId: 'server-of-one', result: 'Node server-of-one released' });
    expect(users()).toEqual([]);
    expect((await client().nodes()).map(isFree)).toEqual([true]);
    expect(told).toEqual([`agent-token create ${KIND} 201`, `agent-token delete ${KIND} 200`]);
  });

  test('of what nobody has is done', async () => {
    await machine('one');
    await start();
    expect(await client().release('one')).toMatchObject({ serverId: 'server-of-one' });
  });

  test('leaves what others have declared that waits for the machine', async () => {
    await machine('one');
    await start();
    await client().assign({ hostname: 'one', ...ALICE });
    const spec = { user: 'bob', application: 'galaxy', virtualMachineRef: { name: 'one' } };
    await store.create({ apiVersion: API_VERSION, kind: KIND, metadata: { name: 'bob', namespace: 'default' }, spec });
    await client().release('one');
    expect(users()).toEqual(['bob']);
  });

  test('that is not carried out in time is no success, and is not taken back', async () => {
    await machine('one');
    await start();
    await client().assign({ hostname: 'one', ...ALICE });
    ending.abort();
    await binding;
    await server.close(0);
    await start(50);
    const outcome = await failureOf(client().release('one'));
    expect(outcome).toBe('Unreachable 503: Node server-of-one is released, and not given back yet');
    expect(users()).toEqual([]);
  });

  test('is not for who may only look', async () => {
    await machine('one');
    await start();
    await client().assign({ hostname: 'one', ...ALICE });
    expect(await failureOf(client('viewer-token').release('one'))).toMatch(/^Unauthorized 403: /);
    expect(users()).toEqual(['alice']);
  });

  test('of what is gone is refused', async () => {
    await start();
    expect(await failureOf(client().release('one'))).toBe('Refused 400: no useful node id here');
  });
});
