import { describe, expect, test } from '@jest/globals';
import { eventually } from '../support/eventually.js';
import type { Follower, Room } from './store-fixtures.js';

/** Watches: what they tell, in which order, from where. */
export function watchContract(room: () => Room): void {
  describe('watch', () => {
    test('from a list tells what was written after it, even before the watch began', async () => {
      const { store, vm, key, version, follow } = room();
      await store.create(vm('before'));
      const from = await version();
      const made = await store.create(vm('after'));
      await store.create(vm('gone'));
      await store.delete(key('gone'));
      const follower = follow(from);
      await eventually(() => expect(follower.told()).toContain('Added after'));
      const live = await store.create(vm('live'));
      await eventually(() => expect(follower.state()).toEqual(new Map([made, live].map((each) => [each.metadata.name, each]))));
      expect(follower.told()).not.toContain('Added before');
    });

    test('tells changes of spec, status and metadata as Modified, with the whole resource as written', async () => {
      const { store, vm, version, follow } = room();
      const follower = follow(await version());
      const made = await store.create(vm('a'));
      await eventually(() => expect(follower.told()).toEqual(['Added a']));
      const changes = [
        () => store.update({ ...made, metadata: { ...made.metadata, labels: { role: 'web' } } }),
        () => store.updateStatus(vm('a', { uid: made.metadata.uid })),
        () => store.updateStatus({ ...vm('a'), status: { state: 'ACTIVE' } }),
        () => store.update(vm('a', {}, { image: 'other' })),
      ];
      for (const change of changes) {
        const written = await change();
        await eventually(() => expect(follower.events.at(-1)?.object).toEqual(written));
      }
      expect(new Set(follower.told())).toEqual(new Set(['Added a', 'Modified a']));
    });

    test('tells a deletion with the last state, at the version of the deletion', async () => {
      const { store, vm, key, version, follow } = room();
      const follower = follow(await version());
      const made = await store.create(vm('a', { labels: { role: 'web' } }));
      await eventually(() => expect(follower.told()).toEqual(['Added a']));
      await store.delete(key('a'));
      await eventually(() => expect(follower.told()).toEqual(['Added a', 'Deleted a']));
      const last = follower.events.at(-1)?.object;
      expect(last).toMatchObject({ spec: made.spec, metadata: { uid: made.metadata.uid, labels: { role: 'web' } } });
      expect(Number(last?.metadata.resourceVersion)).toBeGreaterThan(Number(made.metadata.resourceVersion));
    });

    test('tells a resource that waits for finalizers as Modified, and as Deleted when it goes', async () => {
      const { store, vm, key, version, follow } = room();
      const follower = follow(await version());
      await store.create(vm('a', { finalizers: ['dispatcher.dev/test'] }));
      await eventually(() => expect(follower.told()).toEqual(['Added a']));
      const marked = await store.delete(key('a'));
      await eventually(() => expect(follower.events.at(-1)).toMatchObject({ type: 'Modified', object: marked }));
      await store.update({ ...marked, metadata: { ...marked.metadata, finalizers: [] } });
      await eventually(() => expect(follower.told().at(-1)).toBe('Deleted a'));
    });

    test('resumes at any version it told, missing nothing and repeating nothing', async () => {
      const { store, vm, version, follow } = room();
      const from = await version();
      const first = follow(from);
      for (let index = 0; index < 10; index++) await store.create(vm(`vm-${index}`));
      await eventually(() => expect(first.events).toHaveLength(10));
      for (let index = 0; index < 10; index++) {
        const second = follow(first.events[index]?.object.metadata.resourceVersion);
        await eventually(() => expect(second.events).toHaveLength(9 - index));
        expect(second.told()).toEqual(first.told().slice(index + 1));
      }
    });

    test('without a version tells only what comes from now on', async () => {
      const { store, vm, follow } = room();
      await store.create(vm('before'));
      const follower = follow(undefined);
      let count = 0;
      // A plane may take a while until the watch stands, so it is written to until it tells something.
      await eventually(async () => {
        await store.create(vm(`after-${count++}`));
        expect(follower.events.length).toBeGreaterThan(0);
      });
      expect(follower.told()).not.toContain('Added before');
    });

    test('tells what starts and ceases to match a selection as Added and Deleted', async () => {
      const { store, vm, key, namespace, version, follow } = room();
      const labels = [{ key: 'role', operator: 'In' as const, values: ['web'] }];
      const follower = follow(await version(), { namespace, labels });
      const expectTold = (...told: string[]) => eventually(() => expect(follower.told()).toEqual(told));
      await store.create(vm('db', { labels: { role: 'db' } }));
      await store.create(vm('a', { labels: { role: 'db' } }));
      await store.update(vm('a', { labels: { role: 'web' } }));
      await expectTold('Added a');
      await store.update(vm('a', { labels: { role: 'web', tier: 'gold' } }));
      await expectTold('Added a', 'Modified a');
      const left = await store.update(vm('a', { labels: { role: 'db' } }));
      await expectTold('Added a', 'Modified a', 'Deleted a');
      expect(follower.version).toBe(left.metadata.resourceVersion);
      await store.update(vm('a', { labels: { role: 'cache' } }));
      await store.update(vm('a', { labels: { role: 'web' } }));
      await expectTold('Added a', 'Modified a', 'Deleted a', 'Added a');
      await store.delete(key('a'));
      await expectTold('Added a', 'Modified a', 'Deleted a', 'Added a', 'Deleted a');
    });

    test('ends well when it is aborted, before or while it waits', async () => {
      const { store, follow, version } = room();
      const follower = follow(await version());
      await follower.stop();
      expect(follower.failure).toBeUndefined();
      const events = store.watch('VirtualMachine', undefined, AbortSignal.abort());
      for await (const event of events) throw new Error(`an aborted watch told ${JSON.stringify(event)}`);
    });

    test('Expired from a version that the history no longer reaches', async () => {
      const { store, vm, subject, version, follow } = room();
      if (!subject.forgetHistory) return;
      const from = await version();
      await store.create(vm('a'));
      await store.create(vm('b'));
      await subject.forgetHistory();
      const follower = follow(from);
      await follower.ended;
      expect(follower.failure).toMatchObject({ name: 'StoreError', code: 'Expired' });
      const again = follow(await version());
      await store.create(vm('c'));
      await eventually(() => expect(again.told()).toEqual(['Added c']));
    });

    test('under many writers and watchers that reconnect: versions in order, and the exact final state', async () => {
      const { store, vm, key, version, follow } = room();
      const from = await version();
      let writing = true;
      const writer = async (id: number) => {
        for (let index = 0; index < 25; index++) {
          const name = `vm-${id}-${index % 5}`;
          const current = await store.get(key(name));
          if (!current) await store.create(vm(name, { labels: { write: String(index) } }));
          else if (index % 7 === 6) await store.delete(key(name));
          else await store.update(vm(name, { labels: { write: String(index) } }));
        }
      };
      const watcher = async () => {
        const followers: Follower[] = [follow(from)];
        while (writing) {
          await new Promise((resolve) => setTimeout(resolve, 5));
          await followers.at(-1)?.stop();
          followers.push(follow(followers.at(-1)?.version));
        }
        return followers;
      };
      const watchers = [watcher(), watcher()];
      await Promise.all([0, 1, 2, 3].map(writer));
      writing = false;
      const { items } = await store.list('VirtualMachine', { namespace: room().namespace });
      const expected = new Map(items.map((item) => [item.metadata.name, item]));
      for (const followers of await Promise.all(watchers)) {
        await eventually(() => expect(replay(followers)).toEqual(expected));
        const versions = followers.flatMap(({ events }) => events.map(({ object }) => Number(object.metadata.resourceVersion)));
        expect(versions).toEqual(versions.toSorted((a, b) => a - b));
        expect(new Set(versions).size).toBe(versions.length);
      }
    }, 60_000);
  });
}

/** The state that several watches, one after the other, have told. */
function replay(followers: readonly Follower[]): Map<string, unknown> {
  const state = new Map<string, unknown>();
  for (const { type, object } of followers.flatMap(({ events }) => events)) {
    if (type === 'Deleted') state.delete(object.metadata.name);
    else state.set(object.metadata.name, object);
  }
  return state;
}
