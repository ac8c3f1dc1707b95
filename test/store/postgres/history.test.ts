import { describe, expect, test } from '@jest/globals';
import { systemEnvironment } from '../../../src/environment.js';
import type { Resource } from '../../../src/resources/metadata.js';
import { StoreError } from '../../../src/store/errors.js';
import { History } from '../../../src/store/postgres/history.js';

function resource(name: string, version: number, uid = name): Resource {
  const metadata = {
    name,
    namespace: 'default',
    uid,
    resourceVersion: String(version),
    generation: 1,
    creationTimestamp: '2026-01-01T00:00:00Z',
  };
  return { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'VirtualMachine', metadata };
}
const put = (name: string, version: number, uid = name) => {
  return { object: resource(name, version, uid), version, createdVersion: version, deleted: false };
};
const gone = (name: string, version: number, uid = name) => ({ ...put(name, version, uid), deleted: true });

describe('a history', () => {
  test('knows what stood before each change', () => {
    const history = new History([resource('a', 5)], 10);
    history.add([put('a', 11), put('b', 12)], 20);
    history.add([put('b', 21), gone('a', 22)], 22);
    const previous = history
      .after(10)
      .map(({ object, previous, since }) => [object.metadata.name, previous?.metadata.resourceVersion, since]);
    expect(previous).toEqual([
      ['a', '5', 10],
      ['b', undefined, 10],
      ['b', '12', 20],
      ['a', '11', 20],
    ]);
  });

  test('takes one of the same name made anew for another', () => {
    const history = new History([resource('a', 5, 'first')], 10);
    history.add([gone('a', 11, 'first'), put('a', 12, 'second')], 12);
    expect(history.after(10).map(({ previous }) => previous?.metadata.uid)).toEqual(['first', undefined]);
  });

  test('shares the object it holds for the same state, and no other', () => {
    const held = resource('a', 5);
    const history = new History([held], 10);
    expect(history.intern(resource('a', 5))).toBe(held);
    const newer = resource('a', 6);
    expect(history.intern(newer)).toBe(newer);
    const unknown = resource('b', 5);
    expect(history.intern(unknown)).toBe(unknown);
  });

  test('forgets the oldest, says so by its start, and stays bounded', () => {
    const history = new History([], 0);
    for (let version = 1; version <= 30_000; version += 1_000) {
      history.add(
        Array.from({ length: 1_000 }, (_, index) => put(`vm-${index}`, version + index)),
        version + 999,
      );
    }
    const kept = history.after(history.start);
    expect(kept.length).toBeLessThanOrEqual(10_240);
    expect(kept.length).toBeGreaterThan(8_000);
    expect(kept[0]?.version).toBe(history.start + 1);
    expect(kept.at(-1)?.version).toBe(30_000);
  });

  test('wakes who waits: when something is added, it ends, the time is over or the wait is given up', async () => {
    const history = new History([], 0);
    const forever = new AbortController().signal;
    const wait = (ms = 60_000, signal = forever) => history.changed(systemEnvironment, ms, signal);
    const added = wait();
    history.add([], 1);
    await added;
    await wait(1);
    await wait(60_000, AbortSignal.abort());
    const ended = wait();
    history.end(new StoreError('Expired', 'over'));
    await ended;
    await wait();
    expect(() => history.after(0)).toThrow('over');
  });
});
