import { describe, expect, test } from '@jest/globals';
import { Cache, type CacheOptions } from '../../src/controllers/cache.js';
import { sleep } from '../../src/environment.js';
import type { Resource } from '../../src/resources/metadata.js';
import { StoreError } from '../../src/store/errors.js';
import type { Draft } from '../../src/store/store.js';
import { FaultyStore, type StoreFaults } from '../support/faulty-store.js';
import { captureLog } from '../support/log.js';
import { MemoryStore } from '../support/memory-store.js';
import { vmDraft, vmKey } from '../support/resources.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

function setUp(faults: StoreFaults = {}, options: Partial<CacheOptions> = {}, seed = 1) {
  const world = new VirtualEnvironment(seed);
  const truth = new MemoryStore(world);
  const { log, messages } = captureLog();
  const store = new FaultyStore(truth, world, faults);
  const cache = new Cache({ store, kind: 'VirtualMachine', environment: world, log, ...options });
  const told: string[] = [];
  cache.onChange(({ previous, current, own }) => {
    const type = previous ? (current ? 'changed' : 'gone') : 'new';
    told.push(`${type} ${(current ?? previous)?.metadata.name}${own ? ' by us' : ''}`);
  });
  const stop = new AbortController();
  const start = async () => {
    void cache.run(stop.signal);
    await world.settle(cache.whenSynced(stop.signal));
  };
  const names = () =>
    cache
      .list()
      .map(({ metadata }) => metadata.name)
      .sort();
  return { world, truth, cache, told, stop, start, names, messages };
}

