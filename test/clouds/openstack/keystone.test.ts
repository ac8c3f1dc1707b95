import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type CloudError, isCloudError } from '../../../src/clouds/errors.js';
import { eventually } from '../../support/eventually.js';
import { login, type MovableClock, movableClock, type Reply, type ScriptedCloud, startCloud } from './scripted-cloud.js';

const LOGIN = /^POST \/identity\/v3\/auth\/tokens$/;
const LIMITS = /^GET \/compute\/v2\.1\/limits$/;
const quota = {
  status: 200,
  body: {
    limits: {
      absolute: {
        maxTotalInstances: -1,
        totalInstancesUsed: 2,
        maxTotalCores: 20,
        totalCoresUsed: 3,
        maxTotalRAMSize: 4096,
        totalRAMUsed: 512,
      },
    },
  },
};

let cloud: ScriptedCloud;
let clock: MovableClock;
beforeEach(async () => {
  clock = movableClock();
  cloud = await startCloud({ environment: clock });
  cloud.on(LIMITS, quota);
});
afterEach(() => cloud.close());

async function failureOf(call: Promise<unknown>): Promise<CloudError> {
  try {
    await call;
  } catch (error) {
    if (isCloudError(error)) return error;
    throw error;
  }
  throw new Error('it did not fail');
}

/** The tokens that the calls to nova bore. */
const tokensUsed = () => cloud.requests(LIMITS).map((request) => request.headers['x-auth-token']);

describe('tokens', () => {
  it('are fetched once for many calls at once, and used for all', async () => {
    await Promise.all(Array.from({ length: 10 }, () => cloud.driver.getQuota()));
    await cloud.driver.getQuota();
    expect(cloud.count(LOGIN)).toBe(1);
    expect(new Set(tokensUsed())).toEqual(new Set(['token-1']));
  });

  it('are asked for with the password and the scope of the project, by names or by ids', async () => {
    await cloud.driver.getQuota();
    const byId = cloud.connect({
      credentials: { username: 'demo', password: 'p', userDomain: 'Default', userDomainId: 'default' },
      project: { name: 'demo', domainId: 'default' },
    });
    await byId.getQuota();
    const byProjectId = cloud.connect({ project: { id: 'abc' } });
    await byProjectId.getQuota();
    const bodies = cloud.requests(LOGIN).map((request) => JSON.parse(request.text));
    expect(bodies.map((body) => body.auth.identity.password.user.domain)).toEqual([
      { name: 'Default' },
      { id: 'default' },
      { name: 'Default' },
    ]);
    expect(bodies.map((body) => body.auth.scope.project)).toEqual([
      { name: 'demo', domain: { name: 'Default' } },
      { name: 'demo', domain: { id: 'default' } },
      { id: 'abc' },
    ]);
  });

  it('are asked for with an application credential without a scope, even when a project is named', async () => {
    const driver = cloud.connect({ credentials: { applicationCredentialId: 'id', applicationCredentialSecret: 's' } });
    await driver.getQuota();
    expect(JSON.parse(cloud.requests(LOGIN)[0]?.text ?? '')).toEqual({
      auth: { identity: { methods: ['application_credential'], application_credential: { id: 'id', secret: 's' } } },
    });
  });

  it('are renewed beside the calls before they expire, though the clock of the cloud is years off', async () => {
    await cloud.driver.getQuota();
    clock.forward(3_600_000 - 61_000);
    await cloud.driver.getQuota();
    expect(cloud.count(LOGIN)).toBe(1);
    clock.forward(2_000);
    await cloud.driver.getQuota();
    await eventually(async () => {
      await cloud.driver.getQuota();
      expect(tokensUsed().at(-1)).toBe('token-2');
    });
    expect(cloud.count(LOGIN)).toBe(2);
  });

  it('serve on while keystone is away, until they expire', async () => {
    await cloud.driver.getQuota();
    cloud.on(LOGIN, { status: 500, text: 'no database' });
    clock.forward(3_600_000 - 30_000);
    for (let i = 0; i < 5; i += 1) await cloud.driver.getQuota();
    clock.forward(30_000);
    expect(await failureOf(cloud.driver.getQuota())).toMatchObject({ code: 'Unavailable', status: 500 });
  });

  it('that are short-lived are used for most of their life', async () => {
    cloud.on(LOGIN, () => login(cloud.endpoint, `short-${cloud.count(LOGIN)}`, 20_000));
    await cloud.driver.getQuota();
    clock.forward(14_000);
    await cloud.driver.getQuota();
    expect(cloud.count(LOGIN)).toBe(1);
    clock.forward(6_000);
    await cloud.driver.getQuota();
    expect(tokensUsed()).toEqual(['short-1', 'short-1', 'short-2']);
  });
});

