import { afterEach, describe, expect, test } from '@jest/globals';
import express from 'express';
import { pino } from 'pino';
import { Counter, Registry } from 'prom-client';
import request from 'supertest';
import { type PlainHttpOptions, plainHttp } from '../../src/api/http.js';
import { serveHttp } from '../../src/api/serve.js';
import { systemEnvironment } from '../../src/environment.js';

function app(options: Partial<PlainHttpOptions> = {}) {
  return plainHttp({
    checks: { store: async () => undefined },
    metrics: new Registry(),
    snapshot: async () => ({ virtualMachines: [], clouds: [] }),
    resourceApiUrl: () => 'https://127.0.0.1:5443',
    log: pino({ level: 'silent' }),
    version: '0.0.0-test',
    environment: systemEnvironment,
    v1: express(),
    ...options,
  });
}

describe('health', () => {
  test.each(['/healthz', '/livez', '/readyz'])('%s says ok', async (path) => {
    const { status, text } = await request(app()).get(path);
    expect({ status, text }).toEqual({ status: 200, text: 'ok' });
  });

  test('a check that fails makes it unready, not dead, and its reason stays inside', async () => {
    const failing = app({
      checks: { store: async () => undefined, database: () => Promise.reject(new Error('password=hunter2')) },
    });
    const ready = await request(failing).get('/readyz');
    expect(ready.status).toBe(503);
    expect(ready.text).toBe('[+]ping ok\n[+]store ok\n[-]database failed: reason withheld\nreadyz check failed\n');
    expect((await request(failing).get('/livez')).status).toBe(200);
  });

  test('a check that throws at once counts as failed', async () => {
    const throwing = () => {
      throw new Error('at once');
    };
    expect((await request(app({ checks: { throwing } })).get('/readyz')).status).toBe(503);
  });

  test('?verbose names every check', async () => {
    expect((await request(app()).get('/readyz?verbose')).text).toBe('[+]ping ok\n[+]store ok\nreadyz check passed\n');
  });
});

test('/metrics is what the registry holds', async () => {
  const metrics = new Registry();
  new Counter({ name: 'things_total', help: 'Things.', registers: [metrics] }).inc(3);
  const { headers, text } = await request(app({ metrics })).get('/metrics');
  expect(headers['content-type']).toBe(metrics.contentType);
  expect(text).toContain('things_total 3');
});

describe('/api/v2', () => {
  test('describes where the resource API is', async () => {
    const { status, body } = await request(app()).get('/api/v2');
    expect({ status, body }).toMatchObject({
      status: 200,
      body: { server: 'https://127.0.0.1:5443', resources: expect.stringContaining('/apis/dispatcher.dev/v1alpha1') },
    });
  });

  test('and leads there, with method and query', async () => {
    const { status, headers } = await request(app()).post('/api/v2/namespaces/default/virtualmachines?dryRun=All');
    expect({ status, location: headers.location }).toEqual({
      status: 307,
      location: 'https://127.0.0.1:5443/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines?dryRun=All',
    });
  });

  test('never to another server', async () => {
    const { headers } = await request(app()).get('/api/v2//evil.example/x');
    expect(new URL(headers.location ?? '').host).toBe('127.0.0.1:5443');
  });
});

test('the APIs that are handed in stand at their paths, and are told of drain', async () => {
  const named = (name: string) => express().use((_request, response) => void response.json(name));
  const [v1, cistern] = [named('v1'), named('cistern')];
  const drained: string[] = [];
  v1.once('drain', () => drained.push('v1'));
  cistern.once('drain', () => drained.push('cistern'));
  const door = app({ v1, cistern });
  expect((await request(door).get('/api/v1/nodes')).body).toBe('v1');
  expect((await request(door).get('/cistern/api/v1/nodes/lab')).body).toBe('cistern');
  door.emit('drain');
  expect(drained).toEqual(['v1', 'cistern']);
});

test('without a built-in Cistern nothing is served in its place', async () => {
  expect((await request(app()).get('/cistern/api/v1/nodes')).status).toBe(404);
});

