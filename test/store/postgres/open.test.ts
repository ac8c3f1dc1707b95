import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { systemEnvironment } from '../../../src/environment.js';
import type { ManagedField } from '../../../src/resources/metadata.js';
import { createCipher } from '../../../src/store/encryption.js';
import type { PostgresStore } from '../../../src/store/postgres/open.js';
import { makeDatabase, type TestDatabase } from '../../support/postgres.js';

let database: TestDatabase;
let store: PostgresStore;
let psql: pg.Client;

beforeAll(async () => {
  database = await makeDatabase();
  store = await database.open();
  psql = await database.connect();
}, 60_000);
afterAll(() => database.drop());

const VALUE = 'hunter2-correct-horse';
const secret = (name: string) => ({
  apiVersion: 'v1',
  kind: 'Secret',
  // `kubectl apply` writes the whole manifest here.
  metadata: {
    name,
    namespace: 'default',
    annotations: { 'kubectl.kubernetes.io/last-applied-configuration': `{"password":"${VALUE}"}` },
  },
  type: 'Opaque',
  stringData: { password: VALUE },
});
const data = { password: Buffer.from(VALUE).toString('base64') };
const secretKey = (name: string) => ({ kind: 'Secret', namespace: 'default', name });

describe('Secrets', () => {
  test('are ciphertext in every table, and plain to who reads them through the store', async () => {
    const made = await store.create(secret('a'));
    expect(made.data).toEqual(data);
    expect(made.stringData).toBeUndefined();
    expect(await store.get(secretKey('a'))).toEqual(made);
    expect((await store.list('Secret')).items).toContainEqual(made);
    const changed = await store.update({ ...secret('a'), stringData: { password: VALUE, user: 'demo' } });
    expect(changed.data).toEqual({ ...data, user: Buffer.from('demo').toString('base64') });
    await store.create(secret('gone'));
    await store.delete(secretKey('gone'));
    for (const table of ['resources', 'tombstones']) {
      const { rows } = await psql.query<{ text: string }>(`SELECT string_agg(t::text, '') AS text FROM ${table} AS t`);
      for (const plain of [VALUE, data.password, Buffer.from(VALUE).toString('hex')]) expect(rows[0]?.text).not.toContain(plain);
    }
  });

  test('told by a watch are plain, deleted ones too', async () => {
    const { resourceVersion } = await store.list('Secret');
    await store.create(secret('watched'));
    const made = await store.list('Secret');
    await store.delete(secretKey('watched'));
    const replica = await database.open();
    for (const source of [store, replica]) {
      for (const from of source === store ? [resourceVersion, made.resourceVersion] : [made.resourceVersion]) {
        const stop = new AbortController();
        for await (const event of source.watch('Secret', from, stop.signal)) {
          if (event.type === 'Bookmark') continue;
          expect(event.object.data).toEqual(data);
          if (event.type === 'Deleted') stop.abort();
        }
      }
    }
  });

  test('written again with the same values are the same', async () => {
    const made = await store.create(secret('same'));
    const again = await store.update(secret('same'));
    expect(again).toEqual(made);
  });

  test('moved to another row by hand cannot be read, and can be written anew', async () => {
    await store.create(secret('from'));
    await store.create({ ...secret('to'), stringData: { other: 'x' } });
    await psql.query(
      `UPDATE resources SET extra = (SELECT extra FROM resources WHERE kind = 'Secret' AND name = 'from')
       WHERE kind = 'Secret' AND name = 'to'`,
    );
    await expect(store.get(secretKey('to'))).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.stringContaining('moved'),
    });
    const listed = (await store.list('Secret')).items.find(({ metadata }) => metadata.name === 'to');
    expect(listed).toMatchObject({ type: 'Opaque' });
    expect(listed?.data).toBeUndefined();
    expect((await store.update(secret('to'))).data).toEqual(data);
  });

  test('of something else than strings are Invalid, without their value in the message', async () => {
    const wrong = { ...secret('wrong'), data: { password: { value: VALUE } } };
    await expect(store.create(wrong)).rejects.toMatchObject({ code: 'Invalid', message: expect.not.stringContaining(VALUE) });
  });

  test('keep a store with another key from being opened, which says which key it lacks', async () => {
    await store.create(secret('kept'));
    const cipher = createCipher({ id: 'other', key: new Uint8Array(32) });
    await expect(database.open({ cipher })).rejects.toMatchObject({
      code: 'Invalid',
      message: expect.stringContaining('key test'),
    });
  });

  test('of a former key are read after a change of keys', async () => {
    const made = await store.create(secret('old'));
    const cipher = createCipher({ id: 'new', key: new Uint8Array(32).fill(9) }, [
      { id: 'test', key: new Uint8Array(32).fill(7) },
    ]);
    const replica = await database.open({ cipher });
    expect(await replica.get(secretKey('old'))).toEqual(made);
  });
});

