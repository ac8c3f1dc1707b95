import { describe, expect, test } from '@jest/globals';
import { Registry } from 'prom-client';
import { Cache } from '../../src/controllers/cache.js';
import { Controller } from '../../src/controllers/controller.js';
import { EventRecorder } from '../../src/controllers/events.js';
import { Manager, type ManagerOptions, type Runnable } from '../../src/controllers/manager.js';
import { EngineMetrics } from '../../src/controllers/metrics.js';
import { sleep } from '../../src/environment.js';
import type { ResourceKey } from '../../src/resources/metadata.js';
import { StoreError } from '../../src/store/errors.js';
import { FaultyStore, type StoreFaults } from '../support/faulty-store.js';
import { captureLog } from '../support/log.js';
import { MemoryStore } from '../support/memory-store.js';
import { vmDraft } from '../support/resources.js';
import { VirtualEnvironment, VirtualProcess } from '../support/virtual-environment.js';

const LEASE = 'dispatcher';

function setUp(seed = 1) {
  const world = new VirtualEnvironment(seed, 0);
  const truth = new MemoryStore(world);
  /** What happened, in order: across all replicas of the world. */
  const story: string[] = [];
  const replica = (name: string, faults: StoreFaults = {}, own: Partial<ManagerOptions> = {}) => {
    const process = new VirtualProcess(world);
    const { log, messages } = captureLog();
    const store = new FaultyStore(truth, process, faults);
    const cache = new Cache({ store, kind: 'VirtualMachine', environment: process, log });
    const recorder = new EventRecorder({ store, environment: process, log, component: 'dispatcher', instance: name });
    const reconcile = async (key: ResourceKey) => {
      story.push(`${name} begins ${key.name}`);
      await sleep(process, 100);
      const resource = cache.get(key);
      if (resource) recorder.record(resource, { type: 'Normal', reason: 'Looked', message: `${name} looked at it` });
      story.push(`${name} ends ${key.name}`);
      return { kind: 'settled' } as const;
    };
    const reconciler = { kind: 'VirtualMachine', reconcile };
    const controller = new Controller({ name: 'virtualmachine', reconciler, workers: 2, environment: process, log });
    controller.follow(cache);
    const registry = new Registry();
    const manager = new Manager({
      caches: [cache],
      runnables: [controller],
      recorder,
      election: { leases: store.leases, name: LEASE, holder: name },
      environment: process,
      log,
      metrics: new EngineMetrics(registry),
      ...own,
    });
    const stop = new AbortController();
    let ended: unknown;
    void manager.run(stop.signal).then(
      () => {
        ended = 'well';
        story.push(`${name} has ended`);
      },
      (error: unknown) => {
        ended = error;
      },
    );
    return { process, manager, cache, stop, registry, messages, ended: () => ended };
  };
  return { world, truth, story, replica };
}

