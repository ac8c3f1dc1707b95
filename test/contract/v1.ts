import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { failureOf, type V1Client, type V1Reply, v1Client } from '../support/v1-client.js';

/** Somebody who logs in, or has a token where nobody can. */
export type V1User = { readonly username: string; readonly password: string } | { readonly token: string };

/** What differs between the planes that v1 is served on. */
export interface V1Plane {
  /** False: tokens come from elsewhere, and POST /auth gives none. Default true. */
  readonly passwords?: boolean;
  /** The query with which the stranger reads, where nobody is known to belong to a namespace. Default none. */
  readonly elsewhere?: '' | '?namespace=elsewhere';
}

/** A server of v1 to be tried. */
export interface V1World {
  /** http://127.0.0.1:5070 */
  readonly url: string;
  /** An admin of all namespaces, an agent of `default` alone, a viewer of all, and an agent of a namespace `elsewhere` that is there. */
  readonly users: Readonly<Record<'admin' | 'agent' | 'viewer' | 'stranger', V1User>>;
  /** The one Cloud: marked as default, and with the old name `fake_driver`. */
  readonly cloud: string;
  readonly engine: string;
  /** The names of an image and a flavor of it. */
  readonly image: string;
  readonly size: string;
  /** What the names of all that is started begin with. */
  readonly prefix: string;
  /** Declares, as kubectl apply. */
  declare(manifest: Readonly<Record<string, unknown>>): Promise<void>;
  /** Deletes what {@link declare} made. */
  remove(manifest: Readonly<Record<string, unknown>>): Promise<void>;
  /** How long anything may take in this world, in milliseconds. */
  readonly patienceMs: number;
  close(): Promise<void>;
}

const nodeSchema = z.strictObject({
  name: z.string(),
  uuid: z.string(),
  id: z.string(),
  provider: z.string(),
  public_ips: z.array(z.string()),
  private_ips: z.array(z.string()),
  cloud_type: z.string(),
  state: z.string(),
  extra: z.looseObject({ virtual_machine: z.object({ namespace: z.string(), name: z.string() }).optional() }),
});
const cisternNodeSchema = z.strictObject({
  id: z.int().positive(),
  id_vm: z.string(),
  hostname: z.string(),
  cloud: z.string(),
  status: z.union([z.literal(1), z.literal(2)]),
  status_desc: z.enum(['FREE', 'ASSIGNED']),
  recipe: z.string(),
  recipe_id: z.int(),
  user: z.string(),
  last_activity: z.string().optional(),
});
const named = z.strictObject({ id: z.string(), name: z.string(), provider: z.string(), cloud_type: z.string() });
const flavorSchema = named.extend({ ram: z.int(), cpu: z.int(), disk: z.int() });
const machineSchema = z.looseObject({ id_vm: z.string(), hostname: z.string(), ready: z.string(), state: z.string() });
const doneSchema = z.strictObject({ status: z.literal('ok'), id_vm: z.string(), id: z.int().positive(), result: z.string() });

const ruleSchema = z.strictObject({
  name: z.string(),
  namespace: z.string(),
  nodes: z.array(z.string()),
  direction: z.enum(['ingress', 'egress']),
  protocol: z.enum(['tcp', 'udp', 'icmp', 'any']),
  port_ranges: z.array(z.tuple([z.int(), z.int()])),
  cidrs: z.array(z.string()),
  state: z.enum(['opening', 'open', 'failed', 'closing']),
  message: z.string(),
});
const ruledSchema = z.strictObject({ status: z.literal('ok'), result: z.string(), rule: ruleSchema });
const volumeSchema = z.strictObject({
  name: z.string(),
  namespace: z.string(),
  id: z.string(),
  size: z.int(),
  state: z.string(),
  node: z.string(),
  device: z.string(),
  ready: z.enum(['True', 'False', 'Unknown']),
  reason: z.string(),
  message: z.string(),
});
const storedSchema = z.strictObject({ status: z.literal('ok'), result: z.string(), volume: volumeSchema });

type Node = z.infer<typeof nodeSchema>;

