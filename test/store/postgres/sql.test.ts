import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { PrismaPg } from '@prisma/adapter-pg';
import type pg from 'pg';
import { Prisma, PrismaClient } from '../../../src/generated/prisma/client.js';
import { KINDS } from '../../../src/resources/registry.js';
import type { PostgresStore } from '../../../src/store/postgres/open.js';
import { eventually } from '../../support/eventually.js';
import { makeDatabase, type TestDatabase } from '../../support/postgres.js';

let database: TestDatabase;
let store: PostgresStore;
let psql: pg.Client;
let namespace: string;
let count = 0;

beforeAll(async () => {
  database = await makeDatabase();
  store = await database.open();
  psql = await database.connect();
}, 60_000);
afterAll(() => database.drop());
beforeEach(async () => {
  namespace = `sql-${++count}`;
  await psql.query(`INSERT INTO resources (kind, name) VALUES ('Namespace', $1)`, [namespace]);
});

const key = (name: string, kind = 'VirtualMachine') => ({ kind, namespace, name });
const insert = (name: string, more: Record<string, unknown> = {}) => {
  const row = { name, namespace, spec: { image: 'cirros' }, ...more };
  const columns = Object.keys(row).join(', ');
  return psql.query(
    `INSERT INTO virtual_machines (${columns}) SELECT ${columns} FROM jsonb_populate_record(NULL::virtual_machines, $1)`,
    [JSON.stringify(row)],
  );
};
const hintOf = (query: Promise<unknown>) =>
  query.then(
    () => 'no failure',
    (error: pg.DatabaseError) => `${error.message} ${error.hint ?? ''}`.trim(),
  );

