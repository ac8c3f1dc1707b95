import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import { systemEnvironment } from '../../../src/environment.js';
import { isStoreError, type StoreErrorCode } from '../../../src/store/errors.js';
import type { PostgresStore } from '../../../src/store/postgres/open.js';
import { captureLog } from '../../support/log.js';
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

const key = (name: string) => ({ kind: 'VirtualMachine', namespace: 'default', name });
const vm = (name: string, spec: unknown = { image: 'cirros' }) => ({
  apiVersion: 'dispatcher.dev/v1alpha1',
  kind: 'VirtualMachine',
  metadata: { name, namespace: 'default' },
  spec,
});

describe('writes that are asked for at once', () => {
  test('go in few transactions', async () => {
    const transactions = async () => {
      const { rows } = await psql.query<{ count: string }>(
        'SELECT count(DISTINCT xmin::text) AS count FROM resources WHERE kind = $1',
        ['VirtualMachine'],
      );
      return Number(rows[0]?.count);
    };
    await Promise.all(Array.from({ length: 2_000 }, (_, index) => store.create(vm(`many-${index}`))));
    expect(await transactions()).toBeLessThanOrEqual(4);
    const status = { state: 'ACTIVE' };
    await Promise.all(Array.from({ length: 2_000 }, (_, index) => store.updateStatus({ ...vm(`many-${index}`), status })));
    expect(await transactions()).toBeLessThanOrEqual(4);
  });

  test('of which the database refuses some: each of those is told why, the others are done', async () => {
    const refused = {
      ...Object.fromEntries(['Upper', 'under_score', '-dash', 'a'.repeat(254)].map((name) => [name, vm(name)])),
      nul: vm('nul', { text: 'a\u0000b' }),
      surrogate: vm('surrogate', { text: '\ud800' }),
      labels: { ...vm('labels'), metadata: { ...vm('labels').metadata, labels: JSON.parse('{"n": 1}') } },
    };
    const good = Array.from({ length: 20 }, (_, index) => vm(`good-${index}`));
    const made = Promise.all(good.map((draft) => store.create(draft)));
    const failures = await Promise.all(Object.values(refused).map((draft) => store.create(draft).then(() => 'made', codeOf)));
    expect(failures).toEqual(Object.values(refused).map(() => 'Invalid'));
    expect((await made).map(({ metadata }) => metadata.name)).toEqual(good.map(({ metadata }) => metadata.name));
  });

  test('creates, of which some cannot be made: each of those is told why', async () => {
    await store.create(vm('taken'));
    await store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'going' } });
    const inNamespace = (namespace: string, name: string) => ({ ...vm(name), metadata: { name, namespace } });
    await store.create({
      ...inNamespace('going', 'last'),
      metadata: { name: 'last', namespace: 'going', finalizers: ['a.dev/b'] },
    });
    await store.delete({ kind: 'Namespace', namespace: '', name: 'going' });
    const drafts = [vm('taken'), vm('free'), inNamespace('nowhere', 'a'), inNamespace('going', 'b'), vm('free-too')];
    const outcomes = await Promise.all(drafts.map((draft) => store.create(draft).then(() => 'made', codeOf)));
    expect(outcomes).toEqual(['AlreadyExists', 'made', 'NotFound', 'Forbidden', 'made']);
  });

  test('a create whose answer was lost is found again when it is repeated: by its uid', async () => {
    const repeating = await database.open({ environment: { ...systemEnvironment, id: () => 'the-same-uid' } });
    const made = await repeating.create(vm('repeated'));
    expect(await repeating.create(vm('repeated'))).toEqual(made);
    expect(await store.create(vm('repeated')).then(() => 'made', codeOf)).toBe('AlreadyExists');
  });

  test('of one resource are done one after the other, in the order they were asked for', async () => {
    const calls = [
      store.create(vm('order')),
      store.update(vm('order', { image: 'second' })),
      store.updateStatus({ ...vm('order'), status: { state: 'ACTIVE' } }),
      store.update(vm('order', { image: 'third' })),
      store.delete(key('order')),
      store.create(vm('order', { image: 'anew' })),
    ];
    const results = await Promise.all(calls);
    expect(results.map(({ metadata }) => metadata.generation)).toEqual([1, 2, 2, 3, 3, 1]);
    expect(await store.get(key('order'))).toEqual(results.at(-1));
  });

  test('from several replicas with one version: exactly one wins each round', async () => {
    const replicas = [store, await database.open(), await database.open()];
    let current = await store.create(vm('contended'));
    for (let round = 0; round < 20; round++) {
      const attempts = replicas.map((replica, index) => replica.update({ ...current, spec: { round, index } }));
      const results = await Promise.allSettled(attempts);
      const won = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
      const lost = results.flatMap((result) => (result.status === 'rejected' ? [codeOf(result.reason)] : []));
      expect(lost).toEqual(['Conflict', 'Conflict']);
      current = won[0] ?? current;
    }
    expect(current.metadata.generation).toBe(21);
  });
});

