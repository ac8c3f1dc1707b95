import { describe, expect, test } from '@jest/globals';
import { Authenticator } from '../../../src/api/auth/authenticate.js';
import type { Grant } from '../../../src/store/users.js';

function authenticator() {
  let now = 0;
  const asked: string[] = [];
  const known = new Set(['good']);
  const tokens = {
    find: async (token: string) => {
      asked.push(token);
      if (token === 'broken') throw new Error('the database is away');
      return known.has(token) ? { id: '1', user: 'ann', groups: ['a'] } : undefined;
    },
  };
  const environment = { now: () => new Date(now), after: () => () => undefined, random: () => 0, id: () => 'id' };
  return {
    subject: new Authenticator(tokens, environment),
    environment,
    asked,
    known,
    pass: (ms: number) => {
      now += ms;
    },
  };
}

describe('bearer tokens', () => {
  test('no header is nobody; a good token is its user', async () => {
    const { subject } = authenticator();
    expect(await subject.user(undefined)).toBeUndefined();
    expect(await subject.user('Bearer good')).toEqual({ name: 'ann', groups: ['a'] });
    expect(await subject.user('bearer good')).toEqual({ name: 'ann', groups: ['a'] });
  });

  test.each(['Bearer', 'Bearer ', 'Basic YTpi', 'good', `Bearer ${'x'.repeat(5000)}`, 'Bearer a b', 'Bearer bad'])(
    '%p is refused',
    async (header) => {
      await expect(authenticator().subject.user(header)).rejects.toMatchObject({ reason: 'Unauthorized' });
    },
  );

  test('requests at once ask the store once, and so do those of the next two seconds', async () => {
    const { subject, asked, pass } = authenticator();
    await Promise.all(Array.from({ length: 10 }, () => subject.user('Bearer good')));
    pass(1999);
    await subject.user('Bearer good');
    expect(asked).toEqual(['good']);
  });

  test('a revoked token ends within two seconds', async () => {
    const { subject, known, pass } = authenticator();
    await subject.user('Bearer good');
    known.clear();
    pass(2001);
    await expect(subject.user('Bearer good')).rejects.toMatchObject({ reason: 'Unauthorized' });
  });

  test('a token of a user is asked for on every request, once for those at once', async () => {
    let grants: readonly Grant[] | undefined = [{ role: 'agent' }, { role: 'viewer' }, { role: 'agent', namespaces: ['a'] }];
    let asked = 0;
    const find = async () => {
      asked++;
      return grants && { id: '1', user: 'ann', groups: ['system:masters'], grants };
    };
    const { environment } = authenticator();
    const subject = new Authenticator({ find }, environment);
    const groups = ['dispatcher:agent', 'dispatcher:viewer', 'system:authenticated'];
    expect(await Promise.all([subject.user('Bearer good'), subject.user('Bearer good')])).toEqual(
      Array(2).fill({ name: 'ann', groups, grants }),
    );
    expect(asked).toBe(1);
    grants = undefined;
    await expect(subject.user('Bearer good')).rejects.toMatchObject({ reason: 'Unauthorized' });
  });

  test('a wrong token and a failure are not remembered', async () => {
    const { subject, known, asked } = authenticator();
    await expect(subject.user('Bearer late')).rejects.toMatchObject({ reason: 'Unauthorized' });
    known.add('late');
    expect(await subject.user('Bearer late')).toEqual({ name: 'ann', groups: ['a'] });
    await expect(subject.user('Bearer broken')).rejects.toThrow('the database is away');
    await expect(subject.user('Bearer broken')).rejects.toThrow('the database is away');
    expect(asked).toEqual(['late', 'late', 'broken', 'broken']);
  });
});
