import { describe, expect, test } from '@jest/globals';
import { retryOf } from '../../../src/controllers/retry.js';
import type { StoreErrorCode } from '../../../src/store/errors.js';
import { type Refusal, type Subject, storeErrorOf, unavailable } from '../../../src/store/kubernetes/errors.js';

const VM: Subject = {
  call: 'update VirtualMachine/default/web',
  resource: { group: 'dispatcher.dev', version: 'v1alpha1', plural: 'virtualmachines' },
};
const SECRET: Subject = {
  call: 'update Secret/default/openstack',
  resource: { group: '', version: 'v1', plural: 'secrets' },
  secret: true,
};

function status(code: number, reason: string, message: string, details: object = {}): Refusal {
  return { status: code, body: { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message, details } };
}

const CASES: ReadonlyArray<{ why: string; refusal: Refusal; code: StoreErrorCode; says: RegExp }> = [
  {
    why: 'a resource is missing',
    refusal: status(404, 'NotFound', 'virtualmachines.dispatcher.dev "web" not found', { name: 'web', kind: 'virtualmachines' }),
    code: 'NotFound',
    says: /^update VirtualMachine\/default\/web: virtualmachines.dispatcher.dev "web" not found$/,
  },
  {
    why: 'the API server knows nothing of the kind, in words that are no JSON',
    refusal: { status: 404, body: undefined },
    code: 'Unavailable',
    says: /does not serve virtualmachines\.dispatcher\.dev in version v1alpha1: apply .*kubectl apply --server-side -f manifests\/crds/,
  },
  {
    why: 'the API server knows the group but not the kind',
    refusal: status(404, 'NotFound', 'the server could not find the requested resource'),
    code: 'Unavailable',
    says: /kubectl apply --server-side -f manifests\/crds/,
  },
  {
    why: 'the CustomResourceDefinition is older than this program',
    refusal: {
      status: 500,
      body: {
        kind: 'Status',
        code: 500,
        message: 'failed to create typed patch object (x): .status.new: field not declared in schema',
      },
    },
    code: 'Invalid',
    says: /\.status\.new: field not declared in schema: apply the CustomResourceDefinitions of this version/,
  },
  { why: 'the name is taken', refusal: status(409, 'AlreadyExists', 'it exists'), code: 'AlreadyExists', says: /it exists/ },
  { why: 'the version is stale', refusal: status(409, 'Conflict', 'it was modified'), code: 'Conflict', says: /it was modified/ },
  { why: 'the history is gone', refusal: status(410, 'Expired', 'too old resource version'), code: 'Expired', says: /too old/ },
  {
    why: 'the namespace is going',
    refusal: status(403, 'Forbidden', 'because it is being terminated', { causes: [{ reason: 'NamespaceTerminating' }] }),
    code: 'Forbidden',
    says: /being terminated/,
  },
  {
    why: 'a finalizer is added to what is being deleted',
    refusal: status(422, 'Invalid', 'no new finalizers can be added', {
      causes: [{ reason: 'FieldValueForbidden', field: 'metadata.finalizers', message: 'Forbidden' }],
    }),
    code: 'Forbidden',
    says: /no new finalizers/,
  },
  {
    why: 'a right is missing',
    refusal: status(403, 'Forbidden', 'User "x" cannot update'),
    code: 'Forbidden',
    says: /cannot update/,
  },
  { why: 'the credentials have expired', refusal: status(401, 'Unauthorized', ''), code: 'Unavailable', says: /credentials/ },
  {
    why: 'it is refused by its schema',
    refusal: status(422, 'Invalid', 'spec.image: Required'),
    code: 'Invalid',
    says: /spec.image/,
  },
  { why: 'it is too large', refusal: { status: 413, body: undefined }, code: 'Invalid', says: /answered 413/ },
  { why: 'the API server is overwhelmed', refusal: status(429, 'TooManyRequests', 'later'), code: 'Unavailable', says: /later/ },
  {
    why: 'etcd is away',
    refusal: status(500, 'InternalError', 'etcdserver: leader changed'),
    code: 'Unavailable',
    says: /etcdserver/,
  },
  { why: 'a proxy answers in its place', refusal: { status: 502, body: undefined }, code: 'Unavailable', says: /answered 502/ },
  { why: 'a proxy leads elsewhere', refusal: { status: 302, body: undefined }, code: 'Unavailable', says: /answered 302/ },
];

describe('an answer of the API server', () => {
  test.each(CASES)('is $code when $why', ({ refusal, code, says }) => {
    const error = storeErrorOf(refusal, VM);
    expect(error.code).toBe(code);
    expect(error.message).toMatch(says);
  });

  test('that asks to be left alone is heeded by the retry policy', () => {
    const asked = storeErrorOf({ ...status(503, 'ServiceUnavailable', 'shutting down'), retryAfterMs: 7_000 }, VM);
    expect(retryOf(asked)).toEqual({ kind: 'after', ms: 7_000 });
    const inBody = storeErrorOf(status(429, 'TooManyRequests', 'later', { retryAfterSeconds: 2 }), VM);
    expect(retryOf(inBody)).toEqual({ kind: 'after', ms: 2_000 });
    expect(retryOf(storeErrorOf(status(503, 'ServiceUnavailable', ''), VM))).toEqual({ kind: 'backoff' });
  });

  test('about a Secret is told without what it says of values, but with their fields', () => {
    const message = 'Secret "openstack" is invalid: data[password]: Invalid value: "hunter2": must be base64';
    const details = { causes: [{ reason: 'FieldValueInvalid', field: 'data[password]', message: 'Invalid value: "hunter2"' }] };
    for (const code of [400, 422, 500]) {
      const error = storeErrorOf(status(code, 'Invalid', message, details), SECRET);
      expect(error.message).toBe('update Secret/default/openstack: Invalid (data[password])');
    }
  });
});

test('no answer is Unavailable, and says from where and why, of several addresses too', () => {
  const refused = new Error('connect ECONNREFUSED 127.0.0.1:6443');
  for (const cause of [refused, new AggregateError([refused])]) {
    const error = unavailable('https://127.0.0.1:6443', VM, cause);
    expect(error.code).toBe('Unavailable');
    expect(error.message).toMatch(/^update VirtualMachine\/default\/web: .*https:\/\/127\.0\.0\.1:6443 .*ECONNREFUSED/);
  }
});