describe('Manager', () => {
  test('reconciles what is there, and what comes', async () => {
    const { world, truth, story, replica } = setUp();
    await truth.create(vmDraft('a'));
    const one = replica('one');
    expect(one.manager.synced).toBe(false);
    expect(one.manager.leading).toBe(false);
    await world.run(undefined, 1000);
    await truth.create(vmDraft('b'));
    await world.run(undefined, 1000);
    expect(story).toEqual(['one begins a', 'one ends a', 'one begins b', 'one ends b']);
    expect(one.manager.synced).toBe(true);
    expect(one.manager.leading).toBe(true);
    expect(await one.registry.metrics()).toContain('leader_election_master_status{name="dispatcher"} 1');
  });

  test('does nothing before its caches are synced', async () => {
    const { world, truth, story, replica } = setUp();
    await truth.create(vmDraft('a'));
    let down = true;
    const one = replica('one', {
      beforeRead: () => {
        if (down) throw new StoreError('Unavailable', 'the store is down');
      },
    });
    await world.run(undefined, 120_000);
    expect(story).toEqual([]);
    expect(one.manager.synced).toBe(false);
    down = false;
    await world.run(undefined, 60_000);
    expect(story).toEqual(['one begins a', 'one ends a']);
  });

  test('stops in order: no new key, those in hand end, events are written, then the lease is free', async () => {
    const { world, truth, story, replica } = setUp();
    for (const name of ['a', 'b', 'c']) await truth.create(vmDraft(name));
    const written: string[] = [];
    const one = replica('one', {
      beforeWrite: (_operation, key) => (key.kind === 'Event' ? sleep(world, 1000) : undefined),
      afterWrite: (operation, key) => {
        if (operation !== 'acquire') written.push(`${operation} ${key.kind}`);
      },
    });
    await world.run(() => story.length === 2);
    one.stop.abort(new Error('SIGTERM'));
    await world.run(() => one.ended() !== undefined);
    expect(story).toEqual(['one begins a', 'one begins b', 'one ends a', 'one ends b', 'one has ended']);
    expect(written).toEqual(['create Event', 'create Event', 'release Lease']);
    expect((await truth.leases.acquire(LEASE, 'two', 1000)).holder).toBe('two');
    expect(one.ended()).toBe('well');
    expect(one.manager.leading).toBe(false);
    await world.run();
    expect(world.pendingTimers).toBe(0);
  });

  test('a store that hangs does not keep it from stopping', async () => {
    const { world, truth, story, replica } = setUp();
    await truth.create(vmDraft('a'));
    let hang = false;
    const one = replica('one', { beforeWrite: () => (hang ? new Promise<void>(() => undefined) : undefined) });
    await world.run(() => story.length === 1);
    hang = true;
    one.stop.abort();
    expect(await world.run(() => one.ended() !== undefined, 60_000)).toBe(true);
    expect(one.ended()).toBe('well');
  });

  test('ends at once when it is stopped before its caches are synced', async () => {
    const { world, replica } = setUp();
    const one = replica('one', { beforeRead: () => Promise.reject(new StoreError('Unavailable', 'the store is down')) });
    await world.run(undefined, 1000);
    one.stop.abort(new Error('SIGTERM'));
    await world.run(undefined, 1);
    expect(one.ended()).toBe('well');
    await world.run();
    expect(world.pendingTimers).toBe(0);
  });

  test('of two replicas one works; when it is killed the other takes all up, with a cache that is warm already', async () => {
    const { world, truth, story, replica } = setUp();
    await truth.create(vmDraft('a'));
    const one = replica('one');
    await world.run(undefined, 100);
    const two = replica('two');
    await world.run(undefined, 10_000);
    expect(story).toEqual(['one begins a', 'one ends a']);
    expect(two.manager.synced).toBe(true);
    expect(two.manager.leading).toBe(false);
    one.process.kill();
    await truth.create(vmDraft('b'));
    await world.run(undefined, 30_000);
    expect(story.filter((line) => line.startsWith('two'))).toEqual(['two begins a', 'two begins b', 'two ends a', 'two ends b']);
  });

  test('who loses the lease drains, and works again when it is leader again', async () => {
    const { world, truth, story, replica } = setUp();
    let down = false;
    const one = replica('one', {
      beforeWrite: (operation) => {
        if (down && operation === 'acquire') throw new StoreError('Unavailable', 'no leases today');
      },
    });
    await world.run(undefined, 1000);
    down = true;
    await world.run(() => !one.manager.leading, 60_000);
    await truth.create(vmDraft('a'));
    await world.run(undefined, 60_000);
    expect(story).toEqual([]);
    expect(await one.registry.metrics()).toContain('leader_election_master_status{name="dispatcher"} 0');
    down = false;
    await world.run(undefined, 60_000);
    expect(story).toEqual(['one begins a', 'one ends a']);
  });

  test.each<{ reason: string; run: Runnable['run']; message: string }>([
    { reason: 'fails', run: () => Promise.reject(new Error('a bug')), message: 'a bug' },
    { reason: 'ends by itself', run: () => Promise.resolve(), message: 'faulty ended by itself' },
    {
      reason: 'throws before it returns',
      run: () => {
        throw new Error('an early bug');
      },
      message: 'an early bug',
    },
  ])('a runnable that $reason stops the others, and is what the manager fails with', async ({ run, message }) => {
    const { world, replica } = setUp();
    let stopped = false;
    const patient: Runnable = {
      name: 'patient',
      run: (signal) =>
        new Promise((_resolve, reject) => {
          const onAbort = () => {
            stopped = true;
            reject(signal.reason);
          };
          if (signal.aborted) onAbort();
          else signal.addEventListener('abort', onAbort);
        }),
    };
    const one = replica('one', {}, { runnables: [patient, { name: 'faulty', run }] });
    await world.run(() => one.ended() !== undefined, 60_000);
    expect(one.ended()).toMatchObject({ message });
    expect(stopped).toBe(true);
    expect(one.messages()).toContain('runnable failed');
  });

  test('without an election it leads as long as it runs, even with nothing to run', async () => {
    const world = new VirtualEnvironment(1, 0);
    const { log } = captureLog();
    const manager = new Manager({ caches: [], runnables: [], environment: world, log });
    const stop = new AbortController();
    const running = manager.run(stop.signal);
    await world.run(undefined, 1000);
    expect(manager.leading).toBe(true);
    stop.abort();
    await world.settle(running);
    expect(manager.leading).toBe(false);
  });
});