describe('a token that is refused', () => {
  it('is renewed once for many calls, effects too, which are then made', async () => {
    await cloud.driver.getQuota();
    cloud.on(/^DELETE /, (request) => ({ status: request.headers['x-auth-token'] === 'token-1' ? 401 : 204 }));
    await Promise.all(['a', 'b', 'c', 'd'].map((id) => cloud.driver.deleteServer(id)));
    expect(cloud.count(LOGIN)).toBe(2);
  });

  it('for good is tried three times in all', async () => {
    cloud.on(LIMITS, { status: 401, body: { error: { code: 401, message: 'go away', title: 'Unauthorized' } } });
    expect(await failureOf(cloud.driver.getQuota())).toMatchObject({ code: 'Unauthorized', status: 401 });
    expect(cloud.count(LIMITS)).toBe(3);
    expect(cloud.count(LOGIN)).toBe(3);
  });

  it('because keystone is away (glance then says 401) is Unavailable', async () => {
    await cloud.driver.getQuota();
    cloud.on(/^GET \/image/, { status: 401, text: '<html>401</html>' });
    cloud.on(LOGIN, 'reset');
    expect(await failureOf(cloud.driver.listImages())).toMatchObject({ code: 'Unavailable' });
  });
});

describe('a login that is refused', () => {
  it.each([
    { reason: 'a wrong password', status: 401, words: 'The request you have made requires authentication.' },
    { reason: 'an unknown application credential, which keystone does not find', status: 404, words: 'Could not find it.' },
  ])('for $reason is Unauthorized, and not tried again for a while', async ({ status, words }) => {
    cloud.on(LOGIN, { status, body: { error: { code: status, message: words, title: 'x' } } });
    const failures = await Promise.all([failureOf(cloud.driver.getQuota()), failureOf(cloud.driver.listServers())]);
    failures.push(await failureOf(cloud.driver.listImages()));
    for (const failure of failures) {
      expect(failure).toMatchObject({ code: 'Unauthorized', message: expect.stringContaining(words) });
    }
    expect(cloud.count(LOGIN)).toBe(1);
    clock.forward(10_001);
    cloud.on(LOGIN, () => login(cloud.endpoint, 'at-last'));
    await cloud.driver.getQuota();
  });

  it.each([
    { reason: 'a proxy that knows no such path', reply: { status: 404, text: '<html>not here</html>' } },
    { reason: 'an answer without a token', reply: { status: 201, body: {} } },
    { reason: 'a redirection', reply: { status: 301, headers: { location: 'https://other.invalid/' } } },
  ])('by $reason is Unavailable', async ({ reply }) => {
    cloud.on(LOGIN, reply);
    expect(await failureOf(cloud.driver.getQuota())).toMatchObject({ code: 'Unavailable' });
  });
});

