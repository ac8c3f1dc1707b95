import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import { systemEnvironment } from '../../../src/environment.js';
import { StoreError } from '../../../src/store/errors.js';
import type { FoundToken } from '../../../src/store/tokens.js';
import { apiClient } from '../../support/api-client.js';
import { servedApi } from '../../support/api-server.js';
import { eventually } from '../../support/eventually.js';

const VMS = '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines';
const VIEWER: FoundToken = { id: '1', user: 'ann', groups: [], grants: [{ role: 'viewer', namespaces: ['default'] }] };

describe('a watch of somebody', () => {
  let found: () => FoundToken | undefined;
  let asked = 0;
  let looks: Array<() => void>;
  let api: Awaited<ReturnType<typeof servedApi>>;
  let client: ReturnType<typeof apiClient>;

  beforeAll(async () => {
    api = await servedApi({
      tokens: {
        find: async () => {
          asked++;
          return found();
        },
      },
      environment: {
        ...systemEnvironment,
        // The clock of the looks is the test's.
        after: (ms, callback) => {
          if (ms !== 10_000) return systemEnvironment.after(ms, callback);
          looks.push(callback);
          return () => undefined;
        },
      },
    });
    client = apiClient(api.url, api.ca);
  });
  beforeEach(() => {
    looks = [];
    found = () => VIEWER;
  });
  afterAll(async () => {
    await client.close();
    await api.close();
  });

  /** Begins a watch. @returns what becomes of it. */
  async function begin(): Promise<{ ended: Promise<string>; over(): boolean }> {
    const headers = { authorization: 'Bearer t' };
    const { statusCode, body } = await request(`${api.url}${VMS}?watch=1`, { dispatcher: client.agent, headers });
    expect(statusCode).toBe(200);
    let over = false;
    const ended = body.text().finally(() => {
      over = true;
    });
    return { ended, over: () => over };
  }
  const look = async () => {
    const before = asked;
    await eventually(async () => expect(looks.length).toBeGreaterThan(0));
    looks.shift()?.();
    await eventually(async () => expect(asked).toBeGreaterThan(before));
  };

  test.each<[string, () => FoundToken | undefined]>([
    ['who is disabled, or whose token is revoked', () => undefined],
    ['who has no longer a role there', () => ({ ...VIEWER, grants: [{ role: 'viewer', namespaces: ['other'] }] })],
  ])('%s ends at the next look', async (_reason, then) => {
    const { ended } = await begin();
    found = then;
    await look();
    expect(await ended).toBe('');
  });

  test('who still may goes on, and so does one while it cannot be told', async () => {
    const { ended, over } = await begin();
    await look();
    found = () => {
      throw new StoreError('Unavailable', 'the database is away');
    };
    await look();
    await eventually(async () => expect(looks).toHaveLength(1));
    expect(over()).toBe(false);
    found = () => undefined;
    await look();
    expect(await ended).toBe('');
  });
});
