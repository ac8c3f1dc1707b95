import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { SecurityGroupTraffic } from '../../../src/clouds/network-driver.js';
import { describeTraffic, overlap, trafficKey, trafficOf } from '../../../src/reconcilers/firewall/traffic.js';
import { ruleOf } from './fixtures.js';

describe('what a rule allows', () => {
  it.each([
    { why: 'a port', spec: {}, words: ['Ingress TCP 80 from 0.0.0.0/0'] },
    { why: 'a range', spec: { ports: [{ from: 8000, to: 8100 }] }, words: ['Ingress TCP 8000-8100 from 0.0.0.0/0'] },
    {
      why: 'each range for each network, in the family of the network',
      spec: { ports: [{ from: 80 }, { from: 443 }], cidrs: ['10.0.0.0/8', '2001:DB8::/32'] },
      words: [
        'Ingress TCP 80 from 10.0.0.0/8',
        'Ingress TCP 443 from 10.0.0.0/8',
        'Ingress TCP 80 from 2001:db8::/32',
        'Ingress TCP 443 from 2001:db8::/32',
      ],
    },
    {
      why: 'all ports, said by none, also where the whole range is',
      spec: { ports: [{ from: 1, to: 65_535 }] },
      words: ['Ingress TCP from 0.0.0.0/0'],
    },
    {
      why: 'the ICMP of the family of each network',
      spec: { protocol: 'ICMP', cidrs: ['0.0.0.0/0', '::/0'] },
      words: ['Ingress ICMP from 0.0.0.0/0', 'Ingress IPV6-ICMP from ::/0'],
    },
    {
      why: 'a type of ICMP, and a code',
      spec: { protocol: 'ICMP', icmp: { type: 3, code: 4 } },
      words: ['Ingress ICMP type 3 code 4 from 0.0.0.0/0'],
    },
    {
      why: 'a type of ICMP with all its codes: type 0 and code 0 are ones like others',
      spec: { protocol: 'ICMP', icmp: { type: 0 } },
      words: ['Ingress ICMP type 0 from 0.0.0.0/0'],
    },
    {
      why: 'any protocol, on the way out',
      spec: { direction: 'Egress', protocol: 'Any', cidrs: ['192.0.2.7/32'] },
      words: ['Egress any protocol to 192.0.2.7/32'],
    },
    {
      why: "the machines of another rule, by both families' addresses",
      spec: { peerRef: { name: 'db' } },
      peer: 'group-9',
      words: ['Ingress TCP 80 from IPv4 of group-9', 'Ingress TCP 80 from IPv6 of group-9'],
    },
    { why: 'nothing while the peer has no group', spec: { peerRef: { name: 'db' } }, words: [] },
  ] as const)('$why', ({ spec, words, ...rest }) => {
    const { spec: whole } = ruleOf('web', JSON.parse(JSON.stringify(spec)));
    expect(trafficOf(whole, 'peer' in rest ? rest.peer : undefined).map((one) => describeTraffic(one))).toEqual(words);
  });
});

const side = fc.constantFrom<Pick<SecurityGroupTraffic, 'family' | 'cidr' | 'groupId'>>(
  { family: 'IPv4', cidr: '10.0.0.0/8' },
  { family: 'IPv4', cidr: '10.1.0.0/16' },
  { family: 'IPv4', cidr: '192.0.2.0/24' },
  { family: 'IPv6', cidr: '2001:db8::/32' },
  { family: 'IPv4', groupId: 'group-1' },
);
const traffic = fc
  .record({
    direction: fc.constantFrom<SecurityGroupTraffic['direction']>('Ingress', 'Egress'),
    protocol: fc.constantFrom('tcp', 'udp', undefined),
    range: fc.option(fc.tuple(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 0, max: 2 }))),
    side,
  })
  .map(
    ({ direction, protocol, range, side: other }): SecurityGroupTraffic => ({
      direction,
      ...other,
      ...(protocol === undefined ? {} : { protocol }),
      ...(protocol === undefined || !range ? {} : { from: range[0], to: range[0] + range[1] }),
    }),
  );

describe('two that overlap', () => {
  it('overlap the other way round too, and each overlaps itself', () => {
    fc.assert(
      fc.property(traffic, traffic, (a, b) => {
        expect(overlap(a, b)).toBe(overlap(b, a));
        expect(overlap(a, a)).toBe(true);
      }),
    );
  });

  it('are never said apart when one packet passes both', () => {
    const hosts = { '10.1.2.3': ['10.0.0.0/8', '10.1.0.0/16'], '10.2.2.2': ['10.0.0.0/8'], '192.0.2.1': ['192.0.2.0/24'] };
    const passes = (one: SecurityGroupTraffic, protocol: string, port: number, host: keyof typeof hosts) =>
      one.family === 'IPv4' &&
      (one.cidr === undefined || hosts[host].includes(one.cidr)) &&
      (one.protocol === undefined || one.protocol === protocol) &&
      (one.from === undefined || (one.from <= port && port <= (one.to ?? one.from)));
    fc.assert(
      fc.property(
        traffic,
        traffic,
        fc.constantFrom('tcp', 'udp'),
        fc.integer({ min: 1, max: 8 }),
        fc.constantFrom(...(Object.keys(hosts) as (keyof typeof hosts)[])),
        (a, b, protocol, port, host) => {
          if (a.direction === b.direction && passes(a, protocol, port, host) && passes(b, protocol, port, host))
            expect(overlap(a, b)).toBe(true);
        },
      ),
    );
  });

  it.each([
    { why: 'another direction', a: {}, b: { direction: 'Egress' } },
    { why: 'ports apart', a: { from: 80, to: 81 }, b: { from: 82, to: 90 } },
    { why: 'networks apart', a: { cidr: '10.0.0.0/16' }, b: { cidr: '10.1.0.0/16' } },
    { why: 'another protocol', a: {}, b: { protocol: 'udp' } },
    { why: 'another type of ICMP', a: { protocol: 'icmp', from: 8 }, b: { protocol: 'icmp', from: 3 } },
  ] as const)('are told from those that do not: $why', ({ a, b }) => {
    const base = { direction: 'Ingress', family: 'IPv4', protocol: 'tcp' } as const;
    expect(overlap({ ...base, ...a }, { ...base, ...b })).toBe(false);
    expect(trafficKey({ ...base, ...a })).not.toBe(trafficKey({ ...base, ...b }));
  });
});
