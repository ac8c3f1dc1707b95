import { describe, expect, test } from '@jest/globals';
import { nodeOf, stateName } from '../../../src/api/v1/nodes.js';

const CLOUD = { cloud: 'lab', name: 'fake_driver', engine: 'openstack', host: 'cloud.example', isDefault: true };

function node(...addresses: { address: string; type: 'Fixed' | 'Floating' }[]) {
  return nodeOf({ id: '7', name: 'web', state: 'Running', addresses, metadata: {} }, CLOUD);
}

describe('a server as Libcloud shows a Node', () => {
  test('its uuid is the SHA-1 of id and provider', () => {
    expect(node()).toMatchObject({ uuid: '0ef9c73c90226fb4e49854943d9b97a42ca75d7a' });
  });

  test.each([
    ['10.0.0.5', 'Fixed', 'private_ips'],
    ['172.31.255.1', 'Fixed', 'private_ips'],
    ['192.168.1.1', 'Fixed', 'private_ips'],
    ['fd00::1', 'Fixed', 'private_ips'],
    ['172.32.0.1', 'Fixed', 'public_ips'],
    ['2001:db8::1', 'Fixed', 'public_ips'],
    ['10.0.0.5', 'Floating', 'public_ips'],
  ] as const)('%s, %s, is one of %s', (address, type, list) => {
    expect(node({ address, type })).toMatchObject({ public_ips: [], private_ips: [], [list]: [address] });
  });

  test.each([
    ['Building', 'pending'],
    ['Running', 'running'],
    ['Stopped', 'stopped'],
    ['Error', 'error'],
    ['Deleting', 'terminated'],
    ['Unknown', 'unknown'],
    ['Anything', 'unknown'],
    [undefined, 'unknown'],
  ])('%s is %s', (state, name) => {
    expect(stateName(state)).toBe(name);
  });
});
