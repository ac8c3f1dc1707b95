import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CloudDriver } from '../../../src/clouds/driver.js';
import type { CloudErrorCode } from '../../../src/clouds/errors.js';
import { login, type Reply, type ScriptedCloud, startCloud } from './scripted-cloud.js';

const owner = { installation: 'our-installation', key: 'key-1' };
const PORTS = /^GET \/network\/v2\.0\/ports\?/;
const GROUPS = /^GET \/network\/v2\.0\/security-groups\?/;

let cloud: ScriptedCloud;
let driver: CloudDriver;
beforeEach(async () => {
  cloud = await startCloud({ requestTimeoutMs: 400 });
  driver = cloud.driver;
});
afterEach(() => cloud.close());

const neutronError = (status: number, type: string, message = 'words'): Reply => ({
  status,
  body: { NeutronError: { type, message, detail: '' } },
});
const bodyOf = (pattern: RegExp) => JSON.parse(cloud.requests(pattern).at(-1)?.text ?? '{}');
const port = (id: string, more: Readonly<Record<string, unknown>> = {}) => ({
  id,
  network_id: 'net-1',
  fixed_ips: [{ subnet_id: 's', ip_address: '10.0.0.7' }],
  device_id: '',
  security_groups: ['group-1'],
  description: 'dispatcher:our-installation:key-1',
  ...more,
});
/** Two at a time, as a neutron with a small maximum gives them. */
const paged =
  (key: string, all: readonly { readonly id: string; readonly [field: string]: unknown }[]) =>
  (request: { readonly path: string }) => {
    const marker = new URL(request.path, 'http://cloud').searchParams.get('marker');
    const from = marker === null ? 0 : all.findIndex(({ id }) => id === marker) + 1;
    const items = all.slice(from, from + 2);
    const links = from + 2 < all.length ? { [`${key}_links`]: [{ rel: 'previous' }, { rel: 'next', href: 'x' }] } : {};
    return { status: 200, body: { [key]: items, ...links } };
  };

const SERVER = {
  server: { id: 'server-1', name: 'web', status: 'ACTIVE', created: '2026-01-01T00:00:00Z', metadata: {}, addresses: {} },
};

