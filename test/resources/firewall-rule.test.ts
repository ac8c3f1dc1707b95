import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { kindNamed } from '../../src/resources/registry.js';
import { validate } from '../../src/resources/validate.js';
import { assignment, firewallRule } from '../contract/bad-manifests.js';

interface Range {
  readonly from: number;
  readonly to?: number;
}
const overlap = (a: Range, b: Range) => a.from <= (b.to ?? b.from) && b.from <= (a.to ?? a.from);
const port = fc.integer({ min: 1, max: 40 });
const range = fc.oneof(
  port.map((from): Range => ({ from })),
  fc.tuple(port, fc.nat(3)).map(([from, more]): Range => ({ from, to: from + more })),
);
const errorsOf = (ports: readonly object[]) => validate(kindNamed('FirewallRule'), firewallRule({ ports }));

describe('the ports of a FirewallRule', () => {
  test.each([
    [[{ from: 80 }, { from: 8100, to: 8000 }], 'spec.ports[1]', 'to must not be less than from: 8100 to 8000'],
    [
      [
        { from: 8000, to: 8100 },
        { from: 8100, to: 8200 },
      ],
      'spec.ports[1]',
      'must not overlap another range: 8100 to 8200 overlaps 8000 to 8100',
    ],
    [[{ from: 22 }, { from: 80 }, { from: 22, to: 22 }], 'spec.ports[2]', 'must not overlap another range: 22 overlaps 22'],
  ])('%j: %s %s', (ports, field, message) => {
    expect(errorsOf(ports).map((error) => [error.field, error.message])).toEqual([[field, expect.stringContaining(message)]]);
  });

  test('are taken when no two of them share a port, in whatever order, and otherwise the later of two is named', () => {
    fc.assert(
      fc.property(fc.array(range, { minLength: 1, maxLength: 8 }), (ports) => {
        const wrong = ports.flatMap((each, index) =>
          ports.slice(0, index).some((other) => overlap(each, other)) ? [`spec.ports[${index}]`] : [],
        );
        expect(errorsOf(ports).map(({ field }) => field)).toEqual(wrong);
      }),
    );
  });
});

test('the ports of an assignment may be those of two protocols, each without an overlap', () => {
  const protocol = fc.constantFrom('TCP', 'UDP');
  const both = fc.tuple(range, protocol).map(([ports, name]) => ({ ...ports, protocol: name }));
  fc.assert(
    fc.property(fc.array(both, { minLength: 1, maxLength: 8 }), (ports) => {
      const wrong = ports.some((each, index) =>
        ports.slice(0, index).some((other) => each.protocol === other.protocol && overlap(each, other)),
      );
      const errors = validate(kindNamed('VirtualMachineAssignment'), assignment({ ports, userCidrs: ['192.0.2.0/24'] }));
      expect(errors.length > 0).toBe(wrong);
    }),
  );
});
