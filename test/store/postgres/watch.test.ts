import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import type { Resource } from '../../../src/resources/metadata.js';
import { isStoreError } from '../../../src/store/errors.js';
import type { PostgresStore } from '../../../src/store/postgres/open.js';
import type { Selection, Store } from '../../../src/store/store.js';
import { eventually } from '../../support/eventually.js';
import { makeDatabase, type TestDatabase } from '../../support/postgres.js';

let database: TestDatabase;
let store: PostgresStore;
let psql: pg.Client;
let count = 0;

beforeAll(async () => {
  database = await makeDatabase();
  store = await database.open();
  psql = await database.connect();
}, 60_000);
afterAll(() => database.drop());

const KIND = 'VirtualMachine';

async function makeNamespace(): Promise<string> {
  const { metadata } = await store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: `watch-${++count}` } });
  return metadata.name;
}

function vm(namespace: string, name: string, labels: Record<string, string> = {}) {
  return { apiVersion: 'dispatcher.dev/v1alpha1', kind: KIND, metadata: { name, namespace, labels }, spec: { image: 'cirros' } };
}

/** A cache as a controller keeps one: lists, watches, and lists again when it has to. It notes all that breaks the contract. */
class Cache {
  readonly resources = new Map<string, Resource>();
  readonly wrong: string[] = [];
  version = 0;
  lists = 0;
  #stop = new AbortController();
  #running: Promise<void>;

  constructor(
    private readonly source: Store,
    private readonly selection: Selection,
  ) {
    this.#running = this.#run();
  }

  /** Breaks the watch off; it goes on from the last version told. */
  async reconnect(source = this.source): Promise<void> {
    await this.stop();
    this.#stop = new AbortController();
    this.#running = this.#watch(source);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    this.lists++;
    const listing = await this.source.list(KIND, this.selection);
    this.resources.clear();
    for (const item of listing.items) this.resources.set(item.metadata.name, item);
    this.version = Number(listing.resourceVersion);
    await this.#watch(this.source);
  }

  async #watch(source: Store): Promise<void> {
    try {
      for await (const event of source.watch(KIND, String(this.version), this.#stop.signal, this.selection)) {
        if (event.type === 'Bookmark') {
          if (Number(event.resourceVersion) < this.version)
            this.wrong.push(`bookmark ${event.resourceVersion} < ${this.version}`);
          this.version = Number(event.resourceVersion);
          continue;
        }
        const { name, resourceVersion } = event.object.metadata;
        const held = this.resources.get(name);
        if (Number(resourceVersion) <= this.version)
          this.wrong.push(`${event.type} ${name} ${resourceVersion} <= ${this.version}`);
        if (event.type === 'Added' && held?.metadata.uid === event.object.metadata.uid) this.wrong.push(`Added again: ${name}`);
        if (event.type === 'Modified' && !held) this.wrong.push(`Modified before Added: ${name}`);
        if (event.previous && event.previous.metadata.uid !== event.object.metadata.uid)
          this.wrong.push(`previous of another ${name}`);
        this.version = Number(resourceVersion);
        if (event.type === 'Deleted') this.resources.delete(name);
        else this.resources.set(name, event.object);
      }
    } catch (error) {
      if (!isStoreError(error, 'Expired')) throw error;
      await this.#run();
    }
  }
}

async function expectSame(cache: Cache, namespace: string): Promise<void> {
  await eventually(async () => {
    const { items } = await store.list(KIND, { namespace });
    expect(cache.resources.size).toBe(items.length);
    expect([...cache.resources.values()].toSorted(byName)).toEqual(items);
  });
  expect(cache.wrong).toEqual([]);
}

const byName = (a: Resource, b: Resource) => (a.metadata.name < b.metadata.name ? -1 : 1);