describe('a store opened again', () => {
  test('holds what it held, and is the same installation', async () => {
    const first = await database.open();
    const metadata = {
      name: 'kept',
      namespace: 'default',
      labels: { role: 'web' },
      annotations: { note: 'x' },
      finalizers: ['a.example/b'],
    };
    const managed: ManagedField = {
      manager: 'kubectl',
      operation: 'Apply',
      apiVersion: 'dispatcher.dev/v1alpha1',
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:spec': {} },
    };
    const fields = { managedFields: [managed], generateName: 'kept-' };
    const made = await first.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { ...metadata, ...fields },
      spec: { image: 'cirros', nested: [1, { a: null, b: 1.5e-7, c: 'é\u2028😀' }] },
    });
    const reported = await first.updateStatus({ ...made, status: { state: 'ACTIVE' } });
    await first.close();
    const second = await database.open();
    const read = await second.get({ kind: 'VirtualMachine', namespace: 'default', name: 'kept' });
    expect(read).toEqual(reported);
    expect(read?.metadata).toMatchObject({ ...metadata, ...fields });
    expect(second.installationId).toBe(first.installationId);
    expect(second.installationId).toMatch(/^[0-9a-f-]{36}$/);
  });

  test('in a session of another time zone and with options of its own, tells the same times', async () => {
    const made = await store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'clock' } });
    const separator = database.connectionString.includes('?') ? '&' : '?';
    const connectionString = `${database.connectionString}${separator}options=-c%20timezone%3DAsia%2FTokyo`;
    await psql.query(`ALTER DATABASE ${psql.database} SET timezone = 'Asia/Tokyo'`);
    for (const options of [{}, { connectionString }]) {
      const replica = await database.open(options);
      expect(await replica.get({ kind: 'Namespace', namespace: '', name: 'clock' })).toEqual(made);
    }
  });

  test('without a server says so, without the password', async () => {
    const connectionString = 'postgresql://someone:hunter2@127.0.0.1:1/nothing';
    await expect(database.open({ connectionString })).rejects.toMatchObject({
      code: 'Unavailable',
      message: expect.not.stringContaining('hunter2'),
    });
  });
});

describe('maintenance', () => {
  const event = (name: string, lastTimestamp: string | undefined) => ({
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name, namespace: 'default' },
    involvedObject: { kind: 'VirtualMachine', name: 'a' },
    ...(lastTimestamp && { lastTimestamp }),
  });

  test('expireEvents deletes Events last seen before then', async () => {
    const soon = new Date(Date.now() + 60_000);
    for (const [name, time] of [
      ['old', '2020-01-01T00:00:00Z'],
      ['untimed', undefined],
      ['seen-again', new Date(Date.now() + 120_000).toISOString()],
    ] as const) {
      await store.create(event(name, time));
    }
    expect(await store.expireEvents(new Date(0))).toBe(0);
    expect(await store.expireEvents(soon)).toBe(2);
    expect((await store.list('Event')).items.map(({ metadata }) => metadata.name)).toEqual(['seen-again']);
  });

  test('prune forgets deletions of before an hour ago only, unless told otherwise', async () => {
    await store.create(secret('short-lived'));
    await store.delete(secretKey('short-lived'));
    const count = async () => (await psql.query('SELECT FROM tombstones')).rowCount;
    expect(await count()).toBeGreaterThan(0);
    await store.prune();
    expect(await count()).toBeGreaterThan(0);
    await store.prune(new Date(Date.now() + 60_000));
    expect(await count()).toBe(0);
  });

  test('prune deletes what an owner left behind that went before its dependent was made', async () => {
    const ownerReferences = [{ apiVersion: 'v1', kind: 'VirtualMachine', name: 'gone', uid: 'nobody' }];
    await store.create({ ...secret('left-behind'), metadata: { ...secret('left-behind').metadata, ownerReferences } });
    await store.prune();
    expect(await store.get(secretKey('left-behind'))).toBeDefined();
    await store.prune(new Date(Date.now() + 60_000));
    expect(await store.get(secretKey('left-behind'))).toBeUndefined();
  });
});

describe('tokens', () => {
  test('are found by themselves, and by nothing that is kept of them', async () => {
    const { id, token } = await store.tokens.issue('alice', { groups: ['admins'], description: 'laptop' });
    expect(await store.tokens.find(token)).toEqual({ id, user: 'alice', groups: ['admins'] });
    const { rows } = await psql.query<{ text: string; token_hash: string }>(
      'SELECT t::text AS text, token_hash FROM tokens AS t',
    );
    expect(rows.map(({ text }) => text).join()).not.toContain(token.slice(11));
    for (const wrong of ['', 'dispatcher_', `${token}x`, token.slice(0, -1), rows[0]?.token_hash ?? '', id]) {
      expect(await store.tokens.find(wrong)).toBeUndefined();
    }
  });

  test('end when they expire, by the clock of the environment', async () => {
    let now = new Date('2026-01-01T00:00:00Z');
    const replica = await database.open({ environment: { ...systemEnvironment, now: () => now } });
    const expiresAt = new Date('2026-01-01T01:00:00Z');
    const { id, token } = await replica.tokens.issue('bob', { groups: [], expiresAt });
    now = new Date('2026-01-01T00:59:59Z');
    expect(await replica.tokens.find(token)).toBeDefined();
    now = expiresAt;
    expect(await replica.tokens.find(token)).toBeUndefined();
    const listed = (await replica.tokens.list()).find((each) => each.id === id);
    expect(listed).toEqual({ id, user: 'bob', groups: [], createdAt: new Date('2026-01-01T00:00:00Z'), expiresAt });
  });

  test('end when they are revoked', async () => {
    const { id, token } = await store.tokens.issue('carol', { groups: [] });
    expect(await store.tokens.revoke(id)).toBe(true);
    expect(await store.tokens.find(token)).toBeUndefined();
    expect(await store.tokens.revoke(id)).toBe(false);
    expect(await store.tokens.revoke('no-uuid')).toBe(false);
  });
});

test('what the simulator keeps is replaced and removed by key, all at once', async () => {
  const documents = async () => new Map(await store.simulatorDocuments.load());
  expect(await documents()).toEqual(new Map());
  await store.simulatorDocuments.save(
    new Map<string, unknown>([
      ['a', { servers: [1] }],
      ['b', 'text'],
      ['c', 3],
    ]),
  );
  await store.simulatorDocuments.save(
    new Map<string, unknown>([
      ['a', [2]],
      ['b', undefined],
    ]),
  );
  expect(await documents()).toEqual(
    new Map<string, unknown>([
      ['a', [2]],
      ['c', 3],
    ]),
  );
});
