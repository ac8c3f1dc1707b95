import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import type { IncomingHttpHeaders } from 'node:http';
import { createServer } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { generate } from 'selfsigned';
import { systemEnvironment as environment } from '../../../src/environment.js';
import { type KubernetesStore, openKubernetesStore } from '../../../src/store/kubernetes/open.js';

/** What came, and whether a client certificate came with it. */
interface Received {
  readonly call: string;
  readonly headers: IncomingHttpHeaders;
  readonly certified: boolean;
  readonly body: unknown;
}

const received: Received[] = [];
let answer: { readonly code: number; readonly body: unknown };
let store: KubernetesStore;
const cleanups: Array<() => Promise<unknown>> = [];

const KEY = { kind: 'VirtualMachine', namespace: 'default', name: 'web' };
const NAMESPACE = {
  metadata: { name: 'kube-system', uid: '1', resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' },
};

/** An operator that shows the API server a token and a client certificate. */
beforeAll(async () => {
  const pem = await generate([{ name: 'commonName', value: 'operator' }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  });
  const tls = { key: pem.private, cert: pem.cert, requestCert: true, rejectUnauthorized: false };
  const server = createServer(tls, (request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const text = Buffer.concat(chunks).toString('utf8');
      const certified = Object.keys((request.socket as TLSSocket).getPeerCertificate()).length > 0;
      const body: unknown = text === '' ? undefined : JSON.parse(text);
      received.push({ call: `${request.method} ${request.url}`, headers: request.headers, certified, body });
      const { code, body: told } = request.url?.endsWith('/kube-system') ? { code: 200, body: NAMESPACE } : answer;
      response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(told));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  cleanups.push(() => new Promise((resolve) => server.close(resolve)));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  const directory = await mkdtemp(join(tmpdir(), 'kubeconfig-'));
  cleanups.push(() => rm(directory, { recursive: true }));
  const kubeconfig = join(directory, 'config');
  const cluster = { server: `https://127.0.0.1:${port}`, 'certificate-authority-data': base64(pem.cert) };
  const certificate = { 'client-certificate-data': base64(pem.cert), 'client-key-data': base64(pem.private) };
  const config = {
    ...{ apiVersion: 'v1', kind: 'Config', 'current-context': 'here' },
    clusters: [{ name: 'here', cluster }],
    users: [{ name: 'me', user: { token: 'operator-token', ...certificate } }],
    contexts: [{ name: 'here', context: { cluster: 'here', user: 'me' } }],
  };
  await writeFile(kubeconfig, JSON.stringify(config));
  store = await openKubernetesStore({ kubeconfig, environment });
  cleanups.push(() => store.close());
});
afterAll(async () => {
  for (const clean of cleanups.reverse()) await clean();
});
beforeEach(() => {
  received.length = 0;
  answer = { code: 404, body: { kind: 'Status', code: 404, details: { name: 'web' } } };
});

test('a caller goes to the API server with no credentials but its own, not even the certificate of the operator', async () => {
  await store.get(KEY);
  await store.as('caller-token').store.get(KEY);
  await store.as(undefined).store.get(KEY);
  await store.get(KEY);
  expect(received.map(({ headers, certified }) => [headers.authorization, certified])).toEqual([
    ['Bearer operator-token', true],
    ['Bearer caller-token', false],
    [undefined, false],
    ['Bearer operator-token', true],
  ]);
});

test('a token that is refused is refused at once, to whoever bears it', async () => {
  answer = { code: 401, body: { kind: 'Status', code: 401, reason: 'Unauthorized' } };
  const { store: theirs, whoAmI, may } = store.as('caller-token');
  const access = { verb: 'list', group: 'dispatcher.dev', resource: 'clouds', subresource: '', namespace: '', name: '' };
  const watching = async () => {
    for await (const _event of theirs.watch('VirtualMachine', '1', new AbortController().signal)) return;
  };
  for (const call of [() => theirs.get(KEY), () => theirs.list('VirtualMachine'), watching, whoAmI, () => may(access)]) {
    received.length = 0;
    const error: unknown = await call().catch((failure: unknown) => failure);
    expect(error).toMatchObject({ code: 'Unauthorized' });
    expect(String(error)).not.toContain('caller-token');
    expect(received).toHaveLength(1);
  }
  // The operator's own may have been renewed meanwhile.
  await expect(store.get(KEY)).rejects.toMatchObject({ code: 'Unavailable' });
});

test('the API server says who a caller is, and what the caller may', async () => {
  const { whoAmI, may } = store.as('caller-token');
  answer = { code: 201, body: { status: { userInfo: { username: 'ann', groups: ['a'] } } } };
  expect(await whoAmI()).toEqual({ name: 'ann', groups: ['a'] });
  const access = { verb: 'list', group: 'dispatcher.dev', resource: 'clouds', subresource: '', namespace: '', name: '' };
  answer = { code: 201, body: { status: { allowed: true } } };
  expect(await may(access)).toBe(true);
  answer = { code: 201, body: { status: { allowed: false, reason: 'no' } } };
  expect(await may(access)).toBe(false);
  const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SelfSubjectAccessReview', spec: { resourceAttributes: access } };
  expect(received.map(({ call, body }) => [call, body])).toEqual([
    [
      'POST /apis/authentication.k8s.io/v1/selfsubjectreviews',
      { apiVersion: 'authentication.k8s.io/v1', kind: 'SelfSubjectReview' },
    ],
    ['POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review],
    ['POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews', review],
  ]);
});

test.each([{}, { status: {} }, { status: { allowed: 'yes' } }, undefined])(
  'an answer that is no review allows nothing: %j',
  async (body) => {
    answer = { code: 201, body: body ?? null };
    const access = { verb: 'list', group: '', resource: 'x', subresource: '', namespace: '', name: '' };
    await expect(store.as('caller-token').may(access)).rejects.toMatchObject({ code: 'Unavailable' });
    await expect(store.as('caller-token').whoAmI()).rejects.toMatchObject({ code: 'Unavailable' });
  },
);
