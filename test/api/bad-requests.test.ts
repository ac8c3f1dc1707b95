import { Readable } from 'node:stream';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { request } from 'undici';
import { KINDS } from '../../src/resources/registry.js';
import {
  BAD_MANIFESTS,
  cloud,
  collectionOf,
  secret,
  TAKEN_BY_KUBERNETES,
  virtualMachine as vm,
} from '../contract/bad-manifests.js';
import { apiClient, type Sending } from '../support/api-client.js';
import { servedApi } from '../support/api-server.js';

const VMS = '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines';
const CLOUDS = '/apis/dispatcher.dev/v1alpha1/clouds';
const SECRETS = '/api/v1/namespaces/default/secrets';

const post = (path: string, body: Sending['body'], more: Sending = {}) => ({ path, method: 'POST', body, ...more });
const patchOf = (kind: string, body: Sending['body'], path = `${VMS}/stands`) => ({
  path,
  method: 'PATCH',
  body,
  type: `application/${kind}`,
});

interface Case extends Sending {
  readonly path: string;
  /** Why this must be refused. */
  readonly reason: string;
  readonly code: number;
  /** `Status.reason`. */
  readonly says: string;
  /** The field of a cause; undefined: no field is at fault. */
  readonly field?: string;
}

const refused = (reason: string, sending: Sending & { path: string }, code: number, says: string, field?: string): Case => ({
  reason,
  ...sending,
  code,
  says,
  ...(field === undefined ? {} : { field }),
});

