import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
import type { AuditEntry } from '../../../src/store/audit.js';
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

const entry = (changes: Partial<AuditEntry> = {}): AuditEntry => ({
  id: randomUUID(),
  at: new Date('2026-01-01T00:00:00.123Z'),
  user: 'ann',
  verb: 'patch',
  group: 'dispatcher.dev',
  resource: 'virtualmachines',
  namespace: 'team',
  name: 'web',
  code: 200,
  requestId: 'r-1',
  address: '2001:db8::1',
  ...changes,
});
const all = async (which: Parameters<PostgresStore['audit']['list']>[0] = {}) => {
  const found: AuditEntry[] = [];
  for await (const each of store.audit.list(which)) found.push(each);
  return found;
};

describe('the audit table', () => {
  test('tells what was written, in order of time, by user and since when', async () => {
    const later = entry({ at: new Date('2026-01-02T00:00:00Z'), user: 'bob', code: 403 });
    const first = entry();
    await store.audit.append([later, first]);
    expect(await all()).toEqual([first, later]);
    expect(await all({ user: 'bob' })).toEqual([later]);
    expect(await all({ since: new Date('2026-01-01T12:00:00Z') })).toEqual([later]);
  });

  test('keeps an entry that is written twice once, as it was', async () => {
    const one = entry({ user: 'twice' });
    await store.audit.append([one]);
    await store.audit.append([{ ...one, code: 500 }, entry({ user: 'twice', at: new Date('2026-01-03T00:00:00Z') })]);
    expect((await all({ user: 'twice' })).map(({ code }) => code)).toEqual([200, 200]);
  });

  test('is read page by page, those of one time too', async () => {
    await store.audit.append(Array.from({ length: 1203 }, () => entry({ user: 'many' })));
    expect(new Set((await all({ user: 'many' })).map(({ id }) => id)).size).toBe(1203);
  });

  test.each([
    `UPDATE audit SET code = 200 WHERE code = 403`,
    `UPDATE audit SET code = 200 WHERE false`,
    `DELETE FROM audit`,
    `TRUNCATE audit`,
    `INSERT INTO audit SELECT * FROM audit ON CONFLICT (id) DO UPDATE SET code = 0`,
    `SET session_replication_role = replica; DELETE FROM audit`,
  ])('refuses %s', async (sql) => {
    const before = await all();
    await expect(psql.query(sql)).rejects.toThrow(/audit is append-only: (UPDATE|DELETE|TRUNCATE) is refused/);
    await psql.query('SET session_replication_role = DEFAULT');
    expect(await all()).toEqual(before);
  });
});
