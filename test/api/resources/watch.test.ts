import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { KubeConfig, makeInformer } from '@kubernetes/client-node';
import { request } from 'undici';
import { z } from 'zod';
import { apiClient } from '../../support/api-client.js';
import { servedApi } from '../../support/api-server.js';

const VMS = '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines';
const eventSchema = z.object({
  type: z.string(),
  object: z.looseObject({
    kind: z.string(),
    code: z.number().optional(),
    reason: z.string().optional(),
    metadata: z.looseObject({
      name: z.string().optional(),
      resourceVersion: z.string().optional(),
      annotations: z.record(z.string(), z.string()).optional(),
    }),
    rows: z.array(z.looseObject({ cells: z.array(z.unknown()) })).optional(),
  }),
});

describe('watching', () => {
  let api: Awaited<ReturnType<typeof servedApi>>;
  let client: ReturnType<typeof apiClient>;
  beforeAll(async () => {
    api = await servedApi();
    client = apiClient(api.url, api.ca);
  });
  afterEach(async () => {
    const { items } = await api.store.list('VirtualMachine');
    for (const { metadata } of items)
      await api.store.delete({ kind: 'VirtualMachine', namespace: 'default', name: metadata.name });
  });
  afterAll(async () => {
    await client.close();
    await api.close();
  });

  const create = (name: string, labels: Record<string, string> = {}) =>
    api.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { name, namespace: 'default', labels },
      spec: { cloudRef: { name: 'lab' }, image: 'i', flavor: 'f' },
    });
  const now = async () => (await api.store.list('VirtualMachine')).resourceVersion;

  /** A watch, as the events it sends. Leaving the loop ends it. */
  async function* watch(query: string, accept = 'application/json') {
    const { statusCode, body } = await request(`${api.url}${VMS}?watch=true&${query}`, {
      dispatcher: client.agent,
      headers: { authorization: 'Bearer admin-token', accept },
    });
    expect(statusCode).toBe(200);
    let text = '';
    for await (const chunk of body) {
      const lines = `${text}${chunk}`.split('\n');
      text = lines.pop() ?? '';
      for (const line of lines) yield eventSchema.parse(JSON.parse(line));
    }
    expect(text).toBe('');
  }
  const take = async (events: AsyncIterable<z.infer<typeof eventSchema>>, count: number) => {
    const taken: Array<z.infer<typeof eventSchema>> = [];
    for await (const event of events) {
      taken.push(event);
      if (taken.length === count) break;
    }
    return taken;
  };
  const brief = (events: ReadonlyArray<z.infer<typeof eventSchema>>) =>
    events.map(({ type, object }) => `${type} ${object.metadata.name}`);

  test('from a version: what came after it, in order, and nothing before', async () => {
    await create('before');
    const version = await now();
    await create('a');
    await api.store.updateStatus({ ...(await create('b')), status: { id: 'x' } });
    await api.store.delete({ kind: 'VirtualMachine', namespace: 'default', name: 'a' });
    expect(brief(await take(watch(`resourceVersion=${version}`), 4))).toEqual(['ADDED a', 'ADDED b', 'MODIFIED b', 'DELETED a']);
  });

  test.each(['', 'resourceVersion=0'])('with "%s": what stands first, then what comes', async (query) => {
    await create('a');
    const events = take(watch(query), 2);
    await api.store.watched('VirtualMachine');
    await create('b');
    expect(brief(await events)).toEqual(['ADDED a', 'ADDED b']);
  });

  test('initial events are ended by a bookmark that says so', async () => {
    await create('a');
    const [, mark] = await take(watch('sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true'), 2);
    expect(mark).toMatchObject({
      type: 'BOOKMARK',
      object: {
        kind: 'VirtualMachine',
        metadata: { resourceVersion: await now(), annotations: { 'k8s.io/initial-events-end': 'true' } },
      },
    });
  });

  test('bookmarks come to those who allow them', async () => {
    const version = await now();
    const allowed = take(watch(`resourceVersion=${version}&allowWatchBookmarks=true`), 1);
    await api.store.watched('VirtualMachine');
    const others = take(watch(`resourceVersion=${version}`), 1);
    await api.store.watched('VirtualMachine');
    api.store.bookmark();
    await create('a');
    expect((await allowed).map(({ type }) => type)).toEqual(['BOOKMARK']);
    expect(brief(await others)).toEqual(['ADDED a']);
  });

  test('a version that is too old ends in 410, as an event', async () => {
    const version = await now();
    await create('a');
    api.store.forgetHistory();
    const events = await take(watch(`resourceVersion=${version}`), 2);
    expect(events).toEqual([
      { type: 'ERROR', object: expect.objectContaining({ kind: 'Status', code: 410, reason: 'Expired' }) },
    ]);
  });

  test('by label: what starts to match is added, what ceases to is deleted', async () => {
    const version = await now();
    const made = await create('a', { role: 'db' });
    const web = await api.store.update({ ...made, metadata: { ...made.metadata, labels: { role: 'web' } } });
    await api.store.update({ ...web, metadata: { ...web.metadata, labels: {} } });
    expect(brief(await take(watch(`resourceVersion=${version}&labelSelector=role%3Dweb`), 2))).toEqual(['ADDED a', 'DELETED a']);
  });

  test('by field: only the one that is named', async () => {
    const version = await now();
    await create('a');
    await create('b');
    expect(brief(await take(watch(`resourceVersion=${version}&fieldSelector=metadata.name%3Db`), 1))).toEqual(['ADDED b']);
  });

  test('as a table, and as metadata alone', async () => {
    const version = await now();
    await create('a');
    const [table] = await take(watch(`resourceVersion=${version}`, 'application/json;as=Table;v=v1;g=meta.k8s.io'), 1);
    expect(table).toMatchObject({
      type: 'ADDED',
      object: { kind: 'Table', rows: [{ cells: expect.arrayContaining(['a', 'lab']) }] },
    });
    const [partial] = await take(
      watch(`resourceVersion=${version}`, 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io'),
      1,
    );
    expect(partial?.object).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 'a' } });
    expect(partial?.object).not.toHaveProperty('spec');
  });

  test('ends when its time is up', async () => {
    expect(await take(watch(`resourceVersion=${await now()}&timeoutSeconds=1`), 1)).toEqual([]);
  });

  test('ends when the server drains, which then is done', async () => {
    const other = await servedApi();
    const agent = apiClient(other.url, other.ca);
    const { body } = await request(`${other.url}${VMS}?watch=true`, {
      dispatcher: agent.agent,
      headers: { authorization: 'Bearer admin-token' },
    });
    await other.store.watched('VirtualMachine');
    await other.close();
    expect(await body.text()).toBe('');
    await agent.close();
  });

  test('an informer of client-node sees what stands, what comes, changes and goes', async () => {
    const config = new KubeConfig();
    config.loadFromFile(api.kubeconfig);
    await create('stands');
    const list = async () => {
      const { items, resourceVersion } = await api.store.list('VirtualMachine');
      return {
        apiVersion: 'v1',
        kind: 'List',
        metadata: { resourceVersion },
        items: items.map(({ metadata }) => ({ metadata: { name: metadata.name, resourceVersion: metadata.resourceVersion } })),
      };
    };
    const informer = makeInformer(config, VMS, list);
    const seen: string[] = [];
    let wake: () => void = () => undefined;
    for (const verb of ['add', 'update', 'delete'] as const) {
      informer.on(verb, (resource) => {
        seen.push(`${verb} ${resource.metadata?.name}`);
        wake();
      });
    }
    const until = async (expected: string) => {
      while (!seen.includes(expected)) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    };
    await informer.start();
    await until('add stands');
    await api.store.watched('VirtualMachine');
    const made = await create('comes');
    await until('add comes');
    await api.store.updateStatus({ ...made, status: { id: 'x' } });
    await until('update comes');
    await api.store.delete({ kind: 'VirtualMachine', namespace: 'default', name: 'comes' });
    await until('delete comes');
    await informer.stop();
  });
});
