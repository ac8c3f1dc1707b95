import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { systemEnvironment } from '../../../src/environment.js';
import { type Answer, ask, newServer, simulate, type User } from '../../support/simulator.js';

const VOLUMES = '/volume/v3/p/volumes';
const SERVERS = '/compute/v2.1/servers';
const DEMO = 'd3300000000000000000000000000001';
const UNKNOWN = '11111111-1111-4111-8111-999999999999';
/** Longer than anything takes: at most half an action's time of a minute. */
const MINUTE = 60_000;

const withId = z.looseObject({ id: z.string() });
const volumeBody = z.object({ volume: withId.extend({ status: z.string(), size: z.int() }) });

describe('volumes of the simulated Cinder', () => {
  let simulator: Awaited<ReturnType<typeof simulate>>;
  let demo: User;
  let admin: User;
  let now = Date.UTC(2026, 0, 1);
  beforeAll(async () => {
    const environment = { ...systemEnvironment, now: () => new Date(now) };
    simulator = await simulate({ actionTime: MINUTE, tokenTtl: 86_400_000 }, { environment });
    demo = await simulator.logIn();
    admin = await simulator.logIn('admin');
  });
  afterAll(() => simulator.close());

  const call = (method: string, path: string, version: string, body?: unknown): Promise<Answer> =>
    ask(`${simulator.origin}${path}`, method, { 'x-auth-token': demo.token, 'openstack-api-version': `volume ${version}` }, body);
  const pass = () => {
    now += MINUTE;
  };
  const show = async (id: string) => volumeBody.parse((await demo.ask('GET', `${VOLUMES}/${id}`)).body).volume;
  const create = (fields: Record<string, unknown> = {}) => demo.ask('POST', VOLUMES, { volume: { size: 1, ...fields } });
  const ready = async (fields: Record<string, unknown> = {}): Promise<string> => {
    const { id } = volumeBody.parse((await create(fields)).body).volume;
    pass();
    return id;
  };
  const boot = async (): Promise<string> => {
    const { body } = await demo.ask('POST', SERVERS, newServer(), '2.79');
    return z.object({ server: withId }).parse(body).server.id;
  };
  const extend = (id: string, size: unknown, version = '3.0') =>
    call('POST', `${VOLUMES}/${id}/action`, version, { 'os-extend': { new_size: size } });
  const attachments = (server: string) => `${SERVERS}/${server}/os-volume_attachments`;
  const attach = (server: string, volumeId: string) =>
    demo.ask('POST', attachments(server), { volumeAttachment: { volumeId } }, '2.79');

  it('go through their states as time passes', async () => {
    const made = await create({ name: 'data', metadata: { a: 'b' }, volume_type: '__DEFAULT__' });
    expect(made).toMatchObject({
      status: 202,
      body: { volume: { status: 'creating', volume_type: '__DEFAULT__', metadata: { a: 'b' }, updated_at: null } },
    });
    const { id } = volumeBody.parse(made.body).volume;
    const server = await boot();
    expect(await attach(server, id)).toMatchObject({ status: 400, body: { badRequest: { code: 400 } } });
    pass();
    expect(await show(id)).toMatchObject({ status: 'available', attachments: [] });
    expect((await attach(server, id)).status).toBe(200);
    expect(await show(id)).toMatchObject({ status: 'attaching', attachments: [] });
    pass();
    expect(await show(id)).toMatchObject({ status: 'in-use', attachments: [{ server_id: server, device: '/dev/sdb' }] });
    expect((await demo.ask('DELETE', `${VOLUMES}/${id}`)).status).toBe(400);
    const attachment = `${attachments(server)}/${id}`;
    expect((await demo.ask('DELETE', attachment)).status).toBe(202);
    expect(await show(id)).toMatchObject({ status: 'detaching' });
    expect(await demo.ask('DELETE', attachment)).toMatchObject({
      status: 400,
      body: { badRequest: { message: expect.stringContaining('Unable to detach volume') } },
    });
    pass();
    expect(await show(id)).toMatchObject({ status: 'available', attachments: [] });
    expect((await demo.ask('DELETE', attachment)).body).toEqual({
      itemNotFound: { code: 404, message: `Instance ${server} is not attached to volume ${id}` },
    });
    expect((await demo.ask('DELETE', `${VOLUMES}/${id}`)).status).toBe(202);
    expect(await show(id)).toMatchObject({ status: 'deleting' });
    pass();
    expect((await demo.ask('GET', `${VOLUMES}/${id}`)).status).toBe(404);
  });

  it('are had by one server at a time, and free once it is deleted', async () => {
    const id = await ready();
    const [first, second] = [await boot(), await boot()];
    await attach(first, id);
    const taken = {
      badRequest: { code: 400, message: `Invalid volume: volume ${id} is already attached to instances: ${first}` },
    };
    expect((await attach(second, id)).body).toEqual(taken);
    pass();
    expect((await attach(first, id)).body).toEqual(taken);
    await demo.ask('DELETE', `${SERVERS}/${first}`);
    pass();
    expect(await show(id)).toMatchObject({ status: 'available' });
    expect((await attach(second, id)).status).toBe(200);
  });

  it('are not given to, nor taken from, a server that is locked', async () => {
    const id = await ready();
    const server = await boot();
    const lock = (action: string) => demo.ask('POST', `${SERVERS}/${server}/action`, { [action]: null }, '2.79');
    await lock('lock');
    expect((await attach(server, id)).status).toBe(409);
    await lock('unlock');
    await attach(server, id);
    pass();
    await lock('lock');
    expect((await demo.ask('DELETE', `${attachments(server)}/${id}`)).status).toBe(409);
  });

  it('are gone at once if they are deleted before a host was chosen for them', async () => {
    const { id } = volumeBody.parse((await create()).body).volume;
    expect((await demo.ask('DELETE', `${VOLUMES}/${id}`)).status).toBe(202);
    expect((await demo.ask('GET', `${VOLUMES}/${id}`)).status).toBe(404);
    const second = volumeBody.parse((await create()).body).volume.id;
    now += MINUTE / 2;
    expect((await demo.ask('DELETE', `${VOLUMES}/${second}`)).status).toBe(400);
  });

  describe('growing', () => {
    let id: string;
    beforeEach(async () => {
      id = await ready({ size: 2 });
    });

    it('takes a while, and one at a time', async () => {
      expect((await extend(id, 3)).status).toBe(202);
      expect(await show(id)).toMatchObject({ status: 'extending', size: 2 });
      expect((await extend(id, 4)).body).toEqual({
        badRequest: {
          code: 400,
          message: `Invalid volume: Volume ${id} status must be '{'status': 'available'}' to extend, currently extending.`,
        },
      });
      pass();
      expect(await show(id)).toMatchObject({ status: 'available', size: 3 });
    });

    it.each<{ version: string; status: number }>([
      { version: '3.0', status: 400 },
      { version: '3.41', status: 400 },
      { version: '3.42', status: 202 },
      { version: 'latest', status: 202 },
    ])('while a server has it answers $status to version $version', async ({ version, status }) => {
      await attach(await boot(), id);
      pass();
      expect((await extend(id, 3, version)).status).toBe(status);
      pass();
      expect(await show(id)).toMatchObject({ status: 'in-use', size: status === 202 ? 3 : 2 });
    });

    it.each<{ reason: string; size: unknown; message: RegExp }>([
      { reason: 'smaller', size: 1, message: /must be greater than current size\. \(current: 2, extended: 1\)\.$/ },
      { reason: 'the same', size: 2, message: /\(current: 2, extended: 2\)\.$/ },
      { reason: 'no number', size: 'x', message: /^Invalid input for field\/attribute new_size\. Value: x\./ },
      { reason: 'nothing', size: undefined, message: /'new_size' is a required property$/ },
    ])('refuses a size that is $reason', async ({ size, message }) => {
      expect(await extend(id, size)).toMatchObject({
        status: 400,
        body: { badRequest: { message: expect.stringMatching(message) } },
      });
    });
  });

  it('bear metadata that is merged, replaced, and taken away by key', async () => {
    const id = await ready();
    const path = `${VOLUMES}/${id}/metadata`;
    const metadata = (value: Record<string, string>) => ({ status: 200, body: { metadata: value } });
    expect(await demo.ask('POST', path, { metadata: { a: '1', b: '2' } })).toMatchObject(metadata({ a: '1', b: '2' }));
    expect(await demo.ask('POST', path, { metadata: { b: '3' } })).toMatchObject(metadata({ a: '1', b: '3' }));
    expect((await demo.ask('DELETE', `${path}/a`)).status).toBe(200);
    expect((await demo.ask('DELETE', `${path}/a`)).body).toEqual({
      itemNotFound: { code: 404, message: `Volume ${id} has no metadata with key a.` },
    });
    expect((await demo.ask('GET', path)).body).toEqual({ metadata: { b: '3' } });
    expect((await demo.ask('PUT', path, { metadata: { c: '4' } })).body).toEqual({ metadata: { c: '4' } });
    expect((await demo.ask('PUT', `${path}/c`, { meta: { c: '5' } })).body).toEqual({ meta: { c: '5' } });
    expect((await demo.ask('PUT', `${path}/c`, { meta: { d: '5' } })).status).toBe(400);
    expect(await show(id)).toMatchObject({ metadata: { c: '5' } });
    expect(await demo.ask('GET', `${VOLUMES}?metadata=${encodeURIComponent("{'c': '5'}")}`)).toMatchObject({
      body: { volumes: [{ id }] },
    });
  });

  it('come by pages, the newest first, and by name', async () => {
    const ids = [await ready({ name: 'paged' }), await ready({ name: 'paged' }), await ready({ name: 'paged' })].reverse();
    const page = z.object({
      volumes: z.array(withId),
      volumes_links: z.array(z.object({ href: z.string() })).optional(),
    });
    const walked: string[] = [];
    let next: string | undefined = `${VOLUMES}/detail?name=paged&limit=2`;
    for (let pages = 0; next !== undefined && pages < 5; pages += 1) {
      const { volumes, volumes_links: links } = page.parse((await demo.ask('GET', next)).body);
      walked.push(...volumes.map(({ id }) => id));
      next = links?.[0]?.href.replace(simulator.origin, '');
    }
    expect(walked).toEqual(ids);
    expect((await demo.ask('GET', `${VOLUMES}?limit=x`)).status).toBe(400);
    expect((await demo.ask('GET', `${VOLUMES}?marker=${UNKNOWN}`)).status).toBe(404);
  });

  it.each<{ reason: string; fields: Record<string, unknown>; status: number; message: RegExp }>([
    {
      reason: 'a type that is not there',
      fields: { volume_type: 'nope' },
      status: 404,
      message: /^Volume type with name nope could not be found\.$/,
    },
    { reason: 'no size', fields: { size: undefined }, status: 400, message: /^The server could not comply/ },
    { reason: 'metadata that is no text', fields: { metadata: { a: 1 } }, status: 400, message: /1 is not of type 'string'$/ },
  ])('are not made with $reason', async ({ fields, status, message }) => {
    const answer = await create(fields);
    expect(answer.status).toBe(status);
    expect(Object.values(z.record(z.string(), z.unknown()).parse(answer.body))).toMatchObject([
      { code: status, message: expect.stringMatching(message) },
    ]);
  });

  it.each<{ reason: string; quota: Record<string, number>; size: number; message: RegExp }>([
    {
      reason: 'too many',
      quota: { volumes: 0 },
      size: 1,
      message: /^VolumeLimitExceeded: .* \(0\) exceeded for quota 'volumes'\.$/,
    },
    {
      reason: 'too much together',
      quota: { gigabytes: 0 },
      size: 5,
      message: /^VolumeSizeExceedsAvailableQuota: .* Requested 5G, quota is 0G and \d+G has been consumed\.$/,
    },
    {
      reason: 'one too large',
      quota: { per_volume_gigabytes: 7 },
      size: 8,
      message: /^VolumeSizeExceedsLimit: Requested volume size 8G is larger than maximum allowed limit 7G\.$/,
    },
  ])('are refused over quota: $reason', async ({ quota, size, message }) => {
    const id = await ready();
    const path = `/volume/v3/p/os-quota-sets/${DEMO}`;
    const set = (limits: Record<string, number>) => admin.ask('PUT', path, { quota_set: limits });
    expect((await demo.ask('PUT', path, { quota_set: quota })).status).toBe(403);
    expect((await set({ bogus: 1 })).status).toBe(400);
    expect((await set(quota)).status).toBe(200);
    const refused = { status: 413, body: { overLimit: { code: 413, message: expect.stringMatching(message), retryAfter: '0' } } };
    expect(await create({ size })).toMatchObject(refused);
    if (quota.volumes === undefined) expect((await extend(id, size + 1)).status).toBe(413);
    await admin.ask('DELETE', path);
    expect((await create({ size })).status).toBe(202);
  });

  it.each<{ version: string; status: number; fields: number }>([
    { version: '3.0', status: 200, fields: 0 },
    { version: '3.70', status: 200, fields: 3 },
    { version: 'latest', status: 200, fields: 3 },
    { version: '3.71', status: 406, fields: 0 },
    { version: '2.0', status: 406, fields: 0 },
    { version: 'x', status: 400, fields: 0 },
  ])('answer version $version with $status', async ({ version, status, fields }) => {
    const id = await ready();
    const { status: answered, body } = await call('GET', `${VOLUMES}/${id}`, version);
    expect(answered).toBe(status);
    const later = ['group_id', 'volume_type_id', 'consumes_quota'];
    const { volume } = z.object({ volume: z.record(z.string(), z.unknown()).default({}) }).parse(body);
    expect(Object.keys(volume).filter((name) => later.includes(name))).toHaveLength(fields);
  });

  it('have one type', async () => {
    const types = z.object({ volume_types: z.array(withId) }).parse((await demo.ask('GET', '/volume/v3/p/types')).body);
    expect(types.volume_types).toMatchObject([{ name: '__DEFAULT__' }]);
    const [type] = types.volume_types;
    expect((await demo.ask('GET', `/volume/v3/p/types?marker=${type?.id}`)).body).toEqual({ volume_types: [] });
    expect(await demo.ask('GET', `/volume/v3/p/types/${type?.id}`)).toMatchObject({ body: { volume_type: { id: type?.id } } });
    expect((await demo.ask('GET', '/volume/v3/p/types/nope')).status).toBe(404);
  });
});