describe('watches under load', () => {
  test('8 writers, 10,000 commits, 3 watchers that reconnect: each has the exact final state, and saw versions in order', async () => {
    const namespace = await makeNamespace();
    const other = await database.open();
    // Two see through one process what is written by another and by hand; the third wanders between the processes.
    const caches = [new Cache(store, { namespace }), new Cache(other, { namespace }), new Cache(store, { namespace })];
    let commits = 0;
    let writing = true;

    const handWriter = async (id: number) => {
      const client = await database.connect();
      for (let index = 0; index < 500; index++, commits++) {
        const name = `sql-${id}-${index % 40}`;
        if (index % 11 === 10)
          await client.query('DELETE FROM virtual_machines WHERE namespace = $1 AND name = $2', [namespace, name]);
        else {
          await client.query(
            `INSERT INTO virtual_machines (namespace, name, spec) VALUES ($1, $2, $3)
             ON CONFLICT (kind, namespace, name) DO UPDATE SET spec = excluded.spec`,
            [namespace, name, { index }],
          );
        }
      }
      await client.end();
    };
    // Each writes through twenty callers at once, whose writes are grouped.
    const storeWriter = (id: number, target: Store) =>
      Promise.all(Array.from({ length: 20 }, (_, lane) => storeLane(id, lane, target)));
    const storeLane = async (id: number, lane: number, target: Store) => {
      for (let index = 0; index < 100; index++, commits++) {
        const name = `store-${id}-${lane}-${index % 5}`;
        const key = { kind: KIND, namespace, name };
        const attempt = index % 9 === 8 ? target.delete(key) : target.update({ ...vm(namespace, name), spec: { index } });
        await attempt.catch(async (error) => {
          if (!isStoreError(error, 'NotFound')) throw error;
          await target.create(vm(namespace, name));
        });
      }
    };
    const wander = async () => {
      for (let turn = 0; writing; turn++) {
        await pause(5 + ((turn * 7919) % 60));
        await caches[turn % 3]?.reconnect(turn % 3 === 2 && turn % 2 === 0 ? other : undefined);
      }
    };
    const wandering = wander();
    await Promise.all([
      ...[0, 1, 2, 3].map(handWriter),
      ...[0, 1].map((id) => storeWriter(id, store)),
      ...[2, 3].map((id) => storeWriter(id, other)),
    ]);
    writing = false;
    await wandering;
    expect(commits).toBe(10_000);
    for (const cache of caches) {
      await expectSame(cache, namespace);
      expect(cache.lists).toBe(1);
    }
    await Promise.all(caches.map((cache) => cache.stop()));
  }, 120_000);

  test('what this process writes is told without asking the database; what others write before it is not passed over', async () => {
    const namespace = await makeNamespace();
    const stop = new AbortController();
    const told: string[] = [];
    const watching = (async () => {
      for await (const event of store.watch(KIND, undefined, stop.signal, { namespace }))
        if (event.type !== 'Bookmark') told.push(`${event.type} ${event.object.metadata.name}`);
    })();
    await store.create(vm(namespace, 'first'));
    await eventually(() => expect(told).toEqual(['Added first']));
    const blocker = await database.connect();
    // Changes cannot be read while this is locked; resources can still be created.
    await blocker.query('BEGIN; LOCK TABLE tombstones IN ACCESS EXCLUSIVE MODE');
    await Promise.all(['second', 'third'].map((name) => store.create(vm(namespace, name))));
    await eventually(() => expect(told.toSorted()).toEqual(['Added first', 'Added second', 'Added third']));
    await psql.query(`INSERT INTO virtual_machines (namespace, name, spec) VALUES ($1, 'by-hand', '{}')`, [namespace]);
    await store.create(vm(namespace, 'last'));
    expect(told).toHaveLength(3);
    await blocker.query('ROLLBACK');
    await eventually(() => expect(told.slice(3)).toEqual(['Added by-hand', 'Added last']));
    stop.abort();
    await watching;
  });

  test('a long transaction that commits late is neither missed nor told out of order', async () => {
    const namespace = await makeNamespace();
    const cache = new Cache(store, { namespace });
    const late = await database.connect();
    await late.query('BEGIN');
    await late.query(`INSERT INTO virtual_machines (namespace, name) VALUES ($1, 'early-number')`, [namespace]);
    const waiting = store.create(vm(namespace, 'late-number'));
    await eventually(async () => {
      const { rows } = await psql.query(`SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted`);
      expect(rows).toHaveLength(1);
    });
    expect(cache.resources.size).toBe(0);
    await late.query('COMMIT');
    await waiting;
    await expectSame(cache, namespace);
    expect(cache.resources.size).toBe(2);
    await cache.stop();
  });
});

