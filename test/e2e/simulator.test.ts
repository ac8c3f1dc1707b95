import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { z } from 'zod';
import { simulate } from '../support/simulator.js';
import { describeWith } from './support/real-part.js';

const CLIENT = process.env.OPENSTACK_CLIENT ?? '/usr/bin/openstack';
const HOW = 'needs the stock openstack client: apt-get install python3-openstackclient, or OPENSTACK_CLIENT set to its path';
const run = promisify(execFile);
const row = z.record(z.string(), z.unknown());

// Each call takes the client some 1.5 s, most of it for loading itself: few calls, each asking for much.
describeWith(existsSync(CLIENT), HOW)('The stock openstack client on a simulated cloud', () => {
  let simulator: Awaited<ReturnType<typeof simulate>>;
  beforeAll(async () => {
    simulator = await simulate({ buildTime: 50, actionTime: 20 });
  });
  afterAll(() => simulator.close());

  const openstack = async (...words: string[]): Promise<string> => {
    const environment = {
      PATH: '/usr/bin:/bin',
      OS_AUTH_URL: simulator.url,
      OS_IDENTITY_API_VERSION: '3',
      OS_REGION_NAME: 'RegionOne',
      OS_USERNAME: 'demo',
      OS_PASSWORD: 'demo-secret',
      OS_PROJECT_NAME: 'demo',
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
    };
    return (await run(CLIENT, words, { env: environment, timeout: 60_000 })).stdout.trim();
  };
  const json = async (...words: string[]): Promise<unknown> => JSON.parse(await openstack(...words, '-f', 'json'));

  it('boots, lists, shows, stops, starts and deletes a server', async () => {
    const made = row.parse(
      await json('server', 'create', '--image', 'cirros-fake', '--flavor', 'm1.tiny', '--network', 'demo-net', '--wait', 'web-1'),
    );
    expect(made).toMatchObject({ name: 'web-1', status: 'ACTIVE', 'OS-EXT-STS:vm_state': 'active' });
    expect(await json('server', 'list')).toEqual([
      {
        ID: made.id,
        Name: 'web-1',
        Status: 'ACTIVE',
        Networks: { 'demo-net': ['10.77.0.2'] },
        Image: 'cirros-fake',
        Flavor: 'm1.tiny',
      },
    ]);
    await openstack('server', 'stop', 'web-1');
    expect(await json('server', 'show', 'web-1')).toMatchObject({ id: made.id, status: 'SHUTOFF' });
    await openstack('server', 'start', 'web-1');
    await openstack('server', 'delete', '--wait', 'web-1');
    expect(simulator.calls()).toMatchObject({
      'nova POST /v2.1/servers': 1,
      'nova POST /v2.1/servers/:id/action os-stop': 1,
      'nova POST /v2.1/servers/:id/action os-start': 1,
      'nova DELETE /v2.1/servers/:id': 1,
    });
  }, 120_000);

  it('opens ports with security groups, on a port that outlives its server', async () => {
    const group = row.parse(await json('security', 'group', 'create', '--description', 'for the web', 'web'));
    expect(group).toMatchObject({ name: 'web', description: 'for the web' });
    const source = ['--remote-ip', '10.0.0.0/8'];
    const rule = row.parse(
      await json('security', 'group', 'rule', 'create', '--protocol', 'tcp', '--dst-port', '80:81', ...source, 'web'),
    );
    expect(rule).toMatchObject({ protocol: 'tcp', port_range_min: 80, port_range_max: 81, remote_ip_prefix: '10.0.0.0/8' });
    expect(await json('security', 'group', 'rule', 'list', '--ingress', 'web')).toMatchObject([
      { ID: rule.id, 'IP Protocol': 'tcp', 'Port Range': '80:81', 'IP Range': '10.0.0.0/8' },
    ]);
    const port = row.parse(await json('port', 'create', '--network', 'demo-net', '--security-group', 'web', 'fence'));
    expect(await json('port', 'list', '--network', 'demo-net')).toMatchObject([{ ID: port.id, Name: 'fence' }]);
    await openstack('server', 'create', '--image', 'cirros-fake', '--flavor', 'm1.tiny', '--port', 'fence', '--wait', 'web-2');
    await openstack('server', 'add', 'security', 'group', 'web-2', 'default');
    expect(await json('server', 'show', 'web-2')).toMatchObject({
      addresses: { 'demo-net': [expect.any(String)] },
      security_groups: [{ name: 'web' }, { name: 'default' }],
    });
    await openstack('server', 'remove', 'security', 'group', 'web-2', 'default');
    await openstack('server', 'delete', '--wait', 'web-2');
    expect(await json('port', 'show', 'fence')).toMatchObject({ device_id: '', security_group_ids: [group.id] });
    await expect(openstack('security', 'group', 'delete', 'web')).rejects.toThrow(/in use/);
    await openstack('port', 'delete', 'fence');
    await openstack('security', 'group', 'rule', 'delete', String(rule.id));
    await openstack('security', 'group', 'delete', 'web');
    expect(await json('security', 'group', 'list')).toMatchObject([{ Name: 'default' }]);
  }, 240_000);

  it('makes a volume, grows it, and gives it to a server and takes it back', async () => {
    expect(await json('volume', 'type', 'list')).toMatchObject([{ Name: '__DEFAULT__' }]);
    const made = row.parse(await json('volume', 'create', '--size', '1', '--property', 'a=b', 'home'));
    expect(made).toMatchObject({ name: 'home', size: 1, status: 'creating', properties: { a: 'b' } });
    await openstack('volume', 'set', '--size', '2', 'home');
    await openstack('server', 'create', '--image', 'cirros-fake', '--flavor', 'm1.tiny', '--wait', 'web-3');
    await openstack('server', 'add', 'volume', 'web-3', 'home');
    expect(await json('volume', 'list', '--name', 'home')).toMatchObject([
      { ID: made.id, Status: 'in-use', Size: 2, 'Attached to': [{ device: '/dev/sdb' }] },
    ]);
    await openstack('server', 'remove', 'volume', 'web-3', 'home');
    await openstack('server', 'delete', '--wait', 'web-3');
    await openstack('volume', 'delete', 'home');
    expect(await json('volume', 'list', '--name', 'home')).toEqual([]);
  }, 180_000);

  it('makes a key pair and a volume', async () => {
    expect(await openstack('keypair', 'create', 'my-key')).toMatch(/^-----BEGIN RSA PRIVATE KEY-----/);
    expect(await json('volume', 'create', '--size', '2', 'data')).toMatchObject({ name: 'data', size: 2, status: 'creating' });
  }, 60_000);
});
