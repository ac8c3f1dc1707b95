import { isIPv4, isIPv6 } from 'node:net';

/** An IP prefix, with the host bits that were written. */
interface Prefix {
  readonly family: 'IPv4' | 'IPv6';
  /** In the usual short form. */
  readonly address: string;
  readonly length: number;
}

/** Reads `10.0.0.5/8`, `2001:DB8::/32`, or an address alone; undefined if it is none of them. */
export function parsePrefix(text: string): Prefix | undefined {
  const [, written = '', tail] = /^([^/]+)(?:\/(\d{1,3}))?$/.exec(text) ?? [];
  const family = isIPv4(written) ? 'IPv4' : isIPv6(written) && !written.includes('%') ? 'IPv6' : undefined;
  if (family === undefined) return undefined;
  const width = family === 'IPv4' ? 32 : 128;
  const length = tail === undefined ? width : Number(tail);
  if (length > width) return undefined;
  return { family, address: family === 'IPv4' ? written : shortened(written), length };
}

/** A prefix without its host bits. */
export function normalized({ family, address, length }: Prefix): string {
  const size = family === 'IPv4' ? 8 : 16;
  const parts = family === 'IPv4' ? address.split('.').map(Number) : partsOf(address);
  const kept = parts.map((part, index) => {
    const bits = Math.min(size, Math.max(0, length - index * size));
    return part & ((2 ** size - 1) << (size - bits)) & (2 ** size - 1);
  });
  if (family === 'IPv4') return `${kept.join('.')}/${length}`;
  return `${shortened(kept.map((part) => part.toString(16)).join(':'))}/${length}`;
}

/** As URLs write it, which is the form that RFC 5952 asks for. */
function shortened(address: string): string {
  return new URL(`http://[${address}]`).hostname.slice(1, -1);
}

function partsOf(address: string): number[] {
  const [before = '', after] = address.split('::');
  const read = (text: string) => (text === '' ? [] : text.split(':').map((part) => Number.parseInt(part, 16)));
  if (after === undefined) return read(before);
  const [head, tail] = [read(before), read(after)];
  return [...head, ...new Array<number>(8 - head.length - tail.length).fill(0), ...tail];
}
