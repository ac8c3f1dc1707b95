import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { generate } from 'selfsigned';
import {
  createTransport,
  retryAfterMs,
  type Transport,
  TransportError,
  type TransportOptions,
  type TransportRequest,
} from '../../src/clouds/transport.js';
import { systemEnvironment } from '../../src/environment.js';
import { startServer, type TestServer } from '../support/http-server.js';

const toFree: (() => Promise<void>)[] = [];
afterEach(async () => {
  for (const free of toFree.splice(0)) await free();
});

function transport(options: Partial<TransportOptions> = {}): Transport {
  const made = createTransport({ environment: systemEnvironment, timeoutMs: 10_000, ...options });
  toFree.push(() => made.close());
  return made;
}

async function server(handle: Parameters<typeof startServer>[0]): Promise<TestServer> {
  const made = await startServer(handle);
  toFree.push(() => made.close());
  return made;
}

async function failureOf(transportToUse: Transport, request: TransportRequest): Promise<TransportError> {
  const failure = await transportToUse.request(request).then(
    () => undefined,
    (error: unknown) => error,
  );
  if (failure instanceof TransportError) return failure;
  throw new Error(`no TransportError but ${failure}`);
}

/** Lets the event loop turn, until a connection that was used may be used again. */
async function turns(): Promise<void> {
  for (let turn = 0; turn < 5; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

describe('transport', () => {
  it('sends JSON, and gives status, headers and JSON back, whatever the status', async () => {
    const cloud = await server((_, response) => {
      response.writeHead(418, { 'content-type': 'application/json', 'X-Mixed': 'Case' }).end('{"a":"ü"}');
    });
    const answer = await transport().request({
      method: 'POST',
      url: `${cloud.url}/path?q=1`,
      headers: { 'x-token': 't' },
      body: { name: 'ü' },
    });
    expect(answer).toMatchObject({ status: 418, body: { a: 'ü' }, text: '{"a":"ü"}' });
    expect(answer.headers).toMatchObject({ 'x-mixed': 'Case' });
    expect(cloud.requests[0]).toMatchObject({ method: 'POST', path: '/path?q=1', text: '{"name":"ü"}' });
    expect(cloud.requests[0]?.headers).toMatchObject({ 'x-token': 't', 'content-type': 'application/json' });
  });

  it.each([
    { reason: 'an HTML page', text: '<html>no</html>' },
    { reason: 'JSON that breaks off', text: '{"a":' },
    { reason: 'nothing', text: '' },
  ])('gives no body but the text for $reason', async ({ text }) => {
    const cloud = await server((_, response) => response.writeHead(200, { 'content-type': 'application/json' }).end(text));
    const answer = await transport().request({ method: 'GET', url: cloud.url });
    expect(answer).toMatchObject({ status: 200, text });
    expect(answer.body).toBeUndefined();
  });

  it('uses connections again', async () => {
    const cloud = await server((_, response) => response.end('{}'));
    const http = transport();
    for (let i = 0; i < 20; i += 1) await http.request({ method: 'GET', url: cloud.url });
    // Two: a connection is left alone for a turn of the event loop, in case its server means to close it.
    expect(new Set(cloud.requests.map((request) => request.connection)).size).toBeLessThanOrEqual(2);
  });

  it('follows no redirection, to whatever host', async () => {
    const other = await server((_, response) => response.end('{}'));
    const cloud = await server((_, response) => response.writeHead(302, { location: other.url }).end());
    const answer = await transport().request({ method: 'GET', url: cloud.url, headers: { 'x-auth-token': 'secret' } });
    expect(answer).toMatchObject({ status: 302, headers: { location: other.url } });
    expect(other.requests).toEqual([]);
  });

  it('says that nothing was sent when nobody listens or the name is unknown', async () => {
    const gone = await startServer(() => undefined);
    await gone.close();
    for (const url of [gone.url, 'http://no-such-host.invalid/']) {
      expect(await failureOf(transport(), { method: 'POST', url, body: {} })).toMatchObject({
        failure: 'NotConnected',
        sent: 'no',
      });
    }
  });

  it('says that nothing was sent when the certificate is not trusted, and trusts it with its authority', async () => {
    const pem = await generate([{ name: 'commonName', value: 'cloud' }], {
      extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
    });
    let calls = 0;
    const tls = createTlsServer({ key: pem.private, cert: pem.cert }, (_, response) => {
      calls += 1;
      response.end('{"ok":true}');
    });
    await new Promise<void>((resolve) => tls.listen(0, '127.0.0.1', resolve));
    toFree.push(
      () =>
        new Promise((resolve) => {
          tls.close(() => resolve());
          tls.closeAllConnections();
        }),
    );
    const url = `https://127.0.0.1:${(tls.address() as AddressInfo).port}/`;
    expect(await failureOf(transport(), { method: 'POST', url, body: {} })).toMatchObject({
      failure: 'NotConnected',
      sent: 'no',
    });
    expect(calls).toBe(0);
    expect(await transport({ caBundle: pem.cert }).request({ method: 'GET', url })).toMatchObject({ body: { ok: true } });
  });

  it('says that it may have been sent when the connection breaks before the answer', async () => {
    const cloud = await server((_, __, socket) => socket.destroy());
    expect(await failureOf(transport(), { method: 'POST', url: cloud.url, body: {} })).toMatchObject({
      failure: 'Broken',
      sent: 'maybe',
    });
    expect(cloud.requests).toHaveLength(1);
  });

  it('says that it may have been sent when the answer breaks off', async () => {
    const cloud = await server((_, response, socket) => {
      response.writeHead(202, { 'content-length': '100' });
      response.write('{"server":');
      setImmediate(() => socket.destroy());
    });
    expect(await failureOf(transport(), { method: 'POST', url: cloud.url, body: {} })).toMatchObject({
      failure: 'Broken',
      sent: 'maybe',
    });
  });

  it('never sends twice, even when the server closes a connection that was kept just as it is used', async () => {
    const cloud = await server((request, response, socket) => {
      if (request.method === 'POST') socket.destroy();
      else response.end('{}');
    });
    const http = transport();
    await http.request({ method: 'GET', url: cloud.url });
    await turns();
    expect(await failureOf(http, { method: 'POST', url: cloud.url, body: {} })).toMatchObject({
      failure: 'Broken',
      sent: 'maybe',
    });
    await turns();
    // Nothing is repeated, and what comes after gets a new connection.
    await http.request({ method: 'GET', url: cloud.url });
    expect(cloud.requests.map(({ method, connection }) => `${method} ${connection}`)).toEqual(['GET 1', 'POST 1', 'GET 2']);
  });

  it('gives up after its time limit, and then it may have been sent', async () => {
    const cloud = await server(() => undefined);
    expect(await failureOf(transport({ timeoutMs: 100 }), { method: 'POST', url: cloud.url, body: {} })).toMatchObject({
      failure: 'TimedOut',
      sent: 'maybe',
    });
    expect(cloud.requests).toHaveLength(1);
  });

  it('bounds the whole answer by the time limit, not just its first byte', async () => {
    const cloud = await server((_, response) => {
      response.writeHead(200);
      const drip = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(drip));
    });
    expect(await failureOf(transport({ timeoutMs: 200 }), { method: 'GET', url: cloud.url })).toMatchObject({
      failure: 'TimedOut',
    });
  });

  it('knows that nothing was sent when it gave up before there was a connection, and does not send it later', async () => {
    // A server that speaks TLS to nobody: the handshake hangs.
    const received: Buffer[] = [];
    const silent = createTcpServer((socket) => {
      socket.on('data', (chunk) => received.push(chunk));
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(silent.address() as AddressInfo).port}/`;
    const http = transport({ timeoutMs: 150 });
    expect(await failureOf(http, { method: 'POST', url, body: { secret: 'x' } })).toMatchObject({ sent: 'no' });
    await http.close();
    await new Promise<void>((resolve) => silent.close(() => resolve()));
  });

  it('refuses an answer that is too large', async () => {
    const cloud = await server((_, response) => response.end('x'.repeat(100_000)));
    expect(await failureOf(transport({ maxResponseBytes: 10_000 }), { method: 'GET', url: cloud.url })).toMatchObject({
      failure: 'TooLarge',
      sent: 'maybe',
    });
  });

  it('looks at the signal before it sends, and never after', async () => {
    const stop = new AbortController();
    const cloud = await server((_, response) => {
      stop.abort();
      response.end('{"done":true}');
    });
    const http = transport();
    expect(await http.request({ method: 'POST', url: cloud.url, body: {}, signal: stop.signal })).toMatchObject({
      body: { done: true },
    });
    expect(await failureOf(http, { method: 'POST', url: cloud.url, body: {}, signal: stop.signal })).toMatchObject({
      failure: 'Aborted',
      sent: 'no',
    });
    expect(cloud.requests).toHaveLength(1);
  });

  it('fails calls in hand when it is closed', async () => {
    const http = transport();
    const cloud = await server(() => void http.close());
    expect(await failureOf(http, { method: 'POST', url: cloud.url, body: {} })).toMatchObject({ sent: 'maybe' });
  });
});

describe('retryAfterMs', () => {
  const now = new Date('2026-01-01T00:00:00Z');
  it.each<{ reason: string; headers: Record<string, string>; expected: number | undefined }>([
    { reason: 'no header', headers: {}, expected: undefined },
    { reason: 'seconds', headers: { 'retry-after': '7' }, expected: 7_000 },
    { reason: 'zero', headers: { 'retry-after': '0' }, expected: 0 },
    { reason: 'a date by our clock', headers: { 'retry-after': 'Thu, 01 Jan 2026 00:00:30 GMT' }, expected: 30_000 },
    {
      reason: 'a date by the clock of the answer, which is an hour off',
      headers: { 'retry-after': 'Thu, 01 Jan 2026 01:00:30 GMT', date: 'Thu, 01 Jan 2026 01:00:00 GMT' },
      expected: 30_000,
    },
    { reason: 'a date that is past', headers: { 'retry-after': 'Thu, 01 Jan 1970 00:00:00 GMT' }, expected: 0 },
    { reason: 'nonsense', headers: { 'retry-after': 'soon' }, expected: undefined },
  ])('reads $reason', ({ headers, expected }) => {
    expect(retryAfterMs(headers, now)).toBe(expected);
  });
});
