import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CreateServerRequest } from '../../../src/clouds/driver.js';
import { type CloudError, type CloudErrorCode, isCloudError } from '../../../src/clouds/errors.js';
import { type Reply, type ScriptedCloud, startCloud } from './scripted-cloud.js';

const owner = { installation: 'our-installation', uid: 'u', attempt: 'a' };
const request: CreateServerRequest = {
  name: 'web',
  imageId: 'image',
  flavorId: 'flavor',
  networks: 'none',
  metadata: {},
  tags: [],
};
const CREATE = /^POST \/compute\/v2\.1\/servers$/;
const LIST = /^GET \/compute\/v2\.1\/servers\/detail/;
const DELETE = /^DELETE /;
const ACTION = /^POST .*\/action$/;

let cloud: ScriptedCloud;
beforeEach(async () => {
  cloud = await startCloud({ requestTimeoutMs: 400 });
});
afterEach(() => cloud.close());

async function failureOf(call: Promise<unknown>): Promise<CloudError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (isCloudError(error)) return error;
    throw error;
  }
}

const fault = (status: number, kind: string, message: string, headers: Record<string, string> = {}): Reply => ({
  status,
  headers,
  body: { [kind]: { code: status, message } },
});
const html = (status: number, words: string, headers: Record<string, string> = {}): Reply => ({
  status,
  headers: { 'content-type': 'text/html', ...headers },
  text: `<html><head><title>${status}</title><style>x{}</style></head><body><h1>${status}</h1>\n${words}<br /></body></html>`,
});
const computeFault = (exception: string) =>
  fault(500, 'computeFault', `Unexpected API Error. Please report this.\n<class '${exception}'>`);

interface Case {
  readonly reason: string;
  readonly reply: Reply;
  readonly code: CloudErrorCode;
}

describe('a create', () => {
  it.each<Case>([
    { reason: 'bad input', reply: fault(400, 'badRequest', 'Can not find requested image'), code: 'Invalid' },
    { reason: 'something it is made from is missing', reply: fault(404, 'itemNotFound', 'no flavor'), code: 'Invalid' },
    {
      reason: 'a quota of nova',
      reply: fault(403, 'forbidden', 'Quota exceeded for instances: Requested 1, but already used 1 of 1 instances'),
      code: 'Quota',
    },
    { reason: 'a policy', reply: fault(403, 'forbidden', "Policy doesn't allow os_compute_api"), code: 'Unauthorized' },
    {
      reason: 'a quota of ports',
      reply: { status: 409, body: { NeutronError: { type: 'OverQuota', message: 'ports' } } },
      code: 'Quota',
    },
    { reason: 'a port in use', reply: fault(409, 'conflictingRequest', 'Port is still in use.'), code: 'Conflict' },
    {
      reason: 'ambiguous networks',
      reply: fault(409, 'conflictingRequest', 'Multiple possible networks found'),
      code: 'Invalid',
    },
    { reason: 'an old quota fault that no waiting helps', reply: overLimit('0'), code: 'Quota' },
    { reason: 'an old rate limit', reply: overLimit('30', { 'retry-after': '1' }), code: 'RateLimited' },
    { reason: 'a body too large', reply: html(413, 'Request is too large.'), code: 'Invalid' },
    { reason: 'a rate limit', reply: html(429, 'slow down', { 'retry-after': '1' }), code: 'RateLimited' },
    { reason: 'a pause', reply: html(503, 'maintenance', { 'retry-after': '1' }), code: 'RateLimited' },
    {
      reason: 'a token that nova could not check: it went no further',
      reply: html(503, 'The server is currently unavailable.<br />The Keystone service is temporarily unavailable.'),
      code: 'Unavailable',
    },
    {
      reason: 'a HAProxy without backends',
      reply: html(503, 'No server is available to handle this request.'),
      code: 'Unavailable',
    },
    { reason: 'a 503 of a proxy that may have passed it on', reply: html(503, 'reset before headers'), code: 'UnknownOutcome' },
    { reason: 'a bad gateway', reply: html(502, 'Bad Gateway'), code: 'UnknownOutcome' },
    { reason: 'a gateway that gave up', reply: html(504, 'Gateway Time-out'), code: 'UnknownOutcome' },
    {
      reason: 'glance away, asked before there is a record',
      reply: computeFault('nova.exception.GlanceConnectionFailed'),
      code: 'Unavailable',
    },
    {
      reason: 'neutron away, asked before there is a record',
      reply: computeFault('keystoneauth1.exceptions.connection.ConnectFailure'),
      code: 'Unavailable',
    },
    {
      reason: 'a database that broke, who knows when',
      reply: computeFault('oslo_db.exception.DBConnectionError'),
      code: 'UnknownOutcome',
    },
    {
      reason: 'a message that got no answer',
      reply: computeFault('oslo_messaging.exceptions.MessagingTimeout'),
      code: 'UnknownOutcome',
    },
    { reason: 'a connection that breaks', reply: 'reset', code: 'UnknownOutcome' },
    { reason: 'no answer in time', reply: 'silence', code: 'UnknownOutcome' },
    { reason: 'a success that says nothing', reply: { status: 202, text: '<html>ok</html>' }, code: 'UnknownOutcome' },
    { reason: 'a redirection', reply: { status: 302, headers: { location: '/elsewhere' } }, code: 'Unavailable' },
    { reason: 'a proxy without such a path', reply: html(404, 'not here'), code: 'Unavailable' },
  ])('that ends in $reason is $code, and is sent once', async ({ reply, code }) => {
    cloud.on(CREATE, reply);
    expect(await failureOf(cloud.driver.createServer(request, owner))).toMatchObject({ code });
    expect(cloud.count(CREATE)).toBe(1);
    expect(cloud.reports.at(-1)).toMatchObject({ operation: 'createServer', effect: true });
  });
});

