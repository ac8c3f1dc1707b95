import { normalized, parsePrefix } from './prefix.js';
import type { RuleRecord } from './records.js';
import { plainly, pythonic, Refusal } from './refusal.js';

/** What a rule says. */
export type RuleFields = Omit<RuleRecord, 'id' | 'created'>;

/** What is asked for, of whatever kind the values are; null: not said. */
interface WantedRule {
  readonly direction: RuleRecord['direction'];
  readonly ethertype: unknown;
  readonly protocol: unknown;
  readonly from: unknown;
  readonly to: unknown;
  readonly prefix: string | null;
  readonly remoteGroupId: string | null;
  readonly description: string;
}

/** The protocols by their names in Neutron, in the order of its messages. */
const PROTOCOLS: ReadonlyMap<string, number> = new Map([
  ['ah', 51],
  ['dccp', 33],
  ['egp', 8],
  ['esp', 50],
  ['gre', 47],
  ['hopopt', 0],
  ['icmp', 1],
  ['igmp', 2],
  ['ip', 0],
  ['ipip', 4],
  ['ipv6-encap', 41],
  ['ipv6-frag', 44],
  ['ipv6-icmp', 58],
  ['icmpv6', 58],
  ['ipv6-nonxt', 59],
  ['ipv6-opts', 60],
  ['ipv6-route', 43],
  ['ospf', 89],
  ['pgm', 113],
  ['rsvp', 46],
  ['sctp', 132],
  ['tcp', 6],
  ['udp', 17],
  ['udplite', 136],
  ['vrrp', 112],
]);
const WITH_PORTS: ReadonlySet<number> = new Set([6, 17, 33, 132, 136]);
const ICMP: ReadonlySet<number> = new Set([1, 58]);
const IPV6_ONLY: ReadonlySet<number> = new Set([41, 44, 58, 59, 60, 43]);

/** Checks a rule as Neutron does, and writes it as Neutron keeps it. @throws Refusal 400. */
export function checkRule(wanted: WantedRule): RuleFields {
  const ethertype = ethertypeOf(wanted.ethertype);
  const asked = protocolOf(wanted.protocol);
  const protocol = asked === 'icmpv6' || (asked === 'icmp' && ethertype === 'IPv6') ? 'ipv6-icmp' : asked;
  const [from, to] = [portOf(wanted.from), portOf(wanted.to)];
  const prefix = prefixOf(wanted.prefix);
  if (prefix !== null && wanted.remoteGroupId !== null) {
    throw refused(
      'SecurityGroupMultipleRemoteEntites',
      'Only one of remote_ip_prefix or remote_group_id or remote_address_group_id may be provided.',
    );
  }
  checkPorts(protocol, from, to);
  if (protocol !== null && ethertype === 'IPv4' && IPV6_ONLY.has(numberOf(protocol))) {
    throw refused('SecurityGroupEthertypeConflictWithProtocol', `Invalid ethertype IPv4 for protocol ${asked}.`);
  }
  if (prefix !== null && parsePrefix(prefix)?.family !== ethertype) {
    throw refused('SecurityGroupRuleParameterConflict', `Conflicting value ethertype ${ethertype} for CIDR ${wanted.prefix}`);
  }
  const { direction, remoteGroupId, description } = wanted;
  return { direction, ethertype, protocol, from, to, prefix, remoteGroupId, description };
}

/** True if Neutron takes two rules of one group for the same. Host bits make them different. */
export function sameTraffic(one: RuleFields, other: RuleFields): boolean {
  return (
    one.direction === other.direction &&
    one.ethertype === other.ethertype &&
    one.from === other.from &&
    one.to === other.to &&
    one.remoteGroupId === other.remoteGroupId &&
    closedPrefix(one.prefix) === closedPrefix(other.prefix) &&
    (one.protocol === null || other.protocol === null
      ? one.protocol === other.protocol
      : numberOf(one.protocol) === numberOf(other.protocol))
  );
}

