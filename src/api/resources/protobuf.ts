import { ApiError, badRequest } from './errors.js';

/**
 * Reads the protobuf bodies that kubectl and client-go send for kinds compiled into them (`kubectl create secret`,
 * `kubectl create namespace`, `kubectl auth whoami`, what scales a resource): they fall back to nothing else. Field numbers are those of the
 * generated.proto files of k8s.io/api and k8s.io/apimachinery. Answers are never protobuf; clients accept JSON.
 */
export const PROTOBUF = 'application/vnd.kubernetes.protobuf';

/** How a field is written: a scalar, a message, or several of one. Maps have entries of key 1 and value 2. */
type Field =
  | readonly [name: string, type: 'string' | 'int' | 'bool' | 'time' | 'microTime' | 'strings' | 'textMap' | 'bytesMap']
  | readonly [name: string, type: 'message' | 'messages', of: Message];
type Message = Readonly<Record<number, Field>>;

const OWNER: Message = {
  1: ['kind', 'string'],
  3: ['name', 'string'],
  4: ['uid', 'string'],
  5: ['apiVersion', 'string'],
  6: ['controller', 'bool'],
  7: ['blockOwnerDeletion', 'bool'],
};
const METADATA: Message = {
  1: ['name', 'string'],
  2: ['generateName', 'string'],
  3: ['namespace', 'string'],
  5: ['uid', 'string'],
  6: ['resourceVersion', 'string'],
  7: ['generation', 'int'],
  8: ['creationTimestamp', 'time'],
  9: ['deletionTimestamp', 'time'],
  10: ['deletionGracePeriodSeconds', 'int'],
  11: ['labels', 'textMap'],
  12: ['annotations', 'textMap'],
  13: ['ownerReferences', 'messages', OWNER],
  14: ['finalizers', 'strings'],
};
const REFERENCE: Message = {
  1: ['kind', 'string'],
  2: ['namespace', 'string'],
  3: ['name', 'string'],
  4: ['uid', 'string'],
  5: ['apiVersion', 'string'],
  6: ['resourceVersion', 'string'],
  7: ['fieldPath', 'string'],
};
const ATTRIBUTES: Message = {
  1: ['namespace', 'string'],
  2: ['verb', 'string'],
  3: ['group', 'string'],
  4: ['version', 'string'],
  5: ['resource', 'string'],
  6: ['subresource', 'string'],
  7: ['name', 'string'],
};
const KINDS: Readonly<Record<string, Message>> = {
  Secret: {
    1: ['metadata', 'message', METADATA],
    2: ['data', 'bytesMap'],
    3: ['type', 'string'],
    4: ['stringData', 'textMap'],
    5: ['immutable', 'bool'],
  },
  Namespace: { 1: ['metadata', 'message', METADATA], 2: ['spec', 'message', { 1: ['finalizers', 'strings'] }] },
  Event: {
    1: ['metadata', 'message', METADATA],
    2: ['involvedObject', 'message', REFERENCE],
    3: ['reason', 'string'],
    4: ['message', 'string'],
    5: ['source', 'message', { 1: ['component', 'string'], 2: ['host', 'string'] }],
    6: ['firstTimestamp', 'time'],
    7: ['lastTimestamp', 'time'],
    8: ['count', 'int'],
    9: ['type', 'string'],
    10: ['eventTime', 'microTime'],
    11: ['series', 'message', { 1: ['count', 'int'], 2: ['lastObservedTime', 'microTime'] }],
    12: ['action', 'string'],
    13: ['related', 'message', REFERENCE],
    14: ['reportingComponent', 'string'],
    15: ['reportingInstance', 'string'],
  },
  Scale: {
    1: ['metadata', 'message', METADATA],
    2: ['spec', 'message', { 1: ['replicas', 'int'] }],
    3: ['status', 'message', { 1: ['replicas', 'int'], 2: ['selector', 'string'] }],
  },
  DeleteOptions: {
    1: ['gracePeriodSeconds', 'int'],
    2: ['preconditions', 'message', { 1: ['uid', 'string'], 2: ['resourceVersion', 'string'] }],
    3: ['orphanDependents', 'bool'],
    4: ['propagationPolicy', 'string'],
    5: ['dryRun', 'strings'],
  },
  SelfSubjectReview: {},
  SelfSubjectAccessReview: {
    2: [
      'spec',
      'message',
      {
        1: ['resourceAttributes', 'message', ATTRIBUTES],
        2: ['nonResourceAttributes', 'message', { 1: ['path', 'string'], 2: ['verb', 'string'] }],
      },
    ],
  },
  SelfSubjectRulesReview: { 2: ['spec', 'message', { 1: ['namespace', 'string'] }] },
};
const MAGIC = Buffer.from('k8s\0');
const ENVELOPE: Message = { 1: ['type', 'message', { 1: ['apiVersion', 'string'], 2: ['kind', 'string'] }] };
const RAW = 2;