describe('the catalog', () => {
  it('names its regions when the wanted one is not there', async () => {
    const driver = cloud.connect({ region: 'nowhere' });
    const failure = await failureOf(driver.getQuota());
    expect(failure.code).toBe('Invalid');
    expect(failure.message).toContain('"nowhere"');
    expect(failure.message).toContain('elsewhere, here');
  });

  it('is used in the wanted region, and only its public endpoints are', async () => {
    const failure = await failureOf(cloud.connect({ region: 'elsewhere' }).getQuota());
    expect(failure).toMatchObject({ code: 'Unavailable', message: expect.stringContaining('elsewhere.invalid') });
  });

  it('is used in its first region when none is wanted, and with or without versions in its endpoints', async () => {
    const services = [
      { type: 'compute', url: `${cloud.endpoint}/compute/v2.1/project-1` },
      { type: 'image', url: `${cloud.endpoint}/image/v2/` },
    ];
    cloud.on(LOGIN, {
      status: 201,
      headers: { 'x-subject-token': 't' },
      body: {
        token: {
          issued_at: '2026-01-01T00:00:00.000000Z',
          expires_at: '2026-01-01T01:00:00.000000Z',
          project: { id: 'project-1' },
          catalog: services.map(({ type, url }) => ({ type, endpoints: [{ interface: 'public', region_id: 'first', url }] })),
        },
      },
    });
    cloud.on(/^GET \/compute\/v2\.1\/project-1\/limits$/, quota);
    cloud.on(/^GET \/image\/v2\/images/, { status: 200, body: { images: [{ id: 'i', name: null, status: 'queued' }] } });
    const driver = cloud.connect({ endpoint: `${cloud.endpoint}/identity/v3/` });
    expect(await driver.getQuota()).toMatchObject({ instances: -1, instancesUsed: 2, cores: 20, ramUsedMiB: 512 });
    expect(await driver.listImages()).toEqual([{ id: 'i', name: '', usable: false }]);
    expect(await failureOf(driver.listNetworks())).toMatchObject({
      code: 'Unsupported',
      message: 'listNetworks: this cloud has no network service (neutron): its catalog has none in region "first"',
    });
  });
});

describe('the volume service', () => {
  const catalog = (...services: readonly (readonly [type: string, path: string])[]): Reply => ({
    status: 201,
    headers: { 'x-subject-token': 't' },
    body: {
      token: {
        issued_at: '2026-01-01T00:00:00Z',
        expires_at: '2026-01-01T01:00:00Z',
        project: { id: 'project-1' },
        catalog: [['compute', '/compute/v2.1'] as const, ...services].map(([type, path]) => ({
          type,
          endpoints: [{ interface: 'public', region_id: 'here', url: cloud.endpoint + path }],
        })),
      },
    },
  });
  it.each([
    { reason: 'by the name that most use', services: [['volumev3', '/cinder/v3/project-1']], at: '/cinder/v3/project-1' },
    { reason: 'by its official name, without a version', services: [['block-storage', '/cinder']], at: '/cinder/v3/project-1' },
    { reason: 'by its old name', services: [['volume', '/cinder/v3']], at: '/cinder/v3' },
    {
      reason: 'beside its old versions',
      services: [
        ['volume', '/cinder/v1/project-1'],
        ['volumev2', '/cinder/v2/project-1'],
        ['volumev3', '/cinder/v3/project-1'],
      ],
      at: '/cinder/v3/project-1',
    },
  ] as const)('is found $reason', async ({ services, at }) => {
    cloud.on(LOGIN, catalog(...services));
    cloud.on(/^GET \/cinder\/v3\/$/, { status: 200, body: { versions: [{ id: 'v3.0', version: '3.27', min_version: '3.0' }] } });
    cloud.on(/^GET \/cinder\/v3\/.*types/, { status: 200, body: { volume_types: [{ id: 't', name: 'fast' }] } });
    expect(await cloud.driver.listVolumeTypes()).toEqual([{ id: 't', name: 'fast' }]);
    expect(cloud.count(new RegExp(`^GET ${at}/types`))).toBe(1);
  });

  it('is not found in a version that is not spoken any more', async () => {
    cloud.on(LOGIN, catalog(['volume', '/cinder/v1/project-1']));
    expect(await failureOf(cloud.driver.listVolumes())).toMatchObject({
      code: 'Unsupported',
      message: 'listVolumes: this cloud has no volume service (cinder): its catalog has none in region "here"',
    });
  });
});

it('never shows a password or token in what it throws or reports', async () => {
  cloud.on(LIMITS, { status: 500, text: 'broken' });
  const failures = [await failureOf(cloud.driver.getQuota())];
  cloud.on(LIMITS, 'reset');
  failures.push(await failureOf(cloud.driver.getQuota()));
  cloud.on(LOGIN, { status: 400, text: 'bad' });
  failures.push(await failureOf(cloud.connect({}).getQuota()));
  const shown = JSON.stringify([failures.map((failure) => [failure.message, String(failure.cause)]), cloud.reports]);
  expect(shown).not.toMatch(/the-password|token-\d/);
});
