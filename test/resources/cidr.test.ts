import { BlockList, isIPv4, isIPv6 } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import { readCidr } from '../../src/resources/cidr.js';

describe('readCidr', () => {
  test.each([
    ['10.0.0.0/8', 'IPv4', '10.0.0.0/8'],
    ['0.0.0.0/0', 'IPv4', '0.0.0.0/0'],
    ['192.0.2.7/32', 'IPv4', '192.0.2.7/32'],
    ['::/0', 'IPv6', '::/0'],
    ['2001:DB8::/32', 'IPv6', '2001:db8::/32'],
    ['2001:0db8:0000::/48', 'IPv6', '2001:db8::/48'],
    ['0:0:0:0:0:0:0:1/128', 'IPv6', '::1/128'],
    ['2001:db8:0:0:1:0:0:1/128', 'IPv6', '2001:db8::1:0:0:1/128'],
  ])('%s is of %s, written %s', (text, family, canonical) => {
    expect(readCidr(text)).toEqual({ family, text: canonical });
  });

  test.each([
    ['10.0.0.5/8', 'must have no bits set beyond its prefix: write 10.0.0.0/8, or the address with /32'],
    ['2001:db8::5/32', 'must have no bits set beyond its prefix: write 2001:db8::/32, or the address with /128'],
    ['0.0.0.1/0', 'must have no bits set beyond its prefix: write 0.0.0.0/0, or the address with /32'],
  ])('%s is told what to write instead', (text, message) => {
    expect(readCidr(text)).toBe(message);
  });

  const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
  /** An address of either family in any of the ways to write it, and a prefix that it can have. */
  const written = fc.oneof(
    fc.tuple(bytes(4), fc.nat(32)).map(([parts, prefix]) => [parts.join('.'), prefix] as const),
    fc
      .tuple(
        bytes(16),
        fc.nat(128),
        fc.constantFrom(
          (address: ipaddr.IPv6) => address.toRFC5952String(),
          (address: ipaddr.IPv6) => address.toNormalizedString(),
          (address: ipaddr.IPv6) => address.toNormalizedString().replace(/\w+/g, (group) => group.padStart(4, '0')),
        ),
        fc.boolean(),
      )
      .map(([parts, prefix, write, upper]) => {
        const text = write(new ipaddr.IPv6([...parts]));
        return [upper ? text.toUpperCase() : text, prefix] as const;
      }),
  );

  test('takes exactly the network addresses, and writes each in one way', () => {
    fc.assert(
      fc.property(written, ([address, prefix]) => {
        const text = `${address}/${prefix}`;
        const read = readCidr(text);
        const family = address.includes(':') ? 'IPv6' : 'IPv4';
        const network = ipaddr[family].networkAddressFromCIDR(text);
        const same = network.toNormalizedString() === ipaddr[family].parse(address).toNormalizedString();
        expect(typeof read === 'object').toBe(same);
        if (typeof read === 'string') return expect(read).toMatch(/^must have no bits set beyond its prefix/);
        expect(read.family).toBe(family);
        expect(readCidr(read.text)).toEqual(read);
        expect(ipaddr[family].parseCIDR(read.text).toString()).toBe(ipaddr[family].parseCIDR(text).toString());
      }),
    );
  });

  test('what is told to be written instead is taken, and holds the address that was meant', () => {
    fc.assert(
      fc.property(written, ([address, prefix]) => {
        const read = readCidr(`${address}/${prefix}`);
        const advised = typeof read === 'object' ? read.text : (/write (\S+),/.exec(read)?.[1] ?? '');
        expect(readCidr(advised)).toMatchObject({ text: advised });
        const [network = '', length = ''] = advised.split('/');
        const family = isIPv4(address) ? 'ipv4' : 'ipv6';
        const list = new BlockList();
        list.addSubnet(network, Number(length), family);
        expect(list.check(address, family)).toBe(true);
      }),
    );
  });

  test('of any text at all, takes none that is no address and a prefix of it', () => {
    const parts = fc.array(
      fc.constantFrom('10', '0', '255', '256', '00', 'db8', 'FFFF', 'fffff', '.', ':', '::', '/', '8', '128', '%', ' ', '-'),
      {
        maxLength: 12,
      },
    );
    fc.assert(
      fc.property(
        fc.oneof(
          parts.map((all) => all.join('')),
          fc.string(),
        ),
        (text) => {
          if (typeof readCidr(text) === 'string') return;
          const [address = '', prefix = '', ...more] = text.split('/');
          expect({ text, address: isIPv4(address) || isIPv6(address), more }).toEqual({ text, address: true, more: [] });
          expect(prefix).toBe(String(Number(prefix)));
          expect(Number(prefix)).toBeLessThanOrEqual(isIPv4(address) ? 32 : 128);
        },
      ),
      { numRuns: 1000 },
    );
  });
});