const CASES: readonly Case[] = [
  // What a manifest says
  ...[...BAD_MANIFESTS, ...TAKEN_BY_KUBERNETES].map(({ reason, manifest, field, unknownField }) =>
    refused(
      reason,
      post(collectionOf(manifest), manifest),
      unknownField ? 400 : 422,
      unknownField ? 'BadRequest' : 'Invalid',
      field,
    ),
  ),
  // What a path says
  refused('the kind is not that of the path', post(VMS, cloud({ engine: 'simulator' })), 400, 'BadRequest', 'kind'),
  refused(
    'a version that is not served',
    post(VMS, { ...vm(), apiVersion: 'dispatcher.dev/v9' }),
    400,
    'BadRequest',
    'apiVersion',
  ),
  refused(
    'the namespace is not that of the path',
    post(VMS, vm({}, { name: 'bad', namespace: 'b' })),
    400,
    'BadRequest',
    'metadata.namespace',
  ),
  refused(
    'a namespace where there is none',
    post(CLOUDS, { ...cloud({ engine: 'simulator' }), metadata: { name: 'bad', namespace: 'default' } }),
    400,
    'BadRequest',
    'metadata.namespace',
  ),
  refused(
    'a create with a version',
    post(VMS, vm({}, { name: 'bad', resourceVersion: '1' })),
    400,
    'BadRequest',
    'metadata.resourceVersion',
  ),
  refused('a namespace that is not there', post(VMS.replace('default', 'nowhere'), vm()), 404, 'NotFound'),
  refused('a create without a namespace', post('/apis/dispatcher.dev/v1alpha1/virtualmachines', vm()), 405, 'MethodNotAllowed'),
  refused('a name that is taken', post(VMS, vm({}, { name: 'stands' })), 409, 'AlreadyExists'),
  refused('a path that means nothing', { path: '/nothing/here' }, 404, 'NotFound'),
  refused('a kind that is not served', { path: '/apis/dispatcher.dev/v1alpha1/unicorns' }, 404, 'NotFound'),
  refused('a group that is not served', { path: '/apis/apps/v1/deployments' }, 404, 'NotFound'),
  refused('a subresource that there is not', { path: `${VMS}/stands/scale` }, 404, 'NotFound'),
  refused('broken percent-encoding', { path: `${VMS}/%zz` }, 400, 'BadRequest', 'path'),
  refused('a resource that is not there', { path: `${VMS}/absent` }, 404, 'NotFound'),
  refused('a delete of what is not there', { path: `${VMS}/absent`, method: 'DELETE' }, 404, 'NotFound'),
  refused('a method that means nothing', { path: VMS, method: 'PUT', body: vm() }, 405, 'MethodNotAllowed'),
  refused('a POST to a resource', post(`${VMS}/stands`, vm()), 405, 'MethodNotAllowed'),
  refused('a write to a document', post('/version', {}), 405, 'MethodNotAllowed'),
  // How it is written
  refused('JSON that breaks off', post(VMS, '{"kind":'), 400, 'BadRequest', ''),
  refused('a body that is a list', post(VMS, '[]'), 400, 'BadRequest', ''),
  refused('no body', post(VMS, ''), 400, 'BadRequest', ''),
  refused('metadata that is text', post(VMS, { ...vm(), metadata: 'bad' }), 400, 'BadRequest', 'metadata'),
  refused('a body that would change how objects work', post(VMS, '{"spec":{"__proto__":{"a":1}}}'), 400, 'BadRequest', ''),
  refused('the same, with escapes', post(VMS, '{"spec":{"\\u005f_proto__":{"a":1}}}'), 400, 'BadRequest', ''),
  refused('YAML that breaks off', post(VMS, 'a: [1', { type: 'application/yaml' }), 400, 'BadRequest', ''),
  refused('YAML that grows without end', post(VMS, bomb(), { type: 'application/yaml' }), 400, 'BadRequest', ''),
  refused('a form', post(VMS, 'a=b', { type: 'application/x-www-form-urlencoded' }), 415, 'UnsupportedMediaType', 'Content-Type'),
  refused('protobuf that is none', post(SECRETS, 'k8s', { type: 'application/vnd.kubernetes.protobuf' }), 400, 'BadRequest', ''),
  refused('a body larger than 3 MiB', post(VMS, Buffer.alloc(3 * 1024 * 1024 + 1, 32)), 413, 'RequestEntityTooLarge'),
  refused('brackets without end', post(VMS, `{"spec":${'['.repeat(100_000)}${']'.repeat(100_000)}}`), 422, 'Invalid', 'spec'),
  refused('a deep document in a patch', patchOf('json-patch+json', deepPatch()), 400, 'BadRequest'),
  refused('an answer that nobody can write', { path: VMS, headers: { accept: 'image/png' } }, 406, 'NotAcceptable', 'Accept'),
  // What changes what stands
  refused(
    'an update without a version',
    { path: `${VMS}/stands`, method: 'PUT', body: vm({}, { name: 'stands' }) },
    422,
    'Invalid',
    'metadata.resourceVersion',
  ),
  refused(
    'an update of a version that is past',
    { path: `${VMS}/stands`, method: 'PUT', body: vm({}, { name: 'stands', resourceVersion: '1' }) },
    409,
    'Conflict',
  ),
  refused(
    'an update under another name',
    { path: `${VMS}/stands`, method: 'PUT', body: vm({}, { name: 'other', resourceVersion: '1' }) },
    400,
    'BadRequest',
    'metadata.name',
  ),
  refused(
    'a cloud that cannot be changed',
    patchOf('merge-patch+json', { spec: { cloudRef: { name: 'b' } } }),
    422,
    'Invalid',
    'spec.cloudRef',
  ),
  refused('a patch that breaks a bound', patchOf('merge-patch+json', { spec: { image: '' } }), 422, 'Invalid', 'spec.image'),
  refused('a patch of a past version', patchOf('merge-patch+json', { metadata: { resourceVersion: '1' } }), 409, 'Conflict'),
  refused('a patch with another uid', patchOf('merge-patch+json', { metadata: { uid: 'x' } }), 409, 'Conflict'),
  refused('a patch that is a list', patchOf('merge-patch+json', '[]'), 400, 'BadRequest', ''),
  refused('a JSON patch that is an object', patchOf('json-patch+json', '{}'), 400, 'BadRequest'),
  refused(
    'a JSON patch of an unknown kind',
    patchOf('json-patch+json', [{ op: 'increase', path: '/spec' }]),
    400,
    'BadRequest',
    '0.op',
  ),
  refused(
    'a JSON patch whose test fails',
    patchOf('json-patch+json', [{ op: 'test', path: '/spec/image', value: 'other' }]),
    422,
    'Invalid',
    '/spec/image',
  ),
  refused(
    'a JSON patch of what is not there',
    patchOf('json-patch+json', [{ op: 'remove', path: '/spec/no' }]),
    422,
    'Invalid',
    '/spec/no',
  ),
  refused(
    'a strategic patch of our kinds',
    patchOf('strategic-merge-patch+json', {}),
    415,
    'UnsupportedMediaType',
    'Content-Type',
  ),
  refused(
    'a strategic patch with an unknown directive',
    patchOf('strategic-merge-patch+json', { data: { $patch: 'explode' } }, `${SECRETS}/fixed`),
    400,
    'BadRequest',
    '$patch',
  ),
  refused('an apply by nobody', patchOf('apply-patch+yaml', vm({}, { name: 'stands' })), 400, 'BadRequest', 'fieldManager'),
  refused(
    'an apply without a kind',
    patchOf('apply-patch+yaml', { apiVersion: 'v1' }, `${VMS}/stands?fieldManager=a`),
    400,
    'BadRequest',
    'kind',
  ),
  refused(
    'an apply under another name',
    patchOf('apply-patch+yaml', vm({}, { name: 'other' }), `${VMS}/stands?fieldManager=a`),
    400,
    'BadRequest',
    'metadata.name',
  ),
  refused(
    'an apply that brings its owners along',
    patchOf('apply-patch+yaml', vm({}, { name: 'stands', managedFields: [] }), `${VMS}/stands?fieldManager=a`),
    400,
    'BadRequest',
    'metadata.managedFields',
  ),
  refused(
    'an apply against who set it before',
    patchOf('apply-patch+yaml', vm({ image: 'other' }, { name: 'stands' }), `${VMS}/stands?fieldManager=a`),
    409,
    'Conflict',
    '.spec.image',
  ),
  refused(
    'an apply of what is not valid',
    patchOf('apply-patch+yaml', vm({ paused: 'no' }, { name: 'stands' }), `${VMS}/stands?fieldManager=a&force=true`),
    422,
    'Invalid',
    'spec.paused',
  ),
  refused(
    'an apply of a version that is past',
    patchOf('apply-patch+yaml', vm({}, { name: 'stands', resourceVersion: '1' }), `${VMS}/stands?fieldManager=a`),
    409,
    'Conflict',
  ),
  refused(
    'an apply of a status',
    patchOf('apply-patch+yaml', vm({}, { name: 'stands' }), `${VMS}/stands/status?fieldManager=a`),
    415,
    'UnsupportedMediaType',
    'Content-Type',
  ),
  refused(
    'owners that are none',
    patchOf('merge-patch+json', { metadata: { managedFields: [{ manager: 7 }] } }),
    422,
    'Invalid',
    'metadata.managedFields[0].manager',
  ),
  refused('a patch of nothing known', patchOf('patch', {}), 415, 'UnsupportedMediaType', 'Content-Type'),
  refused(
    'an immutable Secret',
    patchOf('merge-patch+json', { data: { a: 'Yg==' } }, `${SECRETS}/fixed`),
    422,
    'Invalid',
    'data',
  ),
  refused(
    'a status that is none',
    patchOf('merge-patch+json', { status: { id: 7 } }, `${VMS}/stands/status`),
    422,
    'Invalid',
    'status.id',
  ),
  refused(
    'a delete of another uid',
    { path: `${VMS}/stands`, method: 'DELETE', body: { preconditions: { uid: 'other' } } },
    409,
    'Conflict',
  ),
  refused(
    'a delete with an unknown option',
    { path: `${VMS}/stands`, method: 'DELETE', body: { propagation: 'Orphan' } },
    400,
    'BadRequest',
    'propagation',
  ),
  refused(
    'a delete with an unknown policy',
    { path: `${VMS}/stands?propagationPolicy=Never`, method: 'DELETE' },
    400,
    'BadRequest',
    'propagationPolicy',
  ),
  // What a query says
  refused('a dry run of a part', post(`${VMS}?dryRun=Some`, vm()), 400, 'BadRequest', 'dryRun'),
  refused(
    'a field validation that there is not',
    post(`${VMS}?fieldValidation=Maybe`, vm()),
    400,
    'BadRequest',
    'fieldValidation',
  ),
  refused('a limit below zero', { path: `${VMS}?limit=-1` }, 400, 'BadRequest', 'limit'),
  refused('a continue that is not ours', { path: `${VMS}?continue=nonsense` }, 400, 'BadRequest'),
  refused(
    'a label selector that is none',
    { path: `${VMS}?labelSelector=${encodeURIComponent('a=b=c')}` },
    400,
    'BadRequest',
    'labelSelector',
  ),
  refused(
    'a field that nothing is selected by',
    { path: `${VMS}?fieldSelector=spec.image%3Da` },
    400,
    'BadRequest',
    'fieldSelector',
  ),
  refused(
    'a watch from a version that is none',
    { path: `${VMS}?watch=1&resourceVersion=abc` },
    400,
    'BadRequest',
    'resourceVersion',
  ),
  refused('a watch that is maybe', { path: `${VMS}?watch=maybe` }, 400, 'BadRequest', 'watch'),
  // Who asks
  refused('no token', { path: VMS, token: '' }, 401, 'Unauthorized'),
  refused('a wrong token', { path: VMS, token: 'wrong' }, 401, 'Unauthorized'),
  refused('another scheme', { path: VMS, token: '', headers: { authorization: 'Basic YTpi' } }, 401, 'Unauthorized'),
  refused('a user without the right to read', { path: VMS, token: 'guest-token' }, 403, 'Forbidden'),
  refused('a user without the right to write', post(VMS, vm(), { token: 'guest-token' }), 403, 'Forbidden'),
  refused('another name than one’s own', { path: VMS, headers: { 'impersonate-user': 'root' } }, 403, 'Forbidden'),
];

