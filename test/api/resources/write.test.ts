import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Mutation } from '../../../src/api/resources/call.js';
import { StoreError } from '../../../src/store/errors.js';
import { apiClient } from '../../support/api-client.js';
import { servedApi } from '../../support/api-server.js';

const VMS = '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines';
const KEY = { kind: 'VirtualMachine', namespace: 'default', name: 'web' };

describe('writing', () => {
  const mutations: Mutation[] = [];
  let api: Awaited<ReturnType<typeof servedApi>>;
  let client: ReturnType<typeof apiClient>;
  beforeAll(async () => {
    api = await servedApi({ onMutation: (mutation) => mutations.push(mutation) });
    client = apiClient(api.url, api.ca);
  });
  beforeEach(async () => {
    const { items } = await api.store.list('VirtualMachine');
    for (const { metadata } of items) await api.store.delete({ ...KEY, name: metadata.name });
    mutations.length = 0;
  });
  afterAll(async () => {
    await client.close();
    await api.close();
  });

  const vm = (spec: object = {}, metadata: object = { name: 'web' }) => ({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata,
    spec: { cloudRef: { name: 'lab' }, image: 'i', flavor: 'f', ...spec },
  });
  const create = (body: object, query = '') => client.send(`${VMS}${query}`, { method: 'POST', body });
  const patch = (body: object, path = `${VMS}/web`) =>
    client.send(path, { method: 'PATCH', body, type: 'application/merge-patch+json' });

  test('what a manifest says is kept as it stands: no defaults, no status, nothing of the server’s', async () => {
    const reply = await create({ ...vm({}, { name: 'web', uid: 'mine', generation: 9, selfLink: '/x' }), status: { id: 'x' } });
    expect(reply.code).toBe(201);
    const kept = await api.store.get(KEY);
    expect(kept?.spec).toEqual(vm().spec);
    expect(kept).not.toHaveProperty('status');
    expect(kept?.metadata).toMatchObject({ generation: 1, uid: expect.not.stringMatching('mine') });
    expect(reply.json()).toEqual(kept);
  });

  test('YAML is taken as JSON is', async () => {
    const body = 'kind: VirtualMachine\nmetadata: {name: web}\nspec: {cloudRef: {name: lab}, image: i, flavor: f}\n';
    expect((await client.send(VMS, { method: 'POST', body, type: 'application/yaml' })).code).toBe(201);
  });

  test.each([
    ['Warn', ['299 - "unknown field \\"spec.networks[0].two\\""', '299 - "unknown field \\"spec.one\\""']],
    ['Ignore', []],
  ])('with fieldValidation=%s unknown fields are dropped, at every depth', async (mode, warnings) => {
    const reply = await create(vm({ one: 1, networks: [{ name: 'a', two: 2 }] }), `?fieldValidation=${mode}`);
    expect({ code: reply.code, warnings: [reply.headers.warning ?? []].flat().join(', ') }).toEqual({
      code: 201,
      warnings: warnings.join(', '),
    });
    expect((await api.store.get(KEY))?.spec).toEqual(vm({ networks: [{ name: 'a' }] }).spec);
  });

  test('patches at once are all kept: each is applied to what the others left', async () => {
    await create(vm());
    const keys = ['a', 'b', 'c'];
    const codes = await Promise.all(keys.map((key) => patch({ metadata: { labels: { [key]: '1' } } })));
    expect(codes.map(({ code }) => code)).toEqual([200, 200, 200]);
    expect((await api.store.get(KEY))?.metadata.labels).toEqual({ a: '1', b: '1', c: '1' });
  });

  test('a patch of nothing keeps the version', async () => {
    await create(vm());
    const before = await api.store.get(KEY);
    expect((await patch({ spec: { image: 'i' } })).json()).toEqual(before);
  });

  test('a status is written although the spec is not valid, and the spec stays', async () => {
    const odd = await api.store.create({ ...vm({}, { name: 'web', namespace: 'default' }), spec: { image: 7 } });
    const path = `${VMS}/web/status`;
    expect((await patch({ status: { id: 'a' } }, path)).code).toBe(200);
    const put = await client.send(path, { method: 'PUT', body: { ...vm(), metadata: { name: 'web' }, status: { id: 'b' } } });
    expect(put.code).toBe(422);
    const { resourceVersion } = (await api.store.get(KEY))?.metadata ?? odd.metadata;
    const versioned = await client.send(path, {
      method: 'PUT',
      body: { ...vm(), metadata: { name: 'web', resourceVersion }, status: { id: 'b' } },
    });
    expect(versioned.code).toBe(200);
    expect(await api.store.get(KEY)).toMatchObject({ spec: { image: 7 }, status: { id: 'b' } });
    expect((await client.send(path)).json()).toMatchObject({ status: { id: 'b' } });
  });

  test('a delete is a success at once, or shows what waits for its finalizers', async () => {
    await create(vm());
    expect((await client.send(`${VMS}/web`, { method: 'DELETE' })).json()).toMatchObject({
      kind: 'Status',
      status: 'Success',
      details: { name: 'web' },
    });
    await create(vm({}, { name: 'web', finalizers: ['a.dev/b'] }));
    const reply = await client.send(`${VMS}/web`, { method: 'DELETE' });
    expect(reply.json()).toMatchObject({ kind: 'VirtualMachine', metadata: { deletionTimestamp: expect.any(String) } });
    const more = await patch({ metadata: { finalizers: ['a.dev/b', 'c.dev/d'] } });
    expect({ code: more.code, reason: more.status().reason }).toEqual({ code: 422, reason: 'Invalid' });
    await patch({ metadata: { finalizers: [] } });
    expect(await api.store.get(KEY)).toBeUndefined();
  });

  test('a dry run of a delete deletes nothing', async () => {
    await create(vm());
    await client.send(`${VMS}/web?dryRun=All`, { method: 'DELETE' });
    await client.send(VMS, { method: 'DELETE', body: { dryRun: ['All'] } });
    expect(await api.store.get(KEY)).toBeDefined();
    expect(mutations.map(({ verb }) => verb)).toEqual(['create']);
  });

  test('a collection is deleted as far as it is chosen, page by page', async () => {
    for (let number = 0; number < 12; number++)
      await create(vm({}, { name: `vm-${number}`, labels: { odd: String(number % 2 === 1) } }));
    const reply = await client.send(`${VMS}?labelSelector=odd%3Dtrue`, { method: 'DELETE' });
    expect(reply.json()).toMatchObject({ kind: 'VirtualMachineList', items: expect.any(Array) });
    expect((await api.store.list('VirtualMachine')).items).toHaveLength(6);
  });

  test('every change is told for the audit, whatever came of it; reading is not', async () => {
    await create(vm({}, { generateName: 'web-' }));
    await create(vm({ image: 7 }));
    await patch({}, `${VMS}/absent`);
    await client.send(VMS);
    await client.send(VMS, { method: 'POST', body: vm(), token: 'guest-token' });
    await create(vm(), '?dryRun=All');
    await client.send(VMS, { method: 'DELETE' });
    const origin = { requestId: expect.stringMatching(/^[0-9a-f-]{36}$/), address: '127.0.0.1', subresource: undefined };
    expect(mutations).toEqual([
      { ...origin, user: 'admin', verb: 'create', key: { ...KEY, name: expect.stringMatching(/^web-.+/) }, code: 201 },
      { ...origin, user: 'admin', verb: 'create', key: { ...KEY, name: '' }, code: 422 },
      { ...origin, user: 'admin', verb: 'patch', key: { ...KEY, name: 'absent' }, code: 404 },
      { ...origin, user: 'guest', verb: 'create', key: { ...KEY, name: '' }, code: 403 },
      { ...origin, user: 'admin', verb: 'deletecollection', key: { ...KEY, name: '' }, code: 200 },
    ]);
  });

  test('a store that is away is 503 with a time to come back; a fault of ours is 500 without its text', async () => {
    const other = await servedApi();
    const visitor = apiClient(other.url, other.ca);
    try {
      other.store.get = () => Promise.reject(new StoreError('Unavailable', 'the database does not answer'));
      const away = await visitor.send(`${VMS}/web`);
      expect({ code: away.code, after: away.headers['retry-after'], reason: away.status().reason }).toEqual({
        code: 503,
        after: '1',
        reason: 'ServiceUnavailable',
      });
      other.store.get = () => Promise.reject(new TypeError('hunter2 is not a function'));
      const fault = await visitor.send(`${VMS}/web`);
      expect({ code: fault.code, reason: fault.status().reason }).toEqual({ code: 500, reason: 'InternalError' });
      expect(fault.text).not.toContain('hunter2');
    } finally {
      await visitor.close();
      await other.close();
    }
  });
});
