import { describe, expect, test } from '@jest/globals';
import { age } from '../../../src/api/resources/age.js';
import { readerOf } from '../../../src/api/resources/table.js';
import { KINDS } from '../../../src/resources/registry.js';

describe('ages are written as kubectl writes them', () => {
  const now = new Date('2026-01-01T00:00:00Z');
  const ago = (seconds: number) => new Date(now.getTime() - seconds * 1000).toISOString();
  const [minute, hour, day, year] = [60, 3600, 86_400, 365 * 86_400];
  test.each([
    [0, '0s'],
    [-1, '0s'],
    [-5, '<invalid>'],
    [119, '119s'],
    [2 * minute, '2m'],
    [9 * minute + 59, '9m59s'],
    [179 * minute, '179m'],
    [3 * hour, '3h'],
    [7 * hour + 59 * minute, '7h59m'],
    [47 * hour, '47h'],
    [2 * day, '2d'],
    [7 * day + 23 * hour, '7d23h'],
    [700 * day, '700d'],
    [2 * year + day, '2y1d'],
    [9 * year, '9y'],
  ])('%d seconds: %s', (seconds, expected) => {
    expect(age(ago(seconds), now)).toBe(expected);
  });

  test.each([undefined, null, 'yesterday', 7])('%p is no time', (moment) => {
    expect(age(moment, now)).toBe('<unknown>');
  });
});

describe('printer columns', () => {
  const resource = {
    spec: { cloudRef: { name: 'lab' } },
    status: {
      conditions: [
        { type: 'Synced', status: 'False' },
        { type: 'Ready', status: 'True' },
      ],
      addresses: [{ address: '10.0.0.7' }],
    },
  };
  test.each([
    ['.spec.cloudRef.name', 'lab'],
    ['.status.addresses[0].address', '10.0.0.7'],
    ['.status.addresses[1].address', undefined],
    ['.status.conditions[?(@.type=="Ready")].status', 'True'],
    ['.status.conditions[?(@.type=="Gone")].status', undefined],
    ['.spec.cloudRef.name.more', undefined],
  ])('%s', (path, expected) => {
    expect(readerOf(path)(resource)).toBe(expected);
  });

  test('of every kind can be read, also from rows that hold anything', () => {
    for (const { jsonPath } of KINDS.flatMap(({ printerColumns }) => printerColumns)) {
      for (const odd of [{}, null, { status: 'text', spec: [] }, { status: { conditions: { type: 'Ready' } } }]) {
        expect(() => readerOf(jsonPath)(odd)).not.toThrow();
      }
    }
  });

  test('a path of another form is a fault of the program', () => {
    expect(() => readerOf('.items[*].name')).toThrow(RangeError);
  });
});
