import { describe, expect, test } from '@jest/globals';
import { StoreError } from '../../src/store/errors.js';
import { FaultyStore } from './faulty-store.js';
import { MemoryStore } from './memory-store.js';
import { vmDraft, vmKey } from './resources.js';
import { VirtualEnvironment } from './virtual-environment.js';

describe('FaultyStore', () => {
  test('a failure before a write keeps it from happening, one after it loses only the answer', async () => {
    const world = new VirtualEnvironment(1);
    const truth = new MemoryStore(world);
    const fail = () => {
      throw new StoreError('Unavailable', 'the store is down');
    };
    await expect(new FaultyStore(truth, world, { beforeWrite: fail }).create(vmDraft('a'))).rejects.toThrow('down');
    await expect(new FaultyStore(truth, world, { afterWrite: fail }).create(vmDraft('b'))).rejects.toThrow('down');
    expect(await truth.get(vmKey('a'))).toBeUndefined();
    expect(await truth.get(vmKey('b'))).toBeDefined();
  });

  test('late events keep the order of each resource, and let those of others overtake', async () => {
    const world = new VirtualEnvironment(1);
    const truth = new MemoryStore(world);
    const store = new FaultyStore(truth, world, { delayEvent: () => world.below(1000) });
    const stop = new AbortController();
    const versions: Array<{ name: string; version: number }> = [];
    const read = async () => {
      for await (const event of store.watch('VirtualMachine', '0', stop.signal)) {
        if (event.type === 'Bookmark') continue;
        const { name, resourceVersion } = event.object.metadata;
        versions.push({ name, version: Number(resourceVersion) });
      }
    };
    const reading = read();
    const names = ['a', 'b', 'c'];
    for (const name of names) await truth.create(vmDraft(name));
    for (let write = 0; write < 20; write++) {
      for (const name of names) await truth.updateStatus({ ...vmDraft(name), status: { state: String(write) } });
    }
    await world.run(undefined, 60_000);
    stop.abort();
    await world.settle(reading);
    expect(versions).toHaveLength(63);
    const inOrder = (list: typeof versions) => list.every(({ version }, index) => version > (list[index - 1]?.version ?? 0));
    for (const name of names) expect(inOrder(versions.filter((each) => each.name === name))).toBe(true);
    expect(inOrder(versions)).toBe(false);
  });

  test('with their order kept, a watch that breaks can be resumed where it was: nothing is missed, nothing told twice', async () => {
    const world = new VirtualEnvironment(1);
    const truth = new MemoryStore(world);
    const store = new FaultyStore(truth, world, { delayEvent: () => world.below(1000), keepsOrder: true });
    const stop = new AbortController();
    const versions: number[] = [];
    let from = '0';
    let breaks = 0;
    const read = async () => {
      while (!stop.signal.aborted) {
        try {
          for await (const event of store.watch('VirtualMachine', from, stop.signal)) {
            from = event.type === 'Bookmark' ? event.resourceVersion : event.object.metadata.resourceVersion;
            if (event.type !== 'Bookmark') versions.push(Number(from));
          }
        } catch (error) {
          expect(error).toMatchObject({ code: 'Unavailable' });
          breaks++;
        }
      }
    };
    const reading = read();
    const written: number[] = [];
    for (const name of ['a', 'b', 'c', 'd', 'e', 'f']) {
      written.push(Number((await truth.create(vmDraft(name))).metadata.resourceVersion));
      written.push(Number((await truth.updateStatus({ ...vmDraft(name), status: { state: name } })).metadata.resourceVersion));
      truth.bookmark();
      await world.run(undefined, 700);
      truth.breakWatches();
    }
    await world.run(undefined, 60_000);
    stop.abort();
    await world.settle(reading);
    expect(breaks).toBe(6);
    expect(versions).toEqual(written);
  });
});
