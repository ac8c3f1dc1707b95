import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { z } from 'zod';
import { apiClient } from '../../support/api-client.js';
import { servedApi } from '../../support/api-server.js';

const VMS = '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines';
const ALL = '/apis/dispatcher.dev/v1alpha1/virtualmachines';

const listSchema = z.looseObject({ items: z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })) });

describe('reading', () => {
  let api: Awaited<ReturnType<typeof servedApi>>;
  let client: ReturnType<typeof apiClient>;
  const read = async (path: string, accept = 'application/json') => {
    const reply = await client.send(path, { headers: { accept } });
    return { code: reply.code, type: reply.headers['content-type'], body: reply.json() };
  };

  beforeAll(async () => {
    api = await servedApi();
    client = apiClient(api.url, api.ca);
    await api.store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } });
    for (const [namespace, name, role] of [
      ['default', 'a', 'web'],
      ['default', 'b', 'db'],
      ['default', 'c', 'web'],
      ['team', 'd', 'web'],
    ] as const) {
      const spec = { cloudRef: { name: 'lab' }, image: 'i', flavor: 'f' };
      await api.store.create({
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: 'VirtualMachine',
        metadata: { namespace, name, labels: { role } },
        spec,
      });
    }
  });
  afterAll(async () => {
    await client.close();
    await api.close();
  });

  const names = (body: unknown) => listSchema.parse(body).items.map(({ metadata }) => metadata.name);

  test.each([
    ['a namespace', VMS, ['a', 'b', 'c']],
    ['all namespaces', ALL, ['a', 'b', 'c', 'd']],
    ['a namespace that is not there', VMS.replace('default', 'nowhere'), []],
    ['a label', `${ALL}?labelSelector=role%3Dweb`, ['a', 'c', 'd']],
    ['a label that must not be', `${ALL}?labelSelector=role!%3Dweb`, ['b']],
    ['a set of labels', `${ALL}?labelSelector=role+in+(db,x),role`, ['b']],
    ['a name', `${VMS}?fieldSelector=metadata.name%3Db`, ['b']],
    ['a name under a label that it has not', `${VMS}?fieldSelector=metadata.name%3Db&labelSelector=role%3Dweb`, []],
    ['a name in all namespaces', `${ALL}?fieldSelector=metadata.name%3Dd`, ['d']],
    ['all but a name', `${VMS}?fieldSelector=metadata.name!%3Db`, ['a', 'c']],
    ['a namespace by field', `${ALL}?fieldSelector=metadata.namespace%3Dteam`, ['d']],
    ['a list that may be old', `${ALL}?resourceVersion=0&resourceVersionMatch=NotOlderThan`, ['a', 'b', 'c', 'd']],
  ])('lists %s', async (_reason, path, expected) => {
    const { code, body } = await read(path);
    expect({ code, names: names(body) }).toEqual({ code: 200, names: expected });
    expect(body).toMatchObject({
      kind: 'VirtualMachineList',
      apiVersion: 'dispatcher.dev/v1alpha1',
      metadata: { resourceVersion: expect.stringMatching(/^\d+$/) },
    });
  });

  test('pages hold everything once, and say how many follow', async () => {
    const first = await read(`${ALL}?limit=3`);
    expect(names(first.body)).toEqual(['a', 'b', 'c']);
    const { metadata } = Object(first.body);
    expect(metadata).toMatchObject({ remainingItemCount: 1, continue: expect.any(String) });
    const second = await read(`${ALL}?limit=3&continue=${encodeURIComponent(String(metadata.continue))}`);
    expect(names(second.body)).toEqual(['d']);
    expect(Object(second.body).metadata).not.toHaveProperty('continue');
  });

  test('a version that is not yet is waited for by the client', async () => {
    const reply = await client.send(`${VMS}?resourceVersion=99999&resourceVersionMatch=NotOlderThan`);
    expect({ code: reply.code, after: reply.headers['retry-after'], reason: reply.status().reason }).toEqual({
      code: 504,
      after: '1',
      reason: 'Timeout',
    });
  });

  test('a table has the columns of the kind and one row a resource', async () => {
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';
    const { body } = await read(`${VMS}?limit=1`, accept);
    expect(body).toMatchObject({
      kind: 'Table',
      apiVersion: 'meta.k8s.io/v1',
      columnDefinitions: expect.arrayContaining([expect.objectContaining({ name: 'Cloud', type: 'string', priority: 0 })]),
      rows: [
        {
          cells: ['a', null, null, null, null, 'lab', expect.stringMatching(/^\d+s$/), null, 'i', 'f', null, null],
          object: { kind: 'PartialObjectMetadata', metadata: { name: 'a' } },
        },
      ],
    });
    expect((await read(`${VMS}/a?includeObject=None`, accept)).body).toMatchObject({
      rows: [expect.not.objectContaining({ object: expect.anything() })],
    });
    expect((await read(`${VMS}/a?includeObject=Object`, accept)).body).toMatchObject({
      rows: [{ object: { spec: { image: 'i' } } }],
    });
  });

  test('metadata alone has no spec', async () => {
    const list = await read(VMS, 'application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io');
    expect(list.body).toMatchObject({
      kind: 'PartialObjectMetadataList',
      items: expect.arrayContaining([
        { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: expect.anything() },
      ]),
    });
    const one = await read(`${VMS}/a`, 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io');
    expect(one.body).toEqual({
      kind: 'PartialObjectMetadata',
      apiVersion: 'meta.k8s.io/v1',
      metadata: expect.objectContaining({ name: 'a' }),
    });
  });

  test('YAML for those who want it', async () => {
    const reply = await client.send(`${VMS}/a`, { headers: { accept: 'application/yaml' } });
    expect(reply.headers['content-type']).toBe('application/yaml');
    expect(parse(reply.text)).toMatchObject({ kind: 'VirtualMachine', spec: { image: 'i' } });
    const failure = await client.send(`${VMS}/z`, { headers: { accept: 'application/yaml' } });
    expect(parse(failure.text)).toMatchObject({ kind: 'Status', reason: 'NotFound' });
  });

  test('HEAD answers like GET without a body', async () => {
    const reply = await client.send(`${VMS}/a`, { method: 'HEAD' });
    expect({ code: reply.code, text: reply.text }).toEqual({ code: 200, text: '' });
  });

  test.each([
    ['/api', { kind: 'APIVersions', versions: ['v1'] }],
    ['/apis', { kind: 'APIGroupList', groups: expect.arrayContaining([expect.objectContaining({ name: 'dispatcher.dev' })]) }],
    ['/apis/', { kind: 'APIGroupList' }],
    [
      '/apis/dispatcher.dev',
      { kind: 'APIGroup', preferredVersion: { groupVersion: 'dispatcher.dev/v1alpha1', version: 'v1alpha1' } },
    ],
    [
      '/api/v1',
      {
        kind: 'APIResourceList',
        groupVersion: 'v1',
        resources: expect.arrayContaining([expect.objectContaining({ name: 'secrets', namespaced: true })]),
      },
    ],
    [
      '/apis/dispatcher.dev/v1alpha1',
      {
        resources: expect.arrayContaining([
          expect.objectContaining({ name: 'virtualmachines/status', verbs: ['get', 'patch', 'update'] }),
        ]),
      },
    ],
    ['/openapi/v3', { paths: { 'apis/dispatcher.dev/v1alpha1': { serverRelativeURL: expect.stringContaining('hash=') } } }],
    ['/version', { gitVersion: expect.stringContaining('+dispatcher-0.0.0-test') }],
  ])('%s tells what is served', async (path, expected) => {
    expect(await read(path)).toMatchObject({ code: 200, body: expected });
  });

  test.each(['v2', 'v2beta1'])('discovery comes in one document of version %s', async (version) => {
    const { type, body } = await read('/apis', `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`);
    expect(type).toBe(`application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`);
    expect(body).toMatchObject({
      apiVersion: `apidiscovery.k8s.io/${version}`,
      items: expect.arrayContaining([expect.objectContaining({ metadata: { name: 'dispatcher.dev' } })]),
    });
  });

  test('the OpenAPI document names no schema that it does not hold', async () => {
    const index = Object(await read('/openapi/v3').then(({ body }) => body));
    for (const { serverRelativeURL } of Object.values<{ serverRelativeURL: string }>(index.paths)) {
      const { code, body } = await read(serverRelativeURL);
      expect(code).toBe(200);
      const held = Object.keys(Object(body).components.schemas);
      const named = [...JSON.stringify(body).matchAll(/#\/components\/schemas\/([^"]+)/g)].map(([, name]) => name);
      expect(held).toEqual(expect.arrayContaining(named));
    }
  });

  test('who is known may discover but not read; who is not, only the health', async () => {
    expect((await client.send('/apis', { token: 'guest-token' })).code).toBe(200);
    expect((await client.send(VMS, { token: 'guest-token' })).code).toBe(403);
    for (const path of ['/healthz', '/livez', '/readyz', '/version'])
      expect((await client.send(path, { token: '' })).code).toBe(200);
    const reply = await client.send('/apis', { token: '' });
    expect({ code: reply.code, asks: reply.headers['www-authenticate'] }).toEqual({
      code: 401,
      asks: 'Bearer realm="dispatcher"',
    });
  });
});
