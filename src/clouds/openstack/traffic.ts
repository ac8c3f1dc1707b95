import ipaddr from 'ipaddr.js';
import { z } from 'zod';
import type { SecurityGroupTraffic } from '../network-driver.js';

/** neutron's names of protocols by their numbers, and its other spellings. */
const NAMES: Readonly<Record<string, string>> = {
  0: 'hopopt',
  ip: 'hopopt',
  1: 'icmp',
  2: 'igmp',
  4: 'ipip',
  6: 'tcp',
  8: 'egp',
  17: 'udp',
  33: 'dccp',
  41: 'ipv6-encap',
  43: 'ipv6-route',
  44: 'ipv6-frag',
  46: 'rsvp',
  47: 'gre',
  50: 'esp',
  51: 'ah',
  58: 'ipv6-icmp',
  icmpv6: 'ipv6-icmp',
  59: 'ipv6-nonxt',
  60: 'ipv6-opts',
  89: 'ospf',
  112: 'vrrp',
  113: 'pgm',
  132: 'sctp',
  136: 'udplite',
};
/** Those whose range is of ports: from 1 to 65535 is all there are. */
const WITH_PORTS: ReadonlySet<string> = new Set(['tcp', 'udp', 'sctp', 'dccp', 'udplite']);
const ANYBODY = { IPv4: '0.0.0.0/0', IPv6: '::/0' } as const;

/** A rule as neutron shows it, as far as it says what is allowed. */
export const neutronTrafficSchema = z.object({
  direction: z.enum(['ingress', 'egress']),
  ethertype: z.enum(['IPv4', 'IPv6']),
  protocol: z.union([z.string(), z.number()]).nullish(),
  port_range_min: z.number().nullish(),
  port_range_max: z.number().nullish(),
  remote_ip_prefix: z.string().nullish(),
  remote_group_id: z.string().nullish(),
  remote_address_group_id: z.string().nullish(),
});

/** See {@link neutronTrafficSchema}. */
export type NeutronTraffic = z.infer<typeof neutronTrafficSchema>;

/**
 * What a rule of neutron's allows, in the one form that all rules have that allow the same. neutron itself holds a rule without a remote
 * and one from 0.0.0.0/0 for the same (it refuses the second), 10.0.0.5/8 and 10.0.0.0/8 for two.
 */
export function readTraffic(rule: NeutronTraffic): SecurityGroupTraffic & { readonly other?: string } {
  const family = rule.ethertype;
  const protocol = protocolName(rule.protocol, family);
  const groupId = rule.remote_group_id ?? undefined;
  const addressGroup = rule.remote_address_group_id ?? undefined;
  const everyPort = rule.port_range_min === 1 && rule.port_range_max === 65_535 && WITH_PORTS.has(protocol ?? '');
  const from = everyPort ? undefined : (rule.port_range_min ?? undefined);
  const to = everyPort ? undefined : (rule.port_range_max ?? undefined);
  const named = groupId !== undefined || addressGroup !== undefined;
  const cidr = rule.remote_ip_prefix ? canonicalCidr(rule.remote_ip_prefix) : named ? undefined : ANYBODY[family];
  return {
    direction: rule.direction === 'ingress' ? 'Ingress' : 'Egress',
    family,
    ...(protocol === undefined ? {} : { protocol }),
    ...(from === undefined ? {} : { from }),
    ...(to === undefined ? {} : { to }),
    ...(cidr === undefined ? {} : { cidr }),
    ...(groupId === undefined ? {} : { groupId }),
    ...(addressGroup === undefined ? {} : { other: `address group ${addressGroup}` }),
  };
}

/** The same for neutron. */
export function writeTraffic(traffic: SecurityGroupTraffic): Readonly<Record<string, string | number>> {
  return {
    direction: traffic.direction.toLowerCase(),
    ethertype: traffic.family,
    ...(traffic.protocol === undefined ? {} : { protocol: traffic.protocol }),
    ...(traffic.from === undefined ? {} : { port_range_min: traffic.from }),
    ...(traffic.to === undefined ? {} : { port_range_max: traffic.to }),
    ...(traffic.cidr === undefined ? {} : { remote_ip_prefix: traffic.cidr }),
    ...(traffic.groupId === undefined ? {} : { remote_group_id: traffic.groupId }),
  };
}

function protocolName(protocol: string | number | null | undefined, family: SecurityGroupTraffic['family']): string | undefined {
  if (protocol === null || protocol === undefined || protocol === '') return undefined;
  const written = String(protocol).toLowerCase();
  const name = NAMES[written] ?? written;
  // neutron means the family's own.
  return family === 'IPv6' && name === 'icmp' ? 'ipv6-icmp' : name;
}

/** Without host bits, IPv6 as RFC 5952 has it; what is no network stays as it is. */
function canonicalCidr(text: string): string {
  const prefix = text.slice(text.indexOf('/') + 1);
  if (ipaddr.IPv4.isValidCIDRFourPartDecimal(text)) return `${ipaddr.IPv4.networkAddressFromCIDR(text)}/${Number(prefix)}`;
  if (ipaddr.IPv6.isValidCIDR(text)) return `${ipaddr.IPv6.networkAddressFromCIDR(text).toRFC5952String()}/${Number(prefix)}`;
  return text;
}