describe('a watch goes on', () => {
  test('when PostgreSQL ends its connections', async () => {
    const namespace = await makeNamespace();
    const replica = await database.open();
    const cache = new Cache(replica, { namespace });
    for (let round = 0; round < 5; round++) {
      await psql.query(`INSERT INTO virtual_machines (namespace, name) VALUES ($1, $2)`, [namespace, `before-${round}`]);
      await psql.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND application_name = 'dispatcher watch'`,
      );
      await psql.query(`INSERT INTO virtual_machines (namespace, name) VALUES ($1, $2)`, [namespace, `after-${round}`]);
      await psql.query(`DELETE FROM virtual_machines WHERE namespace = $1 AND name = $2`, [namespace, `before-${round}`]);
      await expectSame(cache, namespace);
    }
    expect(cache.lists).toBe(1);
    await cache.stop();
  });

  test('when PostgreSQL takes no connections for a while', async () => {
    const namespace = await makeNamespace();
    const replica = await database.open();
    const cache = new Cache(replica, { namespace });
    await expectSame(cache, namespace);
    // The setting cannot be changed from within the database that it is about, nor can sessions enter it then.
    const outside = await database.connect('postgres');
    const allow = (is: boolean) => outside.query(`ALTER DATABASE ${psql.database} ALLOW_CONNECTIONS ${is}`);
    await allow(false);
    await outside.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND application_name LIKE 'dispatcher%'`,
      [psql.database],
    );
    await expect(replica.create(vm(namespace, 'refused'))).rejects.toMatchObject({ code: 'Unavailable' });
    await expect(replica.list(KIND)).rejects.toMatchObject({ code: 'Unavailable' });
    await psql.query(`INSERT INTO virtual_machines (namespace, name) VALUES ($1, 'meanwhile')`, [namespace]);
    await allow(true);
    await expectSame(cache, namespace);
    expect([...cache.resources.keys()]).toEqual(['meanwhile']);
    expect(cache.lists).toBe(1);
    await cache.stop();
  });

  test('from a version told before the store was opened', async () => {
    const namespace = await makeNamespace();
    const first = await database.open();
    const kept = await first.create(vm(namespace, 'kept'));
    await first.create(vm(namespace, 'gone'));
    const { resourceVersion } = await first.list(KIND, { namespace });
    await first.close();
    await store.delete({ kind: KIND, namespace, name: 'gone' });
    await store.updateStatus({ ...kept, status: { state: 'ACTIVE' } });
    await store.create(vm(namespace, 'new'));
    const second = await database.open();
    expect(await read(second, resourceVersion, { namespace }, 3)).toEqual(['Deleted gone', 'Modified kept', 'Added new']);
  });

  test('with a selection, in the past and in the present, telling what starts and ceases to match', async () => {
    const namespace = await makeNamespace();
    const selection = { namespace, labels: [{ key: 'role', operator: 'In' as const, values: ['web'] }] };
    const a = await store.create(vm(namespace, 'a', { role: 'web' }));
    await store.create(vm(namespace, 'b', { role: 'db' }));
    const { resourceVersion } = await store.list(KIND, selection);
    await store.update({ ...a, metadata: { ...a.metadata, labels: { role: 'db' } } });
    await store.create(vm(namespace, 'c', { role: 'web' }));
    const replica = await database.open();
    const past = await read(replica, resourceVersion, selection, 2);
    expect(past).toEqual(['Deleted a', 'Added c']);
  });
});

