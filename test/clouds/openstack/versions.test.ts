import { describe, expect, it } from '@jest/globals';
import { chooseVersion, versionDocumentPath } from '../../../src/clouds/openstack/microversions.js';
import { defaultNetworks, type Network } from '../../../src/clouds/openstack/networks.js';
import { serverState } from '../../../src/clouds/openstack/states.js';

describe('chooseVersion', () => {
  it.each([
    {
      reason: 'a newer cloud',
      range: ['2.1', '2.93'],
      version: '2.79',
      hasTags: true,
      tagsAtCreate: true,
      networksAtCreate: true,
    },
    { reason: 'Queens', range: ['2.1', '2.60'], version: '2.60', hasTags: true, tagsAtCreate: true, networksAtCreate: true },
    { reason: 'Ocata', range: ['2.1', '2.42'], version: '2.42', hasTags: true, tagsAtCreate: false, networksAtCreate: true },
    { reason: 'Liberty', range: ['2.1', '2.12'], version: '2.12', hasTags: false, tagsAtCreate: false, networksAtCreate: false },
    { reason: 'none at all', range: ['', ''], version: '2.1', hasTags: false, tagsAtCreate: false, networksAtCreate: false },
    {
      reason: 'a cloud that dropped the old',
      range: ['2.90', '2.120'],
      version: '2.90',
      hasTags: true,
      tagsAtCreate: true,
      networksAtCreate: true,
    },
  ])('chooses $version for $reason', ({ range, version, hasTags, tagsAtCreate, networksAtCreate }) => {
    const [lowest = '', highest = ''] = range;
    const chosen = chooseVersion({ version: { min_version: lowest, version: highest } });
    expect(chosen.headers['openstack-api-version']).toBe(`compute ${version}`);
    expect(chosen).toMatchObject({ hasTags, tagsAtCreate, networksAtCreate });
  });
});

describe('versionDocumentPath', () => {
  it.each([
    ['http://nova:8774/v2.1', 'http://nova:8774/v2.1/'],
    ['http://nova:8774/v2.1/fb0412e51eeb479e968509ad0da579a0', 'http://nova:8774/v2.1/'],
    ['https://cloud/compute/v2.1', 'https://cloud/compute/v2.1/'],
    ['https://cloud/compute/v2/abc', 'https://cloud/compute/v2/'],
    ['https://cloud/compute', 'https://cloud/compute/'],
  ])('of %s is %s', (endpoint, expected) => expect(versionDocumentPath(endpoint)).toBe(expected));
});

describe('serverState', () => {
  it.each([
    ['BUILD', 'scheduling', 'Building'],
    ['ACTIVE', null, 'Running'],
    ['ACTIVE', 'powering-off', 'Running'],
    ['ACTIVE', 'deleting', 'Deleting'],
    ['ERROR', 'deleting', 'Deleting'],
    ['SHUTOFF', null, 'Stopped'],
    ['VERIFY_RESIZE', null, 'AwaitingConfirmation'],
    ['HARD_REBOOT', 'reboot_started_hard', 'Rebooting'],
    ['DELETED', 'deleting', 'Deleted'],
    ['SHELVED_OFFLOADED', null, 'Unknown'],
    ['A_WORD_OF_THE_FUTURE', undefined, 'Unknown'],
  ] as const)('of %s with task %s is %s', (status, task, expected) => expect(serverState(status, task)).toBe(expected));
});

describe('defaultNetworks', () => {
  const network = (name: string, more: Partial<Network> = {}): Network => ({
    id: `id-${name}`,
    name,
    projectId: 'ours',
    shared: false,
    external: false,
    ...more,
  });
  const outside = network('public', { projectId: 'admin', external: true });
  it.each([
    { reason: 'none', networks: [], expected: 'none' },
    { reason: 'only the way out', networks: [outside], expected: 'none' },
    { reason: "only another project's", networks: [network('x', { projectId: 'theirs' })], expected: 'none' },
    { reason: 'one of its own', networks: [outside, network('a')], expected: ['id-a'] },
    { reason: 'one shared with it', networks: [network('a', { projectId: 'theirs', shared: true })], expected: ['id-a'] },
  ])('for a project with $reason is $expected', ({ networks, expected }) => {
    expect(defaultNetworks(networks, 'ours')).toEqual(expected);
  });

  it('are not guessed among several, but named', () => {
    expect(() => defaultNetworks([network('b'), network('a')], 'ours')).toThrow(/name one of them \(or none\): a, b$/);
  });
});
