import ipaddr from 'ipaddr.js';
import type { SecurityGroupTraffic } from '../../clouds/network-driver.js';
import { readCidr } from '../../resources/cidr.js';
import type { FirewallRuleSpec } from '../../resources/firewall-rule.js';

type Family = SecurityGroupTraffic['family'];
type Ports = Pick<SecurityGroupTraffic, 'from' | 'to'>;

const FIRST_PORT = 1;
const LAST_PORT = 65_535;

/**
 * What a rule allows, in the terms of a cloud: for each family, network and range of ports. Networks that cannot be read are left out:
 * a valid spec has none. With `spec.peerRef`, `peerGroupId` is the security group of the peer's machines; nothing as long as there is none.
 */
export function trafficOf(spec: FirewallRuleSpec, peerGroupId: string | undefined): SecurityGroupTraffic[] {
  const sides: { readonly family: Family; readonly cidr?: string; readonly groupId?: string }[] = spec.peerRef
    ? (['IPv4', 'IPv6'] as const).flatMap((family) => (peerGroupId === undefined ? [] : [{ family, groupId: peerGroupId }]))
    : (spec.cidrs ?? []).flatMap((text) => {
        const read = readCidr(text);
        return typeof read === 'string' ? [] : [{ family: read.family, cidr: read.text }];
      });
  return sides.flatMap((side) =>
    portsOf(spec).map((ports) => ({ direction: spec.direction, ...protocolOf(spec, side.family), ...ports, ...side })),
  );
}

function protocolOf({ protocol }: FirewallRuleSpec, family: Family): { protocol?: string } {
  switch (protocol) {
    case 'Any':
      return {};
    case 'ICMP':
      return { protocol: family === 'IPv4' ? 'icmp' : 'ipv6-icmp' };
    default:
      return { protocol: protocol.toLowerCase() };
  }
}

function portsOf({ ports, icmp }: FirewallRuleSpec): Ports[] {
  if (icmp) return [{ from: icmp.type, ...(icmp.code === undefined ? {} : { to: icmp.code }) }];
  if (!ports) return [{}];
  // All ports are said by saying none: a cloud that is told the whole range may tell it back otherwise.
  return ports.map(({ from, to = from }) => (from === FIRST_PORT && to === LAST_PORT ? {} : { from, to }));
}

/** The same text for all that allows the same. */
export function trafficKey({ direction, family, protocol, from, to, cidr, groupId }: SecurityGroupTraffic): string {
  return [direction, family, protocol, from, to, cidr, groupId].map((part) => part ?? '*').join(' ');
}

/** False only if nothing is allowed by both. */
export function overlap(a: SecurityGroupTraffic, b: SecurityGroupTraffic): boolean {
  if (a.direction !== b.direction || a.family !== b.family) return false;
  if (a.protocol !== undefined && b.protocol !== undefined && a.protocol !== b.protocol) return false;
  return portsOverlap(a, b) && sidesOverlap(a, b);
}

function portsOverlap(a: SecurityGroupTraffic, b: SecurityGroupTraffic): boolean {
  if (a.from === undefined || b.from === undefined) return true;
  const icmp = a.protocol?.includes('icmp');
  if (icmp) return a.from === b.from && (a.to === undefined || b.to === undefined || a.to === b.to);
  return a.from <= (b.to ?? b.from) && b.from <= (a.to ?? a.from);
}

function sidesOverlap(a: SecurityGroupTraffic, b: SecurityGroupTraffic): boolean {
  if (a.groupId !== undefined && b.groupId !== undefined) return a.groupId === b.groupId;
  // The members of a group may be in any network.
  if (a.cidr === undefined || b.cidr === undefined) return true;
  return contains(a.cidr, b.cidr) || contains(b.cidr, a.cidr);
}

function contains(outer: string, inner: string): boolean {
  const [network, prefix] = ipaddr.parseCIDR(outer);
  const [address, innerPrefix] = ipaddr.parseCIDR(inner);
  return prefix <= innerPrefix && address.match(network, prefix);
}

/** `Ingress TCP 8000-8100 from 0.0.0.0/0`. @param nameOf the name of a security group, for those that are the other side. */
export function describeTraffic(traffic: SecurityGroupTraffic, nameOf: (groupId: string) => string = (id) => id): string {
  const { direction, family, protocol, from, to, cidr, groupId } = traffic;
  const ports = from === undefined ? '' : ` ${to === undefined || to === from ? from : `${from}-${to}`}`;
  const icmp = protocol?.includes('icmp') && from !== undefined ? ` type ${from}${to === undefined ? '' : ` code ${to}`}` : '';
  const side = groupId === undefined ? (cidr ?? `any ${family}`) : `${family} of ${nameOf(groupId)}`;
  const what = `${protocol?.toUpperCase() ?? 'any protocol'}${icmp || ports}`;
  return `${direction} ${what} ${direction === 'Ingress' ? 'from' : 'to'} ${side}`;
}
