import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { apiClient } from '../../support/api-client.js';
import { servedApi } from '../../support/api-server.js';

const CORE = '/api/v1/namespaces/default';
const OWN = '/apis/dispatcher.dev/v1alpha1';
const VMS = `${OWN}/namespaces/default/virtualmachines`;
const TABLE = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };

const tableSchema = z.looseObject({
  columnDefinitions: z.array(z.looseObject({ name: z.string(), priority: z.number() })),
  rows: z.array(z.looseObject({ cells: z.array(z.unknown()) })),
});
const documentSchema = z.looseObject({
  components: z.looseObject({
    schemas: z.record(z.string(), z.looseObject({ properties: z.record(z.string(), z.unknown()).optional() })),
  }),
});

// What test/e2e/kubernetes/compare.test.ts found to differ from a real API server, and was mended.
describe('as a cluster says it', () => {
  let api: Awaited<ReturnType<typeof servedApi>>;
  let client: ReturnType<typeof apiClient>;
  beforeAll(async () => {
    api = await servedApi();
    client = apiClient(api.url, api.ca);
  });
  afterAll(async () => {
    await client.close();
    await api.close();
  });

  const post = (path: string, body: object) => client.send(path, { method: 'POST', body });
  const merge = (path: string, body: object) =>
    client.send(path, { method: 'PATCH', body, type: 'application/merge-patch+json' });
  const vm = (name: string, spec: object = {}, metadata: object = {}) => ({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name, ...metadata },
    spec: { cloudRef: { name: 'lab' }, image: 'i', flavor: 'f', ...spec },
  });
  const apply = (name: string, manager: string, spec: object, query = '') =>
    client.send(`${VMS}/${name}?fieldManager=${manager}${query}`, {
      method: 'PATCH',
      body: vm(name, spec),
      type: 'application/apply-patch+yaml',
    });
  const table = async (path: string) => {
    const { columnDefinitions, rows } = tableSchema.parse((await client.send(path, { headers: TABLE })).json());
    return { names: columnDefinitions.map(({ name, priority }) => (priority ? `(${name})` : name)), cells: rows[0]?.cells };
  };

  test('an Event has the columns that kubectl shows, and fields that were not given', async () => {
    const event = {
      metadata: { name: 'web.1' },
      involvedObject: { kind: 'VirtualMachine', name: 'web' },
      reason: 'Made',
      message: 'it is made\n',
      type: 'Normal',
      source: { component: 'dispatcher', host: 'a' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      series: { count: 3, lastObservedTime: new Date().toISOString() },
    };
    expect((await post(`${CORE}/events`, event)).code).toBe(201);
    expect(await table(`${CORE}/events`)).toEqual({
      names: [
        ...['Last Seen', 'Type', 'Reason', 'Object', '(Subobject)', '(Source)', 'Message'],
        ...['(First Seen)', '(Count)', '(Name)'],
      ],
      cells: [
        ...[expect.stringMatching(/^\ds$/), 'Normal', 'Made', 'virtualmachine/web', '', 'dispatcher, a', 'it is made'],
        ...[expect.stringMatching(/^\d+d$|y/), 3, 'web.1'],
      ],
    });
    const bare = await post(`${CORE}/events`, { metadata: { name: 'web.2' }, involvedObject: { kind: 'Cloud' } });
    expect(bare.json()).toMatchObject({ eventTime: null, reportingComponent: '', reportingInstance: '' });
  });

  test('a Secret has a type that cannot be changed, and its table says how much it holds', async () => {
    const made = await post(`${CORE}/secrets`, { metadata: { name: 'keys' }, data: { a: 'YQ==', b: 'Yg==' } });
    expect(made.json()).toMatchObject({
      type: 'Opaque',
      metadata: expect.not.objectContaining({ generation: expect.anything() }),
    });
    expect(await table(`${CORE}/secrets`)).toMatchObject({
      names: ['Name', 'Type', 'Data', 'Age'],
      cells: ['keys', 'Opaque', 2, expect.any(String)],
    });
    const refused = (await merge(`${CORE}/secrets/keys`, { type: 'other' })).status();
    expect(refused).toMatchObject({ reason: 'Invalid', details: { causes: [{ field: 'type' }] } });
    expect((await merge(`${CORE}/secrets/keys`, { type: 'Opaque' })).code).toBe(200);
  });

  test('a Namespace is chosen by its name as by a label; the default one stays', async () => {
    const made = await post('/api/v1/namespaces', { metadata: { name: 'team' } });
    expect(made.json()).toMatchObject({ metadata: { labels: { 'kubernetes.io/metadata.name': 'team' } } });
    const refused = await client.send('/api/v1/namespaces/default', { method: 'DELETE' });
    expect(refused.status()).toMatchObject({ reason: 'Forbidden', message: expect.stringContaining('may not be deleted') });
  });

  test('a dry run tells the version that stands, or none', async () => {
    const dry = (await post(`${VMS}?dryRun=All`, vm('dry'))).json();
    expect(dry).toMatchObject({ metadata: expect.not.objectContaining({ resourceVersion: expect.anything() }) });
    await post(VMS, vm('stands'));
    const { resourceVersion } =
      (await api.store.get({ kind: 'VirtualMachine', namespace: 'default', name: 'stands' }))?.metadata ?? {};
    const standing = { metadata: { resourceVersion } };
    expect((await merge(`${VMS}/stands?dryRun=All`, { spec: { image: 'j' } })).json()).toMatchObject(standing);
    expect((await apply('stands', 'ann', { image: 'j' }, '&dryRun=All&force=true')).json()).toMatchObject(standing);
  });

  test('what is there already, and what is no longer the newest, is told in known words', async () => {
    await post(VMS, vm('twice'));
    expect((await post(VMS, vm('twice'))).status()).toMatchObject({
      message: 'virtualmachines.dispatcher.dev "twice" already exists',
      details: { name: 'twice' },
    });
    expect((await merge(`${VMS}/twice`, { metadata: { resourceVersion: '1' } })).status().message).toBe(
      'Operation cannot be fulfilled on virtualmachines.dispatcher.dev "twice": the object has been modified; please apply your changes to the latest version and try again',
    );
    expect((await merge(`${VMS}/twice`, { metadata: { name: 'other' } })).status().message).toBe(
      'the name of the object (other) does not match the name on the URL (twice)',
    );
  });

  test('conflicts of an apply are told by owner', async () => {
    await apply('shared', 'ann', {});
    await merge(`${VMS}/shared?fieldManager=hand`, { spec: { flavor: 'g' } });
    expect((await apply('shared', 'bob', { image: 'j', flavor: 'g' })).status().message).toBe(
      'Apply failed with 1 conflict: conflict with "ann": .spec.image',
    );
    expect((await apply('shared', 'bob', { image: 'j' })).status().message).toBe(
      'Apply failed with 2 conflicts: conflicts with "ann":\n- .spec.image\nconflicts with "hand" using dispatcher.dev/v1alpha1:\n- .spec.flavor',
    );
  });

  test('what waits for its finalizers has no time left', async () => {
    await post(VMS, vm('held', {}, { finalizers: ['a.dev/b'] }));
    const held = (await client.send(`${VMS}/held`, { method: 'DELETE' })).json();
    expect(held).toMatchObject({ metadata: { deletionGracePeriodSeconds: 0 } });
    await merge(`${VMS}/held`, { metadata: { finalizers: null } });
  });

  test('a success bears no code, and a patch of no known type is told which there are', async () => {
    await post(VMS, vm('gone'));
    expect((await client.send(`${VMS}/gone`, { method: 'DELETE' })).json()).not.toHaveProperty('code');
    const strategic = { method: 'PATCH', body: {}, type: 'application/strategic-merge-patch+json' };
    expect((await client.send(`${VMS}/gone`, strategic)).status().message).toBe(
      'the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml',
    );
  });

  test('a time that is not there is an empty cell', async () => {
    await post(`${OWN}/clouds`, { kind: 'Cloud', metadata: { name: 'lab' }, spec: { engine: 'simulator' } });
    const { names, cells } = await table(`${OWN}/clouds`);
    expect(cells?.[names.indexOf('Observed')]).toBeNull();
  });

  test('the lists in metadata have the types that kubectl explain names', async () => {
    const document = documentSchema.parse((await client.send(`/openapi/v3${OWN}`)).json());
    const meta = 'io.k8s.apimachinery.pkg.apis.meta.v1';
    expect(document.components.schemas[`${meta}.ObjectMeta`]?.properties).toMatchObject({
      managedFields: { type: 'array', items: { allOf: [{ $ref: `#/components/schemas/${meta}.ManagedFieldsEntry` }] } },
      ownerReferences: { type: 'array', items: { allOf: [{ $ref: `#/components/schemas/${meta}.OwnerReference` }] } },
    });
  });
});
