import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { ApiError } from '../../../src/api/resources/errors.js';
import { parseProtobuf } from '../../../src/api/resources/protobuf.js';

const bytes = (number: number, value: Buffer | string) => {
  const content = Buffer.from(value);
  return Buffer.concat([varint((number << 3) | 2), varint(content.length), content]);
};
const number = (field: number, value: number) => Buffer.concat([varint(field << 3), varint(value)]);
function varint(value: number): Buffer {
  const out = [];
  for (let rest = value; ; rest = Math.floor(rest / 128)) {
    if (rest < 128) return Buffer.from([...out, rest]);
    out.push((rest % 128) | 128);
  }
}
const message = (...fields: Buffer[]) => Buffer.concat(fields);
const envelope = (apiVersion: string, kind: string, raw: Buffer) =>
  Buffer.concat([
    Buffer.from('k8s\0'),
    bytes(1, message(bytes(1, apiVersion), bytes(2, kind))),
    bytes(2, raw),
    bytes(3, ''),
    bytes(4, ''),
  ]);

describe('protobuf bodies', () => {
  test('a Secret as kubectl writes it', () => {
    const metadata = message(
      bytes(1, 'keys'),
      bytes(2, ''),
      bytes(3, 'default'),
      number(7, 0),
      bytes(8, ''),
      bytes(11, message(bytes(1, 'a'), bytes(2, 'b'))),
    );
    const raw = message(
      bytes(1, metadata),
      bytes(2, message(bytes(1, 'k'), bytes(2, Buffer.from([0, 255])))),
      bytes(3, 'Opaque'),
      number(5, 1),
    );
    expect(parseProtobuf(envelope('v1', 'Secret', raw))).toEqual({
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'keys', namespace: 'default', labels: { a: 'b' } },
      data: { k: 'AP8=' },
      type: 'Opaque',
      immutable: true,
    });
  });

  test('an Event with its times', () => {
    const raw = message(
      bytes(2, message(bytes(1, 'VirtualMachine'), bytes(3, 'web'))),
      bytes(6, message(number(1, 1_767_323_045), number(2, 0))),
      number(8, 3),
      bytes(10, message(number(1, 1_767_323_045), number(2, 123_456_000))),
    );
    expect(parseProtobuf(envelope('v1', 'Event', raw))).toMatchObject({
      involvedObject: { kind: 'VirtualMachine', name: 'web' },
      firstTimestamp: '2026-01-02T03:04:05Z',
      eventTime: '2026-01-02T03:04:05.123456Z',
      count: 3,
    });
  });

  test('a kind without a place here must come as JSON', () => {
    expect(() => parseProtobuf(envelope('v1', 'Pod', Buffer.alloc(0)))).toThrow('must be sent as application/json');
    expect(() => parseProtobuf(envelope('v1', 'constructor', Buffer.alloc(0)))).toThrow('must be sent as application/json');
  });

  test('anything else is refused in order', () => {
    const body = fc.oneof(
      fc.uint8Array(),
      fc.uint8Array().map((raw) => envelope('v1', 'Secret', Buffer.from(raw))),
    );
    fc.assert(
      fc.property(body, (raw) => {
        try {
          parseProtobuf(Buffer.from(raw));
        } catch (error) {
          expect(error).toBeInstanceOf(ApiError);
        }
      }),
    );
  });
});
