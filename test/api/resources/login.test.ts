import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { Login } from '../../../src/api/auth/log-in.js';
import { systemEnvironment } from '../../../src/environment.js';
import type { AuditRecord } from '../../../src/store/audit-writer.js';
import type { PostgresStore } from '../../../src/store/postgres/open.js';
import { apiClient } from '../../support/api-client.js';
import { servedApi } from '../../support/api-server.js';
import { makeDatabase, type TestDatabase } from '../../support/postgres.js';

const PATH = '/api/v2/login';
const VMS = '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines';
const PASSWORD = 'correct-horse';
const records: AuditRecord[] = [];
let database: TestDatabase;
let store: PostgresStore;
let api: Awaited<ReturnType<typeof servedApi>>;
let client: ReturnType<typeof apiClient>;

beforeAll(async () => {
  database = await makeDatabase();
  store = await database.open();
  const { users, tokens } = store;
  const login = new Login({ users, tokens, environment: systemEnvironment, record: (record) => records.push(record) });
  api = await servedApi({ tokens, login });
  client = apiClient(api.url, api.ca);
  await users.create({ name: 'ann', grants: [{ role: 'viewer' }], password: PASSWORD });
}, 60_000);
afterAll(async () => {
  await client.close();
  await api.close();
  await database.drop();
});

const post = (body: object | string, type?: string) => client.send(PATH, { method: 'POST', token: '', body, type });

describe('POST /api/v2/login', () => {
  test('gives a token with the rights of the user', async () => {
    const reply = await post({ username: 'ann', password: PASSWORD });
    expect({ code: reply.code, cache: reply.headers['cache-control'] }).toEqual({ code: 200, cache: 'no-store' });
    const { token, expiresAt } = z.strictObject({ token: z.string(), expiresAt: z.iso.datetime() }).parse(reply.json());
    expect(Date.parse(expiresAt)).toBeGreaterThan(Date.now() + 11 * 3_600_000);
    expect((await client.send(VMS, { token })).code).toBe(200);
    expect((await client.send(VMS, { token, method: 'DELETE' })).status().message).toMatch(
      /^virtualmachines\.dispatcher\.dev is forbidden: User "ann" cannot deletecollection/,
    );
    expect(records.at(-1)).toMatchObject({ user: 'ann', code: 200, address: '127.0.0.1', requestId: reply.headers['audit-id'] });
  });

  test.each([
    ['a wrong password', { username: 'ann', password: 'wrong-horse' }, undefined, 401],
    ['nobody', { username: 'nobody', password: PASSWORD }, undefined, 401],
    ['no password', { username: 'ann' }, undefined, 400],
    ['a list', ['ann', PASSWORD], undefined, 400],
    ['more than that', { username: 'ann', password: PASSWORD, role: 'admin' }, undefined, 400],
    ['no JSON', 'username=ann', undefined, 400],
    ['a form', 'username=ann', 'application/x-www-form-urlencoded', 415],
    ['too much', { username: 'ann', password: 'x'.repeat(20_000) }, undefined, 413],
    ['a name that no row could hold', { username: 'a\0b', password: PASSWORD }, undefined, 401],
  ])('refuses %s with a Status that quotes nothing', async (_reason, body, type, code) => {
    const reply = await post(body, type);
    expect({ code: reply.code, kind: reply.status().kind }).toEqual({ code, kind: 'Status' });
    expect(reply.text).not.toMatch(/wrong-horse|correct-horse/);
  });

  test('says how long to wait after too many failures', async () => {
    for (let time = 0; time < 5; time++) await post({ username: 'bob', password: 'wrong-horse' });
    const reply = await post({ username: 'bob', password: 'wrong-horse' });
    expect(reply.code).toBe(429);
    expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
  });

  test('is not there for GET', async () => {
    expect((await client.send(PATH, { token: '' })).code).toBe(401);
  });
});
