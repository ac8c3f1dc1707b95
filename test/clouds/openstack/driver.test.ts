import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CreateServerRequest } from '../../../src/clouds/driver.js';
import { login, type ScriptedCloud, startCloud } from './scripted-cloud.js';

const owner = { installation: 'our-installation', uid: 'uid-1', attempt: 'attempt-1' };
const request: CreateServerRequest = {
  name: 'web',
  imageId: 'image',
  flavorId: 'flavor',
  metadata: { role: 'web' },
  tags: ['blue'],
};
const CREATE = /^POST \/compute\/v2\.1\/servers$/;
const NETWORKS = /^GET \/network\/v2\.0\/networks/;

let cloud: ScriptedCloud;
beforeEach(async () => {
  cloud = await startCloud();
  cloud.on(CREATE, { status: 202, headers: { date: 'Thu, 01 Jan 2026 00:00:00 GMT' }, body: { server: { id: 'new' } } });
  cloud.on(NETWORKS, { status: 200, body: { networks: [{ id: 'net-1', name: 'demo-net', project_id: 'project-1' }] } });
});
afterEach(() => cloud.close());

const created = () => JSON.parse(cloud.requests(CREATE).at(-1)?.text ?? '{}').server;

describe('createServer', () => {
  it('asks for everything in one call, the owner tag too', async () => {
    const server = await cloud.driver.createServer({ ...request, networks: ['net-2'], keyName: 'key', userData: 'ü' }, owner);
    expect(created()).toEqual({
      name: 'web',
      imageRef: 'image',
      flavorRef: 'flavor',
      key_name: 'key',
      user_data: Buffer.from('ü').toString('base64'),
      networks: [{ uuid: 'net-2' }],
      metadata: {
        role: 'web',
        'dispatcher.installation': 'our-installation',
        'dispatcher.uid': 'uid-1',
        'dispatcher.attempt': 'attempt-1',
      },
      tags: ['blue', 'dispatcher:uid-1:our-inst'],
    });
    expect(server).toEqual({
      id: 'new',
      name: 'web',
      state: 'Building',
      owner,
      ownerTagWhole: true,
      imageId: 'image',
      flavorId: 'flavor',
      keyName: 'key',
      metadata: { role: 'web' },
      tags: ['blue'],
      addresses: [],
      createdAt: '2026-01-01T00:00:00Z',
    });
    expect(cloud.reports.filter((report) => report.effect)).toHaveLength(1);
  });

  it('looks for the one network once for many servers', async () => {
    for (let i = 0; i < 5; i += 1) await cloud.driver.createServer(request, owner);
    expect(created().networks).toEqual([{ uuid: 'net-1' }]);
    expect(cloud.count(NETWORKS)).toBe(1);
    expect(cloud.count(CREATE)).toBe(5);
  });

  it('makes nothing when the network cannot be chosen', async () => {
    cloud.on(NETWORKS, {
      status: 200,
      body: { networks: ['a', 'b'].map((name) => ({ id: name, name, project_id: 'project-1' })) },
    });
    await expect(cloud.driver.createServer(request, owner)).rejects.toMatchObject({ code: 'Invalid' });
    cloud.on(NETWORKS, 'reset');
    await expect(cloud.driver.createServer(request, owner)).rejects.toMatchObject({ code: 'Unavailable' });
    expect(cloud.count(CREATE)).toBe(0);
  });

  it('hands over ports of its own, and groups for those that the cloud makes', async () => {
    await cloud.driver.createServer({ ...request, networks: { portIds: ['port-1', 'port-2'] } }, owner);
    expect(created().networks).toEqual([{ port: 'port-1' }, { port: 'port-2' }]);
    expect(created()).not.toHaveProperty('security_groups');
    await cloud.driver.createServer({ ...request, groupIds: ['group-1', 'group-2'] }, owner);
    expect(created().networks).toEqual([{ uuid: 'net-1' }]);
    expect(created().security_groups).toEqual([{ name: 'group-1' }, { name: 'group-2' }]);
  });

  it('goes on without a network in a cloud that has no neutron', async () => {
    cloud.on(/^POST \/identity/, login(cloud.endpoint, 't', 3_600_000, ['network']));
    await cloud.driver.createServer(request, owner);
    expect(created().networks).toBe('none');
  });

  it('speaks to nova alone in its microversion', async () => {
    await cloud.driver.createServer(request, owner);
    expect(cloud.requests(CREATE)[0]?.headers['openstack-api-version']).toBe('compute 2.79');
    expect(cloud.requests(NETWORKS)[0]?.headers).not.toHaveProperty('openstack-api-version');
  });

  it('writes the owner tag to metadata alone where a create takes no tags, and says that it is not whole', async () => {
    cloud.on(/^GET \/compute\/v2\.1\/$/, { status: 200, body: { version: { version: '2.42', min_version: '2.1' } } });
    expect(await cloud.driver.createServer(request, owner)).toMatchObject({ owner, ownerTagWhole: false });
    expect(created()).not.toHaveProperty('tags');
    expect(created().metadata).toMatchObject({ 'dispatcher.uid': 'uid-1' });
  });

  it('works with a nova that knows neither tags nor how to say none', async () => {
    cloud.on(/^GET \/compute\/v2\.1\/$/, { status: 200, body: { version: { version: '', min_version: '' } } });
    await cloud.driver.createServer({ ...request, networks: 'none' }, owner);
    expect(created()).not.toHaveProperty('networks');
    await expect(cloud.driver.setServerTags('id', [], owner)).rejects.toMatchObject({ code: 'Invalid' });
  });

  it('sends nothing when it is called off in the queue', async () => {
    const driver = cloud.connect({ limits: { requestsPerSecond: 1000, inFlight: 1 } });
    await driver.createServer({ ...request, networks: 'none' }, owner);
    cloud.on(/^GET .*\/limits$/, 'silence');
    const stuck = driver.getQuota().catch(() => undefined);
    const stop = new AbortController();
    const waiting = driver.createServer({ ...request, networks: 'none' }, owner, stop.signal);
    stop.abort();
    await expect(waiting).rejects.toMatchObject({ code: 'Unavailable' });
    await driver.close();
    await stuck;
    expect(cloud.count(CREATE)).toBe(1);
  });
});

