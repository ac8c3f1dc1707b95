import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, test } from '@jest/globals';
import { retryOf } from '../../../src/controllers/retry.js';
import { type Environment, systemEnvironment } from '../../../src/environment.js';
import { type KubernetesStore, openKubernetesStore } from '../../../src/store/kubernetes/open.js';
import type { WatchEvent } from '../../../src/store/store.js';
import { eventually } from '../../support/eventually.js';
import { type ReceivedRequest, startServer, type TestServer } from '../../support/http-server.js';

const KEY = { kind: 'VirtualMachine', namespace: 'default', name: 'web' };

type Handler = (request: ReceivedRequest, response: ServerResponse, socket: Socket) => void;

/** Waits that are longer than any test: they end when the test says so. */
const waiting = new Map<number, Set<() => void>>();
/** Short waits are over at once. */
const environment: Environment = {
  ...systemEnvironment,
  after: (ms, callback) => {
    if (ms < 20_000) return systemEnvironment.after(0, callback);
    const same = waiting.get(ms) ?? new Set();
    waiting.set(ms, same.add(callback));
    return () => same.delete(callback);
  },
};

const cleanups: Array<() => Promise<void>> = [];
afterEach(async () => {
  for (const clean of cleanups.splice(0).reverse()) await clean();
  waiting.clear();
});

/** A store on an API server that answers as `handle` does, but for the first call, by which the store finds the cluster's name. */
async function open(handle: Handler): Promise<{ store: KubernetesStore; server: TestServer }> {
  const server = await startServer((request, response, socket) => {
    if (request.path === '/api/v1/namespaces/kube-system') json(response, 200, resource('kube-system', '1'));
    else handle(request, response, socket);
  });
  cleanups.push(() => server.close());
  const directory = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  cleanups.push(() => rm(directory, { recursive: true }));
  const kubeconfig = join(directory, 'config');
  await writeFile(kubeconfig, JSON.stringify(kubeconfigOf(server.url)));
  const store = await openKubernetesStore({ kubeconfig, environment });
  cleanups.push(() => store.close());
  server.requests.length = 0;
  return { store, server };
}

function kubeconfigOf(server: string) {
  return {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'here' },
    clusters: [{ name: 'here', cluster: { server, 'insecure-skip-tls-verify': true } }],
    users: [{ name: 'me', user: { token: 'my-token' } }],
    contexts: [{ name: 'here', context: { cluster: 'here', user: 'me', namespace: 'dispatcher-system' } }],
  };
}

function resource(name: string, resourceVersion: string, labels: object = {}) {
  const metadata = { name, uid: `uid-${name}`, resourceVersion, creationTimestamp: '2026-01-01T00:00:00Z', labels };
  return { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'VirtualMachine', metadata };
}

function refusal(code: number, reason: string) {
  return { kind: 'Status', code, reason, message: reason };
}