/** References that double nine times ten: more than a parser must follow. */
function bomb(): string {
  const lines = ['a0: &a0 [x, x, x, x, x, x, x, x, x]'];
  for (let level = 1; level < 10; level++) lines.push(`a${level}: &a${level} [${`*a${level - 1}, `.repeat(9)}]`);
  return lines.join('\n');
}

function deepPatch(): string {
  return `[{"op":"add","path":"/spec/image","value":${'['.repeat(200_000)}${']'.repeat(200_000)}}]`;
}

describe('requests that must be refused', () => {
  let api: Awaited<ReturnType<typeof servedApi>>;
  let client: ReturnType<typeof apiClient>;
  let before: string;

  const everything = async () => {
    const lists = await Promise.all(KINDS.map(({ kind }) => api.store.list(kind)));
    return JSON.stringify(lists.map(({ items }) => items));
  };

  beforeAll(async () => {
    api = await servedApi({ wrongTokensPerMinute: 1000 });
    client = apiClient(api.url, api.ca);
    await client.send(VMS, post(VMS, vm({}, { name: 'stands' })));
    await client.send(SECRETS, post(SECRETS, secret({ data: { a: 'YQ==' }, immutable: true }, { name: 'fixed' })));
    before = await everything();
    expect(before).toContain('stands');
    expect(before).toContain('fixed');
  });
  afterAll(async () => {
    await client.close();
    await api.close();
  });

  test.each(CASES)('$reason: $code $says $field', async ({ path, reason: _, code, says, field, ...sending }) => {
    const reply = await client.send(path, sending);
    const status = reply.status();
    expect({ code: reply.code, kind: status.kind, reason: status.reason }).toEqual({ code, kind: 'Status', reason: says });
    expect(reply.text).not.toMatch(/\bat .*\.[jt]s:\d+/);
    if (field !== undefined) expect(status.details?.causes?.map((cause) => cause.field)).toContain(field);
    expect(await everything()).toBe(before);
    expect((await client.send('/readyz')).code).toBe(200);
  });

  test('a message never says what a Secret holds', async () => {
    const reply = await client.send(SECRETS, post(SECRETS, secret({ data: { password: 'hunter2 in plain' } })));
    expect(reply.code).toBe(422);
    expect(reply.text).not.toContain('hunter2');
  });

  test('broken JSON is not quoted', async () => {
    const reply = await client.send(SECRETS, post(SECRETS, '{"stringData":{"password":"hunter2"'));
    expect(reply.text).not.toContain('hunter2');
  });

  test('wrong tokens are told to wait after a while, while good ones go on', async () => {
    const strict = await servedApi({ wrongTokensPerMinute: 3 });
    const other = apiClient(strict.url, strict.ca);
    try {
      const codes = [];
      for (let tries = 0; tries < 5; tries++) codes.push((await other.send(VMS, { token: 'wrong' })).code);
      expect(codes).toEqual([401, 401, 401, 429, 429]);
      const refusal = await other.send(VMS, { token: 'wrong' });
      expect(refusal.status().reason).toBe('TooManyRequests');
      expect(refusal.headers['retry-after']).toBe('60');
      expect((await other.send(VMS)).code).toBe(200);
    } finally {
      await other.close();
      await strict.close();
    }
  });

  test('a client that goes away in the middle of its body harms nobody', async () => {
    const abort = new AbortController();
    const endless = async function* () {
      yield Buffer.from('{"kind":"VirtualMachine",');
      abort.abort();
      yield Buffer.from('"x":1');
    };
    await expect(fetchAborted(`${api.url}${VMS}`, endless(), abort.signal, client.agent)).rejects.toThrow();
    expect((await client.send(VMS)).code).toBe(200);
    expect(await everything()).toBe(before);
  });
});

async function fetchAborted(
  url: string,
  body: AsyncIterable<Buffer>,
  signal: AbortSignal,
  dispatcher: ReturnType<typeof apiClient>['agent'],
): Promise<unknown> {
  const headers = { authorization: 'Bearer admin-token', 'content-type': 'application/json' };
  return request(url, { method: 'POST', headers, body: Readable.from(body), signal, dispatcher });
}
