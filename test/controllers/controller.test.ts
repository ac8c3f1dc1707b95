import { describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { Cache } from '../../src/controllers/cache.js';
import { Controller, type ControllerOptions } from '../../src/controllers/controller.js';
import { EngineMetrics } from '../../src/controllers/metrics.js';
import type { Outcome } from '../../src/controllers/reconciler.js';
import { type Environment, sleep, systemEnvironment } from '../../src/environment.js';
import { formatKey, type ResourceKey } from '../../src/resources/metadata.js';
import { StoreError } from '../../src/store/errors.js';
import { captureLog, silentLog } from '../support/log.js';
import { MemoryStore } from '../support/memory-store.js';
import { vmDraft, vmKey } from '../support/resources.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const settled: Outcome = { kind: 'settled' };

type Reconcile = (key: ResourceKey, signal: AbortSignal) => Promise<Outcome>;

function setUp(reconcile: Reconcile, options: Partial<ControllerOptions> = {}) {
  const world = new VirtualEnvironment(1, 0);
  const { log, lines } = captureLog();
  /** `name@time` of each call, in order. */
  const calls: string[] = [];
  const reconciler = {
    kind: 'VirtualMachine',
    reconcile: (key: ResourceKey, signal: AbortSignal) => {
      calls.push(`${key.name}@${Math.round(world.milliseconds)}`);
      return reconcile(key, signal);
    },
  };
  const controller = new Controller({ name: 'test', reconciler, workers: 2, environment: world, log, ...options });
  const stop = new AbortController();
  let stoppedAt: number | undefined;
  const start = () => {
    void controller.run(stop.signal).then(() => {
      stoppedAt = world.milliseconds;
    });
  };
  return { world, controller, calls, lines, stop, start, stoppedAt: () => stoppedAt };
}

describe('Controller', () => {
  test('reconciles what is wished for, as many at once as it has workers, no key twice at once', async () => {
    let now = 0;
    let most = 0;
    const busy = new Set<string>();
    const { world, controller, start } = setUp(
      async (key) => {
        expect(busy.has(key.name)).toBe(false);
        busy.add(key.name);
        most = Math.max(most, ++now);
        await sleep(world, 10);
        now--;
        busy.delete(key.name);
        return settled;
      },
      { workers: 3 },
    );
    start();
    for (let round = 0; round < 5; round++) {
      for (const name of ['a', 'b', 'c', 'd', 'e']) controller.enqueue(vmKey(name));
      await world.run(undefined, 7);
    }
    await world.run();
    expect(most).toBe(3);
  });

  test('a settled key rests; a waiting one comes again when it said, or sooner when something changes', async () => {
    const outcomes: Record<string, Outcome> = {
      settled,
      waiting: { kind: 'waiting', on: 'a build', recheckAfterMs: 1000 },
      idle: { kind: 'waiting', on: 'a person' },
    };
    const { world, controller, calls, start } = setUp(async ({ name }) => outcomes[name] ?? settled);
    start();
    for (const name of Object.keys(outcomes)) controller.enqueue(vmKey(name));
    world.after(1500, () => controller.enqueue(vmKey('waiting')));
    await world.run(undefined, 2600);
    expect(calls).toEqual(['settled@0', 'waiting@0', 'idle@0', 'waiting@1000', 'waiting@1500', 'waiting@2500']);
  });

  test('a change that comes while its key is in hand is not lost', async () => {
    const { world, controller, calls, start } = setUp(async () => {
      await sleep(world, 100);
      return settled;
    });
    start();
    controller.enqueue(vmKey('a'));
    world.after(50, () => controller.enqueue(vmKey('a')));
    await world.run();
    expect(calls).toEqual(['a@0', 'a@100']);
  });

  test.each<{ reason: string; error: unknown; times: number[] }>([
    { reason: 'backoff: later each time', error: new Error('oh'), times: [0, 5, 15, 35, 75] },
    { reason: 'what is no error too', error: undefined, times: [0, 5, 15, 35, 75] },
    { reason: 'conflict: once at once, then later each time', error: new StoreError('Conflict', 'x'), times: [0, 0, 5, 15, 35] },
    {
      reason: 'after: when somebody said',
      error: Object.assign(new Error('429'), { retry: { kind: 'after', ms: 700 } }),
      times: [0, 700, 1400, 2100, 2800],
    },
  ])('a failure is retried by its hint: $reason', async ({ error, times }) => {
    const { world, controller, calls, start } = setUp(async () => {
      throw error;
    });
    start();
    controller.enqueue(vmKey('a'));
    await world.run(() => calls.length === times.length);
    const actual = calls.map((call) => Number(call.split('@')[1]));
    times.forEach((time, index) => {
      expect(actual[index]).toBeGreaterThanOrEqual(time);
      expect(actual[index]).toBeLessThanOrEqual(Math.ceil(time * 1.25));
    });
  });

  test('a failure that only a change can heal waits for one', async () => {
    const { world, controller, calls, start, lines } = setUp(async () => {
      throw Object.assign(new Error('a bad image'), { retry: { kind: 'change' } });
    });
    start();
    controller.enqueue(vmKey('a'));
    await world.run(undefined, 3_600_000);
    expect(calls).toEqual(['a@0']);
    controller.enqueue(vmKey('a'));
    await world.run(undefined, 3_600_000);
    expect(calls).toEqual(['a@0', 'a@3600000']);
    expect(lines).toContainEqual(
      expect.objectContaining({
        msg: 'reconcile failed until something changes',
        key: 'VirtualMachine/default/a',
        controller: 'test',
      }),
    );
  });

  test('success forgets failures; a synchronous throw is a failure like any other', async () => {
    let fails = 3;
    const { world, controller, calls, start } = setUp(() => {
      if (fails-- > 0) throw new TypeError('a bug');
      return Promise.resolve(settled);
    });
    start();
    controller.enqueue(vmKey('a'));
    await world.run();
    fails = 1;
    const before = world.milliseconds;
    controller.enqueue(vmKey('a'));
    await world.run();
    expect(calls).toHaveLength(6);
    expect(world.milliseconds - before).toBeLessThanOrEqual(5 * 1.25 + 1);
  });

  test('a recheck that is not a number is a failure of the reconciler, and makes no hot loop', async () => {
    const { world, controller, calls, start } = setUp(async () => ({ kind: 'waiting', on: 'x', recheckAfterMs: Number.NaN }));
    start();
    controller.enqueue(vmKey('a'));
    await world.run(undefined, 3_600_000);
    expect(calls.length).toBeLessThan(35);
  });

  test('follows a cache: what is there when it starts after what changes since', async () => {
    const world = new VirtualEnvironment(1, 0);
    const store = new MemoryStore(world);
    const cache = new Cache({ store, kind: 'VirtualMachine', environment: world, log: silentLog });
    const seen: string[] = [];
    const reconcile = async ({ name }: ResourceKey) => {
      seen.push(name);
      return settled;
    };
    const reconciler = { kind: 'VirtualMachine', reconcile };
    const controller = new Controller({ name: 'test', reconciler, workers: 1, environment: world, log: silentLog });
    controller.follow(cache);
    for (const name of ['a', 'b', 'c', 'd']) await store.create(vmDraft(name));
    const stop = new AbortController();
    void cache.run(stop.signal);
    await world.settle(cache.whenSynced(stop.signal));
    expect(controller.depth).toEqual({ change: 0, resync: 4 });
    void controller.run(stop.signal);
    await store.update(vmDraft('d', { labels: { role: 'web' } }));
    await store.delete(vmKey('c'));
    await world.run(() => seen.length === 4);
    // The worker took `a` before the events were there.
    expect(seen).toEqual(['a', 'd', 'c', 'b']);
  });

  test('follows a cache of another kind by a function of the change', async () => {
    const { world, controller, calls, start } = setUp(async () => settled);
    const store = new MemoryStore(world);
    const cache = new Cache({ store, kind: 'Cloud', environment: world, log: silentLog });
    controller.follow(cache, ({ current }) => (current ? [vmKey('a'), vmKey('b')] : []));
    await store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Cloud',
      metadata: { name: 'lab' },
      spec: { engine: 'simulator' },
    });
    start();
    void cache.run(new AbortController().signal);
    await world.run(undefined, 100);
    expect(calls.map((call) => call.split('@')[0])).toEqual(['a', 'b']);
  });

  describe('when it is told to stop', () => {
    test('takes no new key, lets those in hand finish, and then has stopped', async () => {
      const finished: string[] = [];
      const { world, controller, calls, start, stop, stoppedAt } = setUp(async (key, signal) => {
        await sleep(world, 500);
        finished.push(`${key.name} ${signal.aborted}`);
        return { kind: 'waiting', on: 'more', recheckAfterMs: 0 };
      });
      start();
      for (const name of ['a', 'b', 'c']) controller.enqueue(vmKey(name));
      world.after(100, () => stop.abort());
      await world.run(undefined, 60_000);
      expect(calls).toEqual(['a@0', 'b@0']);
      expect(finished).toEqual(['a true', 'b true']);
      expect(stoppedAt()).toBe(500);
      expect(world.pendingTimers).toBe(0);
    });

    test('waits for a key that does not finish no longer than the grace period, and says which', async () => {
      const { world, controller, start, stop, stoppedAt, lines } = setUp(() => new Promise(() => undefined), { graceMs: 3000 });
      start();
      controller.enqueue(vmKey('stuck'));
      world.after(100, () => stop.abort());
      await world.run(undefined, 60_000);
      expect(stoppedAt()).toBe(3100);
      expect(lines).toContainEqual(
        expect.objectContaining({ msg: 'gave up waiting for a reconcile', key: 'VirtualMachine/default/stuck' }),
      );
    });

    test('what was cut short, and what was wished for since, is done when it runs again', async () => {
      const { world, controller, calls, start, stop, lines } = setUp(async (_key, signal) => {
        await sleep(world, 100, signal);
        return settled;
      });
      start();
      controller.enqueue(vmKey('a'));
      world.after(50, () => stop.abort(new Error('stop')));
      world.after(200, () => controller.enqueue(vmKey('b')));
      await world.run(undefined, 1000);
      expect(calls).toEqual(['a@0']);
      expect(lines.filter(({ msg }) => msg === 'reconcile failed')).toEqual([]);
      void controller.run(new AbortController().signal);
      await world.run(undefined, 1000);
      expect(calls).toEqual(['a@0', 'a@1000', 'b@1000']);
    });
  });

  test('counts under controller-runtime names', async () => {
    const registry = new Registry();
    const outcomes: Array<() => Outcome> = [
      () => settled,
      () => ({ kind: 'waiting', on: 'x', recheckAfterMs: 1_000_000 }),
      () => {
        throw new Error('oh');
      },
      () => settled,
    ];
    const { world, controller, start } = setUp(
      async () => {
        await sleep(world, 2000);
        return outcomes.shift()?.() ?? settled;
      },
      { workers: 1, metrics: new EngineMetrics(registry) },
    );
    for (const name of ['a', 'b', 'c']) controller.enqueue(vmKey(name));
    const before = await registry.metrics();
    expect(before).toContain('workqueue_depth{name="test",priority="resync"} 3');
    start();
    await world.run(undefined, 60_000);
    const text = await registry.metrics();
    for (const line of [
      'controller_runtime_reconcile_total{controller="test",result="success"} 2',
      'controller_runtime_reconcile_total{controller="test",result="requeue_after"} 1',
      'controller_runtime_reconcile_total{controller="test",result="error"} 1',
      'controller_runtime_reconcile_errors_total{controller="test"} 1',
      'controller_runtime_reconcile_time_seconds_sum{controller="test"} 8',
      'controller_runtime_active_workers{controller="test"} 0',
      'controller_runtime_max_concurrent_reconciles{controller="test"} 1',
      'workqueue_depth{name="test",priority="resync"} 0',
      'workqueue_adds_total{name="test"} 4',
      'workqueue_retries_total{name="test"} 1',
      'workqueue_work_duration_seconds_sum{name="test"} 8',
      'workqueue_queue_duration_seconds_count{name="test"} 4',
    ]) {
      expect(text.split('\n')).toContain(line);
    }
  });

  test('lets events in while it works on keys that wait for nothing', async () => {
    let clock = 0;
    // A clock that moves with each look at it, as the real one does under load.
    const environment: Environment = { ...systemEnvironment, now: () => new Date(clock++) };
    let turns = 0;
    const reconciler = { kind: 'VirtualMachine', reconcile: async () => settled };
    const controller = new Controller({ name: 'test', reconciler, workers: 2, environment, log: silentLog });
    for (let index = 0; index < 500; index++) controller.enqueue(vmKey(`vm-${index}`));
    const stop = new AbortController();
    const ran = controller.run(stop.signal);
    while (controller.depth.resync > 0) {
      await new Promise((resolve) => setImmediate(resolve));
      turns++;
    }
    stop.abort();
    await ran;
    expect(turns).toBeGreaterThan(10);
  });

  test('every line about a key bears it', async () => {
    const { world, controller, start, lines } = setUp(async ({ name }) => {
      if (name === 'bad') throw new Error('oh');
      return settled;
    });
    start();
    controller.enqueue(vmKey('good'));
    controller.enqueue(vmKey('bad'));
    await world.run(undefined, 100);
    const about = lines.filter(({ msg }) => String(msg).startsWith('reconcile'));
    expect(about.length).toBeGreaterThan(2);
    const keys = new Set([vmKey('good'), vmKey('bad')].map(formatKey));
    for (const { key } of about) expect(keys).toContain(key);
  });
});