describe('lists of what servers are made from', () => {
  it('are read to their end', async () => {
    const pages = (all: readonly string[], path: string) => {
      const marker = new URL(path, 'http://cloud').searchParams.get('marker');
      return all.slice(marker === null ? 0 : all.indexOf(marker) + 1).slice(0, 2);
    };
    const all = ['a', 'b', 'c', 'd', 'e'];
    cloud.on(/flavors\/detail/, ({ path }) => ({
      status: 200,
      body: { flavors: pages(all, path).map((id) => ({ id, name: id, ram: 512, vcpus: 1, disk: 1 })) },
    }));
    cloud.on(/os-keypairs/, ({ path }) => ({
      status: 200,
      body: { keypairs: pages(all, path).map((name) => ({ keypair: { name, public_key: 'k', fingerprint: 'f' } })) },
    }));
    cloud.on(/\/image\/v2\/images/, ({ path }) => {
      const images = pages(all, path).map((id) => ({ id, name: id, status: 'active' }));
      const last = images.at(-1)?.id;
      return { status: 200, body: { images, ...(last === 'e' ? {} : { next: `/v2/images?limit=2&marker=${last}` }) } };
    });
    cloud.on(NETWORKS, ({ path }) => {
      const networks = pages(all, path).map((id) => ({ id, name: id }));
      const links = networks.at(-1)?.id === 'e' ? {} : { networks_links: [{ rel: 'next', href: 'x' }] };
      return { status: 200, body: { networks, ...links } };
    });
    expect((await cloud.driver.listFlavors()).map((one) => one.id)).toEqual(all);
    expect((await cloud.driver.listKeyPairs()).map((one) => one.name)).toEqual(all);
    expect((await cloud.driver.listImages()).map((one) => one.id)).toEqual(all);
    expect(await cloud.driver.listNetworks()).toEqual(all.map((id) => ({ id, name: id })));
  });
});

describe('setLimits', () => {
  it('takes effect on a driver at work', () => {
    cloud.driver.setLimits({ requestsPerSecond: 5, inFlight: 3 });
    expect(cloud.driver.limiterCounters().window).toBe(3);
  });
});
