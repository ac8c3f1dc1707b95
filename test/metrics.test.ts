import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { DispatcherMetrics, isReady } from '../src/metrics.js';
import type { Resource } from '../src/resources/metadata.js';
import { Rig } from './support/rig.js';
import { failure } from './support/scripted-cloud.js';

/** The lines of `/metrics` that begin so: name and labels, and the value. */
async function values(registry: Registry, prefix: string): Promise<Record<string, number>> {
  const lines = (await registry.metrics()).split('\n').filter((line) => line.startsWith(prefix));
  return Object.fromEntries(
    lines.map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ')))]),
  );
}

describe('after a run', () => {
  let rig: Rig;
  let metrics: Registry;
  beforeEach(async () => {
    rig = new Rig();
    metrics = new Registry();
    await rig.declareCloud();
  });
  afterEach(() => rig.stop());

  const READY = 'dispatcher_virtual_machine_time_to_ready_seconds';
  const readyCount = async () => (await values(metrics, `${READY}_count`))[`${READY}_count`];
  const readySum = async () => (await values(metrics, `${READY}_sum`))[`${READY}_sum`];

  /** The machine is declared, and its server runs from `afterMs` on. */
  async function declareRunning(name: string, id: string, afterMs: number): Promise<void> {
    await rig.declare(name);
    await rig.pass(afterMs);
    rig.cloud.put(id, { state: 'Running' });
    await rig.until(`${name} is Ready`, () => rig.said('VirtualMachine', name).Ready === 'True Running', 20_000);
  }

  test('calls stand by cloud, operation and result', async () => {
    rig.cloud.fail('createServer', failure('Quota'));
    rig.start({ metrics });
    await rig.declare('web-1');
    await rig.until('it is bound', () => rig.cloud.servers.size === 1, 60_000);
    const calls = await values(metrics, 'dispatcher_cloud_calls_total');
    expect(calls['dispatcher_cloud_calls_total{cloud="lab",operation="createServer",result="Quota"}']).toBe(1);
    expect(calls['dispatcher_cloud_calls_total{cloud="lab",operation="createServer",result="ok"}']).toBe(1);
    expect(calls['dispatcher_cloud_calls_total{cloud="lab",operation="listImages",result="ok"}']).toBe(1);
    expect(Object.values(calls).reduce((sum, value) => sum + value, 0)).toBe(rig.cloud.calls.length);
  });

  test('the time of the last whole observation stands by cloud, and goes with it', async () => {
    rig.start({ metrics });
    await rig.pass(60_500);
    const gauge = 'dispatcher_cloud_observation_timestamp_seconds{cloud="lab"}';
    const began = rig.world.milliseconds - 500;
    expect((await values(metrics, gauge))[gauge]).toBeCloseTo(began / 1000, 3);
    await rig.remove('Cloud', 'lab');
    await rig.pass(1_000);
    expect(await values(metrics, gauge)).toEqual({});
  });

  test("the engine's own stand under controller-runtime's names", async () => {
    rig.start({ metrics });
    await rig.declare('web-1', { image: 7 });
    await rig.pass(1_000);
    const total = await values(metrics, 'controller_runtime_reconcile_total');
    expect(total['controller_runtime_reconcile_total{controller="virtualmachine",result="success"}']).toBeGreaterThan(0);
    const depth = await values(metrics, 'workqueue_depth');
    expect(Object.keys(depth)).toContain('workqueue_depth{name="cloud",priority="change"}');
  });

  test('time to ready is from the declaration to the first time that it was Ready', async () => {
    rig.start({ metrics });
    await rig.pass(500);
    await declareRunning('web-1', 's1', 9_000);
    expect(await readyCount()).toBe(1);
    expect(await readySum()).toBeGreaterThanOrEqual(9);
    expect(await readySum()).toBeLessThanOrEqual(12);
  });

  test('time to ready counts a machine that had to be put right after its build, when it was right', async () => {
    rig.start({ metrics });
    await rig.pass(500);
    await rig.declare('web-1', { powerState: 'Stopped' });
    await rig.pass(5_000);
    rig.cloud.put('s1', { state: 'Running' });
    const gate = rig.cloud.hold('stopServer');
    await rig.pass(10_000);
    expect(await readyCount()).toBe(0);
    gate.open();
    await rig.until('it is Ready', () => rig.said('VirtualMachine', 'web-1').Ready === 'True Stopped', 20_000);
    expect(await readyCount()).toBe(1);
    expect(await readySum()).toBeGreaterThanOrEqual(15);
  });

  test('time to ready counts no machine twice: not after drift, replacement, or a restart', async () => {
    rig.start({ metrics });
    await rig.pass(500);
    await declareRunning('web-1', 's1', 1_000);
    rig.cloud.remove('s1');
    await rig.until('another is made', () => rig.cloud.servers.has('s2'), 30_000);
    rig.cloud.put('s2', { state: 'Running' });
    await rig.until('it is Ready again', () => rig.said('VirtualMachine', 'web-1').Ready === 'True Running', 30_000);
    expect(await readyCount()).toBe(1);
    await rig.stop();
    rig.cloud.put('s2', { state: 'Stopped' });
    metrics = new Registry();
    rig.start({ metrics });
    await rig.pass(60_000);
    expect(rig.said('VirtualMachine', 'web-1').Ready).toBe('True Running');
    expect(await readyCount()).toBe(0);
  });

  test('time to ready is counted by the replica that leads', async () => {
    const other = new Registry();
    rig.start({ metrics, holder: 'a' });
    await rig.pass(1_000);
    rig.start({ metrics: other, holder: 'b' });
    await rig.pass(15_000);
    await declareRunning('web-1', 's1', 1_000);
    await rig.pass(1_000);
    expect(await readyCount()).toBe(1);
    expect((await values(other, `${READY}_count`))[`${READY}_count`]).toBe(0);
  });
});