describe('a slow reader', () => {
  test('misses nothing, although the history in memory has long gone on', async () => {
    const namespace = await makeNamespace();
    const { resourceVersion } = await store.list(KIND);
    const stop = new AbortController();
    const events = store.watch(KIND, resourceVersion, stop.signal, { namespace })[Symbol.asyncIterator]();
    expect((await events.next()).value).toMatchObject({ type: 'Bookmark' });
    // More changes than the history holds, in which each resource changes several times.
    const insert = `INSERT INTO virtual_machines (namespace, name, spec) SELECT $1, 'vm-' || i, '{}' FROM generate_series(1, 4000) i`;
    await psql.query(insert, [namespace]);
    for (const round of [1, 2, 3]) {
      await psql.query(`UPDATE virtual_machines SET spec = $2 WHERE namespace = $1`, [namespace, { round }]);
    }
    await psql.query(`DELETE FROM virtual_machines WHERE namespace = $1 AND name LIKE 'vm-1%'`, [namespace]);
    await store.create(vm(namespace, 'last'));
    const told = new Map<string, Resource>();
    let version = 0;
    for (;;) {
      const { value: event } = await events.next();
      if (!event || event.type === 'Bookmark') continue;
      expect(Number(event.object.metadata.resourceVersion)).toBeGreaterThan(version);
      version = Number(event.object.metadata.resourceVersion);
      if (event.type === 'Deleted') told.delete(event.object.metadata.name);
      else told.set(event.object.metadata.name, event.object);
      if (event.object.metadata.name === 'last') break;
    }
    stop.abort();
    const { items } = await store.list(KIND, { namespace });
    expect([...told.values()].toSorted(byName)).toEqual(items);
  }, 60_000);
});

describe('Expired', () => {
  test('when deletions since then are forgotten; a newer version is still good', async () => {
    const namespace = await makeNamespace();
    const { resourceVersion } = await store.list(KIND, { namespace });
    await store.create(vm(namespace, 'a'));
    await store.delete({ kind: KIND, namespace, name: 'a' });
    await store.prune(new Date(Date.now() + 60_000));
    for (const replica of [store, await database.open()]) {
      await expect(read(replica, resourceVersion, { namespace }, 1)).rejects.toMatchObject({ code: 'Expired' });
    }
    const now = await store.list(KIND, { namespace });
    await store.create(vm(namespace, 'b'));
    expect(await read(store, now.resourceVersion, { namespace }, 1)).toEqual(['Added b']);
  });

  test('for a version that this database never had, as after a restore', async () => {
    const { resourceVersion } = await store.list(KIND);
    await expect(read(store, String(Number(resourceVersion) + 1_000_000), {}, 1)).rejects.toMatchObject({ code: 'Expired' });
  });

  test('is Invalid for what is no version', () => {
    expect(() => store.watch(KIND, 'latest', new AbortController().signal)).toThrow('"latest" is not a version');
  });
});

test('a closed store ends its watches', async () => {
  const replica = await database.open();
  const ended = expect(read(replica, undefined, {}, 1)).rejects.toMatchObject({ code: 'Unavailable' });
  await eventually(async () => {
    const { rows } = await psql.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dispatcher watch'`,
    );
    expect(rows.length).toBeGreaterThan(1);
  });
  await replica.close();
  await ended;
});

/** The first `wanted` changes told: `Added a`, and so on. */
async function read(source: Store, from: string | undefined, selection: Selection, wanted: number): Promise<string[]> {
  const stop = new AbortController();
  const told: string[] = [];
  for await (const event of source.watch(KIND, from, stop.signal, selection)) {
    if (event.type !== 'Bookmark') told.push(`${event.type} ${event.object.metadata.name}`);
    if (told.length === wanted) stop.abort();
  }
  return told;
}