/** Everybody is as good as no prefix. */
function closedPrefix(prefix: string | null): string | null {
  return prefix === '0.0.0.0/0' || prefix === '::/0' ? null : prefix;
}

function ethertypeOf(value: unknown): RuleRecord['ethertype'] {
  const text = String(value).toLowerCase();
  if (text === 'ipv4') return 'IPv4';
  if (text === 'ipv6') return 'IPv6';
  const allowed = `Allowed values are ${pythonic(['IPv4', 'IPv6'])}.`;
  throw refused(
    'SecurityGroupRuleInvalidEtherType',
    `Security group rule for ethertype ${pythonic(value)} not supported. ${allowed}`,
  );
}

function protocolOf(value: unknown): string | null {
  if (value === null || value === '') return null;
  const text = String(value).toLowerCase();
  if (PROTOCOLS.has(text) || (/^\d{1,3}$/.test(text) && Number(text) <= 255)) return text;
  const names = pythonic([null, ...PROTOCOLS.keys()]);
  throw refused(
    'SecurityGroupRuleInvalidProtocol',
    `Security group rule protocol ${plainly(value)} not supported. Only protocol values ${names} and integer representations [0 to 255] are supported.`,
  );
}

function numberOf(protocol: string): number {
  return PROTOCOLS.get(protocol) ?? Number(protocol);
}

function portOf(value: unknown): number | null {
  if (value === null || value === '') return null;
  const port = typeof value === 'string' && /^-?\d+$/.test(value) ? Number(value) : value;
  if (typeof port === 'number' && Number.isInteger(port) && port >= 0 && port <= 65_535) return port;
  throw refused('SecurityGroupInvalidPortValue', `Invalid value for port ${plainly(value)}`);
}

function prefixOf(value: string | null): string | null {
  if (value === null || value === '') return null;
  const parsed = parsePrefix(value);
  if (parsed !== undefined) return `${parsed.address}/${parsed.length}`;
  throw refused('InvalidCIDR', `Invalid CIDR ${value} given as IP prefix.`);
}

/** A prefix without host bits, as Neutron shows it beside the one that was asked for. */
export function normalizedPrefix(prefix: string | null): string | null {
  const parsed = prefix === null ? undefined : parsePrefix(prefix);
  return parsed === undefined ? null : normalized(parsed);
}

function checkPorts(protocol: string | null, from: number | null, to: number | null): void {
  if (from === null && to === null) return;
  if (protocol === null) {
    throw refused('SecurityGroupProtocolRequiredWithPorts', 'Must also specify protocol if port range is given.');
  }
  const number = numberOf(protocol);
  if (WITH_PORTS.has(number)) {
    if (from === 0 || to === 0) throw refused('SecurityGroupInvalidPortValue', 'Invalid value for port 0');
    if (from !== null && to !== null && from <= to) return;
    throw refused('SecurityGroupInvalidPortRange', 'For TCP/UDP protocols, port_range_min must be <= port_range_max');
  }
  if (!ICMP.has(number)) {
    throw refused(
      'SecurityGroupInvalidProtocolForPort',
      `Ports cannot be specified for protocol ${number}. Ports are only supported for DCCP, SCTP, TCP, UDP, UDPLITE.`,
    );
  }
  for (const [field, value] of [['type (port_range_min)', from] as const, ['code (port_range_max)', to] as const]) {
    if (value === null || value <= 255) continue;
    throw refused('SecurityGroupInvalidIcmpValue', `Invalid value for ICMP ${field} ${value}. It must be 0 to 255.`);
  }
  if (from === null) {
    throw refused(
      'SecurityGroupMissingIcmpType',
      `ICMP code (port-range-max) ${to} is provided but ICMP type (port-range-min) is missing.`,
    );
  }
}

function refused(type: string, message: string): Refusal {
  return new Refusal(400, message, type);
}