describe('a declaration by SQL', () => {
  test('as a person writes it goes to namespace default, and is a resource like any other', async () => {
    await psql.query(`INSERT INTO virtual_machines (name, spec) VALUES ('web', '{"image": "cirros"}')`);
    const made = await store.get({ kind: 'VirtualMachine', namespace: 'default', name: 'web' });
    expect(made).toMatchObject({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { name: 'web', namespace: 'default', generation: 1 },
      spec: { image: 'cirros' },
    });
    expect(made?.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(made?.metadata.creationTimestamp).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(made?.status).toBeUndefined();
  });

  test('wakes who watches: insert, update, delete', async () => {
    const told: string[] = [];
    const stop = new AbortController();
    const { resourceVersion } = await store.list('VirtualMachine', { namespace });
    const reading = (async () => {
      for await (const event of store.watch('VirtualMachine', resourceVersion, stop.signal, { namespace })) {
        if (event.type !== 'Bookmark') told.push(`${event.type} ${event.object.metadata.generation}`);
      }
    })();
    await insert('a');
    await eventually(() => expect(told).toEqual(['Added 1']));
    await psql.query(`UPDATE virtual_machines SET spec = jsonb_set(spec, '{image}', '"debian"') WHERE namespace = $1`, [
      namespace,
    ]);
    await eventually(() => expect(told).toEqual(['Added 1', 'Modified 2']));
    await psql.query('DELETE FROM virtual_machines WHERE namespace = $1', [namespace]);
    await eventually(() => expect(told).toEqual(['Added 1', 'Modified 2', 'Deleted 2']));
    stop.abort();
    await reading;
  });

  test('of clouds, which have no namespace, and of key pairs', async () => {
    await psql.query(`INSERT INTO clouds (name, spec) VALUES ('sql-lab', '{"engine": "simulator"}')`);
    await psql.query(`INSERT INTO key_pairs (name, namespace, spec) VALUES ('k', $1, '{}')`, [namespace]);
    const cloud = await store.get({ kind: 'Cloud', namespace: '', name: 'sql-lab' });
    expect(cloud?.metadata.namespace).toBeUndefined();
    expect(cloud?.spec).toEqual({ engine: 'simulator' });
    expect(await store.get(key('k', 'KeyPair'))).toBeDefined();
  });

  test.each([
    [
      'virtual_machine_pools',
      'VirtualMachinePool',
      { cloudRef: { name: 'lab' }, recipeRef: { name: 'r' }, replicas: 1, maxSize: 2 },
    ],
    ['virtual_machine_assignments', 'VirtualMachineAssignment', { user: 'alice', application: 'galaxy' }],
    [
      'firewall_rules',
      'FirewallRule',
      {
        cloudRef: { name: 'lab' },
        selector: { matchLabels: { app: 'web' } },
        direction: 'Ingress',
        protocol: 'TCP',
        ports: [{ from: 80 }],
        cidrs: ['0.0.0.0/0'],
      },
    ],
    ['volumes', 'Volume', { cloudRef: { name: 'lab' }, sizeGiB: 10 }],
    ['recipes', 'Recipe', { image: 'cirros', flavor: 'tiny', applications: ['galaxy'] }],
  ])('into %s goes to namespace default, can be changed, and goes again', async (view, kind, spec) => {
    await psql.query(`INSERT INTO ${view} (name, spec) VALUES ('sql-one', $1)`, [spec]);
    const one = { kind, namespace: 'default', name: 'sql-one' };
    expect(await store.get(one)).toMatchObject({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind,
      spec,
      metadata: { generation: 1 },
    });
    const { rows } = await psql.query(
      `UPDATE ${view} SET spec = spec || '{"changed": true}' WHERE name = 'sql-one' RETURNING generation`,
    );
    expect(rows).toEqual([{ generation: '2' }]);
    await psql.query(`DELETE FROM ${view} WHERE name = 'sql-one'`);
    expect(await store.get(one)).toBeUndefined();
  });

  test('may be repeated with ON CONFLICT, and says what came of it with RETURNING', async () => {
    const upsert = `INSERT INTO virtual_machines (name, namespace, spec) VALUES ('a', $1, $2)
      ON CONFLICT (kind, namespace, name) DO UPDATE SET spec = excluded.spec RETURNING generation`;
    const generations: unknown[] = [];
    for (const spec of [{ image: 'a' }, { image: 'b' }]) generations.push(...(await psql.query(upsert, [namespace, spec])).rows);
    expect(generations).toEqual([{ generation: '1' }, { generation: '2' }]);
  });

  test('of a spec that is nonsense is kept as it is, and harms no other', async () => {
    await insert('nonsense', { spec: ['not', 'an', 'object'] });
    await insert('missing', { spec: null });
    await insert('good');
    const { items } = await store.list('VirtualMachine', { namespace });
    expect(items.map(({ metadata, spec }) => [metadata.name, spec])).toEqual([
      ['good', { image: 'cirros' }],
      ['missing', undefined],
      ['nonsense', ['not', 'an', 'object']],
    ]);
  });

  test('shows status, and does not take it', async () => {
    await insert('a');
    await store.updateStatus({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { name: 'a', namespace },
      status: { state: 'ACTIVE' },
    });
    const { rows } = await psql.query('SELECT status FROM virtual_machines WHERE namespace = $1', [namespace]);
    expect(rows).toEqual([{ status: { state: 'ACTIVE' } }]);
    expect(await hintOf(psql.query(`UPDATE virtual_machines SET status = '{}'`))).toContain('cannot update column "status"');
    expect(await hintOf(insert('b', { status: {} }))).toContain('cannot insert into column "status"');
  });

  test('shows one kind per view, and keeps it there', async () => {
    await psql.query(`INSERT INTO key_pairs (name, namespace, spec) VALUES ('a', $1, '{}')`, [namespace]);
    await insert('a');
    await psql.query('DELETE FROM virtual_machines WHERE namespace = $1', [namespace]);
    expect(await store.get(key('a', 'KeyPair'))).toBeDefined();
    expect(await hintOf(psql.query(`UPDATE key_pairs SET kind = 'VirtualMachine' WHERE namespace = $1`, [namespace]))).toContain(
      'cannot be changed',
    );
  });
});

describe('a row written by hand is made right', () => {
  test('what a server sets is set, whatever was given', async () => {
    const { rows } = await psql.query(
      `INSERT INTO resources (kind, namespace, name, generation, resource_version, created_version, creation_timestamp, deletion_timestamp)
       VALUES ('VirtualMachine', $1, 'a', 7, 1, 1, '2020-01-01', '2020-01-01')
       RETURNING generation, resource_version = created_version AS numbered, creation_timestamp > '2021-01-01' AS dated, deletion_timestamp`,
      [namespace],
    );
    expect(rows).toEqual([{ generation: '1', numbered: true, dated: true, deletion_timestamp: null }]);
  });

  test('a change of spec raises the generation, others only the version, and none neither', async () => {
    await insert('a');
    const read = async () => {
      const { metadata } = (await store.get(key('a'))) ?? { metadata: undefined };
      return { generation: metadata?.generation, version: Number(metadata?.resourceVersion) };
    };
    const first = await read();
    await psql.query(`UPDATE virtual_machines SET spec = spec, labels = labels WHERE namespace = $1`, [namespace]);
    expect(await read()).toEqual(first);
    await psql.query(`UPDATE virtual_machines SET labels = '{"role": "web"}' WHERE namespace = $1`, [namespace]);
    const labelled = await read();
    expect(labelled.generation).toBe(1);
    expect(labelled.version).toBeGreaterThan(first.version);
    await psql.query(`UPDATE resources SET generation = 9, resource_version = 1, spec = '{}' WHERE namespace = $1`, [namespace]);
    const changed = await read();
    expect(changed.generation).toBe(2);
    expect(changed.version).toBeGreaterThan(labelled.version);
  });

  test.each([
    {
      reason: 'a kind that is not served',
      sql: `INSERT INTO resources (kind, namespace, name) VALUES ('Pod', 'default', 'a')`,
      says: 'no kind "Pod" is served SELECT kind',
    },
    {
      reason: 'a namespace that is not there',
      sql: `INSERT INTO virtual_machines (namespace, name) VALUES ('nowhere', 'a')`,
      says: 'namespace "nowhere" not found Create',
    },
    {
      reason: 'no namespace',
      sql: `INSERT INTO resources (kind, name) VALUES ('VirtualMachine', 'a')`,
      says: 'namespace "" not found',
    },
    {
      reason: 'a cluster-scoped kind in a namespace',
      sql: `INSERT INTO resources (kind, namespace, name) VALUES ('Cloud', 'default', 'a')`,
      says: 'Cloud is cluster-scoped',
    },
    {
      reason: 'a name that is none',
      sql: `INSERT INTO virtual_machines (name) VALUES ('Web_1')`,
      says: 'name must be lower case',
    },
    {
      reason: 'labels that are not strings',
      sql: `INSERT INTO virtual_machines (name, labels) VALUES ('a', '{"n": 1}')`,
      says: 'labels must be an object of strings',
    },
    {
      reason: 'labels that are no object',
      sql: `INSERT INTO virtual_machines (name, labels) VALUES ('a', '[]')`,
      says: 'labels must be an object',
    },
    {
      reason: 'an owner that is none',
      sql: `INSERT INTO resources (kind, namespace, name, owner_references) VALUES ('Secret', 'default', 'a', '[{"uid": 1}]')`,
      says: 'owner_references must hold',
    },
    {
      reason: 'a Secret in the clear',
      sql: `INSERT INTO resources (kind, namespace, name, extra) VALUES ('Secret', 'default', 'a', '{"data": {}}')`,
      says: 'a Secret is written through the API',
    },
    {
      reason: 'a new name for what stands',
      sql: `UPDATE resources SET name = 'b' WHERE kind = 'Namespace'`,
      says: 'cannot be changed',
    },
    {
      reason: 'the end of namespace default',
      sql: `DELETE FROM resources WHERE kind = 'Namespace' AND name = 'default'`,
      says: 'cannot be deleted',
    },
    { reason: 'TRUNCATE', sql: 'TRUNCATE resources', says: 'cannot be truncated' },
  ])('refused, with a word of advice: $reason', async ({ sql, says }) => {
    expect(await hintOf(psql.query(sql))).toContain(says);
  });
});

describe('DELETE', () => {
  test('of a row with finalizers marks it; without them at last it goes, and its tombstone stays', async () => {
    await insert('a', { finalizers: ['dispatcher.dev/test'] });
    await psql.query('DELETE FROM virtual_machines WHERE namespace = $1', [namespace]);
    const marked = await store.get(key('a'));
    expect(marked?.metadata.deletionTimestamp).toBeDefined();
    await psql.query('DELETE FROM virtual_machines WHERE namespace = $1', [namespace]);
    expect(await store.get(key('a'))).toEqual(marked);
    const late = `UPDATE virtual_machines SET finalizers = '{dispatcher.dev/test,dispatcher.dev/late}' WHERE namespace = $1`;
    expect(await hintOf(psql.query(late, [namespace]))).toContain('no finalizer can be added');
    await psql.query(`UPDATE virtual_machines SET finalizers = '{}' WHERE namespace = $1`, [namespace]);
    expect(await store.get(key('a'))).toBeUndefined();
    const { rows } = await psql.query(`SELECT last ->> 'name' AS name FROM tombstones WHERE last ->> 'namespace' = $1`, [
      namespace,
    ]);
    expect(rows).toEqual([{ name: 'a' }]);
  });

  test('of a namespace empties it, and it goes with the last that was held', async () => {
    await insert('held', { finalizers: ['dispatcher.dev/test'] });
    await insert('free');
    await psql.query(`DELETE FROM resources WHERE kind = 'Namespace' AND name = $1`, [namespace]);
    expect(await store.get({ kind: 'Namespace', namespace: '', name: namespace })).toMatchObject({
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Terminating' },
    });
    expect(await store.get(key('free'))).toBeUndefined();
    expect(await hintOf(insert('late'))).toContain('is being deleted');
    await psql.query(`UPDATE virtual_machines SET finalizers = '{}' WHERE namespace = $1`, [namespace]);
    expect(await store.get({ kind: 'Namespace', namespace: '', name: namespace })).toBeUndefined();
  });
});

describe('Foreground', () => {
  const child = (name: string, owner: string, blockOwnerDeletion: boolean, finalizers: string[] = []) =>
    insert(name, { finalizers }).then(() =>
      psql.query(`UPDATE resources SET owner_references = $2 WHERE namespace = $1 AND name = $3`, [
        namespace,
        JSON.stringify([{ apiVersion: 'v1', kind: 'VirtualMachine', name: 'x', uid: owner, blockOwnerDeletion }]),
        name,
      ]),
    );

  test('the owner waits for those that block it, and for theirs', async () => {
    await insert('owner');
    const owner = (await store.get(key('owner')))?.metadata.uid ?? '';
    await child('child', owner, true);
    const middle = (await store.get(key('child')))?.metadata.uid ?? '';
    await child('grandchild', middle, true, ['dispatcher.dev/test']);
    await child('bystander', owner, false, ['dispatcher.dev/test']);
    const marked = await store.delete(key('owner'), { propagation: 'Foreground' });
    expect(marked.metadata.finalizers).toEqual(['foregroundDeletion']);
    expect((await store.get(key('child')))?.metadata.finalizers).toEqual(['foregroundDeletion']);
    expect((await store.get(key('grandchild')))?.metadata.deletionTimestamp).toBeDefined();
    await psql.query(`UPDATE virtual_machines SET finalizers = '{}' WHERE namespace = $1 AND name = 'grandchild'`, [namespace]);
    for (const name of ['grandchild', 'child', 'owner']) expect(await store.get(key(name))).toBeUndefined();
    expect((await store.get(key('bystander')))?.metadata.deletionTimestamp).toBeDefined();
  });

  test('without dependents goes at once', async () => {
    await insert('alone');
    await store.delete(key('alone'), { propagation: 'Foreground' });
    expect(await store.get(key('alone'))).toBeUndefined();
  });
});

describe('the schema', () => {
  test('knows the kinds that are served, and no others', async () => {
    const { rows } = await psql.query('SELECT kind, namespaced FROM kinds ORDER BY kind');
    const served = KINDS.map(({ kind, namespaced }) => ({ kind, namespaced }));
    expect(rows).toEqual(served.toSorted((a, b) => (a.kind < b.kind ? -1 : 1)));
  });

  test('is what prisma/schema.prisma says: every model can be read', async () => {
    const prisma = new PrismaClient({ adapter: new PrismaPg({ connectionString: database.connectionString }) });
    const read = await Promise.all([
      prisma.resource.findFirstOrThrow(),
      prisma.kind.findFirstOrThrow(),
      prisma.plane.findFirstOrThrow(),
      prisma.tombstone.findMany(),
      prisma.lease.findMany(),
      prisma.token.findMany(),
      prisma.user.findMany(),
      prisma.auditEntry.findMany(),
      prisma.simulatorDocument.findMany(),
    ]);
    expect(read).toHaveLength(Object.keys(Prisma.ModelName).length);
    await prisma.$disconnect();
  });

  test('has a view for each kind of our own', async () => {
    for (const { kind, group } of KINDS) {
      if (group === '') continue;
      const view = `${kind.replace(/(?<=[a-z])[A-Z]/g, '_$&').toLowerCase()}s`;
      expect((await psql.query(`SELECT * FROM ${view} WHERE kind <> $1`, [kind])).rows).toEqual([]);
    }
  });
});
