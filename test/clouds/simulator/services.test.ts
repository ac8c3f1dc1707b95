import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../support/eventually.js';
import { ask, IMAGE, NETWORK, newServer, simulate, type User } from '../../support/simulator.js';

const SERVERS = '/compute/v2.1/servers';
const withId = z.looseObject({ id: z.string() });
const domain = { name: 'Default' };

describe('the services around the simulated Nova', () => {
  let simulator: Awaited<ReturnType<typeof simulate>>;
  let demo: User;
  beforeAll(async () => {
    simulator = await simulate();
    demo = await simulator.logIn();
  });
  afterAll(() => simulator.close());

  const logIn = (auth: unknown) => ask(`${simulator.url}/auth/tokens`, 'POST', {}, { auth });
  const password = (name: string, secret: string) => ({
    methods: ['password'],
    password: { user: { name, domain, password: secret } },
  });

  describe('Keystone', () => {
    it('names every service at the address that the client came to', async () => {
      const identity = password('demo', 'demo-secret');
      const { status, body } = await logIn({ identity, scope: { project: { name: 'demo', domain } } });
      expect(status).toBe(201);
      const token = z.object({
        token: z.object({ catalog: z.array(z.object({ type: z.string(), endpoints: z.array(z.object({ url: z.string() })) })) }),
      });
      const { catalog } = token.parse(body).token;
      expect(catalog.map(({ type }) => type)).toEqual(['compute', 'image', 'identity', 'network', 'volumev3']);
      for (const { endpoints } of catalog) for (const { url } of endpoints) expect(url.startsWith(simulator.origin)).toBe(true);
    });

    it.each<{ knob: 'networkService' | 'volumeService'; type: string }>([
      { knob: 'networkService', type: 'network' },
      { knob: 'volumeService', type: 'volumev3' },
    ])('leaves $type out of the catalog with the knob $knob at 0', async ({ knob, type }) => {
      const without = await simulate({ [knob]: 0 });
      try {
        const { body } = await ask(`${without.url}/auth/tokens`, 'POST', {}, { auth: { identity, scope: project('demo') } });
        const token = z.object({ token: z.object({ catalog: z.array(z.object({ type: z.string() })) }) });
        const types = token.parse(body).token.catalog.map((service) => service.type);
        expect(types).toContain('compute');
        expect(types).not.toContain(type);
      } finally {
        await without.close();
      }
    });

    const identity = password('demo', 'demo-secret');
    const project = (name: string) => ({ project: { name, domain } });
    it.each<{ reason: string; auth: unknown; status: number }>([
      { reason: 'a wrong password', auth: { identity: password('demo', 'x'), scope: project('demo') }, status: 401 },
      { reason: 'an unknown user', auth: { identity: password('who', 'demo-secret'), scope: project('demo') }, status: 401 },
      { reason: 'an unknown project', auth: { identity: password('demo', 'demo-secret'), scope: project('no') }, status: 401 },
      { reason: "another's project", auth: { identity: password('demo', 'demo-secret'), scope: project('alt') }, status: 401 },
      {
        reason: 'another domain',
        auth: {
          identity: {
            methods: ['password'],
            password: { user: { name: 'demo', domain: { name: 'no' }, password: 'demo-secret' } },
          },
        },
        status: 401,
      },
      { reason: 'a token that is none', auth: { identity: { methods: ['token'], token: { id: 'no' } } }, status: 401 },
      { reason: 'what is no login', auth: { identity: {} }, status: 400 },
    ])('refuses $reason', async ({ auth, status }) => {
      const { status: answered, headers } = await logIn(auth);
      expect(answered).toBe(status);
      expect(headers.get('x-subject-token')).toBeNull();
    });

    it('takes a token for a login, which lives no longer, and forgets one that is revoked', async () => {
      const user = await simulator.logIn();
      const identity = { methods: ['token'], token: { id: user.token } };
      const second = await logIn({ identity, scope: project('demo') });
      expect(second.status).toBe(201);
      const revoked = await ask(`${simulator.url}/auth/tokens`, 'DELETE', {
        'x-auth-token': user.token,
        'x-subject-token': user.token,
      });
      expect(revoked.status).toBe(204);
      expect((await user.ask('GET', SERVERS)).status).toBe(401);
      const token = second.headers.get('x-subject-token') ?? '';
      expect((await ask(`${simulator.origin}${SERVERS}`, 'GET', { 'x-auth-token': token })).status).toBe(200);
    });

    it('lets a token without a project see projects, and nothing else', async () => {
      const { headers } = await logIn({ identity: password('demo', 'demo-secret') });
      const token = { 'x-auth-token': headers.get('x-subject-token') ?? '' };
      expect((await ask(`${simulator.url}/auth/projects`, 'GET', token)).body).toMatchObject({ projects: [{ name: 'demo' }] });
      expect((await ask(`${simulator.origin}${SERVERS}`, 'GET', token)).status).toBe(401);
      expect((await ask(`${simulator.url}/projects`, 'GET', token)).status).toBe(403);
    });
  });

  it('Glance lists images by name and shows them', async () => {
    expect((await demo.ask('GET', '/image/v2/images?name=cirros-fake')).body).toMatchObject({
      images: [{ id: IMAGE, status: 'active' }],
      first: '/v2/images?name=cirros-fake',
    });
    expect((await demo.ask('GET', '/image/v2/images?limit=1')).body).toMatchObject({
      next: `/v2/images?limit=1&marker=${IMAGE}`,
    });
    expect((await demo.ask('GET', `/image/v2/images/${IMAGE}`)).body).toMatchObject({ name: 'cirros-fake' });
    expect((await demo.ask('GET', '/image/v2/images/nope')).status).toBe(404);
    expect((await demo.ask('GET', '/image/v2/images?marker=nope')).status).toBe(400);
    expect((await ask(`${simulator.origin}/image/v2/images`)).status).toBe(401);
  });

  it('Neutron shows to each project what it may use, and chooses fields', async () => {
    const { body } = await demo.ask('GET', '/network/v2.0/networks?fields=id&fields=name');
    expect(body).toEqual({
      networks: [
        { id: NETWORK, name: 'demo-net' },
        { id: expect.any(String), name: 'public' },
      ],
    });
    const alt = await simulator.logIn('alt');
    expect((await alt.ask('GET', '/network/v2.0/networks?name=demo-net')).body).toEqual({ networks: [] });
    expect(await alt.ask('GET', '/network/v2.0/networks/nope')).toMatchObject({
      status: 404,
      body: { NeutronError: { type: 'NetworkNotFound', message: 'Network nope could not be found.', detail: '' } },
    });
  });

  it('a port of ours keeps its address through servers, is bound to one at a time, and is guarded by its revision', async () => {
    const made = await demo.ask('POST', '/network/v2.0/ports', { port: { network_id: NETWORK, name: 'fence' } });
    expect(made).toMatchObject({ status: 201, body: { port: { device_id: '', status: 'DOWN' } } });
    const { port } = z.object({ port: withId }).parse(made.body);
    const create = () => demo.ask('POST', SERVERS, newServer({ networks: [{ port: port.id }] }), '2.79');
    const { server } = z.object({ server: withId }).parse((await create()).body);
    const show = async () => (await demo.ask('GET', `/network/v2.0/ports/${port.id}`)).body;
    await eventually(async () =>
      expect(await show()).toMatchObject({ port: { device_id: server.id, device_owner: 'compute:nova', status: 'ACTIVE' } }),
    );
    expect(await create()).toMatchObject({
      status: 409,
      body: { conflictingRequest: { message: `Port ${port.id} is still in use.` } },
    });
    await demo.ask('DELETE', `${SERVERS}/${server.id}`);
    await eventually(async () => expect(await show()).toMatchObject({ port: { device_id: '', fixed_ips: port.fixed_ips } }));
    const token = { 'x-auth-token': demo.token };
    const url = `${simulator.origin}/network/v2.0/ports/${port.id}`;
    const stale = await ask(url, 'PUT', { ...token, 'if-match': 'revision_number=1' }, { port: { name: 'new' } });
    expect(stale.status).toBe(412);
    expect((await demo.ask('DELETE', `/network/v2.0/ports/${port.id}`)).status).toBe(204);
    expect((await demo.ask('DELETE', `/network/v2.0/ports/${port.id}`)).status).toBe(404);
  });

  it('of two servers that ask for one port at the same moment, one ends in ERROR and the other keeps it', async () => {
    const slow = await simulate({ buildTime: 300 });
    try {
      const user = await slow.logIn();
      const made = await user.ask('POST', '/network/v2.0/ports', { port: { network_id: NETWORK } });
      const { port } = z.object({ port: withId }).parse(made.body);
      for (const name of ['first', 'second']) {
        const { status } = await user.ask('POST', SERVERS, newServer({ name, networks: [{ port: port.id }] }), '2.79');
        expect(status).toBe(202);
      }
      await eventually(async () => {
        const { body } = await user.ask('GET', `${SERVERS}/detail`);
        const { servers } = z.object({ servers: z.array(z.looseObject({ status: z.string() })) }).parse(body);
        expect(servers.map(({ status }) => status).sort()).toEqual(['ACTIVE', 'ERROR']);
      });
    } finally {
      await slow.close();
    }
  });

  it('Cinder makes volumes, Nova attaches them, and a deleted server frees them', async () => {
    const made = await demo.ask('POST', '/volume/v3/p/volumes', { volume: { name: 'data', size: 1 } });
    expect(made).toMatchObject({ status: 202, body: { volume: { size: 1 } } });
    const { volume } = z.object({ volume: withId }).parse(made.body);
    const path = `/volume/v3/p/volumes/${volume.id}`;
    const { server } = z.object({ server: withId }).parse((await demo.ask('POST', SERVERS, newServer(), '2.79')).body);
    await eventually(async () =>
      expect((await demo.ask('GET', `${SERVERS}/${server.id}`)).body).toMatchObject({ server: { status: 'ACTIVE' } }),
    );
    const attach = () =>
      demo.ask('POST', `${SERVERS}/${server.id}/os-volume_attachments`, { volumeAttachment: { volumeId: volume.id } }, '2.79');
    expect(await attach()).toMatchObject({ status: 200, body: { volumeAttachment: { device: '/dev/sdb' } } });
    expect((await attach()).status).toBe(400);
    expect((await demo.ask('GET', path)).body).toMatchObject({
      volume: { status: 'in-use', attachments: [{ server_id: server.id, device: '/dev/sdb' }] },
    });
    expect((await demo.ask('DELETE', path)).status).toBe(400);
    const attachment = `${SERVERS}/${server.id}/os-volume_attachments/${volume.id}`;
    expect((await demo.ask('DELETE', attachment)).status).toBe(202);
    expect((await demo.ask('DELETE', attachment)).status).toBe(404);
    expect((await attach()).status).toBe(200);
    await demo.ask('DELETE', `${SERVERS}/${server.id}`);
    await eventually(async () => expect((await demo.ask('GET', path)).body).toMatchObject({ volume: { status: 'available' } }));
    expect((await demo.ask('DELETE', path)).status).toBe(202);
    expect((await demo.ask('GET', path)).status).toBe(404);
  });

  it('Cinder refuses a microversion that is meant for Nova, and volumes without a size', async () => {
    expect((await demo.ask('GET', '/volume/v3/p/volumes', undefined, '2.79')).status).toBe(400);
    expect((await demo.ask('POST', '/volume/v3/p/volumes', { volume: { name: 'x' } })).status).toBe(400);
    expect((await demo.ask('POST', '/volume/v3/p/volumes', { volume: { name: 'x', size: 0 } })).body).toEqual({
      badRequest: { code: 400, message: 'Invalid input for field/attribute size. Value: 0. 0 is less than the minimum of 1' },
    });
  });

  it('keeps key pairs by user, with the fingerprint that ssh-keygen gives', async () => {
    const keypair = {
      name: 'key',
      public_key: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIK0wmN/Cr3JXqmLW7u+g9pTh+wyqDHpSQEIQczXkVx9q a@b',
    };
    const path = '/compute/v2.1/os-keypairs';
    expect(await demo.ask('POST', path, { keypair }, '2.79')).toMatchObject({
      status: 201,
      body: { keypair: { type: 'ssh', fingerprint: '7f:f8:14:19:38:eb:b8:ca:18:a4:04:02:aa:7d:b4:c4' } },
    });
    expect(await demo.ask('POST', path, { keypair }, '2.79')).toMatchObject({
      status: 409,
      body: { conflictingRequest: { message: "Key pair 'key' already exists." } },
    });
    expect((await demo.ask('POST', path, { keypair: { name: 'b', public_key: 'garbage' } }, '2.79')).status).toBe(400);
    expect((await (await simulator.logIn('alt')).ask('GET', path)).body).toEqual({ keypairs: [] });
    expect((await demo.ask('DELETE', `${path}/key`, undefined, '2.79')).status).toBe(204);
    expect((await demo.ask('DELETE', `${path}/key`, undefined, '2.79')).status).toBe(404);
  });

  it('answers 404 to what no service has', async () => {
    expect((await demo.ask('GET', '/compute/v2.1/nope')).status).toBe(404);
    expect((await demo.ask('GET', '/nope')).status).toBe(404);
  });
});
