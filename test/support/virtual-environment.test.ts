import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { sleep } from '../../src/environment.js';
import { VirtualEnvironment, VirtualProcess } from './virtual-environment.js';

describe('VirtualEnvironment', () => {
  test('timers fire in the order of their time, then of their setting, and never when cancelled', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ ms: fc.nat(50), cancel: fc.boolean() }), { maxLength: 200 }), async (timers) => {
        const world = new VirtualEnvironment(1, 0);
        const fired: Array<{ index: number; at: number }> = [];
        const cancels = timers.map(({ ms }, index) => world.after(ms, () => fired.push({ index, at: world.milliseconds })));
        timers.forEach(({ cancel }, index) => {
          if (cancel) cancels[index]?.();
        });
        await world.run();
        const expected = timers
          .map(({ ms, cancel }, index) => ({ index, at: ms, cancel }))
          .filter(({ cancel }) => !cancel)
          .sort((a, b) => a.at - b.at || a.index - b.index)
          .map(({ index, at }) => ({ index, at }));
        expect(fired).toEqual(expected);
        expect(world.pendingTimers).toBe(0);
      }),
    );
  });

  test('time does not pass while a promise can still go on, however long the chain', async () => {
    const world = new VirtualEnvironment(1, 0);
    world.after(10, () => undefined);
    let doneAt = -1;
    const chain = async () => {
      for (let i = 0; i < 1000; i++) await Promise.resolve();
      doneAt = world.milliseconds;
    };
    void chain();
    await world.run();
    expect(doneAt).toBe(0);
    expect(world.milliseconds).toBe(10);
  });

  test('ends when the condition holds, at the limit, or when nothing is left', async () => {
    const world = new VirtualEnvironment(1, 0);
    let ticks = 0;
    const tick = () => {
      ticks++;
      world.after(1000, tick);
    };
    tick();
    expect(await world.run(() => ticks === 5)).toBe(true);
    expect(world.milliseconds).toBe(4000);
    expect(await world.run(undefined, 2500)).toBe(false);
    expect(world.milliseconds).toBe(6500);
    expect(await new VirtualEnvironment(1).run()).toBe(false);
  });

  test('equal seeds give equal runs, different seeds different ones', async () => {
    const trace = async (seed: number) => {
      const world = new VirtualEnvironment(seed);
      const seen: string[] = [];
      const worker = async (name: string) => {
        for (let i = 0; i < 5; i++) {
          await sleep(world, world.below(100));
          seen.push(`${name} ${world.milliseconds} ${world.id()}`);
        }
      };
      await world.settle(Promise.all([worker('a'), worker('b')]));
      return seen;
    };
    expect(await trace(7)).toEqual(await trace(7));
    expect(await trace(7)).not.toEqual(await trace(8));
  });

  test('ids are version 4 UUIDs', () => {
    const world = new VirtualEnvironment(3);
    for (let i = 0; i < 1000; i++) {
      expect(world.id()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
    }
  });

  test('says so when timers fire for ever at one instant, and when a promise can no longer settle', async () => {
    const world = new VirtualEnvironment(4);
    const again = () => {
      world.after(0, again);
    };
    again();
    await expect(world.run()).rejects.toThrow('seed 4: 100000 timers fired without time passing');
    await expect(new VirtualEnvironment(5).settle(new Promise(() => undefined))).rejects.toThrow('seed 5: still not settled');
  });
});

describe('VirtualProcess', () => {
  test('a killed process fires no timer; a paused one fires late', async () => {
    const world = new VirtualEnvironment(1, 0);
    const killed = new VirtualProcess(world);
    const paused = new VirtualProcess(world);
    const fired: string[] = [];
    killed.after(10, () => fired.push(`killed ${world.milliseconds}`));
    paused.after(10, () => fired.push(`paused ${world.milliseconds}`));
    const cancel = paused.after(20, () => fired.push('cancelled while paused'));
    world.after(5, () => {
      killed.kill();
      paused.pause(100);
    });
    world.after(50, cancel);
    await world.run();
    expect(fired).toEqual(['paused 105']);
  });
});