describe('Cache', () => {
  test('holds nothing and says so before it is synced; then it holds what the store holds', async () => {
    const { truth, cache, world, stop, told } = setUp({}, { pageSize: 2 });
    for (const name of ['a', 'b', 'c', 'd', 'e']) await truth.create(vmDraft(name));
    expect(cache.synced).toBe(false);
    void cache.run(stop.signal);
    await world.settle(cache.whenSynced(stop.signal));
    expect(cache.synced).toBe(true);
    expect(cache.size).toBe(5);
    expect(cache.get(vmKey('a'))).toBe(await truth.get(vmKey('a')));
    expect(cache.get({ ...vmKey('a'), kind: 'Cloud' })).toBeUndefined();
    expect(told).toEqual(['new a', 'new b', 'new c', 'new d', 'new e']);
  });

  test('follows changes and deletions, and tells them', async () => {
    const { truth, cache, world, start, told } = setUp();
    await start();
    const made = await truth.create(vmDraft('a'));
    const changed = await truth.update({ ...made, metadata: { ...made.metadata, labels: { role: 'web' } } });
    await world.run(() => told.length === 2);
    expect(cache.get(vmKey('a'))).toBe(changed);
    await truth.delete(vmKey('a'));
    await world.run(() => told.length === 3);
    expect(cache.get(vmKey('a'))).toBeUndefined();
    expect(told).toEqual(['new a', 'changed a', 'gone a']);
  });

  test('holds only what it selects: what leaves the selection is gone', async () => {
    const labels = [{ key: 'role', operator: 'In' as const, values: ['web'] }];
    const { truth, world, start, told, names } = setUp({}, { selection: { labels } });
    await truth.create(vmDraft('db', { labels: { role: 'db' } }));
    const web = await truth.create(vmDraft('web', { labels: { role: 'web' } }));
    await start();
    expect(names()).toEqual(['web']);
    await truth.update({ ...web, metadata: { ...web.metadata, labels: { role: 'db' } } });
    await world.run(() => told.length === 2);
    expect(names()).toEqual([]);
  });

  test('after a watch that expired, what vanished unseen is told as gone, and what changed as changed', async () => {
    const { truth, cache, world, start, told } = setUp();
    for (const name of ['stays', 'changes', 'goes', 'returns']) await truth.create(vmDraft(name));
    await start();
    told.length = 0;
    truth.dropWatches();
    await truth.delete(vmKey('goes'));
    await truth.delete(vmKey('returns'));
    const returned = await truth.create(vmDraft('returns'));
    await truth.update(vmDraft('changes', { labels: { role: 'web' } }));
    await truth.create(vmDraft('comes'));
    truth.forgetHistory();
    await world.run(undefined, 60_000);
    expect(told.sort()).toEqual(['changed changes', 'changed returns', 'gone goes', 'new comes']);
    expect(cache.get(vmKey('returns'))?.metadata.uid).toBe(returned.metadata.uid);
  });

  test('a store that cannot be listed is tried again until it can; till then the cache keeps what it knows', async () => {
    let down = true;
    const beforeRead = () => {
      if (down) throw new StoreError('Unavailable', 'the store is down');
    };
    const { truth, cache, world, start, stop, names, messages } = setUp({ beforeRead });
    await truth.create(vmDraft('a'));
    world.after(600_000, () => {
      down = false;
    });
    await start();
    expect(names()).toEqual(['a']);
    expect(messages()).toContain('watch interrupted');
    down = true;
    truth.dropWatches();
    await truth.delete(vmKey('a'));
    await world.run(undefined, 600_000);
    expect(names()).toEqual(['a']);
    down = false;
    await world.run(() => names().length === 0, 60_000);
    expect(names()).toEqual([]);
    stop.abort();
    await world.run();
    expect(world.pendingTimers).toBe(0);
    expect(cache.synced).toBe(true);
  });

  test('asks a store that is down less and less often', async () => {
    const asked: number[] = [];
    const { world, cache, stop } = setUp({
      beforeRead: () => {
        asked.push(world.milliseconds);
        throw new StoreError('Unavailable', 'the store is down');
      },
    });
    void cache.run(stop.signal);
    await world.run(undefined, 600_000);
    expect(asked.length).toBeGreaterThan(20);
    expect(asked.length).toBeLessThan(45);
  });

  test('a watch that ends each time it begins does not make it spin', async () => {
    let watches = 0;
    const { world, truth, cache, stop, names } = setUp({
      beforeRead: (operation) => {
        if (operation !== 'watch') return;
        watches++;
        throw new StoreError('Unavailable', 'no watch today');
      },
    });
    void cache.run(stop.signal);
    await world.run(() => cache.synced);
    await truth.create(vmDraft('a'));
    await world.run(undefined, 600_000);
    expect(watches).toBeLessThan(45);
    expect(names()).toEqual(['a']);
  });

  describe('writing', () => {
    test('is known as our own though the watch tells of it before the answer comes', async () => {
      const { truth, cache, world, start, told } = setUp();
      await truth.create(vmDraft('a'));
      await truth.create(vmDraft('b'));
      await start();
      const slowly = (draft: Draft) => async () => {
        const written = await truth.updateStatus(draft);
        await truth.updateStatus({ ...vmDraft('b'), status: { state: written.metadata.resourceVersion } });
        await sleep(world, 1000);
        return written;
      };
      const writing = cache.writing(vmKey('a'), slowly({ ...vmDraft('a'), status: { state: 'ACTIVE' } }));
      await world.run(undefined, 500);
      expect(told).toEqual(['new a', 'new b', 'changed b']);
      expect(await world.settle(writing)).toBe(cache.get(vmKey('a')));
      await world.run(undefined, 5000);
      expect(told).toEqual(['new a', 'new b', 'changed b', 'changed a by us']);
    });

    test("keeps others' writes theirs: before ours, after ours, and when ours takes the resource away", async () => {
      const { truth, cache, world, start, told, names } = setUp();
      await truth.create(vmDraft('a', { finalizers: ['x/y'] }));
      await start();
      const status = (state: string) => truth.updateStatus({ ...vmDraft('a'), status: { state } });
      const between = async () => {
        await status('before');
        const ours = await status('ours');
        await status('after');
        await sleep(world, 1000);
        return ours;
      };
      await world.settle(cache.writing(vmKey('a'), between));
      expect(told.slice(1)).toEqual(['changed a by us', 'changed a']);
      expect(cache.get(vmKey('a'))?.status).toEqual({ state: 'after' });
      await truth.delete(vmKey('a'));
      await world.run(undefined, 1000);
      const last = () => truth.update({ ...vmDraft('a'), metadata: { name: 'a', namespace: 'default', finalizers: [] } });
      await world.settle(cache.writing(vmKey('a'), last));
      await world.run(undefined, 1000);
      expect(names()).toEqual([]);
    });

    test('that fails leaves what the watch told meanwhile', async () => {
      const { truth, cache, world, start } = setUp();
      await truth.create(vmDraft('a'));
      await start();
      const failing = async () => {
        await truth.updateStatus({ ...vmDraft('a'), status: { state: 'ACTIVE' } });
        await sleep(world, 1000);
        throw new StoreError('Unavailable', 'the reply was lost');
      };
      await expect(world.settle(cache.writing(vmKey('a'), failing))).rejects.toThrow('the reply was lost');
      expect(cache.get(vmKey('a'))?.status).toEqual({ state: 'ACTIVE' });
    });
  });

  describe('write', () => {
    test('shows our own write before the watch does, and tells it once', async () => {
      const { truth, cache, world, start, told } = setUp({ delayEvent: () => 1000 });
      await truth.create(vmDraft('a'));
      await start();
      const written = await truth.updateStatus({ ...vmDraft('a'), status: { state: 'ACTIVE' } });
      cache.write(written);
      expect(cache.get(vmKey('a'))).toBe(written);
      const made = await truth.create(vmDraft('b'));
      cache.write(made);
      expect(cache.get(vmKey('b'))).toBe(made);
      await world.run(undefined, 5000);
      expect(told).toEqual(['new a', 'changed a by us', 'new b by us']);
    });

    test('never goes back: not to an older state, nor to what is gone', async () => {
      const { truth, cache, world, start, names } = setUp();
      const first = await truth.create(vmDraft('a'));
      const doomed = await truth.create(vmDraft('doomed'));
      await start();
      const late = await truth.updateStatus({ ...doomed, status: { state: 'ACTIVE' } });
      await truth.delete(vmKey('doomed'));
      const second = await truth.update({ ...first, metadata: { ...first.metadata, labels: { role: 'web' } } });
      await world.run(() => cache.get(vmKey('a')) === second);
      cache.write(first);
      cache.write(late);
      expect(cache.get(vmKey('a'))).toBe(second);
      expect(names()).toEqual(['a']);
    });

    test('does not bring back what is gone, though events of others overtook the deletion', async () => {
      const { truth, cache, world, start, names } = setUp({
        delayEvent: (event) => (event.type !== 'Bookmark' && event.object.metadata.name === 'slow' ? 1000 : 0),
      });
      await truth.create(vmDraft('doomed'));
      await start();
      await truth.create(vmDraft('slow'));
      const late = await truth.updateStatus({ ...vmDraft('doomed'), status: { state: 'ACTIVE' } });
      await truth.delete(vmKey('doomed'));
      await world.run(undefined, 5000);
      cache.write(late);
      expect(names()).toEqual(['slow']);
    });

    test('is not taken for gone by a list that was made before it', async () => {
      let slow = false;
      const { truth, cache, world, start, told } = setUp(
        {
          beforeRead: (operation) => (slow && operation === 'list' ? sleep(world, 1000) : undefined),
        },
        { pageSize: 1 },
      );
      for (const name of ['a', 'b', 'c']) await truth.create(vmDraft(name));
      await start();
      slow = true;
      truth.dropWatches();
      await truth.delete(vmKey('a'));
      // The first page is read by now, and holds no `a`.
      await world.run(undefined, 1500);
      const again = await truth.create(vmDraft('a'));
      cache.write(again);
      await world.run(undefined, 60_000);
      expect(cache.get(vmKey('a'))).toBe(again);
      expect(told).toEqual(['new a', 'new b', 'new c', 'changed a by us']);
    });

    test('is not undone by a watch that tells an older state, and is by a deletion', async () => {
      const { truth, cache, world, start, told } = setUp({ delayEvent: () => 1000 });
      const first = await truth.create(vmDraft('a'));
      await start();
      await truth.update({ ...first, metadata: { ...first.metadata, labels: { role: 'web' } } });
      const newest = await truth.updateStatus({ ...vmDraft('a'), status: { state: 'ACTIVE' } });
      cache.write(newest);
      await world.run(undefined, 5000);
      expect(cache.get(vmKey('a'))).toBe(newest);
      await truth.delete(vmKey('a'));
      await world.run(undefined, 5000);
      expect(cache.get(vmKey('a'))).toBeUndefined();
      expect(told).toEqual(['new a', 'changed a by us', 'gone a']);
    });

    test('what we deleted at the version of its end is gone when the watch tells so', async () => {
      const { truth, cache, world, start, names } = setUp({ delayEvent: () => 1000 });
      await truth.create(vmDraft('a', { finalizers: ['dispatcher.dev/test'] }));
      await start();
      const marked = await truth.delete(vmKey('a'));
      cache.write(await truth.update({ ...marked, metadata: { ...marked.metadata, finalizers: [] } }));
      await world.run(undefined, 5000);
      expect(names()).toEqual([]);
    });

    test('versions compare as numbers of any size; others are never known to be later', async () => {
      const { truth, cache, world, start } = setUp();
      const made = await truth.create(vmDraft('a'));
      await start();
      const at = (resourceVersion: string): Resource => ({ ...made, metadata: { ...made.metadata, resourceVersion } });
      const versions = ['9', '10', '9007199254740993', '9007199254740992', 'abc', '10000000000000000000000'];
      for (const version of versions) cache.write(at(version));
      expect(cache.get(vmKey('a'))?.metadata.resourceVersion).toBe('10000000000000000000000');
      cache.write(at('zzz'));
      expect(cache.get(vmKey('a'))?.metadata.resourceVersion).toBe('10000000000000000000000');
      await world.run(undefined, 1000);
    });
  });

  describe('index', () => {
    const byImage = ({ spec }: Resource) => {
      if (typeof spec !== 'object' || spec === null || !('image' in spec)) throw new TypeError('no image');
      return [String(spec.image)];
    };

    test('finds by value through every change, whenever it was added', async () => {
      const { truth, cache, world, start, told } = setUp();
      cache.index('early', byImage);
      await truth.create(vmDraft('a', {}, { image: 'x' }));
      await truth.create(vmDraft('b', {}, { image: 'x' }));
      await start();
      cache.index('late', byImage);
      const found = (value: string) => {
        const [early, late] = ['early', 'late'].map((name) => cache.byIndex(name, value).map(({ metadata }) => metadata.name));
        expect(early).toEqual(late);
        return early?.sort();
      };
      expect(found('x')).toEqual(['a', 'b']);
      await truth.update(vmDraft('a', {}, { image: 'y' }));
      await truth.delete(vmKey('b'));
      await world.run(() => told.length === 4);
      expect([found('x'), found('y'), found('z')]).toEqual([[], ['a'], []]);
    });

    test('what it cannot read is found under no value, and harms nothing', async () => {
      const { truth, cache, start, messages } = setUp();
      cache.index('image', byImage);
      await truth.create({ ...vmDraft('bad'), spec: 'a row written by hand' });
      await truth.create(vmDraft('good', {}, { image: 'x' }));
      await start();
      expect(cache.byIndex('image', 'x')).toHaveLength(1);
      expect(cache.size).toBe(2);
      expect(messages()).toContain('index function failed');
    });

    test('that was never added, or twice, is a fault of the program', () => {
      const { cache } = setUp();
      cache.index('image', byImage);
      expect(() => cache.index('image', byImage)).toThrow(RangeError);
      expect(() => cache.byIndex('flavor', 'x')).toThrow(RangeError);
    });
  });

  test('a handler that comes late is told what is there; one that throws harms nobody; one that left hears nothing', async () => {
    const { truth, cache, world, start, told, messages } = setUp();
    await truth.create(vmDraft('a'));
    await start();
    const late: string[] = [];
    cache.onChange(() => {
      throw new Error('a bad handler');
    });
    const leave = cache.onChange(({ current }) => late.push(current?.metadata.name ?? 'gone'));
    await truth.create(vmDraft('b'));
    await world.run(() => told.length === 2);
    leave();
    await truth.create(vmDraft('c'));
    await world.run(() => told.length === 3);
    expect(late).toEqual(['a', 'b']);
    expect(messages().filter((message) => message === 'change handler failed')).toHaveLength(3);
  });

  test('who waits for it to be synced is freed by the signal', async () => {
    const { cache, world } = setUp();
    const stop = new AbortController();
    const waiting = cache.whenSynced(stop.signal);
    stop.abort(new Error('enough'));
    await expect(world.settle(waiting)).rejects.toThrow('enough');
  });

  test('a bookmark moves it on: what history forgets before it is not missed', async () => {
    let lists = 0;
    const { truth, world, start, stop, names } = setUp({
      beforeRead: (operation) => {
        if (operation === 'list') lists++;
      },
    });
    await start();
    await truth.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'elsewhere' } });
    truth.bookmark();
    await world.run(undefined, 1000);
    truth.forgetHistory();
    truth.breakWatches();
    await truth.create(vmDraft('a'));
    await world.run(undefined, 1000);
    expect(names()).toEqual(['a']);
    expect(lists).toBe(1);
    stop.abort();
    await world.run();
  });

  test.each(Array.from({ length: 30 }, (_, index) => index))(
    'seed %i: through broken watches, forgotten history, late and overtaking events, and failures, it ends as the store is',
    async (seed) => {
      let calm = false;
      const faults: StoreFaults = {
        beforeRead: () => {
          if (!calm && world.random() < 0.3) throw new StoreError('Unavailable', 'now and then');
        },
        // Events that overtake each other allow no resuming: such a watch is only ever dropped.
        ...(seed % 2 === 0 ? { delayEvent: () => world.below(500) } : {}),
      };
      const { world, truth, cache, start, stop } = setUp(faults, { pageSize: 3 }, seed);
      const seen = new Map<string, Resource>();
      let wentBack = 0;
      cache.onChange(({ previous, current }) => {
        const name = (current ?? previous)?.metadata.name ?? '';
        const before = seen.get(name);
        if (before !== previous) wentBack++;
        if (current && before && Number(current.metadata.resourceVersion) <= Number(before.metadata.resourceVersion)) wentBack++;
        if (current) seen.set(name, current);
        else seen.delete(name);
      });
      await start();
      for (let write = 0; write < 300; write++) {
        const name = `vm-${world.below(12)}`;
        const current = await truth.get(vmKey(name));
        const labels = { write: String(write) };
        if (!current) await truth.create(vmDraft(name, { labels }));
        else if (world.random() < 0.3) await truth.delete(vmKey(name));
        else {
          const written = await truth.update({ ...current, metadata: { ...current.metadata, labels } });
          const late = world.below(1000);
          if (world.random() < 0.5) world.after(late, () => cache.write(written));
        }
        if (world.random() < 0.05) truth.dropWatches();
        if (seed % 2 === 1 && world.random() < 0.1) truth.breakWatches();
        if (world.random() < 0.02) truth.forgetHistory();
        await world.run(undefined, world.below(200));
      }
      calm = true;
      await world.run(undefined, 120_000);
      const { items } = await truth.list('VirtualMachine');
      const sorted = cache.list().sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
      expect(sorted).toEqual(items);
      expect([...seen.values()].length).toBe(items.length);
      expect(wentBack).toBe(0);
      stop.abort();
      await world.run();
      expect(world.pendingTimers).toBe(0);
    },
  );
});
