import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { SecurityGroupTraffic } from '../../../src/clouds/network-driver.js';
import { type NeutronTraffic, neutronTrafficSchema, readTraffic, writeTraffic } from '../../../src/clouds/openstack/traffic.js';
import { readCidr } from '../../../src/resources/cidr.js';

/** As neutron shows a rule that says nothing more. */
const bare = { direction: 'ingress', ethertype: 'IPv4', protocol: null, remote_ip_prefix: null, remote_group_id: null } as const;
const ingress = { direction: 'Ingress', family: 'IPv4', cidr: '0.0.0.0/0' } as const;
const ingress6 = { direction: 'Ingress', family: 'IPv6', cidr: '::/0' } as const;

interface Case {
  readonly reason: string;
  readonly shown: Partial<NeutronTraffic>;
  readonly traffic: SecurityGroupTraffic & { readonly other?: string };
}

describe('a rule of neutron', () => {
  it.each<Case>([
    { reason: 'nobody named is anybody', shown: {}, traffic: ingress },
    { reason: 'anybody named is anybody', shown: { remote_ip_prefix: '0.0.0.0/0' }, traffic: ingress },
    { reason: 'nobody named is anybody in IPv6', shown: { ethertype: 'IPv6' }, traffic: ingress6 },
    { reason: 'anybody named at length', shown: { ethertype: 'IPv6', remote_ip_prefix: '0::0/0' }, traffic: ingress6 },
    {
      reason: 'egress as a new group has it',
      shown: { direction: 'egress' },
      traffic: { direction: 'Egress', family: 'IPv4', cidr: '0.0.0.0/0' },
    },
    { reason: 'host bits mean nothing', shown: { remote_ip_prefix: '10.0.0.5/8' }, traffic: { ...ingress, cidr: '10.0.0.0/8' } },
    {
      reason: 'IPv6 as RFC 5952 has it',
      shown: { ethertype: 'IPv6', remote_ip_prefix: '2001:0DB8:0:0::5/32' },
      traffic: { ...ingress6, cidr: '2001:db8::/32' },
    },
    {
      reason: 'members of a group are not anybody',
      shown: { remote_group_id: 'g' },
      traffic: { direction: 'Ingress', family: 'IPv4', groupId: 'g' },
    },
    {
      reason: 'an address group is told in words, and is not anybody',
      shown: { remote_address_group_id: 'a' },
      traffic: { direction: 'Ingress', family: 'IPv4', other: 'address group a' },
    },
    { reason: 'a name', shown: { protocol: 'tcp' }, traffic: { ...ingress, protocol: 'tcp' } },
    { reason: 'a name in capitals', shown: { protocol: 'TCP' }, traffic: { ...ingress, protocol: 'tcp' } },
    { reason: 'the number of a name', shown: { protocol: '6' }, traffic: { ...ingress, protocol: 'tcp' } },
    { reason: 'a number that is one', shown: { protocol: 17 }, traffic: { ...ingress, protocol: 'udp' } },
    { reason: 'a number without a name', shown: { protocol: '99' }, traffic: { ...ingress, protocol: '99' } },
    { reason: 'an old spelling', shown: { protocol: 'icmpv6' }, traffic: { ...ingress, protocol: 'ipv6-icmp' } },
    ...['icmp', '1', 'icmpv6', 'ipv6-icmp', '58'].map((protocol) => ({
      reason: `ICMP of IPv6 as ${protocol}`,
      shown: { ethertype: 'IPv6', protocol } as const,
      traffic: { ...ingress6, protocol: 'ipv6-icmp' },
    })),
    { reason: 'ICMP of IPv4 by number', shown: { protocol: '1' }, traffic: { ...ingress, protocol: 'icmp' } },
    {
      reason: 'one port',
      shown: { protocol: 'tcp', port_range_min: 22, port_range_max: 22 },
      traffic: { ...ingress, protocol: 'tcp', from: 22, to: 22 },
    },
    {
      reason: 'every port',
      shown: { protocol: '17', port_range_min: 1, port_range_max: 65_535 },
      traffic: { ...ingress, protocol: 'udp' },
    },
    {
      reason: 'nearly every port',
      shown: { protocol: 'tcp', port_range_min: 2, port_range_max: 65_535 },
      traffic: { ...ingress, protocol: 'tcp', from: 2, to: 65_535 },
    },
    {
      reason: 'a type of ICMP with all its codes',
      shown: { protocol: 'icmp', port_range_min: 8, port_range_max: null },
      traffic: { ...ingress, protocol: 'icmp', from: 8 },
    },
    {
      reason: 'type 0 and code 0 are not absent',
      shown: { protocol: 'icmp', port_range_min: 0, port_range_max: 0 },
      traffic: { ...ingress, protocol: 'icmp', from: 0, to: 0 },
    },
  ])('$reason', ({ shown, traffic }) => {
    expect(readTraffic({ ...bare, ...shown })).toEqual(traffic);
  });

  it('is read as it was written, if it was written in the form that is read', () => {
    const port = fc.integer({ min: 1, max: 65_534 });
    const remote4 = fc.oneof(
      fc.record({ cidr: fc.tuple(fc.ipV4(), fc.integer({ min: 0, max: 32 })).map(([ip, prefix]) => cidrOf(ip, prefix)) }),
      fc.record({ groupId: fc.uuid() }),
    );
    const remote6 = fc.oneof(
      fc.record({ cidr: fc.tuple(fc.ipV6(), fc.integer({ min: 0, max: 128 })).map(([ip, prefix]) => cidrOf(ip, prefix)) }),
      fc.record({ groupId: fc.uuid() }),
    );
    const what = fc.oneof(
      fc.record({ protocol: fc.constantFrom('tcp', 'udp'), from: port, to: port }),
      fc.record({ protocol: fc.constantFrom('tcp', 'udp', 'ipv6-icmp', '99') }),
      fc.constant({}),
    );
    const direction = fc.constantFrom<SecurityGroupTraffic['direction']>('Ingress', 'Egress');
    const rule = fc.oneof(
      fc.tuple(fc.record({ direction, family: fc.constant('IPv4' as const) }), what, remote4),
      fc.tuple(fc.record({ direction, family: fc.constant('IPv6' as const) }), what, remote6),
    );
    fc.assert(
      fc.property(rule, ([head, body, remote]) => {
        const traffic: SecurityGroupTraffic = { ...head, ...body, ...remote };
        expect(readTraffic(neutronTrafficSchema.parse({ ...bare, ...writeTraffic(traffic) }))).toEqual(traffic);
      }),
    );
  });
});

/** A network in the form that resources give it. */
function cidrOf(ip: string, prefix: number): string {
  const read = readCidr(`${ip}/${prefix}`);
  if (typeof read !== 'string') return read.text;
  return /write (\S+),/.exec(read)?.[1] ?? (ip.includes(':') ? '2001:db8::/32' : '10.0.0.0/8');
}
