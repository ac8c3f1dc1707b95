import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../support/eventually.js';
import { ask, NETWORK, newServer, simulate, type User } from '../../support/simulator.js';

const GROUPS = '/network/v2.0/security-groups';
const RULES = '/network/v2.0/security-group-rules';
const PORTS = '/network/v2.0/ports';
const SERVERS = '/compute/v2.1/servers';
const UNKNOWN = '11111111-1111-4111-8111-999999999999';
const DEMO = 'd3300000000000000000000000000001';
const DEMO_DEFAULT = 'd3300000-0000-4000-8000-00000000006a';

const withId = z.looseObject({ id: z.string() });
const rule = withId.extend({ security_group_id: z.string() });
const group = withId.extend({ revision_number: z.int(), security_group_rules: z.array(rule) });
const groupBody = z.object({ security_group: group });
const portBody = z.object({ port: withId.extend({ security_groups: z.array(z.string()), revision_number: z.int() }) });

/** What a refusal of Neutron's looks like. */
const refusal = (status: number, type: string, message: string) => ({
  status,
  body: { NeutronError: { type, message, detail: '' } },
});

describe('security groups of the simulated Neutron', () => {
  let simulator: Awaited<ReturnType<typeof simulate>>;
  let demo: User;
  let admin: User;
  beforeAll(async () => {
    simulator = await simulate();
    demo = await simulator.logIn();
    admin = await simulator.logIn('admin');
  });
  afterAll(() => simulator.close());

  const newGroup = async (fields: Record<string, unknown> = {}) =>
    groupBody.parse((await demo.ask('POST', GROUPS, { security_group: { name: 'web', ...fields } })).body).security_group;
  const newPort = async (fields: Record<string, unknown> = {}) =>
    portBody.parse((await demo.ask('POST', PORTS, { port: { network_id: NETWORK, ...fields } })).body).port;
  const showGroup = async (id: string) => groupBody.parse((await demo.ask('GET', `${GROUPS}/${id}`)).body).security_group;
  const showPort = async (id: string) => portBody.parse((await demo.ask('GET', `${PORTS}/${id}`)).body).port;
  const allow = (groupId: string, fields: Record<string, unknown>) =>
    demo.ask('POST', RULES, { security_group_rule: { security_group_id: groupId, direction: 'ingress', ...fields } });

  describe('groups', () => {
    it('begin with everything out, may share a name, and are another project’s secret', async () => {
      const made = await demo.ask('POST', GROUPS, {
        security_groups: [{ name: 'twin', description: 'first' }, { name: 'twin' }],
      });
      expect(made.status).toBe(201);
      const { security_groups: groups } = z.object({ security_groups: z.array(group) }).parse(made.body);
      expect(groups).toMatchObject([{ description: 'first' }, { description: '' }]);
      for (const { security_group_rules: rules } of groups) {
        expect(rules).toMatchObject([
          { direction: 'egress', ethertype: 'IPv4', protocol: null, remote_ip_prefix: null },
          { direction: 'egress', ethertype: 'IPv6', protocol: null, remote_ip_prefix: null },
        ]);
      }
      expect((await demo.ask('GET', `${GROUPS}?name=twin&fields=id`)).body).toEqual({
        security_groups: groups.map(({ id }) => ({ id })).sort((one, other) => (one.id < other.id ? -1 : 1)),
      });
      const alt = await simulator.logIn('alt');
      for (const { id } of groups) {
        const path = `${GROUPS}/${id}`;
        expect(await alt.ask('DELETE', path)).toMatchObject(
          refusal(404, 'SecurityGroupNotFound', `Security group ${id} does not exist`),
        );
        expect((await demo.ask('DELETE', path)).status).toBe(204);
      }
    });

    it('are renamed and described, and guarded by their revision', async () => {
      const { id } = await newGroup();
      const path = `${GROUPS}/${id}`;
      expect(await demo.ask('PUT', path, { security_group: { name: 'new', description: 'why' } })).toMatchObject({
        status: 200,
        body: { security_group: { name: 'new', description: 'why', revision_number: 2 } },
      });
      const stale = { 'x-auth-token': demo.token, 'if-match': 'revision_number=1' };
      expect(await ask(`${simulator.origin}${path}`, 'PUT', stale, { security_group: { name: 'newer' } })).toMatchObject(
        refusal(412, 'RevisionNumberConstraintFailed', 'Constrained to 1, but current revision is 2'),
      );
      expect((await ask(`${simulator.origin}${path}`, 'DELETE', stale)).status).toBe(412);
    });

    it('bear tags, by which they are found', async () => {
      const { id } = await newGroup();
      const tags = `${GROUPS}/${id}/tags`;
      expect(await demo.ask('PUT', tags, { tags: ['a', 'b'] })).toMatchObject({ status: 200, body: { tags: ['a', 'b'] } });
      expect((await demo.ask('PUT', `${tags}/c`)).status).toBe(201);
      expect((await demo.ask('DELETE', `${tags}/a`)).status).toBe(204);
      expect((await demo.ask('DELETE', `${tags}/a`)).status).toBe(404);
      for (const [query, found] of [
        ['tags=b,c', true],
        ['tags=a,b', false],
        ['tags-any=a,b', true],
        ['not-tags=b,c', false],
        ['not-tags-any=a', true],
      ] as const) {
        expect(await demo.ask('GET', `${GROUPS}?${query}&id=${id}&fields=id`)).toMatchObject({
          body: { security_groups: found ? [{ id }] : [] },
        });
      }
    });

    it('are not removed while a port has them, nor ever the default one, whose rules alone can change', async () => {
      const { id } = await newGroup();
      const port = await newPort({ security_groups: [id] });
      expect(await demo.ask('DELETE', `${GROUPS}/${id}`)).toMatchObject(
        refusal(409, 'SecurityGroupInUse', `Security Group ${id} in use.`),
      );
      await demo.ask('DELETE', `${PORTS}/${port.id}`);
      expect((await demo.ask('DELETE', `${GROUPS}/${id}`)).status).toBe(204);
      expect(await demo.ask('DELETE', `${GROUPS}/${DEMO_DEFAULT}`)).toMatchObject({
        status: 409,
        body: { NeutronError: { type: 'SecurityGroupCannotRemoveDefault' } },
      });
      expect(await demo.ask('PUT', `${GROUPS}/${DEMO_DEFAULT}`, { security_group: { name: 'mine' } })).toMatchObject({
        status: 409,
        body: { NeutronError: { type: 'SecurityGroupCannotUpdateDefault' } },
      });
      const opened = await allow(DEMO_DEFAULT, { protocol: 'tcp', port_range_min: 22, port_range_max: 22 });
      const { security_group_rule: made } = z.object({ security_group_rule: rule }).parse(opened.body);
      expect((await demo.ask('DELETE', `${RULES}/${made.id}`)).status).toBe(204);
    });

    it('take the rules of others that name them along', async () => {
      const [source, target] = [await newGroup(), await newGroup()];
      await allow(target.id, { remote_group_id: source.id });
      expect((await showGroup(target.id)).security_group_rules).toHaveLength(3);
      await demo.ask('DELETE', `${GROUPS}/${source.id}`);
      expect((await showGroup(target.id)).security_group_rules).toHaveLength(2);
    });

    it.each<{ reason: string; body: unknown; answer: ReturnType<typeof refusal> }>([
      {
        reason: 'an attribute that is none',
        body: { security_group: { name: 'x', bogus: 1 } },
        answer: refusal(400, 'HTTPBadRequest', "Unrecognized attribute(s) 'bogus'"),
      },
      {
        reason: 'a name that is no text',
        body: { security_group: { name: 5 } },
        answer: refusal(400, 'HTTPBadRequest', "Invalid input for name. Reason: '5' is not a valid string."),
      },
      {
        reason: 'a description that is too long',
        body: { security_group: { description: 'd'.repeat(256) } },
        answer: refusal(
          400,
          'HTTPBadRequest',
          `Invalid input for description. Reason: '${'d'.repeat(256)}' exceeds maximum length of 255.`,
        ),
      },
      {
        reason: 'a second default group',
        body: { security_group: { name: 'default' } },
        answer: refusal(409, 'SecurityGroupDefaultAlreadyExists', 'Default security group already exists.'),
      },
      {
        reason: 'nothing in bulk',
        body: { security_groups: [] },
        answer: refusal(400, 'HTTPBadRequest', 'Resources required'),
      },
      {
        reason: 'another kind of body',
        body: { group: {} },
        answer: refusal(400, 'HTTPBadRequest', "Unable to find 'security_group' in request body"),
      },
    ])('refuse $reason', async ({ body, answer }) => {
      expect(await demo.ask('POST', GROUPS, body)).toMatchObject(answer);
    });

    it('come by pages in the order of their ids, and an unknown marker begins anew, as in the real one', async () => {
      for (let made = 0; made < 3; made += 1) await newGroup({ name: 'paged' });
      const page = z.object({
        security_groups: z.array(withId),
        security_groups_links: z.array(z.object({ rel: z.string(), href: z.string() })).optional(),
      });
      const whole = page.parse((await demo.ask('GET', `${GROUPS}?name=paged&fields=id`)).body).security_groups;
      const walked: unknown[] = [];
      let next: string | undefined = `${GROUPS}?name=paged&fields=id&limit=2`;
      for (let pages = 0; next !== undefined && pages < 5; pages += 1) {
        const { security_groups: groups, security_groups_links: links } = page.parse((await demo.ask('GET', next)).body);
        walked.push(...groups);
        next = links?.[0]?.href.replace(simulator.origin, '');
      }
      expect(walked).toEqual(whole);
      expect((await demo.ask('GET', `${GROUPS}?name=paged&fields=id&marker=${UNKNOWN}`)).body).toEqual({
        security_groups: whole,
      });
      expect(await demo.ask('GET', `${PORTS}?marker=${UNKNOWN}`)).toMatchObject({ status: 404 });
      expect(await demo.ask('GET', `${GROUPS}?bogus=1`)).toMatchObject(
        refusal(400, 'HTTPBadRequest', "['bogus'] is invalid attribute for filtering"),
      );
    });
  });

  describe('rules', () => {
    let id: string;
    beforeEach(async () => {
      ({ id } = await newGroup());
    });

    it.each<{ reason: string; fields: Record<string, unknown>; kept: Record<string, unknown> }>([
      {
        reason: 'host bits, and the network without them beside',
        fields: { protocol: 'tcp', port_range_min: 80, port_range_max: 80, remote_ip_prefix: '10.0.0.5/8' },
        kept: { remote_ip_prefix: '10.0.0.5/8', normalized_cidr: '10.0.0.0/8' },
      },
      {
        reason: 'IPv6 in the short form',
        fields: { ethertype: 'IPv6', remote_ip_prefix: '2001:DB8:0::5/45' },
        kept: { remote_ip_prefix: '2001:db8::5/45', normalized_cidr: '2001:db8::/45' },
      },
      { reason: 'one address as a network', fields: { remote_ip_prefix: '1.2.3.4' }, kept: { remote_ip_prefix: '1.2.3.4/32' } },
      {
        reason: 'words in any case, and numbers in texts',
        fields: { ethertype: 'ipv4', protocol: 'TCP', port_range_min: '81', port_range_max: '82' },
        kept: { ethertype: 'IPv4', protocol: 'tcp', port_range_min: 81, port_range_max: 82 },
      },
      {
        reason: 'a type and a code of ICMP, in any order',
        fields: { protocol: 'icmp', port_range_min: 8, port_range_max: 0 },
        kept: { port_range_min: 8, port_range_max: 0 },
      },
      {
        reason: 'ICMP of IPv6 under its own name',
        fields: { ethertype: 'IPv6', protocol: 'icmp', port_range_min: 128 },
        kept: { protocol: 'ipv6-icmp', port_range_min: 128, port_range_max: null },
      },
      { reason: 'a number for a protocol', fields: { protocol: 255 }, kept: { protocol: '255' } },
      { reason: 'a description', fields: { description: 'why' }, kept: { description: 'why' } },
    ])('keep $reason', async ({ fields, kept }) => {
      expect(await allow(id, fields)).toMatchObject({ status: 201, body: { security_group_rule: kept } });
      expect((await showGroup(id)).security_group_rules[2]).toMatchObject(kept);
    });

    const range = 'For TCP/UDP protocols, port_range_min must be <= port_range_max';
    it.each<{ reason: string; fields: Record<string, unknown>; status?: number; type: string; message: string | RegExp }>([
      {
        reason: 'an inverted range',
        fields: { protocol: 'tcp', port_range_min: 90, port_range_max: 80 },
        type: 'SecurityGroupInvalidPortRange',
        message: range,
      },
      {
        reason: 'half a range',
        fields: { protocol: 'udp', port_range_min: 90 },
        type: 'SecurityGroupInvalidPortRange',
        message: range,
      },
      {
        reason: 'port 0',
        fields: { protocol: 'tcp', port_range_min: 0, port_range_max: 80 },
        type: 'SecurityGroupInvalidPortValue',
        message: 'Invalid value for port 0',
      },
      {
        reason: 'a port that is too large',
        fields: { protocol: 'tcp', port_range_min: 80, port_range_max: 70_000 },
        type: 'SecurityGroupInvalidPortValue',
        message: 'Invalid value for port 70000',
      },
      {
        reason: 'ports of no protocol',
        fields: { port_range_min: 80, port_range_max: 80 },
        type: 'SecurityGroupProtocolRequiredWithPorts',
        message: 'Must also specify protocol if port range is given.',
      },
      {
        reason: 'ports of a protocol without ports',
        fields: { protocol: 'gre', port_range_min: 1, port_range_max: 1 },
        type: 'SecurityGroupInvalidProtocolForPort',
        message: /^Ports cannot be specified for protocol 47\./,
      },
      {
        reason: 'a code of ICMP without its type',
        fields: { protocol: 'icmp', port_range_max: 0 },
        type: 'SecurityGroupMissingIcmpType',
        message: 'ICMP code (port-range-max) 0 is provided but ICMP type (port-range-min) is missing.',
      },
      {
        reason: 'a type of ICMP that is none',
        fields: { protocol: 'icmp', port_range_min: 300 },
        type: 'SecurityGroupInvalidIcmpValue',
        message: 'Invalid value for ICMP type (port_range_min) 300. It must be 0 to 255.',
      },
      {
        reason: 'a protocol that is none',
        fields: { protocol: 'any' },
        type: 'SecurityGroupRuleInvalidProtocol',
        message: /^Security group rule protocol any not supported\. Only protocol values \[None, 'ah', .*'vrrp'\] and/,
      },
      {
        reason: 'IPv6 alone for IPv4',
        fields: { protocol: 'icmpv6' },
        type: 'SecurityGroupEthertypeConflictWithProtocol',
        message: 'Invalid ethertype IPv4 for protocol icmpv6.',
      },
      {
        reason: 'a network of the other family',
        fields: { remote_ip_prefix: '::/0' },
        type: 'SecurityGroupRuleParameterConflict',
        message: 'Conflicting value ethertype IPv4 for CIDR ::/0',
      },
      {
        reason: 'a network that is none',
        fields: { remote_ip_prefix: '1.2.3.4/33' },
        type: 'InvalidCIDR',
        message: 'Invalid CIDR 1.2.3.4/33 given as IP prefix.',
      },
      {
        reason: 'two sources',
        fields: { remote_ip_prefix: '1.0.0.0/8', remote_group_id: DEMO_DEFAULT },
        type: 'SecurityGroupMultipleRemoteEntites',
        message: 'Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.',
      },
      {
        reason: 'a group as source that is not there',
        fields: { remote_group_id: UNKNOWN },
        status: 404,
        type: 'SecurityGroupNotFound',
        message: `Security group ${UNKNOWN} does not exist`,
      },
      {
        reason: 'a direction that is none',
        fields: { direction: 'in' },
        type: 'HTTPBadRequest',
        message: 'Invalid input for direction. Reason: in is not in valid_values.',
      },
      {
        reason: 'a family that is none',
        fields: { ethertype: 'IPv5' },
        type: 'SecurityGroupRuleInvalidEtherType',
        message: "Security group rule for ethertype 'IPv5' not supported. Allowed values are ['IPv4', 'IPv6'].",
      },
    ])('refuse $reason', async ({ fields, status = 400, type, message }) => {
      const expected = typeof message === 'string' ? message : expect.stringMatching(message);
      expect(await allow(id, fields)).toMatchObject({ status, body: { NeutronError: { type, message: expected } } });
      expect((await showGroup(id)).security_group_rules).toHaveLength(2);
    });

    it.each<{ reason: string; first: Record<string, unknown>; second: Record<string, unknown>; same: boolean }>([
      { reason: 'everybody, written or not', first: {}, second: { remote_ip_prefix: '0.0.0.0/0' }, same: true },
      { reason: 'a protocol and its number', first: { protocol: 'tcp' }, second: { protocol: 6 }, same: true },
      { reason: 'another description', first: { description: 'a' }, second: { description: 'b' }, same: true },
      {
        reason: 'a network with and without host bits',
        first: { remote_ip_prefix: '10.0.0.5/8' },
        second: { remote_ip_prefix: '10.0.0.0/8' },
        same: false,
      },
      { reason: 'the two families', first: {}, second: { ethertype: 'IPv6' }, same: false },
    ])('tell twins apart: $reason', async ({ first, second, same }) => {
      const { security_group_rule: made } = z.object({ security_group_rule: rule }).parse((await allow(id, first)).body);
      const message = `Security group rule already exists. Rule id is ${made.id}.`;
      expect(await allow(id, second)).toMatchObject(same ? refusal(409, 'SecurityGroupRuleExists', message) : { status: 201 });
    });

    it('are made in bulk, all or none, in one group, and raise its revision once', async () => {
      const tcp = (port: number, groupId = id) => ({
        security_group_id: groupId,
        direction: 'ingress',
        protocol: 'tcp',
        port_range_min: port,
        port_range_max: port,
      });
      const make = (...rules: unknown[]) => demo.ask('POST', RULES, { security_group_rules: rules });
      const made = await make(tcp(1), tcp(2));
      expect(made).toMatchObject({ status: 201, body: { security_group_rules: [{ port_range_min: 1 }, { port_range_min: 2 }] } });
      expect(await make(tcp(3), tcp(2))).toMatchObject({ status: 409 });
      expect(await make(tcp(3), tcp(3))).toMatchObject(
        refusal(409, 'DuplicateSecurityGroupRuleInPost', 'Duplicate Security Group Rule in POST.'),
      );
      expect(await make(tcp(3), tcp(70_000))).toMatchObject({ status: 400 });
      expect(await make(tcp(3), tcp(3, DEMO_DEFAULT))).toMatchObject({
        status: 400,
        body: { NeutronError: { type: 'SecurityGroupNotSingleGroupRules' } },
      });
      expect(await showGroup(id)).toMatchObject({ revision_number: 2, security_group_rules: { length: 4 } });
    });

    it('are listed by their group, and gone once deleted', async () => {
      await allow(id, { protocol: 'tcp' });
      const list = z.object({ security_group_rules: z.array(rule) });
      const listed = list.parse((await demo.ask('GET', `${RULES}?security_group_id=${id}&protocol=tcp`)).body);
      const [made] = listed.security_group_rules;
      expect(listed.security_group_rules).toHaveLength(1);
      const path = `${RULES}/${made?.id}`;
      expect(await demo.ask('GET', path)).toMatchObject({ status: 200, body: { security_group_rule: { protocol: 'tcp' } } });
      expect((await demo.ask('DELETE', path)).status).toBe(204);
      const gone = refusal(404, 'SecurityGroupRuleNotFound', `Security group rule ${made?.id} does not exist`);
      expect(await demo.ask('DELETE', path)).toMatchObject(gone);
      expect(await demo.ask('GET', path)).toMatchObject(gone);
    });
  });

  describe('ports', () => {
    it('are described, and found by their groups', async () => {
      const { id } = await newGroup();
      const port = await newPort({ description: 'ours', security_groups: [id], tags: ['lost'] });
      expect(port).toMatchObject({ description: 'ours', tags: [], revision_number: 1 });
      expect((await demo.ask('GET', `${PORTS}?security_groups=${id}&fields=id`)).body).toEqual({ ports: [{ id: port.id }] });
      expect(await demo.ask('PUT', `${PORTS}/${port.id}`, { port: { description: '', name: 'n' } })).toMatchObject({
        body: { port: { description: '', name: 'n' } },
      });
      await demo.ask('PUT', `${PORTS}/${port.id}/tags`, { tags: ['t'] });
      expect((await demo.ask('GET', `${PORTS}?tags=t&fields=id`)).body).toEqual({ ports: [{ id: port.id }] });
    });

    it('count other groups as two revisions, and the same ones as none', async () => {
      const { id } = await newGroup();
      const port = await newPort();
      const set = async (groups: string[]) => {
        const changed = await demo.ask('PUT', `${PORTS}/${port.id}`, { port: { security_groups: groups } });
        return portBody.parse(changed.body).port.revision_number;
      };
      expect([await set([id]), await set([id]), await set([])]).toEqual([3, 3, 5]);
    });

    it.each<{ reason: string; fields: Record<string, unknown>; answer: ReturnType<typeof refusal> }>([
      {
        reason: 'a group that is not there',
        fields: { security_groups: [UNKNOWN] },
        answer: refusal(404, 'SecurityGroupNotFound', `Security group ${UNKNOWN} does not exist`),
      },
      {
        reason: 'a group by its name',
        fields: { security_groups: ['default'] },
        answer: refusal(400, 'HTTPBadRequest', "Invalid input for security_groups. Reason: 'default' is not a valid UUID."),
      },
      {
        reason: 'a group twice',
        fields: { security_groups: [DEMO_DEFAULT, DEMO_DEFAULT] },
        answer: refusal(
          400,
          'HTTPBadRequest',
          `Invalid input for security_groups. Reason: Duplicate items in the list: '${DEMO_DEFAULT}'.`,
        ),
      },
      {
        reason: 'an address elsewhere',
        fields: { fixed_ips: [{ ip_address: '1.2.3.4' }] },
        answer: refusal(
          400,
          'InvalidIpForNetwork',
          'IP address 1.2.3.4 is not a valid IP for any of the subnets on the specified network.',
        ),
      },
      {
        reason: "a network that is another's",
        fields: { network_id: '55555555-5555-4555-8555-555555555555' },
        answer: refusal(403, 'HTTPForbidden', `Tenant ${DEMO} not allowed to create port on this network`),
      },
      {
        reason: 'no network',
        fields: { network_id: undefined },
        answer: refusal(400, 'HTTPBadRequest', "Failed to parse request. Required attribute 'network_id' not specified"),
      },
    ])('refuse $reason, and then none of a bulk is made', async ({ fields, answer }) => {
      const count = async () => z.object({ ports: z.array(withId) }).parse((await demo.ask('GET', PORTS)).body).ports.length;
      const before = await count();
      const ports = [{ network_id: NETWORK }, { network_id: NETWORK, ...fields }];
      expect(await demo.ask('POST', PORTS, { ports })).toMatchObject(answer);
      expect(await count()).toBe(before);
    });
  });

  describe('quotas', () => {
    const quotas = `/network/v2.0/quotas/${DEMO}`;
    const used = async (name: string): Promise<number> => {
      const { body } = await demo.ask('GET', `${quotas}/details.json`);
      return z.object({ quota: z.record(z.string(), z.object({ used: z.number() })) }).parse(body).quota[name]?.used ?? 0;
    };

    it.each<{ reason: string; limit: string; room: number; path: string; body: (id: string) => unknown }>([
      { reason: 'a group', limit: 'security_group', room: 0, path: GROUPS, body: () => ({ security_group: { name: 'more' } }) },
      {
        reason: "a group's own rules",
        limit: 'security_group_rule',
        room: 1,
        path: GROUPS,
        body: () => ({ security_group: { name: 'more' } }),
      },
      {
        reason: 'rules in bulk',
        limit: 'security_group_rule',
        room: 1,
        path: RULES,
        body: (id) => ({
          security_group_rules: ['udp', 'tcp'].map((protocol) => ({ security_group_id: id, direction: 'ingress', protocol })),
        }),
      },
      { reason: 'a port', limit: 'port', room: 0, path: PORTS, body: () => ({ port: { network_id: NETWORK } }) },
    ])('name what there is too much of: $reason', async ({ limit, room, path, body }) => {
      const { id } = await newGroup();
      const set = await admin.ask('PUT', quotas, { quota: { [limit]: (await used(limit)) + room } });
      expect(set.status).toBe(200);
      expect(await demo.ask('POST', path, body(id))).toMatchObject(
        refusal(409, 'OverQuota', `Quota exceeded for resources: ['${limit}'].`),
      );
      expect((await admin.ask('DELETE', quotas)).status).toBe(204);
      expect((await demo.ask('POST', path, body(id))).status).toBe(201);
    });

    it('are for an admin to set', async () => {
      expect(await demo.ask('PUT', quotas, { quota: { port: 1 } })).toMatchObject(
        refusal(403, 'PolicyNotAuthorized', 'rule:update_quota is disallowed by policy'),
      );
      expect((await demo.ask('GET', '/network/v2.0/quotas/other')).status).toBe(403);
      expect((await admin.ask('PUT', quotas, { quota: { bogus: 1 } })).status).toBe(400);
      expect(await demo.ask('GET', quotas)).toMatchObject({ body: { quota: { port: -1, rbac_policy: 10 } } });
    });

    it('stop servers too, if they would have too many ports', async () => {
      await admin.ask('PUT', quotas, { quota: { port: await used('port') } });
      expect(await demo.ask('POST', SERVERS, newServer({ networks: [{ uuid: NETWORK }] }), '2.79')).toMatchObject({
        status: 403,
        body: { forbidden: { message: 'Maximum number of ports exceeded' } },
      });
      await admin.ask('DELETE', quotas);
    });
  });

  describe('servers', () => {
    const boot = async (fields: Record<string, unknown>): Promise<string> => {
      const { body } = await demo.ask('POST', SERVERS, newServer(fields), '2.79');
      const { id } = z.object({ server: withId }).parse(body).server;
      await eventually(async () => expect(await show(id)).toMatchObject({ status: 'ACTIVE' }));
      return id;
    };
    const show = async (id: string) =>
      z.object({ server: z.looseObject({ status: z.string() }) }).parse((await demo.ask('GET', `${SERVERS}/${id}`)).body).server;
    const act = (id: string, body: unknown) => demo.ask('POST', `${SERVERS}/${id}/action`, body, '2.79');

    it('have on new ports the groups that they were made with, and on given ones those of the port', async () => {
      const [one, other] = [await newGroup({ name: 'boot' }), await newGroup({ name: 'given' })];
      const port = await newPort({ security_groups: [other.id] });
      const groups = [{ name: one.id }, { name: 'default' }];
      const id = await boot({ networks: [{ uuid: NETWORK }, { port: port.id }], security_groups: groups });
      expect(await show(id)).toMatchObject({ security_groups: [{ name: 'boot' }, { name: 'default' }, { name: 'given' }] });
      await demo.ask('PUT', `${GROUPS}/${one.id}`, { security_group: { name: 'renamed' } });
      const { body } = await demo.ask('GET', `${SERVERS}/detail?name=web`);
      expect(body).toMatchObject({
        servers: [{ security_groups: [{ name: 'renamed' }, { name: 'default' }, { name: 'given' }] }],
      });
      await demo.ask('DELETE', `${SERVERS}/${id}`);
      await eventually(async () => expect(await showPort(port.id)).toMatchObject({ device_id: '', security_groups: [other.id] }));
      expect((await demo.ask('DELETE', `${GROUPS}/${one.id}`)).status).toBe(204);
    });

    it('are not made with what is not there, or not clear', async () => {
      await newGroup({ name: 'same' });
      await newGroup({ name: 'same' });
      const port = await newPort();
      const refused = async (fields: Record<string, unknown>) =>
        (await demo.ask('POST', SERVERS, newServer(fields), '2.79')).body;
      expect(await refused({ security_groups: [{ name: 'nope' }] })).toEqual({
        badRequest: { code: 400, message: "Unable to find security_group with name or id 'nope'" },
      });
      expect(await refused({ security_groups: [{ name: 'same' }] })).toEqual({
        conflictingRequest: {
          code: 409,
          message: "Multiple security_group matches found for name 'same', use an ID to be more specific.",
        },
      });
      expect(await refused({ networks: [{ port: port.id }, { port: port.id }] })).toEqual({
        badRequest: { code: 400, message: `Port ID '${port.id}' was specified twice: you cannot attach a port multiple times.` },
      });
      expect(await refused({ networks: [{ port: port.id }], max_count: 2 })).toMatchObject({ badRequest: { code: 400 } });
    });

    it('are put into groups and taken out, all their ports at once', async () => {
      const { id: groupId } = await newGroup({ name: 'later' });
      const port = await newPort({ security_groups: [DEMO_DEFAULT] });
      const id = await boot({ networks: [{ port: port.id }] });
      expect((await act(id, { addSecurityGroup: { name: 'later' } })).status).toBe(202);
      expect((await showPort(port.id)).security_groups).toEqual([DEMO_DEFAULT, groupId]);
      expect(await act(id, { addSecurityGroup: { name: groupId } })).toMatchObject({
        status: 400,
        body: { badRequest: { message: expect.stringContaining(`Duplicate items in the list: '${groupId}'`) } },
      });
      expect((await act(id, { removeSecurityGroup: { name: groupId } })).status).toBe(202);
      expect((await showPort(port.id)).security_groups).toEqual([DEMO_DEFAULT]);
      expect((await act(id, { removeSecurityGroup: { name: groupId } })).body).toEqual({
        itemNotFound: { code: 404, message: `Security group ${groupId} not associated with the instance ${id}` },
      });
      expect((await act(id, { addSecurityGroup: { name: 'nope' } })).body).toEqual({
        itemNotFound: { code: 404, message: `Security group nope is not found for project ${DEMO}` },
      });
      const bare = await boot({});
      expect((await act(bare, { addSecurityGroup: { name: groupId } })).body).toEqual({
        itemNotFound: { code: 404, message: `instance_id ${bare} could not be found as device id on any ports` },
      });
    });

    it('are given ports and give them back: those of nova go, those of ours stay', async () => {
      const [id, other] = [await boot({}), await boot({})];
      const port = await newPort({ security_groups: [] });
      const path = `${SERVERS}/${id}/os-interface`;
      const attach = (server: string, interfaceAttachment: unknown) =>
        demo.ask('POST', `${SERVERS}/${server}/os-interface`, { interfaceAttachment }, '2.79');
      expect(await attach(id, { port_id: port.id })).toMatchObject({
        status: 200,
        body: { interfaceAttachment: { port_id: port.id, net_id: NETWORK, port_state: 'ACTIVE' } },
      });
      expect(await showPort(port.id)).toMatchObject({ device_id: id, device_owner: 'compute:nova', status: 'ACTIVE' });
      expect((await attach(other, { port_id: port.id })).body).toEqual({
        conflictingRequest: { code: 409, message: `Port ${port.id} is still in use.` },
      });
      expect((await attach(id, { port_id: UNKNOWN })).status).toBe(404);
      expect((await attach(id, { port_id: port.id, net_id: NETWORK })).status).toBe(400);
      const made = await attach(id, { net_id: NETWORK });
      const { interfaceAttachment } = z.object({ interfaceAttachment: z.looseObject({ port_id: z.string() }) }).parse(made.body);
      expect(await demo.ask('GET', path)).toMatchObject({ body: { interfaceAttachments: { length: 2 } } });
      expect(await show(id)).toMatchObject({ addresses: { 'demo-net': { length: 2 } } });
      expect((await demo.ask('GET', `${path}/${port.id}`)).status).toBe(200);
      for (const portId of [port.id, interfaceAttachment.port_id, UNKNOWN]) {
        expect((await demo.ask('DELETE', `${path}/${portId}`)).status).toBe(202);
      }
      expect(await showPort(port.id)).toMatchObject({ device_id: '', device_owner: '', status: 'DOWN' });
      expect((await demo.ask('GET', `${PORTS}/${interfaceAttachment.port_id}`)).status).toBe(404);
      expect((await demo.ask('GET', `${path}/${port.id}`)).status).toBe(404);
      expect(await show(id)).toMatchObject({ addresses: {} });
    });
  });
});
