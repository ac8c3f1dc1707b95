import { describe, expect, test } from '@jest/globals';
import { EventRecorder } from '../../src/controllers/events.js';
import { eventKind } from '../../src/resources/core.js';
import type { Resource } from '../../src/resources/metadata.js';
import { validate } from '../../src/resources/validate.js';
import { StoreError } from '../../src/store/errors.js';
import { FaultyStore, type StoreFaults } from '../support/faulty-store.js';
import { captureLog } from '../support/log.js';
import { MemoryStore } from '../support/memory-store.js';
import { vmDraft } from '../support/resources.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const created = { type: 'Normal', reason: 'Created', message: 'created the server web-1' } as const;

function setUp(faults: StoreFaults = {}) {
  const world = new VirtualEnvironment(1);
  const truth = new MemoryStore(world);
  const { log, messages } = captureLog();
  const store = new FaultyStore(truth, world, faults);
  const recorder = new EventRecorder({ store, environment: world, log, component: 'dispatcher', instance: 'one' });
  const events = async () => (await truth.list('Event')).items;
  const counts = async () => (await events()).map(({ count }) => count);
  return { world, truth, recorder, events, counts, messages };
}

describe('EventRecorder', () => {
  test('writes a valid Event beside its object, which names it exactly', async () => {
    const { world, truth, recorder, events } = setUp();
    const vm = await truth.create(vmDraft('web-1'));
    recorder.record(vm, { ...created, action: 'Create' });
    await world.settle(recorder.flush(new AbortController().signal));
    const [event] = await events();
    expect(event?.metadata.name).toMatch(/^web-1\.[0-9a-f]{16}$/);
    expect(event).toMatchObject({
      apiVersion: 'v1',
      metadata: { namespace: 'default' },
      involvedObject: {
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: 'VirtualMachine',
        namespace: 'default',
        name: 'web-1',
        uid: vm.metadata.uid,
      },
      type: 'Normal',
      reason: 'Created',
      message: 'created the server web-1',
      action: 'Create',
      count: 1,
      source: { component: 'dispatcher' },
      reportingInstance: 'one',
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
    });
    expect(validate(eventKind, event)).toEqual([]);
  });

  test('of a resource without a namespace stands in default; what is too long is cut', async () => {
    const { world, truth, recorder, events } = setUp();
    const cloud: Resource = await truth.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Cloud',
      metadata: { name: 'l'.repeat(253) },
      spec: { engine: 'simulator' },
    });
    recorder.record(cloud, { type: 'Warning', reason: 'R'.repeat(500), message: 'm'.repeat(5000) });
    await world.settle(recorder.flush(new AbortController().signal));
    const [event] = await events();
    expect(event?.metadata.namespace).toBe('default');
    expect(validate(eventKind, event)).toEqual([]);
  });

  test('a repeat within ten minutes raises the count; after a longer silence it is a new event', async () => {
    const { world, truth, recorder, events } = setUp();
    const vm = await truth.create(vmDraft('web-1'));
    for (const waitMs of [0, 60_000, 599_000, 601_000]) {
      await world.run(undefined, waitMs);
      recorder.record(vm, created);
      await world.run(undefined, 0);
    }
    const found = [...(await events())].sort((a, b) => Number(b.count) - Number(a.count));
    expect(found.map(({ count, firstTimestamp, lastTimestamp }) => [count, firstTimestamp, lastTimestamp])).toEqual([
      [3, '2026-01-01T00:00:00Z', '2026-01-01T00:10:59Z'],
      [1, '2026-01-01T00:21:00Z', '2026-01-01T00:21:00Z'],
    ]);
  });

  test.each([
    { reason: 'another message', other: { ...created, message: 'created the server web-2' } },
    { reason: 'another reason', other: { ...created, reason: 'Adopted' } },
    { reason: 'another type', other: { ...created, type: 'Warning' as const } },
  ])('$reason is another event', async ({ other }) => {
    const { world, truth, recorder, counts } = setUp();
    const vm = await truth.create(vmDraft('web-1'));
    recorder.record(vm, created);
    recorder.record(vm, other);
    await world.run(undefined, 100);
    expect(await counts()).toEqual([1, 1]);
  });

  test('the same of another resource is another event', async () => {
    const { world, truth, recorder, counts } = setUp();
    recorder.record(await truth.create(vmDraft('web-1')), created);
    recorder.record(await truth.create(vmDraft('web-2')), created);
    await world.run(undefined, 100);
    expect(await counts()).toEqual([1, 1]);
  });

  test('one resource may make 25 at once, then one in ten seconds; another is not held up by it', async () => {
    const { world, truth, recorder, events } = setUp();
    const [loud, quiet] = [await truth.create(vmDraft('loud')), await truth.create(vmDraft('quiet'))];
    for (let index = 0; index < 100; index++) recorder.record(loud, { ...created, message: `number ${index}` });
    recorder.record(quiet, created);
    await world.run(undefined, 100);
    expect(await events()).toHaveLength(26);
    await world.run(undefined, 35_000);
    for (let index = 0; index < 100; index++) recorder.record(loud, { ...created, message: `number ${100 + index}` });
    await world.run(undefined, 100);
    expect(await events()).toHaveLength(29);
  });

  test('a store that fails for a moment costs nothing; a lost answer makes no second event', async () => {
    let failures = 2;
    let losses = 1;
    const { world, truth, recorder, counts, messages } = setUp({
      beforeWrite: () => {
        if (failures-- > 0) throw new StoreError('Unavailable', 'just now');
      },
      afterWrite: () => {
        if (losses-- > 0) throw new StoreError('Unavailable', 'the answer is lost');
      },
    });
    const vm = await truth.create(vmDraft('web-1'));
    recorder.record(vm, created);
    await world.settle(recorder.flush(new AbortController().signal));
    expect(await counts()).toEqual([1]);
    expect(messages()).not.toContain('event not written');
    recorder.record(vm, created);
    await world.settle(recorder.flush(new AbortController().signal));
    expect(await counts()).toEqual([2]);
  });

  test('never throws, whatever the store does, and goes on with the next', async () => {
    let down = true;
    const { world, truth, recorder, events, messages } = setUp({
      beforeWrite: () => {
        if (down) throw new StoreError('Unavailable', 'the store is down');
      },
    });
    const vm = await truth.create(vmDraft('web-1'));
    recorder.record(vm, { ...created, message: 'lost' });
    await world.settle(recorder.flush(new AbortController().signal));
    expect(messages()).toContain('event not written');
    down = false;
    recorder.record({ ...vm, metadata: { ...vm.metadata, namespace: 'nowhere' } }, { ...created, message: 'no such place' });
    recorder.record(vm, { ...created, message: 'kept' });
    await world.settle(recorder.flush(new AbortController().signal));
    expect((await events()).map(({ message }) => message)).toEqual(['kept']);
  });

  test('an event that was cleared away meanwhile begins anew when it repeats', async () => {
    const { world, truth, recorder, events, counts } = setUp();
    const vm = await truth.create(vmDraft('web-1'));
    recorder.record(vm, created);
    await world.run(undefined, 100);
    for (const { metadata } of await events()) await truth.delete({ kind: 'Event', namespace: 'default', name: metadata.name });
    recorder.record(vm, created);
    await world.run(undefined, 100);
    expect(await counts()).toEqual([2]);
  });

  test('holds no more than a thousand that wait, and repeats cost no place', async () => {
    let open = () => undefined as undefined;
    const gate = new Promise<void>((resolve) => {
      open = () => void resolve();
    });
    const { world, truth, recorder, events, messages } = setUp({ beforeWrite: () => gate });
    for (let index = 0; index < 1100; index++) {
      const vm = await truth.create(vmDraft(`vm-${index}`));
      recorder.record(vm, created);
      recorder.record(vm, created);
    }
    await world.run(undefined, 100);
    open();
    await world.settle(recorder.flush(new AbortController().signal));
    // The first was in hand, and waited once more for its repeat.
    expect((await events()).length).toBeGreaterThanOrEqual(1000);
    expect((await events()).length).toBeLessThanOrEqual(1001);
    expect(messages()).toContain('event dropped: too many wait to be written');
  });

  test('a flush ends when its signal is aborted, though the store hangs', async () => {
    const { world, truth, recorder } = setUp({ beforeWrite: () => new Promise<void>(() => undefined) });
    recorder.record(await truth.create(vmDraft('web-1')), created);
    const stop = new AbortController();
    world.after(5000, () => stop.abort());
    await world.settle(recorder.flush(stop.signal));
    expect(world.milliseconds - Date.UTC(2026, 0, 1)).toBe(5000);
  });
});
