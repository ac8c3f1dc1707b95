import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { CallReport } from '../../../src/clouds/driver.js';
import { CloudConnections } from '../../../src/reconcilers/cloud/connections.js';
import type { CloudSpec } from '../../../src/resources/cloud.js';
import { captureLog } from '../../support/log.js';
import { NOBODY } from '../../support/nobody.js';
import { failure, ScriptedCloud } from '../../support/scripted-cloud.js';
import { VirtualEnvironment } from '../../support/virtual-environment.js';

const SPEC: CloudSpec = { engine: 'openstack', endpoint: 'https://one.example/v3', limits: { inFlight: 4 } };

let world: VirtualEnvironment;
let connections: CloudConnections;
/** The driver of each connection that was made, in order. */
let drivers: ScriptedCloud[];
let reports: [string, string][];
const log = captureLog();

beforeEach(() => {
  world = new VirtualEnvironment(1);
  drivers = [];
  reports = [];
  connections = new CloudConnections(
    (_name, spec, _credentials, onCall) => {
      if (spec.region === 'nowhere') throw new Error('spec.region: nowhere is not there');
      const driver = new ScriptedCloud(world);
      driver.onReport = onCall;
      drivers.push(driver);
      return driver;
    },
    () => NOBODY,
    (cloud, { operation }: CallReport) => reports.push([cloud, operation]),
    world,
    log.log,
  );
});
afterEach(async () => {
  await world.settle(connections.close());
  expect(world.pendingTimers).toBe(0);
});

const ensure = (change: Partial<CloudSpec> = {}, password = 'p') =>
  connections.ensure('lab', { ...SPEC, ...change }, { password });

describe('a Cloud is connected anew', () => {
  test.each<[string, () => unknown]>([
    ['its endpoint changes', () => ensure({ endpoint: 'https://two.example/v3' })],
    ['its engine changes', () => ensure({ engine: 'simulator' })],
    ['its region changes', () => ensure({ region: 'north' })],
    ['its project changes', () => ensure({ project: { name: 'other' } })],
    ['its Secret changes', () => ensure({}, 'another')],
    ['how hard it may be asked changes', () => ensure({ limits: { inFlight: 8 } })],
  ])('when %s, and the old connection is closed', async (_reason, change) => {
    const old = ensure();
    change();
    expect(connections.get('lab')).not.toBe(old);
    await world.run(() => false, 1_000);
    expect(drivers.map(({ closed }) => closed)).toEqual([true, false]);
  });

  test.each<[string, Partial<CloudSpec>]>([
    ['intervals change', { observe: { interval: '5s', auditInterval: '10m', settleTime: '1m' } }],
    ['its build timeout changes', { buildTimeout: '1m' }],
    ['its server limit changes', { limits: { inFlight: 4, servers: 7 } }],
    ['it is paused', { paused: true }],
    ['its orphan policy changes', { orphans: { policy: 'Report' } }],
    ['the order of its fields changes', { limits: { inFlight: 4 }, endpoint: 'https://one.example/v3', engine: 'openstack' }],
  ])('but not when %s', (_reason, change) => {
    const old = ensure();
    expect(ensure(change)).toBe(old);
    expect(drivers).toHaveLength(1);
  });
});

test('settings are taken over live, with the defaults that the schema tells', () => {
  const connection = ensure();
  expect(connection.settings).toEqual({
    intervalMs: 2_000,
    auditIntervalMs: 60_000,
    settleMs: 30_000,
    buildTimeoutMs: 600_000,
    serverLimit: undefined,
  });
  ensure({
    observe: { interval: '500ms', auditInterval: '1m30s', settleTime: '0s' },
    buildTimeout: '1h',
    limits: { inFlight: 4, servers: 0 },
  });
  expect(connection.settings).toEqual({
    intervalMs: 500,
    auditIntervalMs: 90_000,
    settleMs: 0,
    buildTimeoutMs: 3_600_000,
    serverLimit: 0,
  });
});

test('an interval of nothing does not ask without end, nor a cloud that fails', async () => {
  ensure({ observe: { interval: '0s', auditInterval: '0s' } });
  await world.run(() => false, 1_000);
  expect(drivers[0]?.calls.length).toBeLessThanOrEqual(12);
  drivers[0]?.break('listServers', failure('Unavailable'));
  await world.run(() => false, 1_000);
  expect(drivers[0]?.calls.length).toBeLessThanOrEqual(24);
});

test('calls are counted for each Cloud since its connection was made', async () => {
  ensure();
  await world.run(() => false, 1);
  drivers[0]?.fail('listImages', failure('RateLimited', 'slow down', { status: 429 }));
  drivers[0]?.fail('listImages', failure('Unavailable', 'away', { status: 503 }));
  for (let times = 0; times < 3; times += 1) await drivers[0]?.listImages().catch(() => undefined);
  expect(connections.calls('lab')).toEqual({ total: 4, failed: 2, throttled: 1 });
  expect(reports).toHaveLength(4);
  expect(reports[0]).toEqual(['lab', 'listServers']);
  ensure({ region: 'north' });
  expect(connections.calls('lab')).toEqual({ total: 0, failed: 0, throttled: 0 });
  expect(connections.calls('other')).toBeUndefined();
});

test('a driver that cannot be made leaves the connection that is there', () => {
  const old = ensure();
  expect(() => ensure({ region: 'nowhere' })).toThrow('spec.region: nowhere is not there');
  expect(connections.get('lab')).toBe(old);
});

test('a dropped connection is gone at once, and closed when its call has ended', async () => {
  ensure();
  const gate = drivers[0]?.hold('listServers');
  await world.run(() => false, 0);
  connections.drop('lab');
  connections.drop('lab');
  expect(connections.get('lab')).toBeUndefined();
  expect(drivers[0]?.closed).toBe(false);
  gate?.open();
  await world.run(() => false, 0);
  expect(drivers[0]?.closed).toBe(true);
});

test('a driver that cannot be closed is logged, and harms nothing', async () => {
  ensure();
  const [driver] = drivers;
  if (driver) driver.close = () => Promise.reject(new Error('stuck'));
  connections.drop('lab');
  await world.run(() => false, 0);
  expect(log.messages()).toContain('closing a connection failed');
});

test('the end closes all, and does not mind one that fails to', async () => {
  ensure();
  connections.ensure('other', SPEC, undefined);
  const [first, second] = drivers;
  if (first) first.close = () => Promise.reject(new Error('stuck'));
  await world.settle(connections.close());
  expect(second?.closed).toBe(true);
  expect(connections.get('lab')).toBeUndefined();
});
