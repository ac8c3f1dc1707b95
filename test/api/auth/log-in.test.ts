import { beforeEach, describe, expect, test } from '@jest/globals';
import { Login } from '../../../src/api/auth/log-in.js';
import type { AuditRecord } from '../../../src/store/audit-writer.js';
import { StoreError } from '../../../src/store/errors.js';
import { VirtualEnvironment } from '../../support/virtual-environment.js';

const INFO = { grants: [{ role: 'agent' as const }], disabled: false, createdAt: new Date(0) };
const from = (address: string) => ({ requestId: 'r', address });

let world: VirtualEnvironment;
let records: AuditRecord[];
let verified: string[];
let issued: { user: string; groups: readonly string[]; expiresAt?: Date }[];
let disabled: boolean;
let login: Login;

beforeEach(() => {
  world = new VirtualEnvironment(1);
  records = [];
  verified = [];
  issued = [];
  disabled = false;
  const known = (name: string) => (['ann', 'bob'].includes(name) ? { ...INFO, name } : undefined);
  login = new Login({
    users: {
      verify: async (name, password) => {
        verified.push(name);
        return password === 'right' ? known(name) : undefined;
      },
      get: async (name) => known(name),
    },
    tokens: {
      issue: async (user, options) => {
        if (disabled) throw new StoreError('Forbidden', `user ${user} is disabled`);
        issued.push({ user, ...options });
        return { id: '1', token: 'dispatcher_x' };
      },
    },
    environment: world,
    record: (record) => records.push(record),
  });
});

const outcome = (name: string, password: string, address = '192.0.2.1') =>
  login.logIn(name, password, from(address)).then(
    () => 'in',
    (error) => error.reason,
  );
const fail = async (times: number, name: string | ((time: number) => string), address: string | ((time: number) => string)) => {
  const outcomes: string[] = [];
  for (let time = 0; time < times; time++) {
    const who = typeof name === 'string' ? name : name(time);
    outcomes.push(await outcome(who, 'wrong', typeof address === 'string' ? address : address(time)));
  }
  return outcomes;
};

describe('logging in', () => {
  test('gives a token of that user for 12 hours, and is audited', async () => {
    const expiresAt = new Date('2026-01-01T12:00:00Z');
    expect(await login.logIn('ann', 'right', from('192.0.2.1'))).toEqual({ token: 'dispatcher_x', expiresAt });
    expect(issued).toEqual([{ user: 'ann', groups: [], expiresAt, description: 'login' }]);
    const what = { group: '', resource: 'tokens', namespace: '', name: '' };
    expect(records).toEqual([{ ...what, verb: 'login', user: 'ann', code: 200, requestId: 'r', address: '192.0.2.1' }]);
  });

  test.each([
    ['a wrong password', 'ann', 'wrong', false, 'ann'],
    ['a user who does not exist', 'my-password', 'right', false, '(unknown)'],
    ['a user who is disabled meanwhile', 'ann', 'right', true, 'ann'],
  ])(
    'with %s is refused in the same words, after a look at the password, and audited',
    async (_reason, name, password, gone, told) => {
      disabled = gone;
      await expect(login.logIn(name, password, from('192.0.2.1'))).rejects.toMatchObject({
        reason: 'Unauthorized',
        message: 'Unauthorized: the name or the password is wrong, or the user is disabled',
      });
      expect(verified).toEqual([name]);
      expect(records).toMatchObject([{ verb: 'login', user: told, code: 401 }]);
      expect(JSON.stringify(records)).not.toMatch(/my-password|right|wrong/);
    },
  );

  test('after five failures of a user from an address is refused there for a minute, without a look at the password', async () => {
    expect(await fail(5, 'ann', '192.0.2.1')).toEqual(Array(5).fill('Unauthorized'));
    await expect(login.logIn('ann', 'right', from('192.0.2.1'))).rejects.toMatchObject({
      reason: 'TooManyRequests',
      message: 'too many logins have failed; wait 60 seconds',
      details: { retryAfterSeconds: 60 },
    });
    expect(verified).toHaveLength(5);
    expect(await outcome('bob', 'right')).toBe('in');
    expect(await outcome('ann', 'right', '192.0.2.2')).toBe('in');
    await world.run(() => false, 60_000);
    expect(await outcome('ann', 'right')).toBe('in');
  });

  test('many at once are many', async () => {
    const outcomes = await Promise.all(Array.from({ length: 8 }, () => outcome('ann', 'wrong')));
    expect(outcomes.filter((each) => each === 'TooManyRequests')).toHaveLength(3);
    expect(verified).toHaveLength(5);
  });

  test('a flood of refused ones is audited once a minute', async () => {
    await fail(20, 'ann', '192.0.2.1');
    expect(records.map(({ code }) => code)).toEqual([401, 401, 401, 401, 401, 429]);
  });

  test('after 30 failures of one address, whoever it says it is, is refused to that address; all of a /64 are one', async () => {
    const address = (time: number) => `2001:db8::${(time + 1).toString(16)}`;
    expect(await fail(31, (time) => `user-${time}`, address)).toEqual([...Array(30).fill('Unauthorized'), 'TooManyRequests']);
    expect(await outcome('ann', 'right', '2001:db8::ffff')).toBe('TooManyRequests');
    expect(await outcome('ann', 'right', '2001:db8:0:1::1')).toBe('in');
  });

  test('after 50 failures of one user, from wherever, is refused to that user', async () => {
    await fail(50, 'ann', (time) => `192.0.2.${time}`);
    expect(await outcome('ann', 'right', '198.51.100.1')).toBe('TooManyRequests');
    expect(await outcome('bob', 'right', '198.51.100.1')).toBe('in');
  });

  test('what is good does not count', async () => {
    for (let time = 0; time < 100; time++) expect(await outcome('ann', 'right')).toBe('in');
  });

  test('what was tried by ten thousand others is forgotten, the oldest first', async () => {
    await fail(5, 'ann', '192.0.2.1');
    await fail(
      10_001,
      (time) => `u${time}`,
      (time) => `10.${time >> 16}.${(time >> 8) & 255}.${time & 255}`,
    );
    expect(await outcome('ann', 'right')).toBe('in');
  });
});
