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

  it('makes a key pair and a volume', async () => {
    expect(await openstack('keypair', 'create', 'my-key')).toMatch(/^-----BEGIN RSA PRIVATE KEY-----/);
    expect(await json('volume', 'create', '--size', '2', 'data')).toMatchObject({ name: 'data', size: 2, status: 'creating' });
  }, 60_000);
});
