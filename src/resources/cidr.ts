import ipaddr from 'ipaddr.js';
import { z } from 'zod';

/** A network in one of the two families. */
export interface Network {
  readonly family: 'IPv4' | 'IPv6';
  /** The one way to write it that all who mean it agree on: `10.0.0.0/8`, `2001:db8::/32`. */
  readonly text: string;
}

/** The form of both; whether its numbers are those of an address is for the library to say. No zone: it names an interface of one machine. */
const FORM = /^([0-9.]+|[0-9A-Fa-f:]+)\/(0|[1-9]\d{0,2})$/;
const SHAPE = 'must be a network such as 10.0.0.0/8, 192.0.2.7/32 or 2001:db8::/32';

/** The network that a text stands for, or a sentence that says why it stands for none (without the text at its start). Never throws. */
export function readCidr(text: string): Network | string {
  if (text.includes(':') && text.includes('.')) return `${SHAPE}: an IPv4 network is written as one, not within IPv6`;
  if (!FORM.test(text)) return SHAPE;
  if (ipaddr.IPv4.isValidCIDRFourPartDecimal(text)) {
    const canonical = `${ipaddr.IPv4.networkAddressFromCIDR(text)}/${prefixOf(text)}`;
    return withoutHostBits('IPv4', ipaddr.IPv4.parseCIDR(text)[0].toString(), canonical);
  }
  if (!ipaddr.IPv6.isValidCIDR(text)) return SHAPE;
  const [address] = ipaddr.IPv6.parseCIDR(text);
  if (address.isIPv4MappedAddress()) return `${SHAPE}: an IPv4 network is written as one, not within IPv6`;
  const network = ipaddr.IPv6.networkAddressFromCIDR(text).toRFC5952String();
  return withoutHostBits('IPv6', address.toRFC5952String(), `${network}/${prefixOf(text)}`);
}

/** A network as a field of a spec. */
export const cidrSchema = z
  .string()
  .min(1)
  .max(64)
  .check((context) => {
    const read = readCidr(context.value);
    if (typeof read === 'string') context.issues.push({ code: 'custom', input: context.value, message: read });
  });

/** The same as CEL, of a list of them (Kubernetes 1.31 and later). */
export const IS_CIDRS = 'self.all(c, isCIDR(c) && !(c.contains(":") && c.contains(".")) && cidr(c) == cidr(c).masked())';

function withoutHostBits(family: Network['family'], address: string, canonical: string): Network | string {
  if (canonical.startsWith(`${address}/`)) return { family, text: canonical };
  return `must have no bits set beyond its prefix: write ${canonical}, or the address with /${family === 'IPv4' ? 32 : 128}`;
}

function prefixOf(text: string): number {
  return Number(text.slice(text.indexOf('/') + 1));
}
