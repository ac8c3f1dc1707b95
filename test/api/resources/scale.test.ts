import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Mutation } from '../../../src/api/resources/call.js';
import { StoreError } from '../../../src/store/errors.js';
import { apiClient, type Sending } from '../../support/api-client.js';
import { servedApi } from '../../support/api-server.js';

const POOLS = '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachinepools';
const SCALE = `${POOLS}/galaxy/scale`;
const KEY = { kind: 'VirtualMachinePool', namespace: 'default', name: 'galaxy' };
const MERGE = 'application/merge-patch+json';
const JSON_PATCH = 'application/json-patch+json';

describe('the scale of a pool', () => {
  const mutations: Mutation[] = [];
  let api: Awaited<ReturnType<typeof servedApi>>;
  let client: ReturnType<typeof apiClient>;
  beforeAll(async () => {
    api = await servedApi({ onMutation: (mutation) => mutations.push(mutation) });
    client = apiClient(api.url, api.ca);
  });
  beforeEach(async () => {
    const { items } = await api.store.list(KEY.kind);
    for (const { metadata } of items) await api.store.delete({ ...KEY, name: metadata.name });
    await api.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: KEY.kind,
      metadata: { name: 'galaxy', namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, recipeRef: { name: 'galaxy' }, replicas: 5, maxSize: 40, standby: 2 },
    });
    mutations.length = 0;
  });
  afterAll(async () => {
    await client.close();
    await api.close();
  });

  const pool = async () => {
    const found = await api.store.get(KEY);
    if (!found) throw new Error('the pool is not there');
    return found;
  };
  const replicas = async () => Object(Object(await pool()).spec).replicas;
  const scale = (spec: unknown, metadata: object = { name: 'galaxy', namespace: 'default' }) => ({
    kind: 'Scale',
    apiVersion: 'autoscaling/v1',
    metadata,
    spec,
  });
  const put = (body: Sending['body'], query = '') => client.send(`${SCALE}${query}`, { method: 'PUT', body });
  const patch = (body: object, type = MERGE, query = '') => client.send(`${SCALE}${query}`, { method: 'PATCH', body, type });

  test('says what is wanted, what there is, and by which labels', async () => {
    const { uid, resourceVersion, creationTimestamp } = (await pool()).metadata;
    const first = { name: 'galaxy', namespace: 'default', uid, resourceVersion, creationTimestamp };
    expect((await client.send(SCALE)).json()).toEqual({ ...scale({ replicas: 5 }, first), status: { replicas: 0 } });
    await api.store.updateStatus({ ...(await pool()), status: { replicas: 3, selector: 'pool=galaxy' } });
    expect((await client.send(SCALE)).json()).toMatchObject({ status: { replicas: 3, selector: 'pool=galaxy' } });
  });

  test('is a table for those who want one', async () => {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    expect((await client.send(SCALE, { headers: { accept } })).json()).toMatchObject({
      columnDefinitions: ['Name', 'Desired', 'Available', 'Age'].map((name) => expect.objectContaining({ name })),
      rows: [{ cells: ['galaxy', 5, 0, expect.stringMatching(/^\d+s$/)] }],
    });
  });

  test.each<[reason: string, change: () => ReturnType<typeof put>, wanted: number]>([
    ['PUT', () => put(scale({ replicas: 7 })), 7],
    ['PUT without a number, which Go leaves out where it is zero', () => put(scale({})), 0],
    [
      'PUT as protobuf, as a controller sends it',
      () =>
        client.send(SCALE, {
          method: 'PUT',
          type: 'application/vnd.kubernetes.protobuf',
          // type {autoscaling/v1, Scale}, then metadata {name galaxy}, spec {replicas 7}
          body: Buffer.from('6b3873000a170a0e6175746f7363616c696e672f763112055363616c65120e0a080a0667616c61787912020807', 'hex'),
        }),
      7,
    ],
    ['a merge patch', () => patch({ spec: { replicas: 7 } }), 7],
    ['a JSON patch', () => patch([{ op: 'replace', path: '/spec/replicas', value: 7 }], JSON_PATCH), 7],
    ['a patch of its status, which is nobody’s to say', () => patch({ status: { replicas: 9 } }), 5],
    ['a dry run', () => patch({ spec: { replicas: 7 } }, MERGE, '?dryRun=All'), 5],
  ])('%s changes replicas and nothing else', async (_reason, change, wanted) => {
    const before = await pool();
    expect((await change()).code).toBe(200);
    const { spec, metadata } = await pool();
    expect(spec).toEqual({ ...Object(before.spec), replicas: wanted });
    expect(metadata).toEqual({
      ...before.metadata,
      ...(wanted !== 5 && { generation: 2, resourceVersion: expect.not.stringMatching(before.metadata.resourceVersion) }),
    });
  });

  test('a dry run shows what would be, at the version that stands', async () => {
    const { resourceVersion } = (await pool()).metadata;
    const reply = await patch({ spec: { replicas: 7 } }, MERGE, '?dryRun=All');
    expect(reply.json()).toMatchObject({ metadata: { resourceVersion }, spec: { replicas: 7 } });
  });

  test.each<[reason: string, change: () => ReturnType<typeof put>, code: number, field: string | undefined]>([
    ['more than the pool may have', () => patch({ spec: { replicas: 39 } }), 422, 'spec.replicas'],
    ['less than none', () => patch({ spec: { replicas: -1 } }), 422, 'spec.replicas'],
    ['text', () => patch({ spec: { replicas: 'many' } }), 422, 'spec.replicas'],
    ['half a machine', () => put(scale({ replicas: 1.5 })), 422, 'spec.replicas'],
    ['no spec at all', () => put(scale(undefined)), 422, 'spec'],
    ['a field that does not exist', () => patch({ spec: { replica: 7 } }), 400, 'spec.replica'],
    ['another kind', () => put({ ...scale({ replicas: 1 }), kind: 'VirtualMachinePool' }), 400, 'kind'],
    ['another version', () => put({ ...scale({ replicas: 1 }), apiVersion: 'autoscaling/v9' }), 400, 'apiVersion'],
    ['another name', () => put(scale({ replicas: 1 }, { name: 'other' })), 400, 'metadata.name'],
    ['a version of before', () => put(scale({ replicas: 1 }, { name: 'galaxy', resourceVersion: '1' })), 409, undefined],
    ['a patch of a version of before', () => patch({ metadata: { resourceVersion: '1' } }), 409, undefined],
    ['another pool of the name', () => put(scale({ replicas: 1 }, { uid: 'gone' })), 409, undefined],
    ['no object', () => put('[]'), 400, ''],
    [
      'an apply, which subresources do not take',
      () => patch(scale({ replicas: 1 }), 'application/apply-patch+yaml'),
      415,
      'Content-Type',
    ],
    ['a strategic patch', () => patch({}, 'application/strategic-merge-patch+json'), 415, 'Content-Type'],
  ])('refuses %s, and says what is wrong', async (_reason, change, code, field) => {
    const before = await pool();
    const reply = await change();
    const causes = reply.status().details?.causes?.map((cause) => cause.field);
    expect({ code: reply.code, causes }).toEqual({ code, causes: field === undefined ? undefined : [field] });
    expect(await pool()).toEqual(before);
  });

  test('a bound that is broken is told as one of the pool', async () => {
    const { message } = (await patch({ spec: { replicas: -1 } })).status();
    expect(message).toBe('VirtualMachinePool.dispatcher.dev "galaxy" is invalid: spec.replicas: must be at least 0, got -1');
  });

  test.each([
    ['Warn', '299 - "unknown field \\"spec.colour\\""'],
    ['Ignore', undefined],
  ])('with fieldValidation=%s an unknown field is dropped', async (mode, warning) => {
    const reply = await patch({ spec: { replicas: 6, colour: 'red' } }, MERGE, `?fieldValidation=${mode}`);
    expect({ code: reply.code, warning: reply.headers.warning }).toEqual({ code: 200, warning });
    expect(await replicas()).toBe(6);
  });

  test('who scales while another writes loses nothing, unless it demanded a version', async () => {
    const update = api.store.update.bind(api.store);
    let raced = 0;
    api.store.update = async (draft, options) => {
      if (raced++ === 0) await update({ ...(await pool()), metadata: { ...(await pool()).metadata, labels: { a: '1' } } });
      return update(draft, options);
    };
    try {
      expect((await patch({ spec: { replicas: 6 } })).code).toBe(200);
      raced = 0;
      expect((await put(scale({ replicas: 7 }))).code).toBe(200);
      raced = 0;
      const { resourceVersion } = (await pool()).metadata;
      await update({ ...(await pool()), metadata: { ...(await pool()).metadata, labels: { a: '2' } } });
      const pinned = await put(scale({ replicas: 8 }, { name: 'galaxy', resourceVersion }));
      expect({ code: pinned.code, reason: pinned.status().reason }).toEqual({ code: 409, reason: 'Conflict' });
    } finally {
      api.store.update = update;
    }
    expect(await replicas()).toBe(7);
  });

  test('owns replicas from then on, beside what its manager owns of the pool', async () => {
    const applied = { ...(await pool()), metadata: { name: 'galaxy' } };
    const apply = () =>
      client.send(`${POOLS}/galaxy?fieldManager=git`, { method: 'PATCH', body: applied, type: 'application/apply-patch+yaml' });
    expect((await apply()).code).toBe(200);
    expect((await patch({ spec: { replicas: 7 } }, MERGE, '?fieldManager=hand')).code).toBe(200);
    expect((await pool()).metadata.managedFields?.at(-1)).toMatchObject({
      manager: 'hand',
      operation: 'Update',
      subresource: 'scale',
      fieldsV1: { 'f:spec': { 'f:replicas': {} } },
    });
    const refused = await apply();
    expect(refused.code).toBe(409);
    expect(refused.status().message).toContain('conflict with "hand" with subresource "scale"');
  });

  test('is told for the audit as what it is; a dry run is not', async () => {
    await patch({ spec: { replicas: 6 } });
    await patch({ spec: { replicas: 99 } });
    await patch({ spec: { replicas: 7 } }, MERGE, '?dryRun=All');
    expect(mutations.map(({ verb, subresource, key, code }) => ({ verb, subresource, key, code }))).toEqual([
      { verb: 'patch', subresource: 'scale', key: KEY, code: 200 },
      { verb: 'patch', subresource: 'scale', key: KEY, code: 422 },
    ]);
  });

  test('is where a kind has one, and takes no other method', async () => {
    expect((await client.send(SCALE.replace('virtualmachinepools', 'virtualmachines'))).code).toBe(404);
    expect((await client.send(SCALE.replace('galaxy', 'absent'))).code).toBe(404);
    for (const method of ['DELETE', 'POST']) {
      const reply = await client.send(SCALE, { method });
      expect({ code: reply.code, allow: reply.headers.allow }).toEqual({ code: 405, allow: 'GET, PUT, PATCH' });
    }
  });

  test('a store that is away is 503', async () => {
    const update = api.store.update.bind(api.store);
    api.store.update = () => Promise.reject(new StoreError('Unavailable', 'the database does not answer'));
    const reply = await patch({ spec: { replicas: 6 } });
    api.store.update = update;
    expect(reply.code).toBe(503);
  });

  test('discovery and OpenAPI know it', async () => {
    const verbs = ['get', 'patch', 'update'];
    const list = (await client.send('/apis/dispatcher.dev/v1alpha1')).json();
    expect(Object(list).resources).toContainEqual({
      name: 'virtualmachinepools/scale',
      singularName: '',
      namespaced: true,
      group: 'autoscaling',
      version: 'v1',
      kind: 'Scale',
      verbs,
    });
    const accept = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList';
    expect((await client.send('/apis', { headers: { accept } })).text).toContain(
      JSON.stringify({ subresource: 'scale', responseKind: { group: 'autoscaling', version: 'v1', kind: 'Scale' }, verbs }),
    );
    const { paths, components } = Object((await client.send('/openapi/v3/apis/dispatcher.dev/v1alpha1')).json());
    const at = '/apis/dispatcher.dev/v1alpha1/namespaces/{namespace}/virtualmachinepools/{name}/scale';
    expect(Object.keys(paths[at])).toEqual(['get', 'put', 'patch', 'parameters']);
    expect(JSON.stringify(paths[at].put.requestBody)).toContain('#/components/schemas/io.k8s.api.autoscaling.v1.Scale');
    expect(components.schemas['io.k8s.api.autoscaling.v1.Scale'].properties.spec.properties.replicas.type).toBe('integer');
  });
});