function json(response: ServerResponse, code: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(code, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

function line(type: string, object: unknown): string {
  return `${JSON.stringify({ type, object })}\n`;
}

/** A watch from version 5 of all VirtualMachines, with what it told and what it ended with. */
function follow(store: KubernetesStore, from: string | undefined = '5') {
  const stop = new AbortController();
  const told: string[] = [];
  const events: WatchEvent[] = [];
  const read = async () => {
    for await (const event of store.watch('VirtualMachine', from, stop.signal)) {
      events.push(event);
      told.push(event.type === 'Bookmark' ? `Bookmark ${event.resourceVersion}` : `${event.type} ${event.object.metadata.name}`);
    }
  };
  const ended = read().then(
    () => 'well',
    (error: unknown) => error,
  );
  return { stop, told, events, ended };
}

function versions(server: TestServer): (string | null)[] {
  return server.requests.map(({ path }) => new URL(path, server.url).searchParams.get('resourceVersion'));
}

describe('a call', () => {
  test('goes out with the credentials, over connections that are kept', async () => {
    const { store, server } = await open((_request, response) => json(response, 200, resource('web', '7')));
    for (let count = 0; count < 20; count++) expect((await store.get(KEY))?.metadata.resourceVersion).toBe('7');
    await Promise.all(Array.from({ length: 200 }, () => store.get(KEY)));
    expect(new Set(server.requests.slice(0, 20).map(({ connection }) => connection)).size).toBeLessThanOrEqual(2);
    expect(new Set(server.requests.map(({ connection }) => connection)).size).toBeLessThanOrEqual(64);
    expect(server.requests[0]?.headers).toMatchObject({ authorization: 'Bearer my-token', 'user-agent': 'dispatcher' });
    expect(store.namespace).toBe('dispatcher-system');
    expect(store.installationId).toBe('uid-kube-system');
  });

  test('that the API server was too busy for is sent again; one that it wants much later is left to the caller', async () => {
    const answers = [
      [429, '2'],
      [429, '1'],
      [200, ''],
      [429, '120'],
    ] as const;
    const { store, server } = await open((_request, response) => {
      const [code, after] = answers[server.requests.length - 1] ?? [500, ''];
      json(
        response,
        code,
        code === 200 ? resource('web', '7') : refusal(code, 'TooManyRequests'),
        after ? { 'retry-after': after } : {},
      );
    });
    expect((await store.create({ ...resource('web', ''), metadata: { name: 'web', namespace: 'default' } })).metadata.name).toBe(
      'web',
    );
    expect(server.requests.map(({ method }) => method)).toEqual(['POST', 'POST', 'POST']);
    const error = await store.get(KEY).catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'Unavailable' });
    expect(retryOf(error)).toEqual({ kind: 'after', ms: 120_000 });
    expect(server.requests).toHaveLength(4);
  });

  test('whose credentials are refused is sent once more with new ones', async () => {
    const { store, server } = await open((_request, response) => json(response, 401, refusal(401, 'Unauthorized')));
    await expect(store.get(KEY)).rejects.toMatchObject({ code: 'Unavailable', message: expect.stringMatching(/credentials/) });
    expect(server.requests).toHaveLength(2);
  });

  test('whose connection breaks is Unavailable, and is not sent again: it may have happened', async () => {
    const { store, server } = await open((_request, _response, socket) => socket.destroy());
    const metadata = { name: 'web', namespace: 'default' };
    await expect(store.create({ ...resource('web', ''), metadata })).rejects.toMatchObject({ code: 'Unavailable' });
    expect(server.requests).toHaveLength(1);
  });

  test('that is not answered in time is Unavailable, and its connection goes', async () => {
    const { store, server } = await open((_request, _response, socket) => {
      closed = once(socket, 'close');
      for (const give of waiting.get(30_000) ?? []) give();
    });
    let closed: Promise<unknown> = Promise.reject(new Error('nothing came'));
    closed.catch(() => undefined);
    await expect(store.get(KEY)).rejects.toMatchObject({ message: expect.stringMatching(/no answer within 30000 ms/) });
    await closed;
    expect(server.requests).toHaveLength(1);
  });
});