describe('ports', () => {
  it('are listed to the last page, of the project alone, and without what is not needed', async () => {
    cloud.on(
      PORTS,
      paged(
        'ports',
        ['a', 'b', 'c', 'd', 'e'].map((id) => port(id)),
      ),
    );
    expect((await driver.listPorts()).map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(cloud.count(PORTS)).toBe(3);
    for (const { path } of cloud.requests(PORTS)) {
      const query = new URL(path, 'http://cloud').searchParams;
      expect(query.get('project_id')).toBe('project-1');
      expect(query.getAll('fields')).toEqual(expect.arrayContaining(['id', 'device_id', 'security_groups', 'description']));
    }
  });

  it.each([
    {
      reason: 'a free one of ours',
      shown: {},
      read: { networkId: 'net-1', addresses: ['10.0.0.7'], groupIds: ['group-1'], owner, secured: true },
    },
    {
      reason: 'one of a server, nobody’s, that the network does not guard',
      shown: { device_id: 'server-1', description: '', port_security_enabled: false, security_groups: [] },
      read: { networkId: 'net-1', addresses: ['10.0.0.7'], groupIds: [], serverId: 'server-1', secured: false },
    },
    {
      reason: 'one without an address or description',
      shown: { fixed_ips: [], description: null },
      read: { networkId: 'net-1', addresses: [], groupIds: ['group-1'], secured: true },
    },
  ])('are read: $reason', async ({ shown, read }) => {
    cloud.on(PORTS, { status: 200, body: { ports: [port('a', shown)] } });
    expect(await driver.listPorts()).toEqual([{ id: 'a', ...read }]);
  });

  it('are made in one call, with owner, and with groups only where they are named', async () => {
    cloud.on(/^POST .*\/ports$/, { status: 201, body: { ports: [port('a'), port('b')] } });
    const request = { name: 'web', networkId: 'net-1', owner };
    const made = await driver.createPorts([{ ...request, groupIds: [] }, request]);
    expect(made.map(({ id }) => id)).toEqual(['a', 'b']);
    const common = { name: 'web', network_id: 'net-1', description: 'dispatcher:our-installation:key-1' };
    expect(bodyOf(/^POST .*\/ports$/)).toEqual({ ports: [{ ...common, security_groups: [] }, common] });
    expect(await driver.createPorts([])).toEqual([]);
    expect(cloud.count(/^POST .*\/ports$/)).toBe(1);
  });

  it('are changed by one call each', async () => {
    cloud.on(/^PUT .*\/ports\/a$/, { status: 200, body: { port: port('a', { security_groups: ['x', 'y'] }) } });
    expect(await driver.setPortGroups({ id: 'a' }, ['x', 'y'])).toMatchObject({ id: 'a', groupIds: ['x', 'y'] });
    expect(bodyOf(/^PUT /)).toEqual({ port: { security_groups: ['x', 'y'] } });
    await driver.disownPort('a');
    expect(bodyOf(/^PUT /)).toEqual({ port: { description: '' } });
  });

  describe('given to a server', () => {
    const address = { net: [{ addr: '10.0.0.5' }] };
    const free = port('a', { fixed_ips: [{ ip_address: '10.0.0.5' }] });

    beforeEach(() => {
      cloud.on(/^GET .*\/ports\/a$/, { status: 200, body: { port: free } });
      cloud.on(/^GET .*\/servers\/server-1$/, { status: 200, body: SERVER });
      cloud.on(/^POST .*\/os-interface$/, { status: 200, body: { interfaceAttachment: { port_id: 'a' } } });
      cloud.on(/^DELETE .*\/os-interface\/a$/, { status: 202 });
    });

    it('are given by nova', async () => {
      await driver.attachPort('server-1', 'a');
      expect(cloud.count(/^POST \/compute\/v2\.1\/servers\/server-1\/os-interface$/)).toBe(1);
      expect(bodyOf(/os-interface/)).toEqual({ interfaceAttachment: { port_id: 'a' } });
      expect(cloud.count(/^DELETE /)).toBe(0);
    });

    it('are first let go of by a server that has lost one without knowing', async () => {
      cloud.on(/^GET .*\/servers\/server-1$/, { status: 200, body: { server: { ...SERVER.server, addresses: address } } });
      await expect(driver.attachPort('server-1', 'a')).rejects.toMatchObject({ code: 'Conflict' });
      expect(cloud.count(/^DELETE \/compute\/v2\.1\/servers\/server-1\/os-interface\/a$/)).toBe(1);
      expect(cloud.count(/^POST .*os-interface/)).toBe(0);
    });

    it('are left to nova to refuse when another has them', async () => {
      cloud.on(/^GET .*\/ports\/a$/, { status: 200, body: { port: { ...free, device_id: 'server-1' } } });
      cloud.on(/^GET .*\/servers\/server-1$/, { status: 200, body: { server: { ...SERVER.server, addresses: address } } });
      cloud.on(/^POST .*\/os-interface$/, { status: 409, body: { conflictingRequest: { code: 409, message: 'still in use' } } });
      await expect(driver.attachPort('server-1', 'a')).rejects.toMatchObject({ code: 'Conflict' });
      expect(cloud.count(/^DELETE /)).toBe(0);
    });
  });
});

describe('security groups', () => {
  it('are listed to the last page, with their rules in one form', async () => {
    const egress = { direction: 'egress', ethertype: 'IPv4', protocol: null, remote_ip_prefix: null };
    cloud.on(
      GROUPS,
      paged('security_groups', [
        { id: 'a', name: 'default', description: 'Default security group', security_group_rules: [{ id: 'r', ...egress }] },
        { id: 'b', name: 'web', description: 'dispatcher:our-installation:key-1 for web', security_group_rules: [] },
        { id: 'c', name: 'web', description: null },
      ]),
    );
    expect(await driver.listSecurityGroups()).toEqual([
      {
        id: 'a',
        name: 'default',
        isDefault: true,
        rules: [{ id: 'r', direction: 'Egress', family: 'IPv4', cidr: '0.0.0.0/0' }],
      },
      { id: 'b', name: 'web', isDefault: false, owner, rules: [] },
      { id: 'c', name: 'web', isDefault: false, rules: [] },
    ]);
    expect(cloud.requests(GROUPS)[0]?.path).toContain('project_id=project-1');
  });

  it('are made in one call, words for people after the owner', async () => {
    cloud.on(/^POST .*\/security-groups$/, {
      status: 201,
      body: { security_groups: [{ id: 'a', name: 'web', description: '' }] },
    });
    await driver.createSecurityGroups([{ name: 'web', description: 'for web in default', owner }]);
    expect(bodyOf(/^POST .*\/security-groups$/)).toEqual({
      security_groups: [{ name: 'web', description: 'dispatcher:our-installation:key-1 for web in default' }],
    });
    expect(await driver.createSecurityGroups([])).toEqual([]);
    expect(cloud.count(/^POST .*\/security-groups$/)).toBe(1);
  });

  it('have rules that are made in one call', async () => {
    const shown = { id: 'r', direction: 'ingress', ethertype: 'IPv4', protocol: 'tcp', port_range_min: 22, port_range_max: 22 };
    cloud.on(/^POST .*\/security-group-rules$/, {
      status: 201,
      body: { security_group_rules: [{ ...shown, remote_group_id: 'peer', security_group_id: 'g' }] },
    });
    const traffic = { direction: 'Ingress', family: 'IPv4', protocol: 'tcp', from: 22, to: 22, groupId: 'peer' } as const;
    expect(await driver.createSecurityGroupRules([{ ...traffic, inGroup: 'g' }])).toEqual([
      { id: 'r', ...traffic, inGroup: 'g' },
    ]);
    const { id: _, ...asked } = shown;
    expect(bodyOf(/^POST .*\/security-group-rules$/)).toEqual({
      security_group_rules: [{ ...asked, remote_group_id: 'peer', security_group_id: 'g' }],
    });
    expect(await driver.createSecurityGroupRules([])).toEqual([]);
  });
});

const rule = { direction: 'Ingress', family: 'IPv4', protocol: 'tcp', inGroup: 'g' } as const;
const createPorts = () => driver.createPorts([{ name: 'web', networkId: 'net-1', owner }]);
const createGroups = () => driver.createSecurityGroups([{ name: 'web', description: '', owner }]);
const createRules = () => driver.createSecurityGroupRules([rule]);

interface Case {
  readonly what: string;
  readonly reason: string;
  readonly call: () => Promise<unknown>;
  readonly reply: Reply;
  readonly code: CloudErrorCode | 'success';
}
const effects: readonly { readonly what: string; readonly call: () => Promise<unknown> }[] = [
  { what: 'createPorts', call: createPorts },
  { what: 'setPortGroups', call: () => driver.setPortGroups({ id: 'a' }, []) },
  { what: 'disownPort', call: () => driver.disownPort('a') },
  { what: 'deletePort', call: () => driver.deletePort('a') },
  { what: 'attachPort', call: () => driver.attachPort('s', 'a') },
  { what: 'createSecurityGroups', call: createGroups },
  { what: 'deleteSecurityGroup', call: () => driver.deleteSecurityGroup('g') },
  { what: 'createSecurityGroupRules', call: createRules },
  { what: 'deleteSecurityGroupRule', call: () => driver.deleteSecurityGroupRule('r') },
];

describe('a failure', () => {
  const inUse = { status: 409, body: { conflictingRequest: { code: 409, message: 'Port a is still in use.' } } };
  const noPort = { status: 404, body: { itemNotFound: { code: 404, message: 'Port id a could not be found.' } } };
  const cases: readonly Case[] = [
    { what: 'createPorts', reason: 'a quota', call: createPorts, reply: neutronError(409, 'OverQuota'), code: 'Quota' },
    {
      what: 'createPorts',
      reason: 'a network without an address left',
      call: createPorts,
      reply: neutronError(409, 'IpAddressGenerationFailure', 'No more IP addresses available on network net-1.'),
      code: 'Capacity',
    },
    {
      what: 'createPorts',
      reason: 'no network',
      call: createPorts,
      reply: neutronError(404, 'NetworkNotFound'),
      code: 'Invalid',
    },
    {
      what: 'createPorts',
      reason: 'less than asked',
      call: createPorts,
      reply: { status: 201, body: {} },
      code: 'UnknownOutcome',
    },
    {
      what: 'setPortGroups',
      reason: 'no port',
      call: () => driver.setPortGroups({ id: 'a' }, []),
      reply: neutronError(404, 'PortNotFound', 'Port a could not be found.'),
      code: 'NotFound',
    },
    {
      what: 'setPortGroups',
      reason: 'no group, which says nothing of the port',
      call: () => driver.setPortGroups({ id: 'a' }, ['g']),
      reply: neutronError(404, 'SecurityGroupNotFound', 'Security group g does not exist'),
      code: 'Conflict',
    },
    { what: 'attachPort', reason: 'a port in use', call: () => driver.attachPort('s', 'a'), reply: inUse, code: 'Conflict' },
    { what: 'attachPort', reason: 'no port', call: () => driver.attachPort('s', 'a'), reply: noPort, code: 'NotFound' },
    { what: 'createSecurityGroups', reason: 'a quota', call: createGroups, reply: neutronError(409, 'OverQuota'), code: 'Quota' },
    {
      what: 'deleteSecurityGroup',
      reason: 'a group in use',
      call: () => driver.deleteSecurityGroup('g'),
      reply: neutronError(409, 'SecurityGroupInUse'),
      code: 'Conflict',
    },
    {
      what: 'createSecurityGroupRules',
      reason: 'a rule that is there',
      call: createRules,
      reply: neutronError(409, 'SecurityGroupRuleExists'),
      code: 'Conflict',
    },
    {
      what: 'createSecurityGroupRules',
      reason: 'no group',
      call: createRules,
      reply: neutronError(404, 'SecurityGroupNotFound'),
      code: 'Invalid',
    },
    ...['disownPort', 'deletePort', 'deleteSecurityGroup', 'deleteSecurityGroupRule'].map((what) => ({
      what,
      reason: 'what is not there',
      call: () => effects.find((effect) => effect.what === what)?.call() ?? Promise.reject(new Error(what)),
      reply: neutronError(404, 'NotFound'),
      code: 'success' as const,
    })),
    ...effects.map((effect) => ({ ...effect, reason: 'a lost reply', reply: 'reset' as const, code: 'UnknownOutcome' as const })),
  ];
  it.each(cases)('of $what for $reason is $code, and it is sent once', async ({ what, call, reply, code }) => {
    cloud.on(/^GET .*\/ports\/a$/, { status: 200, body: { port: port('a') } });
    cloud.on(/^GET .*\/servers\/[^/]+$/, { status: 200, body: SERVER });
    cloud.on(/^(POST|PUT|DELETE) \/(network|compute)/, reply);
    if (code === 'success') await call();
    else await expect(call()).rejects.toMatchObject({ name: 'CloudError', code });
    expect(cloud.count(/^(POST|PUT|DELETE) \/(network|compute)/)).toBe(1);
    expect(cloud.reports.at(-1)).toMatchObject({ operation: what, effect: true });
  });

  it.each([
    { reason: 'a page that is lost', second: 'reset' },
    { reason: 'a marker that is gone', second: neutronError(404, 'PortNotFound') },
    {
      reason: 'a page that is given again',
      second: { status: 200, body: { ports: [port('a')], ports_links: [{ rel: 'next' }] } },
    },
    { reason: 'a page that is none', second: { status: 200, body: { ports: [{ id: 'a' }] } } },
  ] as const)('of a list for $reason is Unavailable, never a part of it', async ({ second }) => {
    cloud.on(PORTS, { status: 200, body: { ports: [port('a')], ports_links: [{ rel: 'next' }] } });
    cloud.on(/marker=a/, second);
    await expect(driver.listPorts()).rejects.toMatchObject({ name: 'CloudError', code: 'Unavailable' });
  });
});

describe('a cloud without neutron', () => {
  it('says so in every method', async () => {
    cloud.on(/^POST \/identity/, login(cloud.endpoint, 't', 3_600_000, ['network']));
    for (const call of [...effects.map((effect) => effect.call), () => driver.listPorts(), () => driver.listSecurityGroups()]) {
      await expect(call()).rejects.toMatchObject({ code: 'Unsupported', message: expect.stringContaining('no network service') });
    }
    expect(cloud.count(/\/(network|compute)\//)).toBe(0);
  });
});
