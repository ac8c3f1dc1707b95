import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../support/eventually.js';
import { ask, IMAGE, NETWORK, newServer, simulate, type User } from '../../support/simulator.js';

const created = z.object({ server: z.looseObject({ id: z.string() }) });
const listed = z.object({
  servers: z.array(z.looseObject({ id: z.string(), name: z.string() })),
  servers_links: z.array(z.object({ rel: z.string(), href: z.string() })).optional(),
});
const SERVERS = '/compute/v2.1/servers';
const UNKNOWN = '99999999-9999-4999-8999-999999999999';

describe('the simulated Nova', () => {
  let simulator: Awaited<ReturnType<typeof simulate>>;
  let demo: User;
  beforeAll(async () => {
    simulator = await simulate();
    demo = await simulator.logIn();
  });
  afterAll(() => simulator.close());

  const boot = async (fields: Record<string, unknown> = {}, user = demo): Promise<string> => {
    const { status, body } = await user.ask('POST', SERVERS, newServer(fields), '2.79');
    expect(status).toBe(202);
    return created.parse(body).server.id;
  };
  const list = async (query: string, user = demo) => {
    const { status, body } = await user.ask('GET', `${SERVERS}/detail?${query}`, undefined, '2.79');
    expect({ status, body }).toMatchObject({ status: 200 });
    return listed.parse(body);
  };
  const act = (id: string, body: unknown) => demo.ask('POST', `${SERVERS}/${id}/action`, body, '2.79');
  const reach = (id: string, status: string) =>
    eventually(async () => {
      const { body } = await demo.ask('GET', `${SERVERS}/${id}`, undefined, '2.79');
      expect(body).toMatchObject({ server: { status, 'OS-EXT-STS:task_state': null } });
    });

  // Each answer was compared with a real Nova's (Zed), word for word.
  describe('refuses as the real one does', () => {
    it.each<{ reason: string; method: string; path: string; body?: unknown; version?: string; status: number; answer: unknown }>([
      {
        reason: 'a create without a server',
        method: 'POST',
        path: SERVERS,
        body: {},
        status: 400,
        answer: { badRequest: { code: 400, message: "'server' is a required property" } },
      },
      {
        reason: 'a create without a name',
        method: 'POST',
        path: SERVERS,
        body: { server: {} },
        status: 400,
        answer: {
          badRequest: {
            code: 400,
            message: "Invalid input for field/attribute server. Value: {}. 'name' is a required property",
          },
        },
      },
      {
        reason: 'what is no image id',
        method: 'POST',
        path: SERVERS,
        body: newServer({ imageRef: 'nope' }),
        status: 400,
        answer: {
          badRequest: {
            code: 400,
            message:
              "Invalid input for field/attribute imageRef. Value: nope. 'nope' is not valid under any of the given schemas",
          },
        },
      },
      {
        reason: 'an image that is not there',
        method: 'POST',
        path: SERVERS,
        body: newServer({ imageRef: UNKNOWN }),
        status: 400,
        answer: { badRequest: { code: 400, message: 'Can not find requested image' } },
      },
      {
        reason: 'a flavor that is not there',
        method: 'POST',
        path: SERVERS,
        body: newServer({ flavorRef: 'nope' }),
        status: 400,
        answer: { badRequest: { code: 400, message: 'Flavor nope could not be found.' } },
      },
      {
        reason: 'a key that is not there',
        method: 'POST',
        path: SERVERS,
        body: newServer({ key_name: 'nope' }),
        status: 400,
        answer: { badRequest: { code: 400, message: 'Invalid key_name provided.' } },
      },
      {
        reason: 'a network that is not there',
        method: 'POST',
        path: SERVERS,
        body: newServer({ networks: [{ uuid: UNKNOWN }] }),
        status: 400,
        answer: { badRequest: { code: 400, message: `Network ${UNKNOWN} could not be found.` } },
      },
      {
        reason: 'a port that is not there',
        method: 'POST',
        path: SERVERS,
        body: newServer({ networks: [{ port: UNKNOWN }] }),
        status: 400,
        answer: { badRequest: { code: 400, message: `Port id ${UNKNOWN} could not be found.` } },
      },
      {
        reason: 'tags before 2.52',
        method: 'POST',
        path: SERVERS,
        body: newServer({ tags: ['a'] }),
        version: '2.51',
        status: 400,
        answer: {
          badRequest: { message: expect.stringMatching(/Additional properties are not allowed \('tags' was unexpected\)$/) },
        },
      },
      {
        reason: 'a tag with a comma',
        method: 'POST',
        path: SERVERS,
        body: newServer({ tags: ['a,b'] }),
        status: 400,
        answer: {
          badRequest: { code: 400, message: "Invalid input for field/attribute 0. Value: a,b. 'a,b' does not match '^[^,/]*$'" },
        },
      },
      {
        reason: 'more than 50 tags',
        method: 'POST',
        path: SERVERS,
        body: newServer({ tags: Array.from({ length: 51 }, (_, index) => `t${index}`) }),
        status: 400,
        answer: { badRequest: { message: expect.stringMatching(/^Invalid input for field\/attribute tags\. .* is too long$/) } },
      },
      {
        reason: 'a metadata key with a slash',
        method: 'POST',
        path: SERVERS,
        body: newServer({ metadata: { 'a/b': 'c' } }),
        status: 400,
        answer: {
          badRequest: {
            code: 400,
            message: [
              "Invalid input for field/attribute metadata. Value: {'a/b': 'c'}.",
              "'a/b' does not match any of the regexes: '^[a-zA-Z0-9-_:. ]{1,255}$'",
            ].join(' '),
          },
        },
      },
      {
        reason: 'more than 128 metadata items',
        method: 'POST',
        path: SERVERS,
        body: newServer({ metadata: Object.fromEntries(Array.from({ length: 129 }, (_, index) => [`k${index}`, 'v'])) }),
        status: 403,
        answer: { forbidden: { code: 403, message: 'Maximum number of metadata items exceeds 128' } },
      },
      {
        reason: 'a create without networks from 2.37 on',
        method: 'POST',
        path: SERVERS,
        body: newServer({ networks: undefined }),
        status: 400,
        answer: { badRequest: { message: expect.stringMatching(/'networks' is a required property$/) } },
      },
      {
        reason: 'what is not JSON',
        method: 'POST',
        path: SERVERS,
        body: '{bad',
        status: 400,
        answer: { badRequest: { code: 400, message: 'Malformed request body' } },
      },
      {
        reason: 'a text that no database column takes',
        method: 'POST',
        path: SERVERS,
        body: newServer({ name: 'a\u0000b' }),
        status: 400,
        answer: { badRequest: { code: 400, message: 'Malformed request body: it has a character that cannot be kept' } },
      },
      {
        reason: 'a body over 112 KiB',
        method: 'POST',
        path: SERVERS,
        body: newServer({ user_data: 'A'.repeat(120_000) }),
        status: 413,
        answer: expect.stringContaining('Larger than max_request_body_size (114688)'),
      },
      {
        reason: 'a server that is not there',
        method: 'GET',
        path: `${SERVERS}/${UNKNOWN}`,
        status: 404,
        answer: { itemNotFound: { code: 404, message: `Instance ${UNKNOWN} could not be found.` } },
      },
      {
        reason: 'an unknown marker',
        method: 'GET',
        path: `${SERVERS}?marker=nope`,
        status: 400,
        answer: { badRequest: { code: 400, message: 'marker [nope] not found' } },
      },
      {
        reason: 'a limit that is no number',
        method: 'GET',
        path: `${SERVERS}?limit=-1`,
        status: 400,
        answer: {
          badRequest: {
            code: 400,
            message: "Invalid input for query parameters limit. Value: -1. '-1' does not match '^[0-9]*$'",
          },
        },
      },
      {
        reason: 'an unknown parameter from 2.75 on',
        method: 'GET',
        path: `${SERVERS}?foo=1`,
        version: '2.75',
        status: 400,
        answer: { badRequest: { code: 400, message: "'foo' does not match any of the regexes: '^_'" } },
      },
      {
        reason: 'all projects to who is no administrator',
        method: 'GET',
        path: `${SERVERS}?all_tenants=1`,
        status: 403,
        answer: {
          forbidden: { code: 403, message: "Policy doesn't allow os_compute_api:servers:index:get_all_tenants to be performed." },
        },
      },
      {
        reason: 'a status that does not exist',
        method: 'GET',
        path: `${SERVERS}?status=nope`,
        status: 400,
        answer: { badRequest: { code: 400, message: 'Invalid status value' } },
      },
      {
        reason: 'a name that is no pattern',
        method: 'GET',
        path: `${SERVERS}?name=(`,
        status: 400,
        answer: {
          badRequest: { code: 400, message: "Invalid input for query parameters name. Value: (. '(' is not a 'regex'" },
        },
      },
      {
        reason: 'a time that is none',
        method: 'GET',
        path: `${SERVERS}?changes-since=xx`,
        status: 400,
        answer: {
          badRequest: {
            code: 400,
            message: "Invalid input for query parameters changes-since. Value: xx. 'xx' is not a 'date-time'",
          },
        },
      },
      {
        reason: 'a microversion that is too new',
        method: 'GET',
        path: SERVERS,
        version: '2.99',
        status: 406,
        answer: {
          computeFault: {
            code: 406,
            message: 'Version 2.99 is not supported by the API. Minimum is 2.1 and maximum is 2.93.',
          },
        },
      },
      {
        reason: 'what is no microversion',
        method: 'GET',
        path: SERVERS,
        version: '2.x',
        status: 400,
        answer: {
          badRequest: {
            code: 400,
            message: 'API Version String 2.x is of invalid format. Must be of format MajorNum.MinorNum.',
          },
        },
      },
      {
        reason: 'tags of a server before 2.26',
        method: 'GET',
        path: `${SERVERS}/${UNKNOWN}/tags`,
        version: '2.1',
        status: 404,
        answer: { itemNotFound: { code: 404, message: 'The resource could not be found.' } },
      },
    ])('$reason', async ({ method, path, body, version = '2.79', status, answer }) => {
      const got = await demo.ask(method, path, body, version);
      expect({ status: got.status, body: got.body }).toMatchObject({ status, body: answer });
    });

    it('a call without a valid token', async () => {
      const { status, headers, body } = await ask(`${simulator.origin}${SERVERS}`, 'GET', { 'x-auth-token': 'no' });
      expect({ status, body }).toMatchObject({ status: 401, body: { error: { code: 401, title: 'Unauthorized' } } });
      expect(headers.get('www-authenticate')).toBe(`Keystone uri="${simulator.url}"`);
    });

    it('what a state does not allow', async () => {
      const id = await boot();
      await reach(id, 'ACTIVE');
      const conflict = (message: string) => ({ status: 409, body: { conflictingRequest: { code: 409, message } } });
      expect(await act(id, { 'os-start': null })).toMatchObject(
        conflict(`Cannot 'start' instance ${id} while it is in vm_state active`),
      );
      expect(await act(id, { bogus: null })).toMatchObject({
        status: 400,
        body: { badRequest: { message: 'There is no such action: bogus' } },
      });
      expect(await act(id, { resize: { flavorRef: '1' } })).toMatchObject({
        status: 400,
        body: { badRequest: { message: 'When resizing, instances must change flavor!' } },
      });
      expect(await act(id, { lock: null })).toMatchObject({ status: 202 });
      expect(await act(id, { 'os-stop': null })).toMatchObject(conflict(`Instance ${id} is locked`));
    });
  });

  it('walks a server through all that can be done to it', async () => {
    const id = await boot({ networks: [{ uuid: NETWORK }], metadata: { a: 'b' }, tags: ['t'] });
    await reach(id, 'ACTIVE');
    const moves: [unknown, number, string][] = [
      [{ 'os-stop': null }, 202, 'SHUTOFF'],
      [{ 'os-start': null }, 202, 'ACTIVE'],
      [{ pause: null }, 202, 'PAUSED'],
      [{ unpause: null }, 202, 'ACTIVE'],
      [{ suspend: null }, 202, 'SUSPENDED'],
      [{ resume: null }, 202, 'ACTIVE'],
      [{ reboot: { type: 'SOFT' } }, 202, 'ACTIVE'],
      [{ reboot: { type: 'HARD' } }, 202, 'ACTIVE'],
      [{ rebuild: { imageRef: IMAGE } }, 202, 'ACTIVE'],
      [{ resize: { flavorRef: '2' } }, 202, 'VERIFY_RESIZE'],
      [{ revertResize: null }, 202, 'ACTIVE'],
      [{ resize: { flavorRef: '3' } }, 202, 'VERIFY_RESIZE'],
      [{ confirmResize: null }, 204, 'ACTIVE'],
    ];
    for (const [body, status, reached] of moves) {
      expect({ body, status: (await act(id, body)).status }).toEqual({ body, status });
      await reach(id, reached);
    }
    const { body } = await demo.ask('GET', `${SERVERS}/${id}`, undefined, '2.79');
    expect(body).toMatchObject({
      server: {
        flavor: { original_name: 'm1.medium' },
        metadata: { a: 'b' },
        tags: ['t'],
        addresses: { 'demo-net': [{ version: 4 }] },
      },
    });
    expect((await demo.ask('DELETE', `${SERVERS}/${id}`)).status).toBe(204);
    await eventually(async () => expect((await demo.ask('GET', `${SERVERS}/${id}`)).status).toBe(404));
  });

  it('ends in ERROR where no host has room, says why when asked for it alone, and then takes only DELETE', async () => {
    const id = await boot({ flavorRef: '99', name: 'impossible' });
    await reach(id, 'ERROR');
    expect((await demo.ask('GET', `${SERVERS}/${id}`)).body).toMatchObject({
      server: { fault: { code: 500, message: 'No valid host was found. ' } },
    });
    expect((await list('name=impossible')).servers[0]).not.toHaveProperty('fault');
    expect(await act(id, { 'os-stop': null })).toMatchObject({
      status: 409,
      body: { conflictingRequest: { message: `Instance ${id} is not ready` } },
    });
    expect((await demo.ask('DELETE', `${SERVERS}/${id}`)).status).toBe(204);
  });

  it.each<{ version: string; has: string[]; lacks: string[]; reason: string }>([
    { reason: 'the oldest', version: '2.1', has: ['OS-EXT-STS:vm_state'], lacks: ['tags', 'description', 'locked'] },
    { reason: 'tags, since 2.26', version: '2.52', has: ['tags', 'description', 'locked'], lacks: ['locked_reason'] },
    {
      reason: 'groups, since 2.71',
      version: '2.79',
      has: ['locked_reason', 'server_groups'],
      lacks: ['OS-EXT-SRV-ATTR:hostname'],
    },
    { reason: 'the newest', version: 'latest', has: ['OS-EXT-SRV-ATTR:hostname'], lacks: [] },
  ])('shows at $version what that version has: $reason', async ({ version, has, lacks }) => {
    const id = await boot();
    const { body, headers } = await demo.ask('GET', `${SERVERS}/${id}`, undefined, version);
    const { server } = created.parse(body);
    for (const field of has) expect(server).toHaveProperty([field]);
    for (const field of lacks) expect(server).not.toHaveProperty([field]);
    expect(headers.get('openstack-api-version')).toBe(`compute ${version === 'latest' ? '2.93' : version}`);
  });

  describe('lists', () => {
    const names = ['page-a', 'page-b', 'page-c', 'page-d', 'page-e'];
    const ids: string[] = [];
    beforeAll(async () => {
      for (const name of names) ids.push(await boot({ name, tags: [name, 'page'] }));
      for (const id of ids) await reach(id, 'ACTIVE');
    });

    it('pages by limit and marker, the newest first, with a link to the next while a page is full', async () => {
      const first = await list('name=page-&limit=2');
      expect(first.servers.map(({ name }) => name)).toEqual(['page-e', 'page-d']);
      const href = first.servers_links?.[0]?.href ?? '';
      expect(href).toBe(`${simulator.origin}${SERVERS}/detail?name=page-&limit=2&marker=${ids[3]}`);
      const second = await list(new URL(href).search.slice(1));
      expect(second.servers.map(({ name }) => name)).toEqual(['page-c', 'page-b']);
      const last = await list(`name=page-&limit=2&marker=${ids[1]}`);
      expect(last.servers.map(({ name }) => name)).toEqual(['page-a']);
      expect(last.servers_links).toBeUndefined();
    });

    it.each<{ reason: string; query: string; expected: string[] }>([
      { reason: 'a pattern in the name', query: 'name=page-[ab]', expected: ['page-b', 'page-a'] },
      { reason: 'a whole name, in any case', query: 'name=^PAGE-A$', expected: ['page-a'] },
      { reason: 'a tag', query: 'tags=page-c,page', expected: ['page-c'] },
      { reason: 'any of some tags', query: 'tags-any=page-c,page-d', expected: ['page-d', 'page-c'] },
      { reason: 'all but a tag', query: 'name=page&not-tags=page-a', expected: ['page-e', 'page-d', 'page-c', 'page-b'] },
      { reason: 'a status', query: 'name=page-a&status=active', expected: ['page-a'] },
      { reason: 'another status', query: 'name=page-a&status=ERROR', expected: [] },
      { reason: 'metadata, which Nova ignores', query: 'name=page-a&metadata=%7B%22a%22%3A%22b%22%7D', expected: ['page-a'] },
    ])('filters by $reason', async ({ query, expected }) => {
      expect((await list(query)).servers.map(({ name }) => name)).toEqual(expected);
    });

    it('shows to each project its own, and all to an administrator who asks for all', async () => {
      const [alt, admin] = [await simulator.logIn('alt'), await simulator.logIn('admin')];
      const theirs = await boot({ name: 'page-theirs' }, alt);
      expect((await list('name=page', alt)).servers.map(({ id }) => id)).toEqual([theirs]);
      expect((await alt.ask('GET', `${SERVERS}/${ids[0]}`)).status).toBe(404);
      expect((await list('name=page', admin)).servers).toEqual([]);
      expect((await list('name=page&all_tenants=1', admin)).servers).toHaveLength(6);
    });

    it('shows a deleted server to changes-since, without metadata and tags, and takes it as a marker', async () => {
      const since = new Date(Date.now() - 1000).toISOString();
      const id = await boot({ name: 'page-gone', metadata: { a: 'b' }, tags: ['x'] });
      await reach(id, 'ACTIVE');
      await demo.ask('DELETE', `${SERVERS}/${id}`);
      await eventually(async () => {
        const { servers } = await list(`changes-since=${since}&name=page-gone`);
        expect(servers).toMatchObject([{ id, status: 'DELETED', metadata: {}, tags: [], addresses: {} }]);
      });
      expect((await list('name=page-gone')).servers).toEqual([]);
      expect((await list(`name=page&limit=1&marker=${id}`)).servers).toMatchObject([{ name: 'page-e' }]);
    });
  });

  it('changes metadata and tags', async () => {
    const id = await boot({ metadata: { a: '1' }, tags: ['t'] });
    await reach(id, 'ACTIVE');
    const path = `${SERVERS}/${id}`;
    expect((await demo.ask('POST', `${path}/metadata`, { metadata: { b: '2' } })).body).toEqual({ metadata: { a: '1', b: '2' } });
    expect((await demo.ask('PUT', `${path}/metadata`, { metadata: { c: '3' } })).body).toEqual({ metadata: { c: '3' } });
    expect((await demo.ask('DELETE', `${path}/metadata/c`)).status).toBe(204);
    expect((await demo.ask('DELETE', `${path}/metadata/c`)).status).toBe(404);
    expect((await demo.ask('PUT', `${path}/tags`, { tags: ['u', 'v', 'u'] }, '2.79')).body).toEqual({ tags: ['u', 'v'] });
    expect((await demo.ask('PUT', `${path}/tags/w`, undefined, '2.79')).status).toBe(201);
    expect((await demo.ask('DELETE', `${path}/tags/u`, undefined, '2.79')).status).toBe(204);
    expect((await demo.ask('GET', path, undefined, '2.79')).body).toMatchObject({ server: { metadata: {}, tags: ['v', 'w'] } });
  });

  it('refuses servers over the quota, and makes as many of several as fit', async () => {
    const admin = await simulator.logIn('admin');
    simulator.setKnobs({ quotaInstances: 2 });
    try {
      await boot({ name: 'many', min_count: 1, max_count: 5 }, admin);
      expect((await list('name=many', admin)).servers.map(({ name }) => name)).toEqual(['many-2', 'many-1']);
      expect(await admin.ask('POST', SERVERS, newServer(), '2.79')).toMatchObject({
        status: 403,
        body: {
          forbidden: {
            code: 403,
            message: 'Quota exceeded for instances: Requested 1, but already used 2 of 2 instances',
          },
        },
      });
      expect((await admin.ask('GET', '/compute/v2.1/limits')).body).toMatchObject({
        limits: { absolute: { maxTotalInstances: 2, totalInstancesUsed: 2, totalRAMUsed: 1024 } },
      });
    } finally {
      simulator.setKnobs({ quotaInstances: -1 });
    }
  });
});