describe('a watch', () => {
  test('goes on where it was when the API server ends it, and knows how far it is by bookmarks', async () => {
    const { store, server } = await open((_request, response) => {
      response.writeHead(200);
      if (server.requests.length === 1) response.end(line('ADDED', resource('a', '6')) + line('BOOKMARK', resource('', '9')));
      else if (server.requests.length === 2) response.end(line('MODIFIED', resource('a', '11')));
      else response.write(line('DELETED', resource('a', '12')));
    });
    const { told, ended, stop } = follow(store);
    await eventually(() => expect(told).toEqual(['Added a', 'Bookmark 9', 'Modified a', 'Deleted a']));
    expect(versions(server)).toEqual(['5', '9', '11']);
    stop.abort();
    expect(await ended).toBe('well');
  });

  test('without a version begins at that of a list, which tells nothing', async () => {
    const { store, server } = await open(({ path }, response) => {
      if (path.includes('watch=true')) response.writeHead(200).write(line('ADDED', resource('b', '78')));
      else json(response, 200, { metadata: { resourceVersion: '77' }, items: [resource('a', '5')] });
    });
    const stop = new AbortController();
    for await (const event of store.watch('VirtualMachine', undefined, stop.signal)) {
      expect(event).toMatchObject({ type: 'Added', object: { metadata: { name: 'b' } } });
      break;
    }
    expect(server.requests[0]?.path).toMatch(/virtualmachines\?limit=1$/);
    expect(versions(server)).toEqual([null, '77']);
  });

  test.each([
    { how: 'refused at once', answer: (response: ServerResponse) => json(response, 410, refusal(410, 'Expired')) },
    {
      how: 'told by an event',
      answer: (response: ServerResponse) => response.writeHead(200).end(line('ERROR', refusal(410, 'Expired'))),
    },
  ])('from too long ago ends with Expired, $how', async ({ answer }) => {
    const { store } = await open((_request, response) => void answer(response));
    expect(await follow(store).ended).toMatchObject({ code: 'Expired' });
  });

  test('that breaks is Unavailable, after all that came whole', async () => {
    const { store } = await open((_request, response, socket) => {
      response.writeHead(200);
      response.write(line('ADDED', resource('a', '6')) + line('ADDED', resource('b', '7')).slice(0, 20), () => socket.destroy());
    });
    const { told, ended } = follow(store);
    expect(await ended).toMatchObject({ code: 'Unavailable' });
    expect(told).toEqual(['Added a']);
  });

  test('waits for an API server that is not ready yet', async () => {
    const { store, server } = await open((_request, response) => {
      if (server.requests.length < 3) json(response, 429, refusal(429, 'storage is (re)initializing'), { 'retry-after': '1' });
      else response.writeHead(200).write(line('ADDED', resource('a', '6')));
    });
    const { told } = follow(store);
    await eventually(() => expect(told).toEqual(['Added a']));
  });

  test('reads characters that come in two parts', async () => {
    const text = Buffer.from(line('ADDED', resource('a', '6', { note: 'grün' })));
    const cut = text.indexOf(Buffer.from('ü')) + 1;
    const { store } = await open((_request, response) => {
      response.writeHead(200).write(text.subarray(0, cut), () => setImmediate(() => response.write(text.subarray(cut))));
    });
    const { events } = follow(store);
    await eventually(() => expect(events).toHaveLength(1));
    expect(events[0]).toMatchObject({ object: { metadata: { labels: { note: 'grün' } } } });
  });

  test('that is aborted ends at once, and its connection with it', async () => {
    let closed: Promise<unknown> | undefined;
    const { store } = await open((_request, response, socket) => {
      closed = once(socket, 'close');
      response.writeHead(200).write(line('ADDED', resource('a', '6')));
    });
    const { told, ended, stop } = follow(store);
    await eventually(() => expect(told).toHaveLength(1));
    stop.abort();
    expect(await ended).toBe('well');
    await closed;
  });

  test('whose reader stops leaves no connection', async () => {
    let closed: Promise<unknown> | undefined;
    const { store } = await open((_request, response, socket) => {
      closed = once(socket, 'close');
      response.writeHead(200).write(line('ADDED', resource('a', '6')) + line('ADDED', resource('b', '7')));
    });
    for await (const _event of store.watch('VirtualMachine', '5', new AbortController().signal)) break;
    await closed;
  });

  test('that has fallen silent, without even a bookmark, is opened anew where it was', async () => {
    const { store, server } = await open((_request, response) => {
      response.writeHead(200).write(line('ADDED', resource(`vm-${server.requests.length}`, `${server.requests.length + 5}`)));
    });
    const { told, ended, stop } = follow(store);
    await eventually(() => expect(told).toHaveLength(1));
    for (const give of waiting.get(90_000) ?? []) give();
    await eventually(() => expect(told).toHaveLength(2));
    expect(versions(server)).toEqual(['5', '6']);
    stop.abort();
    expect(await ended).toBe('well');
  });
});

test.each([
  { reason: 'no file', file: undefined, says: /kubeconfig .* cannot be read/ },
  { reason: 'no such context', file: kubeconfigOf('https://127.0.0.1:1'), context: 'there', says: /no context there/ },
])('a configuration that cannot be used is Invalid: $reason', async ({ file, context, says }) => {
  const directory = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  cleanups.push(() => rm(directory, { recursive: true }));
  const kubeconfig = join(directory, 'config');
  if (file) await writeFile(kubeconfig, JSON.stringify(file));
  const opening = openKubernetesStore({ kubeconfig, environment, ...(context === undefined ? {} : { context }) });
  await expect(opening).rejects.toMatchObject({ code: 'Invalid', message: expect.stringMatching(says) });
});