/** Drives every row of the dialect of 2015 with a plain HTTP client. */
export function v1Contract(open: () => Promise<V1World>, { passwords = true, elsewhere = '' }: V1Plane = {}): void {
  let world: V1World;
  let client: V1Client;
  let tokens: Record<keyof V1World['users'], string>;
  let image: string;
  let size: string;

  beforeAll(async () => {
    world = await open();
    const nobody = v1Client(world.url);
    const logIn = async (user: V1User) => {
      if ('token' in user) return user.token;
      const reply = await nobody('POST', '/auth', { body: user });
      return z.strictObject({ status: z.literal('ok'), status_code: z.literal(200), token: z.string() }).parse(reply.body).token;
    };
    const { admin, agent, viewer, stranger } = world.users;
    tokens = {
      admin: await logIn(admin),
      agent: await logIn(agent),
      viewer: await logIn(viewer),
      stranger: await logIn(stranger),
    };
    client = v1Client(world.url, tokens.agent);
    await eventually(async () => expect((await client('GET', '/images')).code).toBe(200), world.patienceMs);
    const images = listOf(await client('GET', '/images'), 'images', named);
    const flavors = listOf(await client('GET', '/flavors'), 'flavors', flavorSchema);
    image = images.find(({ name }) => name === world.image)?.id ?? '';
    size = flavors.find(({ name }) => name === world.size)?.id ?? '';
  }, 240_000);
  afterAll(() => world?.close(), 120_000);

  const refused = async (reply: Promise<V1Reply> | V1Reply, code: number, message: string | RegExp) => {
    const failure = failureOf(await reply);
    expect(failure).toEqual({ code, message: typeof message === 'string' ? message : expect.stringMatching(message) });
  };
  const start = async (name: string, more: object = {}): Promise<Node> => {
    const reply = await client('POST', '/vm/start', { body: { name: `${world.prefix}${name}`, image, size, ...more } });
    expect({ code: reply.code, body: reply.body }).toMatchObject({ code: 200, body: { status: 'ok' } });
    return z.strictObject({ status: z.literal('ok'), nodes: nodeSchema }).parse(reply.body).nodes;
  };
  /** A request that must be done in time. */
  const done = async (method: string, path: string, body?: object) => {
    const reply = await client(method, path, body && { body });
    expect({ code: reply.code, body: reply.body }).toMatchObject({ code: 200, body: { status: 'ok' } });
    return reply;
  };
  const stop = async (node: string) => {
    const reply = await client('PUT', '/vm/stop', { body: { node } });
    expect({ code: reply.code, body: reply.body }).toEqual({ code: 200, body: { status: 'ok', result: `Node ${node} deleted` } });
  };
  /** The nodes of /vm/status, where none is {}. */
  const statuses = async (token = tokens.agent, query = '') => {
    const reply = await client('GET', `/vm/status${query}`, { token });
    const { nodes } = z
      .strictObject({ status: z.literal('ok'), nodes: z.union([z.array(cisternNodeSchema).min(1), z.strictObject({})]) })
      .parse(reply.body);
    return Array.isArray(nodes) ? nodes : [];
  };
  const untilFree = (id: string) =>
    eventually(async () => {
      const node = (await statuses()).find(({ id_vm }) => id_vm === id);
      expect(node).toMatchObject({ status: 1, status_desc: 'FREE', user: '' });
      return node;
    }, world.patienceMs);
  const monitored = async (which: string) => {
    const reply = await client('GET', `/monitor/status?${which}`);
    return z.strictObject({ status: z.literal('ok'), machine: machineSchema }).parse(reply.body).machine;
  };

  describe('HomeAPI and CloudServed', () => {
    test.each(['GET', 'POST'])('%s / says ok to anybody', async (method) => {
      const reply = await v1Client(world.url)(method, '/');
      expect({ code: reply.code, body: reply.body }).toEqual({ code: 200, body: { status: 'ok' } });
    });

    test('GET /cloud tells the clouds by their old names', async () => {
      const { body } = await client('GET', '/cloud');
      const host = expect.any(String);
      expect(body).toEqual({ status: 'ok', served_cloud: [{ name: 'fake_driver', type: world.engine, host }] });
    });

    test('HEAD is GET without the body', async () => {
      const reply = await client('HEAD', '/cloud');
      expect({ code: reply.code, text: reply.text }).toEqual({ code: 200, text: '' });
    });
  });

  describe('AuthAPI', () => {
    // A case that a subject cannot have is none of its cases.
    const unless = (absent: boolean, name: string, body: () => Promise<void>) => (absent ? undefined : test(name, body));
    const withPasswords = (name: string, body: () => Promise<void>) => unless(!passwords, name, body);
    const withoutPasswords = (name: string, body: () => Promise<void>) => unless(passwords, name, body);

    withoutPasswords('a name and password give no token, but a word on where there is one', async () => {
      const reply = v1Client(world.url)('POST', '/auth', { body: { username: 'ann', password: 'wrong-horse' } });
      await refused(reply, 501, /kubectl create token/);
      expect((await reply).text).not.toContain('wrong-horse');
    });

    withPasswords('a wrong password and nobody get one and the same 403', async () => {
      const nobody = v1Client(world.url);
      const { viewer } = world.users;
      const wrong = await nobody('POST', '/auth', { body: { ...viewer, password: 'wrong-horse' } });
      const absent = await nobody('POST', '/auth', { body: { username: 'nobody-at-all', password: 'wrong-horse' } });
      expect(failureOf(wrong).code).toBe(403);
      expect(absent.body).toEqual(wrong.body);
      expect(wrong.text).not.toContain('wrong-horse');
    });

    withPasswords('too many wrong ones are told to wait', async () => {
      const nobody = v1Client(world.url);
      const attempt = () => nobody('POST', '/auth', { body: { username: 'guessed', password: 'wrong-horse' } });
      for (let time = 0; time < 5; time++) await refused(attempt(), 403, /./);
      const reply = await attempt();
      await refused(reply, 429, /wait/);
      expect(Number(reply.headers['retry-after'])).toBeGreaterThan(0);
    });

    test.each([
      ['no password', { username: 'ann' }],
      ['more than that', { username: 'ann', password: 'x', role: 'admin' }],
      ['a list', ['ann', 'x']],
    ])('%s does not validate', async (_what, body) => {
      await refused(v1Client(world.url)('POST', '/auth', { body }), 400, /^Some key doesn't validate the schema - /);
    });
  });

  describe('tokens', () => {
    const PATHS: readonly (readonly [string, string])[] = [
      ...['/cloud', '/nodes', '/images', '/flavors', '/sizes', '/tenants', '/vm/status', '/monitor/list', '/monitor/status'].map(
        (path) => ['GET', path] as const,
      ),
      ['POST', '/vm/start'],
      ...['/vm/stop', '/vm/action/assign', '/vm/action/release', '/test/start', '/test/7/kill', '/fw/open', '/fw/close'].map(
        (path) => ['PUT', path] as const,
      ),
      ['GET', '/fw/open'],
      ['GET', '/fw/close'],
      ['GET', '/storage'],
      ['POST', '/storage'],
      ['PUT', '/storage/attach'],
      ['PUT', '/storage/detach'],
      ['DELETE', '/storage/data'],
    ];
    test.each(PATHS)('%s %s demands one', async (method, path) => {
      const reply = await client(method, path, { token: undefined });
      await refused(reply, 401, /token/);
      expect(reply.headers['www-authenticate']).toBeDefined();
    });

    test('a wrong one, and what cannot be one, is refused wherever it stands, and not told again', async () => {
      for (const sending of [
        { token: 'dispatcher_wrong' },
        { token: 'not a token' },
        { token: undefined, headers: { Authorization: 'Bearer dispatcher_wrong' } },
        { token: undefined, body: { auth_token: 'dispatcher_wrong' } },
        { token: undefined, body: { auth_token: 7 } },
      ]) {
        const reply = await client('GET', '/cloud', sending);
        await refused(reply, 401, /unknown, expired or revoked/);
        expect(reply.text).not.toContain('dispatcher_wrong');
      }
      await refused(client('GET', '/cloud?auth_token=dispatcher_wrong', { token: undefined }), 401, /unknown/);
    });

    test.each([
      ['in X-Auth-Token', (token: string) => ({ path: '/cloud', sending: { token } })],
      [
        'as a bearer',
        (token: string) => ({ path: '/cloud', sending: { token: undefined, headers: { Authorization: `Bearer ${token}` } } }),
      ],
      ['in the query', (token: string) => ({ path: `/cloud?auth_token=${token}`, sending: { token: undefined } })],
      [
        'in the body of a GET',
        (token: string) => ({ path: '/cloud', sending: { token: undefined, body: { auth_token: token } } }),
      ],
    ])('a good one %s lets in', async (_where, asking) => {
      const { path, sending } = asking(tokens.viewer);
      expect((await client('GET', path, sending)).code).toBe(200);
    });

    test('one in a body is no key of the schema', async () => {
      const body = { auth_token: tokens.agent, node: 'absent' };
      await refused(client('PUT', '/vm/stop', { token: undefined, body }), 400, 'no useful node id here');
    });

    test.each(['/test/start', '/test/7/kill'])('PUT %s says that it is good', async (path) => {
      const { body } = await client('PUT', path);
      expect(body).toEqual({ status: 'ok', test: 'passed', authenticated: 'yes' });
    });
  });

  describe('SystemStatus', () => {
    test.each([
      ['/images', 'images', named],
      ['/flavors', 'flavors', flavorSchema],
      ['/sizes', 'flavors', flavorSchema],
      ['/tenants', 'tenants', named],
    ])('GET %s, with no cloud, the default one, or its names', async (path, key, schema) => {
      const whole = listOf(await client('GET', path), key, schema);
      expect(whole.length).toBeGreaterThan(0);
      expect(whole[0]).toMatchObject({ provider: world.engine, cloud_type: world.engine });
      for (const cloud of ['default', 'fake_driver', world.cloud])
        expect(listOf(await client('GET', `${path}/${cloud}`), key, schema)).toEqual(whole);
    });

    test('GET with a body is a GET', async () => {
      expect((await client('GET', '/images', { body: { with_faulty_nodes: true } })).code).toBe(200);
    });

    test.each(['/cloud/shapes', '/routers', '/routers/default'])('GET %s is no action', async (path) => {
      await refused(client('GET', path), 400, 'Unrecognized action found');
    });

    test.each([
      ['GET', '/nodes'],
      ['GET', '/images'],
      ['GET', '/flavors'],
      ['GET', '/sizes'],
      ['GET', '/tenants'],
      ['GET', '/vm/status'],
      ['GET', '/monitor/list'],
    ])('%s %s/absent: the cloud is not valid', async (method, path) => {
      await refused(client(method, `${path}/absent`), 500, /^Cloud not valid - there is no cloud "absent"/);
    });

    test.each([
      ['POST', '/vm/start', { name: 'a', image: 'b', size: 'c' }],
      ['PUT', '/vm/stop', { node: 'a' }],
      ['PUT', '/vm/action/assign', { user: 'a', vm_type: 'b', node: 'c' }],
      ['PUT', '/vm/action/release', { node: 'c' }],
      ['POST', '/fw/open', { node: 'a', port: 80, protocol: 'tcp', cidr: '0.0.0.0/0' }],
      ['PUT', '/fw/close', { node: 'a', port: 80, protocol: 'tcp', cidr: '0.0.0.0/0' }],
      ['GET', '/fw/open', undefined],
      ['GET', '/fw/close', undefined],
      ['GET', '/storage', undefined],
      ['POST', '/storage', { name: 'a', size: 1 }],
      ['PUT', '/storage/attach', { name: 'a', node: 'b' }],
      ['PUT', '/storage/detach', { name: 'a' }],
      ['DELETE', '/storage/a', undefined],
    ])('%s %s/absent: the cloud is not valid', async (method, path, body) => {
      await refused(client(method, `${path}/absent`, { body }), 500, /^Cloud not valid/);
    });
  });

  describe('RunAndStopVM', () => {
    test('starts, tells and stops a machine', async () => {
      const node = await start('life', { metadata: { purpose: 'conformance' } });
      expect(node).toMatchObject({
        name: `${world.prefix}life`,
        uuid: createHash('sha1').update(`${node.id}:${node.provider}`).digest('hex'),
        provider: world.engine,
        cloud_type: world.engine,
        state: expect.stringMatching(/^(pending|running)$/),
      });
      await eventually(async () => {
        const listed = listOf(await client('GET', '/nodes'), 'nodes', nodeSchema).find(({ id }) => id === node.id);
        expect(listed).toMatchObject({ name: node.name, uuid: node.uuid, state: 'running' });
        expect(listed?.extra).toMatchObject({
          metadata: { purpose: 'conformance' },
          virtual_machine: node.extra.virtual_machine,
        });
      }, world.patienceMs);
      await untilFree(node.id);
      expect(await monitored(`node=${node.id}`)).toMatchObject({
        id_vm: node.id,
        hostname: node.name,
        state: 'running',
        ready: 'True',
      });
      await stop(node.id);
      await eventually(async () => {
        const left = listOf(await client('GET', '/nodes'), 'nodes', nodeSchema).filter(({ id }) => id === node.id);
        expect(left.filter(({ state }) => state !== 'terminated')).toEqual([]);
      }, world.patienceMs);
      await eventually(
        () => refused(client('PUT', '/vm/stop', { body: { node: node.id } }), 400, 'no useful node id here'),
        world.patienceMs,
      );
    });

    test('two starts with one name are two machines; its hostname is then no name for either', async () => {
      const [one, two] = await Promise.all([start('twin'), start('twin')]);
      expect(one.id).not.toBe(two.id);
      const hostname = one.name;
      await refused(client('PUT', '/vm/stop', { body: { hostname } }), 400, /^2 nodes have the hostname/);
      await stop(one.id);
      await eventually(async () => {
        const reply = await client('PUT', '/vm/stop', { body: { hostname } });
        expect(reply.body).toEqual({ status: 'ok', result: `Node ${two.id} deleted` });
      }, world.patienceMs);
    });

    test('a name that no host can have is taken all the same', async () => {
      const node = await start('My Machine_1');
      expect(node.name).toMatch(/my-machine-1-\w+$/);
      await stop(node.id);
    });

    test.each([
      ['an unknown image', { image: 'absent' }, 'no useful image id here'],
      ['the name of an image', { image: 'by name' }, 'no useful image id here'],
      ['an unknown size', { size: 'absent' }, 'no useful size id here'],
    ])('%s is refused', async (_what, change, message) => {
      const wrong = 'image' in change && change.image === 'by name' ? { image: world.image } : change;
      await refused(client('POST', '/vm/start', { body: { name: 'a', image, size, ...wrong } }), 400, message);
    });

    test.each([
      ['no name', { name: undefined }, /^Some key doesn't validate the schema - name: /],
      ['an empty name', { name: '' }, /^Some key doesn't validate the schema - name: /],
      ['a number', { size: 1 }, /^Some key doesn't validate the schema - size: /],
      ['an unknown key', { colour: 'red' }, /^Some key doesn't validate the schema - .*colour/],
      ['metadata that is kept for us', { metadata: { 'dispatcher.uid': 'x' } }, /^Some key doesn't validate the schema - /],
    ])('%s does not validate', async (_what, change, message) => {
      await refused(client('POST', '/vm/start', { body: { name: 'a', image, size, ...change } }), 400, message);
    });

    test.each([
      ['neither', {}],
      ['both', { node: 'a', hostname: 'b' }],
      ['another key', { id: 'a' }],
    ])('a stop of %s does not validate', async (_what, body) => {
      await refused(client('PUT', '/vm/stop', { body }), 400, /^Some key doesn't validate the schema - /);
    });

    test('only who may declares and deletes, and what one may not see is not there', async () => {
      const node = await start('mine');
      const body = { node: node.id };
      await refused(client('PUT', '/vm/stop', { body, token: tokens.viewer }), 403, /cannot delete/);
      await refused(client('PUT', `/vm/stop${elsewhere}`, { body, token: tokens.stranger }), 400, 'no useful node id here');
      await refused(
        client('POST', '/vm/start', { body: { name: 'a', image, size }, token: tokens.viewer }),
        403,
        /cannot create/,
      );
      await refused(client('POST', '/vm/start?namespace=elsewhere', { body: { name: 'a', image, size } }), 403, /cannot create/);
      await refused(client('POST', '/vm/start?namespace=A_b', { body: { name: 'a', image, size } }), 400, /namespace/);
      const seen = async (token: string, query = '') =>
        listOf(await client('GET', `/nodes${query}`, { token }), 'nodes', nodeSchema).some(({ id }) => id === node.id);
      await eventually(async () => expect(await seen(tokens.viewer)).toBe(true), world.patienceMs);
      expect(await seen(tokens.stranger, elsewhere)).toBe(false);
      expect((await statuses(tokens.stranger, elsewhere)).map(({ id_vm }) => id_vm)).not.toContain(node.id);
      await stop(node.id);
    });
  });

  describe('AssignReleaseVM and AssignmentStatusVM', () => {
    test.each([
      ['assign', { user: 'ann' }],
      ['assign', { vm_type: 'any', node: 'a' }],
      ['assign', { user: 'ann', vm_type: 'any', node: 'a', hostname: 'b' }],
      ['assign', { user: 'ann', vm_type: 'any', node: 'a', emulate: 'yes' }],
      ['release', {}],
      ['release', { node: 'a', user: 'ann' }],
    ])('%s with %j does not validate', async (action, body) => {
      await refused(client('PUT', `/vm/action/${action}`, { body }), 400, /^Some key doesn't validate the schema - /);
    });

    test.each([
      ['assign', { user: 'ann', vm_type: 'any', node: 'absent' }],
      ['assign', { user: 'ann', vm_type: 'any', hostname: 'absent' }],
      ['release', { node: 'absent' }],
      ['release', { hostname: 'absent' }],
    ])('%s of a node that is not there: %j', async (action, body) => {
      await refused(client('PUT', `/vm/action/${action}`, { body }), 400, 'no useful node id here');
    });

    test('a vm_type that no pool serves is refused', async () => {
      const body = { user: 'ann', vm_type: 'nothing-serves-this' };
      await refused(client('PUT', '/vm/action/assign', { body }), 400, /^no useful node id here: no pool /);
    });

    test('another action is not implemented', async () => {
      await refused(client('PUT', '/vm/action/reboot', { body: {} }), 501, /^Not implemented/);
    });

    test('emulate checks all and does nothing; a node that nobody has cannot be released', async () => {
      const node = await start('emulated');
      const free = await untilFree(node.id);
      const body = { user: 'ann', vm_type: 'any', hostname: node.name, emulate: true };
      const reply = await client('PUT', '/vm/action/assign', { body });
      expect(reply.body).toEqual({ status: 'ok', id_vm: node.id, id: free?.id, result: `Node ${node.id} assigned` });
      await refused(client('PUT', '/vm/action/assign', { body, token: tokens.viewer }), 403, /cannot create/);
      await refused(client('PUT', '/vm/action/release', { body: { node: node.id } }), 409, `Node ${node.id} is not assigned`);
      await untilFree(node.id);
      await stop(node.id);
    });

    test('a named node is assigned, once, and released, which destroys it', async () => {
      const node = await start('given');
      const free = await untilFree(node.id);
      const body = { user: 'ann', vm_type: 'any', node: node.id };
      const reply = await client('PUT', '/vm/action/assign', { body });
      expect(doneSchema.parse(reply.body)).toEqual({
        status: 'ok',
        id_vm: node.id,
        id: free?.id,
        result: `Node ${node.id} assigned`,
      });
      await eventually(async () => {
        const assigned = (await statuses()).find(({ id_vm }) => id_vm === node.id);
        expect(assigned).toMatchObject({ id: free?.id, status: 2, status_desc: 'ASSIGNED', user: 'ann', hostname: node.name });
      }, world.patienceMs);
      await refused(client('PUT', '/vm/action/assign', { body: { ...body, user: 'bob' } }), 409, /is assigned to another$/);
      const emulated = await client('PUT', '/vm/action/release', { body: { hostname: node.name, emulate: true } });
      expect(emulated.code).toBe(200);
      expect((await statuses()).find(({ id_vm }) => id_vm === node.id)).toMatchObject({ user: 'ann' });
      const released = await client('PUT', '/vm/action/release', { body: { hostname: node.name } });
      expect(doneSchema.parse(released.body)).toEqual({
        ...doneSchema.parse(reply.body),
        result: `Node ${node.id} released and deleted`,
      });
      await eventually(async () => expect((await statuses()).map(({ id_vm }) => id_vm)).not.toContain(node.id), world.patienceMs);
    });

    test('of two who ask for one node at once, one has it, and the other is told and waits for nothing', async () => {
      const node = await start('raced');
      await untilFree(node.id);
      const ask = (user: string) => client('PUT', '/vm/action/assign', { body: { user, vm_type: 'any', node: node.id } });
      const replies = await Promise.all([ask('ann'), ask('bob')]);
      const [lost, ...others] = replies.filter(({ code }) => code !== 200);
      if (!lost || others.length > 0) throw new Error(`answered ${replies.map(({ code }) => code).join(' and ')}`);
      await refused(lost, 409, /is assigned to another$/);
      const released = await client('PUT', '/vm/action/release', { body: { node: node.id } });
      expect(released.body).toMatchObject({ status: 'ok', id_vm: node.id });
    });

    test('without a node, any free one for the vm_type is assigned, of the pool whose recipe serves it', async () => {
      const name = `${world.prefix}pool`;
      const kind = (what: string, spec: object) => ({
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: what,
        metadata: { name, namespace: 'default' },
        spec,
      });
      const recipe = kind('Recipe', { image, flavor: size, applications: ['v1-contract'] });
      const pool = kind('VirtualMachinePool', { cloudRef: { name: world.cloud }, recipeRef: { name }, replicas: 1, maxSize: 3 });
      await world.declare(recipe);
      await world.declare(pool);
      await eventually(async () => {
        expect((await statuses()).filter((node) => node.recipe === name && node.status_desc === 'FREE')).not.toEqual([]);
      }, world.patienceMs);
      const body = { user: 'eve', vm_type: 'v1-contract' };
      expect(
        doneSchema.parse((await client('PUT', '/vm/action/assign', { body: { ...body, emulate: true } })).body),
      ).toBeDefined();
      const { id_vm: node, id } = doneSchema.parse((await client('PUT', '/vm/action/assign', { body })).body);
      await eventually(async () => {
        const given = (await statuses()).find(({ id_vm }) => id_vm === node);
        expect(given).toMatchObject({ id, status: 2, user: 'eve', recipe: name, recipe_id: expect.any(Number) });
      }, world.patienceMs);
      const released = await client('PUT', '/vm/action/release', { body: { node } });
      expect(released.body).toMatchObject({ status: 'ok', id_vm: node, id });
      await world.remove(pool);
      await world.remove(recipe);
      await eventually(
        async () => expect((await statuses()).filter(({ recipe: of }) => of === name)).toEqual([]),
        world.patienceMs,
      );
    });
  });

  describe('ManageFirewall', () => {
    const rules = async (path: string, token = tokens.agent, query = '') =>
      listOf(await client('GET', `${path}${query}`, { token }), 'rules', ruleSchema);

    test('opens a port of a machine for a network, once, tells of it, and closes it', async () => {
      const node = await start('walled');
      const http = { node: node.id, port: 80, protocol: 'tcp', cidr: '192.0.2.0/24' };
      const { rule, result } = ruledSchema.parse((await done('POST', '/fw/open', http)).body);
      expect(result).toBe(`Port 80/tcp for 192.0.2.0/24 of Node ${node.id} open`);
      const said = { direction: 'ingress', protocol: 'tcp', port_ranges: [[80, 80]], cidrs: ['192.0.2.0/24'], nodes: [node.id] };
      expect(rule).toMatchObject({ ...said, namespace: 'default', state: 'open' });
      const { node: _node, port: _port, ...rest } = http;
      const again = await done('PUT', '/fw/open/fake_driver', { ...rest, hostname: node.name, port_range: [80, 80] });
      expect(ruledSchema.parse(again.body).rule.name).toBe(rule.name);
      expect((await rules('/fw/open')).filter(({ name }) => name === rule.name)).toEqual([expect.objectContaining(said)]);
      expect(ruledSchema.parse((await done('PUT', '/fw/close', http)).body)).toMatchObject({
        result: `Port 80/tcp for 192.0.2.0/24 of Node ${node.id} closed`,
        rule: { name: rule.name, state: 'closing' },
      });
      for (const path of ['/fw/open', '/fw/close']) expect((await rules(path)).map(({ name }) => name)).not.toContain(rule.name);
      await refused(client('POST', '/fw/close', { body: http }), 400, /^no useful rule here: /);
      await stop(node.id);
    });

    test('opens ranges, udp, icmp, and IPv6, each for itself; and what is open goes with its machine', async () => {
      const node = await start('many');
      const wanted = [
        { port_range: [8000, 8100], protocol: 'tcp', cidr: '0.0.0.0/0' },
        { port: 53, protocol: 'udp', cidr: '2001:db8::/32' },
        { protocol: 'icmp', cidr: '10.0.0.0/8' },
      ];
      const names = new Set<string>();
      for (const one of wanted)
        names.add(ruledSchema.parse((await done('POST', '/fw/open', { node: node.id, ...one })).body).rule.name);
      expect(names.size).toBe(3);
      await done('PUT', '/fw/close', { node: node.id, ...wanted[1] });
      const open = async () => (await rules('/fw/open')).filter(({ name }) => names.has(name));
      expect((await open()).map(({ protocol }) => protocol).sort()).toEqual(['icmp', 'tcp']);
      await stop(node.id);
      await eventually(async () => {
        expect(await open()).toEqual([]);
        expect((await rules('/fw/close')).filter(({ name }) => names.has(name))).toEqual([]);
      }, world.patienceMs);
    });

    test.each([
      ['no network', { cidr: undefined }],
      ['a network with host bits', { cidr: '192.0.2.7/24' }],
      ['no port', { port: undefined }],
      ['a port and a range', { port_range: [1, 2] }],
      ['a range that runs backwards', { port: undefined, port_range: [2, 1] }],
      ['port 65536', { port: 65_536 }],
      ['a port of icmp', { protocol: 'icmp' }],
      ['an unknown protocol', { protocol: 'sctp' }],
      ['neither node nor hostname', { node: undefined }],
    ])('%s does not validate', async (_what, change) => {
      const body = { node: 'a', port: 80, protocol: 'tcp', cidr: '0.0.0.0/0', ...change };
      for (const path of ['/fw/open', '/fw/close'])
        await refused(client('PUT', path, { body }), 400, /^Some key doesn't validate the schema - /);
    });

    test('of a node that is not there is refused; who only views sees, and changes nothing', async () => {
      const body = { node: 'absent', port: 80, protocol: 'tcp', cidr: '0.0.0.0/0' };
      for (const path of ['/fw/open', '/fw/close']) await refused(client('PUT', path, { body }), 400, 'no useful node id here');
      const node = await start('seen');
      const mine = { ...body, node: node.id };
      await refused(client('POST', '/fw/open', { body: mine, token: tokens.viewer }), 403, /cannot create/);
      await refused(client('POST', '/fw/close', { body: mine, token: tokens.viewer }), 403, /cannot delete/);
      await refused(
        client('POST', `/fw/open${elsewhere}`, { body: mine, token: tokens.stranger }),
        400,
        'no useful node id here',
      );
      const { rule } = ruledSchema.parse((await done('POST', '/fw/open', mine)).body);
      const seen = async (token: string, query = '') => (await rules('/fw/open', token, query)).map(({ name }) => name);
      expect(await seen(tokens.viewer)).toContain(rule.name);
      expect(await seen(tokens.stranger, elsewhere)).not.toContain(rule.name);
      await stop(node.id);
    });
  });

  describe('ManageStorage', () => {
    const volumes = async (token = tokens.agent, query = '') =>
      listOf(await client('GET', `/storage${query}`, { token }), 'volumes', volumeSchema);
    const volume = async (method: string, path: string, body?: object) =>
      storedSchema.parse((await done(method, path, body)).body).volume;

    test('makes a volume, attaches it, detaches it, and destroys it, and each only where it can be', async () => {
      const node = await start('disk');
      await untilFree(node.id);
      const name = `${world.prefix}disk`;
      const made = await volume('POST', '/storage', { name, size: 1 });
      expect(made).toMatchObject({
        name,
        namespace: 'default',
        size: 1,
        node: '',
        ready: 'True',
        id: expect.stringMatching(/./),
      });
      await refused(client('POST', '/storage', { body: { name, size: 1 } }), 409, /already exists/);
      await refused(client('PUT', '/storage/detach', { body: { name } }), 409, `Volume ${name} is not attached`);
      const attached = await volume('PUT', '/storage/attach', { name, node: node.id });
      expect(attached).toMatchObject({ id: made.id, node: node.id });
      expect(await volume('PUT', '/storage/attach/fake_driver', { name, hostname: node.name })).toMatchObject({ node: node.id });
      await refused(client('DELETE', `/storage/${name}`), 409, `Volume ${name} is attached to Node ${node.id}: detach it first`);
      expect((await volumes()).find((each) => each.name === name)).toMatchObject({ id: made.id, node: node.id });
      expect(await volume('PUT', '/storage/detach', { name, node: node.id })).toMatchObject({ id: made.id, node: '' });
      expect((await done('DELETE', `/storage/${name}/fake_driver`)).body).toEqual({
        status: 'ok',
        result: `Volume ${name} deleted`,
      });
      expect((await volumes()).map((each) => each.name)).not.toContain(name);
      await refused(client('DELETE', `/storage/${name}`), 400, 'no useful volume name here');
      await stop(node.id);
    });

    test('makes one that is attached from the beginning; the machine can be stopped, and the volume stays', async () => {
      const node = await start('home');
      await untilFree(node.id);
      const name = `${world.prefix}home`;
      const { id } = await volume('POST', '/storage', { name, size: 1, node: node.id });
      await stop(node.id);
      await refused(client('DELETE', `/storage/${name}`), 409, /detach it first$/);
      await eventually(async () => {
        const reply = await client('PUT', '/storage/detach', { body: { name } });
        expect(storedSchema.parse(reply.body).volume).toMatchObject({ id, node: '' });
      }, world.patienceMs);
      await done('DELETE', `/storage/${name}`);
    });

    test('one that is declared to be kept is not destroyed', async () => {
      const name = `${world.prefix}kept`;
      const spec = { cloudRef: { name: world.cloud }, sizeGiB: 1, deletionPolicy: 'Retain' };
      const kept = {
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: 'Volume',
        metadata: { name, namespace: 'default' },
        spec,
      };
      await world.declare(kept);
      await refused(client('DELETE', `/storage/${name}`), 409, /^the Volume default\/.* is not to be destroyed: /);
      await world.remove(kept);
      await world.declare({
        ...kept,
        metadata: { name: `${name}-2`, namespace: 'default' },
        spec: { ...spec, deletionPolicy: 'Delete' },
      });
      await done('DELETE', `/storage/${name}-2`);
    });

    test.each([
      ['POST', '/storage', { size: 1 }],
      ['POST', '/storage', { name: 'My Data', size: 1 }],
      ['POST', '/storage', { name: 'data', size: 0 }],
      ['POST', '/storage', { name: 'data', size: 1, node: 'a', hostname: 'b' }],
      ['PUT', '/storage/attach', { name: 'data' }],
      ['PUT', '/storage/detach', { node: 'a' }],
    ])('%s %s with %j does not validate', async (method, path, body) => {
      await refused(client(method, path, { body }), 400, /^Some key doesn't validate the schema - /);
    });

    test('what is not there is refused; who only views sees, and changes nothing', async () => {
      await refused(client('POST', '/storage', { body: { name: 'a', size: 1, node: 'absent' } }), 400, 'no useful node id here');
      await refused(client('PUT', '/storage/detach', { body: { name: 'absent' } }), 400, 'no useful volume name here');
      const name = `${world.prefix}seen`;
      const body = { name, size: 1 };
      await refused(client('POST', '/storage', { body, token: tokens.viewer }), 403, /cannot create/);
      await refused(client('POST', '/storage?namespace=elsewhere', { body }), 403, /cannot create/);
      await done('POST', '/storage', body);
      await refused(client('DELETE', `/storage/${name}`, { token: tokens.viewer }), 403, /cannot delete/);
      const asStranger = { token: tokens.stranger };
      await refused(client('DELETE', `/storage/${name}${elsewhere}`, asStranger), 400, 'no useful volume name here');
      expect((await volumes(tokens.viewer)).map((each) => each.name)).toContain(name);
      expect((await volumes(tokens.stranger, elsewhere)).map((each) => each.name)).not.toContain(name);
      await done('DELETE', `/storage/${name}`);
    });
  });

  describe('VMManageAPI: what is not served', () => {
    test.each([
      ['PATCH', '/'],
      ['DELETE', '/cloud'],
      ['GET', '/auth'],
      ['POST', '/nodes'],
      ['PUT', '/images/default'],
      ['GET', '/vm/start'],
      ['PUT', '/vm/start'],
      ['POST', '/vm/stop'],
      ['DELETE', '/vm/status'],
      ['GET', '/vm/action/assign'],
      ['POST', '/vm/action/release'],
      ['GET', '/test/start'],
      ['PATCH', '/fw/open'],
      ['DELETE', '/fw/close'],
      ['PUT', '/storage'],
      ['GET', '/storage/attach/default'],
      ['POST', '/storage/detach/default'],
    ])('%s %s is not implemented', async (method, path) => {
      const reply = await client(method, path);
      await refused(reply, 501, 'Not implemented');
      expect(reply.headers.allow).toContain('OPTIONS');
    });

    test.each([
      ['/vm/start', 'POST, OPTIONS'],
      ['/nodes', 'GET, HEAD, OPTIONS'],
      ['/', 'GET, POST, HEAD, OPTIONS'],
    ])('OPTIONS %s answers, to anybody', async (path, allow) => {
      const reply = await client('OPTIONS', path, { token: undefined });
      expect({ code: reply.code, allow: reply.headers.allow }).toEqual({ code: 200, allow });
    });

    test.each([
      ['GET', '/a/b/c/d'],
      ['POST', '/a'],
      ['PUT', '/vm/restart'],
    ])('%s %s is nowhere', async (method, path) => {
      await refused(client(method, path), 404, /^nothing is served at /);
    });
  });

  describe('bodies', () => {
    test.each([
      ['broken JSON', '{"node": '],
      ['a form', 'node=7'],
      ['nothing', ''],
    ])('%s is a malformed stream', async (_what, body) => {
      await refused(client('PUT', '/vm/stop', { body }), 400, 'Malformed JSON stream');
    });

    test('JSON is JSON whatever its Content-Type says', async () => {
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      await refused(client('PUT', '/vm/stop', { body: { node: 'absent' }, headers }), 400, 'no useful node id here');
    });

    test('one that is too large is refused', async () => {
      await refused(client('POST', '/vm/start', { body: { name: 'x'.repeat(300_000) } }), 413, /larger than the limit/);
    });

    test('one in an encoding that is not known is refused', async () => {
      const headers = { 'Content-Encoding': 'squeezed' };
      await refused(client('PUT', '/vm/stop', { body: { node: 'a' }, headers }), 415, /encoding/);
    });

    test('a page of another site is not served', async () => {
      await refused(client('GET', '/cloud', { headers: { Origin: 'https://evil.example' } }), 403, /other sites/);
      expect((await client('GET', '/cloud', { headers: { Origin: world.url } })).code).toBe(200);
    });
  });

  describe('what tells of it', () => {
    test('the document names every row; the page shows them without a script', async () => {
      const nobody = v1Client(world.url);
      const document = z
        .looseObject({ openapi: z.string(), paths: z.record(z.string(), z.record(z.string(), z.unknown())) })
        .parse((await nobody('GET', '/openapi.json')).body);
      expect(document.openapi).toMatch(/^3\.1/);
      expect(Object.keys(document.paths)).toEqual(
        expect.arrayContaining([
          '/',
          '/auth',
          '/cloud',
          '/nodes/{cloud}',
          '/vm/start',
          '/vm/action/assign/{cloud}',
          '/test/{user_id}/kill',
          '/fw/open/{cloud}',
          '/storage/attach',
        ]),
      );
      const page = await nobody('GET', '/docs');
      expect(page.headers['content-type']).toContain('text/html');
      for (const path of Object.keys(document.paths).filter((each) => !each.endsWith('/{cloud}')))
        expect(page.text).toContain(path);
      expect(page.text).not.toContain('<script');
    });
  });
}

function listOf<Item>({ code, body }: V1Reply, key: string, item: z.ZodType<Item>): Item[] {
  if (code !== 200) throw new Error(`answered ${code}: ${JSON.stringify(body)}`);
  return z
    .record(z.string(), z.unknown())
    .transform((fields) => z.array(item).parse(fields[key]))
    .parse(body);
}