/**
 * The manifest that a protobuf body holds, as if it had come as JSON.
 *
 * @throws ApiError BadRequest if it is not well formed; UnsupportedMediaType for a kind that must be sent as JSON.
 */
export function parseProtobuf(body: Buffer): Record<string, unknown> {
  if (!body.subarray(0, MAGIC.length).equals(MAGIC)) throw malformed();
  const envelope = body.subarray(MAGIC.length);
  const { type } = readMessage(envelope, ENVELOPE);
  const kind = typeof type === 'object' && type !== null && 'kind' in type ? String(type.kind) : '';
  const message = Object.hasOwn(KINDS, kind) ? KINDS[kind] : undefined;
  if (!message)
    throw new ApiError('UnsupportedMediaType', `a ${kind.slice(0, 64)} must be sent as application/json, not as protobuf`);
  const raw = [...fieldsOf(envelope)].find(({ number }) => number === RAW)?.value;
  return { ...(typeof type === 'object' ? type : {}), ...readMessage(Buffer.isBuffer(raw) ? raw : Buffer.alloc(0), message) };
}

function readMessage(bytes: Buffer, message: Message): Record<string, unknown> {
  const result = new Map<string, unknown>();
  for (const { number, value } of fieldsOf(bytes)) {
    const field = message[number];
    if (!field) continue;
    const [name, type] = field;
    if (type === 'messages') result.set(name, [...listAt(result, name), readMessage(bytesOf(value), field[2])]);
    else if (type === 'strings') result.set(name, [...listAt(result, name), textOf(value)]);
    else if (type === 'textMap' || type === 'bytesMap') addEntry(result, name, bytesOf(value), type);
    else {
      const read = type === 'message' ? readMessage(bytesOf(value), field[2]) : scalar(type, value);
      // Go writes empty values too; as JSON they would have been left out.
      if (read !== undefined && read !== '' && read !== 0) result.set(name, read);
    }
  }
  return Object.fromEntries(result);
}

function addEntry(result: Map<string, unknown>, name: string, entry: Buffer, type: 'textMap' | 'bytesMap'): void {
  const fields = new Map([...fieldsOf(entry)].map(({ number, value }) => [number, bytesOf(value)]));
  const value = fields.get(2) ?? Buffer.alloc(0);
  const standing = result.get(name);
  const entries: Array<[string, unknown]> = typeof standing === 'object' && standing !== null ? Object.entries(standing) : [];
  entries.push([textOf(fields.get(1) ?? Buffer.alloc(0)), value.toString(type === 'bytesMap' ? 'base64' : 'utf8')]);
  result.set(name, Object.fromEntries(entries));
}

function scalar(type: 'string' | 'int' | 'bool' | 'time' | 'microTime', value: bigint | Buffer): unknown {
  if (type === 'string') return textOf(value);
  if (type === 'int') return Number(BigInt.asIntN(64, numberOf(value)));
  if (type === 'bool') return numberOf(value) !== 0n;
  const { seconds = 0, nanos = 0 } = readMessage(bytesOf(value), { 1: ['seconds', 'int'], 2: ['nanos', 'int'] });
  if (Number(seconds) <= 0) return undefined;
  const text = new Date(Number(seconds) * 1000).toISOString().slice(0, -5);
  return type === 'time' ? `${text}Z` : `${text}.${String(Math.floor(Number(nanos) / 1000)).padStart(6, '0')}Z`;
}

/** The fields of a message as they come: numbers of wire type 0, bytes of wire type 2. */
function* fieldsOf(bytes: Buffer): Generator<{ readonly number: number; readonly value: bigint | Buffer }> {
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined) break;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw malformed();
  };
  while (at < bytes.length) {
    const tag = varint();
    const number = Number(tag >> 3n);
    const wire = Number(tag & 7n);
    if (wire === 0) yield { number, value: varint() };
    else if (wire === 2) {
      const length = Number(varint());
      if (at + length > bytes.length) throw malformed();
      yield { number, value: bytes.subarray(at, at + length) };
      at += length;
    } else throw malformed();
  }
}

function listAt(result: Map<string, unknown>, name: string): unknown[] {
  const standing = result.get(name);
  return Array.isArray(standing) ? standing : [];
}

function bytesOf(value: bigint | Buffer): Buffer {
  if (Buffer.isBuffer(value)) return value;
  throw malformed();
}

function numberOf(value: bigint | Buffer): bigint {
  if (typeof value === 'bigint') return value;
  throw malformed();
}

function textOf(value: bigint | Buffer): string {
  return bytesOf(value).toString('utf8');
}

function malformed(): ApiError {
  return badRequest('', 'the request body is not a well formed protobuf message of Kubernetes');
}
