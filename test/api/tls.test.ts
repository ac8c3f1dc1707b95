import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { renderKubeconfig } from '../../src/api/kubeconfig.js';
import { serveTls } from '../../src/api/serve.js';
import { type TlsOptions, tlsMaterial } from '../../src/api/tls.js';
import { systemEnvironment } from '../../src/environment.js';
import { apiClient } from '../support/api-client.js';
import { servedApi, testApi } from '../support/api-server.js';

const DAY_MS = 24 * 60 * 60 * 1000;

describe('the certificate', () => {
  let directory: string;
  let now: Date;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'dispatcher-tls-'));
    now = new Date();
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const make = (options: Partial<TlsOptions> = {}) => {
    const environment = { now: () => now, after: () => () => undefined, random: () => 0, id: () => 'id' };
    return tlsMaterial({ directory: join(directory, 'tls'), hosts: [], environment, ...options });
  };

  test('covers this machine and the hosts that are named, and is signed by the authority', async () => {
    const { cert, ca } = await make({ hosts: ['dispatcher.example', '10.1.2.3'] });
    const certificate = new X509Certificate(cert);
    for (const name of ['localhost', 'dispatcher.example']) expect(certificate.checkHost(name)).toBe(name);
    for (const address of ['127.0.0.1', '::1', '10.1.2.3']) expect(certificate.checkIP(address)).toBe(address);
    expect(certificate.checkHost('other.example')).toBeUndefined();
    expect(certificate.verify(new X509Certificate(ca).publicKey)).toBe(true);
    expect(new X509Certificate(ca).ca).toBe(true);
    expect(certificate.ca).toBe(false);
  });

  test('its files are for the owner only', async () => {
    await make();
    for (const name of ['ca.key', 'ca.crt', 'server.key', 'server.crt']) {
      expect((await stat(join(directory, 'tls', name))).mode & 0o777).toBe(0o600);
    }
    expect((await stat(join(directory, 'tls'))).mode & 0o777).toBe(0o700);
  });

  test('is used again', async () => {
    expect(await make()).toEqual(await make());
  });

  test.each<[string, (tls: string) => Promise<void> | void, Partial<TlsOptions>]>([
    [
      'it is about to end',
      () => {
        now = new Date(now.getTime() + 340 * DAY_MS);
      },
      {},
    ],
    ['a host is new', () => undefined, { hosts: ['new.example'] }],
    ['its key is gone', (tls) => rm(join(tls, 'server.key')), {}],
    ['its file is broken', (tls) => writeFile(join(tls, 'server.crt'), 'nonsense'), {}],
    ['its key is another', async (tls) => writeFile(join(tls, 'server.key'), await readFile(join(tls, 'ca.key'))), {}],
  ])('is made anew under the same authority when %s', async (_reason, change, options) => {
    const before = await make();
    await change(join(directory, 'tls'));
    const after = await make(options);
    expect(after.ca).toBe(before.ca);
    expect(after.cert).not.toBe(before.cert);
    expect(new X509Certificate(after.cert).verify(new X509Certificate(after.ca).publicKey)).toBe(true);
    expect(await make(options)).toEqual(after);
  });

  test('is made anew under a new authority when the authority is about to end', async () => {
    const before = await make();
    now = new Date(now.getTime() + 3640 * DAY_MS);
    const after = await make();
    expect(after.ca).not.toBe(before.ca);
    expect(new X509Certificate(after.cert).verify(new X509Certificate(after.ca).publicKey)).toBe(true);
  });

  test('is the given one, if it fits its key', async () => {
    const made = await make();
    const [cert, key, other] = ['server.crt', 'server.key', 'ca.key'].map((name) => join(directory, 'tls', name));
    if (!cert || !key || !other) throw new Error('unreachable');
    expect(await make({ given: { cert, key } })).toMatchObject({ cert: made.cert, key: made.key });
    await expect(make({ given: { cert, key: other } })).rejects.toThrow(/do not belong together/);
    await expect(make({ given: { cert: '/absent.crt', key } })).rejects.toThrow('/absent.crt');
  });
});

test('a client that trusts the authority is served over TLS, one that does not goes away', async () => {
  const api = await servedApi();
  const client = apiClient(api.url, api.ca);
  const stranger = apiClient(api.url, '');
  try {
    expect((await client.send('/version')).code).toBe(200);
    await expect(stranger.send('/version')).rejects.toThrow();
  } finally {
    await client.close();
    await stranger.close();
    await api.close();
  }
});

test('a renewed certificate is used for connections from then on', async () => {
  const directories = await Promise.all(['a', 'b'].map((name) => mkdtemp(join(tmpdir(), `dispatcher-tls-${name}-`))));
  const [first, second] = await Promise.all(
    directories.map((directory) => tlsMaterial({ directory, hosts: [], environment: systemEnvironment })),
  );
  if (!first || !second) throw new Error('no certificates');
  const server = await serveTls(testApi().app, { host: '127.0.0.1', port: 0, tls: first });
  const trusting = async (ca: string) => {
    const client = apiClient(server.url, ca);
    return client
      .send('/version')
      .then(({ code }) => code)
      .finally(() => client.close());
  };
  try {
    expect(await trusting(first.ca)).toBe(200);
    server.renew(second);
    expect(await trusting(second.ca)).toBe(200);
    await expect(trusting(first.ca)).rejects.toThrow();
  } finally {
    await server.close(100);
    for (const directory of directories) await rm(directory, { recursive: true, force: true });
  }
});

test('a kubeconfig names the server, whom to trust, and the token', () => {
  const text = renderKubeconfig({
    server: 'https://127.0.0.1:5443',
    caPem: 'PEM',
    token: 'a: b',
    user: 'ann',
    namespace: 'team',
  });
  expect(parse(text)).toEqual({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'dispatcher', cluster: { server: 'https://127.0.0.1:5443', 'certificate-authority-data': 'UEVN' } }],
    users: [{ name: 'ann', user: { token: 'a: b' } }],
    contexts: [{ name: 'dispatcher', context: { cluster: 'dispatcher', user: 'ann', namespace: 'team' } }],
    'current-context': 'dispatcher',
  });
});