test('how long calls took is told in seconds', async () => {
  const registry = new Registry();
  const metrics = new DispatcherMetrics(registry, () => []);
  const report = { operation: 'getServer', effect: false, status: 200, error: undefined, startedAt: new Date(0) };
  metrics.called('lab', { ...report, durationMs: 40 });
  metrics.called('lab', { ...report, durationMs: 700 });
  const seconds = await values(registry, 'dispatcher_cloud_call_seconds');
  expect(seconds['dispatcher_cloud_call_seconds_sum{cloud="lab",operation="getServer"}']).toBeCloseTo(0.74);
  expect(seconds['dispatcher_cloud_call_seconds_bucket{le="0.05",cloud="lab",operation="getServer"}']).toBe(1);
});

describe('whether a resource is Ready', () => {
  const resource = (status: unknown): Resource => ({
    apiVersion: 'v1',
    kind: 'VirtualMachine',
    metadata: { name: 'a', uid: 'u', resourceVersion: '1', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' },
    status,
  });
  test.each<[string, unknown, boolean]>([
    ['its condition is True', { conditions: [{ type: 'Other' }, { type: 'Ready', status: 'True' }] }, true],
    ['its condition is False', { conditions: [{ type: 'Ready', status: 'False' }] }, false],
    ['its condition is Unknown', { conditions: [{ type: 'Ready', status: 'Unknown' }] }, false],
    ['another condition is True', { conditions: [{ type: 'Paused', status: 'True' }] }, false],
    ['there are none', {}, false],
    ['there is no status', undefined, false],
    ['the status is garbage', 'Ready', false],
    ['the conditions are garbage', { conditions: 'Ready' }, false],
    ['a condition is garbage', { conditions: [null, 7, { type: 'Ready', status: 'True' }] }, true],
  ])('when %s', (_reason, status, expected) => {
    expect(isReady(resource(status))).toBe(expected);
  });
});