describe('the page', () => {
  const row = {
    namespace: 'default',
    name: 'web-1',
    ready: 'True',
    reason: 'AsDeclared',
    state: 'ACTIVE',
    address: '10.0.0.7',
    cloud: 'lab',
  };
  const page = (virtualMachines: object[]) =>
    request(
      app({
        snapshot: async () => ({
          virtualMachines: virtualMachines.map((each) => ({ ...row, ...each })),
          clouds: [{ name: 'lab', ready: 'False' }],
        }),
      }),
    ).get('/');

  test('shows VirtualMachines and Clouds', async () => {
    const { text, headers } = await page([{}, { name: 'web-2', ready: 'False' }]);
    expect(headers['content-type']).toContain('text/html');
    expect(text).toContain('VirtualMachines: 1 of 2 ready');
    expect(text).toContain('<td>web-1</td><td class="True">True</td>');
    expect(text).toContain('<td>lab</td><td class="False">False</td>');
  });

  test('means no text as HTML', async () => {
    const { text } = await page([{ name: '<script>alert(1)</script>', reason: `"'&` }]);
    expect(text).not.toContain('<script>');
    expect(text).toContain('&lt;script&gt;alert(1)&lt;/script&gt;');
    expect(text).toContain('&quot;&#39;&amp;');
  });

  test('allows its own style and nothing else', async () => {
    const { headers } = await page([]);
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none';style-src 'sha256-[^']+';base-uri 'none';form-action 'none';frame-ancestors 'none'$/,
    );
    expect(headers).not.toHaveProperty('x-powered-by');
  });

  test('a thousand rows are cut, and it says so', async () => {
    expect((await page(Array.from({ length: 501 }, () => ({})))).text).toContain('and 1 more');
  });
});

test('what is not there, and what fails, is a Status without a trace', async () => {
  const absent = await request(app()).get('/nothing');
  expect(absent).toMatchObject({ status: 404, body: { kind: 'Status', reason: 'NotFound' } });
  const failing = await request(app({ snapshot: () => Promise.reject(new Error('password=hunter2')) })).get('/');
  expect(failing).toMatchObject({ status: 500, body: { kind: 'Status', reason: 'InternalError' } });
  expect(failing.text).not.toMatch(/hunter2|\.js/);
});

describe('serving', () => {
  const closers: Array<() => Promise<void>> = [];
  afterEach(async () => {
    for (const close of closers.splice(0)) await close();
  });

  test('a request in hand is finished before the server is closed, and no other is taken', async () => {
    let answer: () => void = () => undefined;
    let asked: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const slow = app({
      snapshot: () =>
        new Promise((resolve) => {
          answer = () => resolve({ virtualMachines: [], clouds: [] });
          asked();
        }),
    });
    const server = await serveHttp(slow, { host: '127.0.0.1', port: 0 });
    const reply = request(server.url)
      .get('/')
      .then(({ status }) => status);
    await begun;
    const closed = server.close();
    await expect(request(server.url).get('/healthz')).rejects.toThrow('ECONNREFUSED');
    answer();
    expect(await reply).toBe(200);
    await closed;
  });

  test('what never ends is cut off after the grace time', async () => {
    let asked: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      asked = resolve;
    });
    const endless = app({
      snapshot: () => {
        asked();
        return new Promise(() => undefined);
      },
    });
    const server = await serveHttp(endless, { host: '127.0.0.1', port: 0 });
    const reply = request(server.url).get('/');
    const cut = expect(reply).rejects.toThrow();
    await begun;
    await server.close(10);
    await cut;
  });

  test('a port that is taken is an error that says so', async () => {
    const server = await serveHttp(app(), { host: '127.0.0.1', port: 0 });
    closers.push(() => server.close());
    await expect(serveHttp(app(), { host: '127.0.0.1', port: Number(new URL(server.url).port) })).rejects.toMatchObject({
      code: 'EADDRINUSE',
    });
  });
});