describe('a read', () => {
  it.each<Case>([
    { reason: 'a connection that breaks', reply: 'reset', code: 'Unavailable' },
    { reason: 'no answer in time', reply: 'silence', code: 'Unavailable' },
    {
      reason: 'a list that needs neutron, which is away',
      reply: computeFault('neutronclient.common.exceptions.ConnectionFailed'),
      code: 'Unavailable',
    },
    { reason: 'an answer that is no list', reply: { status: 200, body: { servers: 'none' } }, code: 'Unavailable' },
    { reason: 'an HTML page of success', reply: html(200, 'welcome'), code: 'Unavailable' },
    { reason: 'a bad gateway', reply: html(502, 'Bad Gateway'), code: 'Unavailable' },
    {
      reason: 'a server of which a cell that is down shows a part',
      reply: { status: 200, body: { servers: [{ id: 'x', status: 'UNKNOWN', created: '2026-01-01T00:00:00Z' }] } },
      code: 'Unavailable',
    },
  ])('that ends in $reason is $code, never a part of the list', async ({ reply, code }) => {
    cloud.on(LIST, reply);
    expect(await failureOf(cloud.driver.listServers())).toMatchObject({ code });
    expect(await failureOf(cloud.driver.findServersByName('web'))).toMatchObject({ code });
  });

  it("of a deleted server's part is no trouble: it is gone", async () => {
    let page = 0;
    cloud.on(LIST, () => {
      page += 1;
      const deleted = { id: 'x', name: 'n', status: 'DELETED', created: '2026-01-01T00:00:00Z', metadata: {}, tags: [] };
      return { status: 200, headers: { date: 'Thu, 01 Jan 2026 00:01:00 GMT' }, body: { servers: page === 1 ? [deleted] : [] } };
    });
    const { watermark } = await cloud.driver.listServers();
    page = 0;
    const [server] = (await cloud.driver.listChanges(watermark)).servers;
    expect(server).toMatchObject({ id: 'x', state: 'Deleted', metadata: {} });
    expect(server).not.toHaveProperty('owner');
  });
});