describe('a transaction that a person left open', () => {
  test('holds writes up for a while, is named, and does no harm once it ends', async () => {
    const { log, lines } = captureLog();
    const replica = await database.open({ log });
    const person = await database.connect();
    const { rows } = await person.query<{ pid: number }>('SELECT pg_backend_pid() AS pid');
    await person.query('BEGIN');
    await person.query(`INSERT INTO virtual_machines (name) VALUES ('by-hand')`);
    const held = replica.create(vm('held-up'));
    const failure = await held.then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(codeOf(failure)).toBe('Unavailable');
    expect(String(failure)).toContain(`process ${rows[0]?.pid} (psql, idle in transaction)`);
    expect(lines.filter(({ msg }) => msg === 'a write is tried again').length).toBeGreaterThan(1);
    expect(await replica.get(key('held-up'))).toBeUndefined();
    // One that ends in time is only waited for.
    const waiting = replica.create(vm('held-up'));
    await person.query('ROLLBACK');
    expect((await waiting).metadata.name).toBe('held-up');
    expect(await replica.get(key('by-hand'))).toBeUndefined();
  }, 60_000);
});

describe('reads that are asked for at once', () => {
  test('each have their own answer, also of what is not there, and see what was written before', async () => {
    const names = Array.from({ length: 40 }, (_, index) => `read-${index}`);
    await Promise.all(names.map((name) => store.create(vm(name, { image: name }))));
    const asked = [...names, 'read-absent', ...names];
    const found = await Promise.all(asked.map((name) => store.get(key(name))));
    expect(found.map((resource) => resource?.spec)).toEqual(
      asked.map((name) => (name === 'read-absent' ? undefined : { image: name })),
    );
    const others = names.slice(1).map((name) => store.get(key(name)));
    await store.update(vm('read-0', { image: 'changed' }));
    expect((await store.get(key('read-0')))?.spec).toEqual({ image: 'changed' });
    await Promise.all(others);
  });
});

describe('when connections are lost', () => {
  test('the next call has a new one', async () => {
    const replica = await database.open();
    await replica.create(vm('before-loss'));
    await psql.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'dispatcher'`,
    );
    expect((await replica.create(vm('after-loss'))).metadata.generation).toBe(1);
    await replica.ping();
  });

  test('a closed store says so', async () => {
    const replica = await database.open();
    const last = replica.create(vm('last-words'));
    await replica.close();
    expect((await last).metadata.name).toBe('last-words');
    expect(await replica.create(vm('too-late')).then(() => 'made', codeOf)).toBe('Unavailable');
    expect(await replica.get(key('a')).then(() => 'read', codeOf)).toBe('Unavailable');
    expect(await replica.ping().then(() => 'answered', codeOf)).toBe('Unavailable');
  });
});

function codeOf(error: unknown): StoreErrorCode | string {
  return isStoreError(error) ? error.code : String(error);
}
