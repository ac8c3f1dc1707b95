import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type pg from 'pg';
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

const PASSWORD = 'correct-horse-battery';
const create = (name: string, changes = {}) =>
  store.users.create({ name, grants: [{ role: 'agent', namespaces: ['team'] }], password: PASSWORD, ...changes });

describe('users', () => {
  test('are kept with their roles, and without their passwords', async () => {
    const grants = [{ role: 'viewer' as const }, { role: 'agent' as const, namespaces: ['a', 'b'] }];
    await create('ann', { grants });
    expect(await store.users.get('ann')).toEqual({ name: 'ann', grants, disabled: false, createdAt: expect.any(Date) });
    expect((await store.users.list()).map(({ name }) => name)).toContain('ann');
    const { rows } = await psql.query<{ text: string }>('SELECT u::text AS text FROM users AS u');
    expect(rows.map(({ text }) => text).join()).not.toContain(PASSWORD);
  });

  test('have a name of their own', async () => {
    await create('once');
    await expect(create('once')).rejects.toMatchObject({ code: 'AlreadyExists', message: 'user once already exists' });
    for (const name of ['', 'two words', 'system:masters', 'a\0b', '\ud800', 'x'.repeat(254)]) {
      await expect(create(name)).rejects.toMatchObject({ code: 'Invalid' });
      expect(await store.users.get(name)).toBeUndefined();
      expect(await store.users.verify(name, PASSWORD)).toBeUndefined();
    }
  });

  test('are known by their password, unless they are disabled', async () => {
    await create('ben');
    expect(await store.users.verify('ben', PASSWORD)).toMatchObject({ name: 'ben' });
    expect(await store.users.verify('ben', 'wrong')).toBeUndefined();
    expect(await store.users.verify('nobody', PASSWORD)).toBeUndefined();
    expect(await store.users.setDisabled('ben', true)).toBe(true);
    expect(await store.users.verify('ben', PASSWORD)).toBeUndefined();
    expect(await store.users.setDisabled('ben', false)).toBe(true);
    expect(await store.users.verify('ben', PASSWORD)).toMatchObject({ name: 'ben' });
  });

  test('that do not exist cannot be changed', async () => {
    expect(await store.users.setDisabled('nobody', true)).toBe(false);
    expect(await store.users.setGrants('nobody', [{ role: 'admin' }])).toBe(false);
    expect(await store.users.setPassword('nobody', PASSWORD)).toBe(false);
    expect(await store.users.delete('nobody')).toBe(false);
    expect(await store.users.delete('a\0b')).toBe(false);
  });

  test.each([
    ['a role that there is not', `'[{"role": "root"}]'`],
    ['no list', `'{"role": "admin"}'`],
  ])('written by SQL with %s are refused', async (_reason, grants) => {
    const insert = `INSERT INTO users (id, name, grants, password_hash, created_at) VALUES (gen_random_uuid(), 'x', ${grants}, '', now())`;
    await expect(psql.query(insert)).rejects.toThrow(/grants must be an array of roles/);
  });
});

describe('tokens of users', () => {
  const issue = (name: string) => store.tokens.issue(name, { groups: ['system:masters'] });

  test('have the rights that the user has now, and none that they were issued with', async () => {
    await create('cat');
    const { id, token } = await issue('cat');
    const found = { id, user: 'cat', groups: [], grants: [{ role: 'agent', namespaces: ['team'] }] };
    expect(await store.tokens.find(token)).toEqual(found);
    expect(await store.users.setGrants('cat', [{ role: 'viewer' }])).toBe(true);
    expect(await store.tokens.find(token)).toEqual({ ...found, grants: [{ role: 'viewer' }] });
    expect((await store.tokens.list()).find((each) => each.id === id)).toMatchObject({ ofUser: true, groups: [] });
  });

  test('are refused while the user is disabled, and none is issued', async () => {
    await create('dan');
    const { token } = await issue('dan');
    await store.users.setDisabled('dan', true);
    expect(await store.tokens.find(token)).toBeUndefined();
    await expect(issue('dan')).rejects.toMatchObject({ code: 'Forbidden', message: 'user dan is disabled' });
    await store.users.setDisabled('dan', false);
    expect(await store.tokens.find(token)).toBeDefined();
  });

  test('end with the user, and with the password', async () => {
    await create('eve');
    const before = await issue('eve');
    expect(await store.users.setPassword('eve', 'another-password')).toBe(true);
    expect(await store.tokens.find(before.token)).toBeUndefined();
    expect(await store.users.verify('eve', PASSWORD)).toBeUndefined();
    expect(await store.users.verify('eve', 'another-password')).toBeDefined();
    const after = await issue('eve');
    expect(await store.users.delete('eve')).toBe(true);
    expect(await store.tokens.find(after.token)).toBeUndefined();
    expect(await store.users.get('eve')).toBeUndefined();
  });

  test('from before there was a user of that name go on, with the user’s rights, and end with the user', async () => {
    const { id, token } = await issue('fay');
    expect(await store.tokens.find(token)).toEqual({ id, user: 'fay', groups: ['system:masters'] });
    await create('fay');
    expect(await store.tokens.find(token)).toMatchObject({ groups: [], grants: [{ role: 'agent' }] });
    await store.users.delete('fay');
    expect(await store.tokens.find(token)).toBeUndefined();
  });
});