describe('a deletion', () => {
  it('of what is not there is done', async () => {
    cloud.on(DELETE, fault(404, 'itemNotFound', 'Instance could not be found.'));
    await cloud.driver.deleteServer('id');
    await cloud.driver.deleteKeyPair('name');
  });

  it.each<Case>([
    { reason: 'a 404 that is not of the cloud', reply: html(404, 'no such path'), code: 'Unavailable' },
    { reason: 'a connection that breaks', reply: 'reset', code: 'UnknownOutcome' },
    { reason: 'an error inside the cloud', reply: computeFault('oslo_db.exception.DBConnectionError'), code: 'UnknownOutcome' },
  ])('that ends in $reason is not done', async ({ reply, code }) => {
    cloud.on(DELETE, reply);
    expect(await failureOf(cloud.driver.deleteServer('id'))).toMatchObject({ code });
  });
});

describe('an action', () => {
  beforeEach(() => cloud.on(ACTION, fault(404, 'itemNotFound', 'Instance id could not be found.')));

  it('that nova does not find a server for, though it is there, is Conflict: no host has it yet', async () => {
    cloud.on(/^GET .*\/servers\/id$/, { status: 200, body: { server: { id: 'id' } } });
    expect(await failureOf(cloud.driver.stopServer('id'))).toMatchObject({ code: 'Conflict' });
  });

  it('on a server that is not there is NotFound', async () => {
    cloud.on(/^GET .*\/servers\/id$/, fault(404, 'itemNotFound', 'Instance id could not be found.'));
    expect(await failureOf(cloud.driver.stopServer('id'))).toMatchObject({ code: 'NotFound' });
  });

  it('whose outcome is known, but not whether the server is there, is Unavailable', async () => {
    cloud.on(/^GET .*\/servers\/id$/, 'reset');
    expect(await failureOf(cloud.driver.stopServer('id'))).toMatchObject({ code: 'Unavailable' });
  });
});

describe('messages', () => {
  it("bear the cloud's own words, the status, the call and the request's id", async () => {
    cloud.on(CREATE, fault(400, 'badRequest', 'Invalid key_name provided.', { 'x-openstack-request-id': 'req-1' }));
    const failure = await failureOf(cloud.driver.createServer(request, owner));
    expect(failure).toMatchObject({ status: 400, requestId: 'req-1' });
    expect(failure?.message).toBe('createServer: the cloud answered 400: Invalid key_name provided.');
  });

  it('bear the readable part of an HTML page, within bounds', async () => {
    cloud.on(CREATE, html(502, `the proxy is unwell ${'x'.repeat(5000)}`));
    const failure = await failureOf(cloud.driver.createServer(request, owner));
    expect(failure?.message).toContain('502 502 the proxy is unwell x');
    expect(failure?.message).not.toMatch(/[<>{]/);
    expect(failure?.message.length).toBeLessThan(600);
  });
});

describe('Retry-After', () => {
  it('of seconds is handed on, and holds every other call of the account', async () => {
    cloud.on(CREATE, html(429, 'slow down', { 'retry-after': '30' }));
    expect(await failureOf(cloud.driver.createServer(request, owner))).toMatchObject({
      code: 'RateLimited',
      retryAfterMs: 30_000,
    });
    expect(await failureOf(cloud.driver.deleteServer('id'))).toMatchObject({ code: 'RateLimited' });
    expect(await failureOf(cloud.driver.listServers())).toMatchObject({ code: 'RateLimited' });
    expect(cloud.count(DELETE) + cloud.count(LIST)).toBe(0);
    expect(cloud.driver.limiterCounters()).toMatchObject({ window: 32, congested: 1 });
  });
});

function overLimit(retryAfter: string, headers: Record<string, string> = {}): Reply {
  return { status: 413, headers, body: { overLimit: { code: 413, message: 'too much', retryAfter } } };
}
