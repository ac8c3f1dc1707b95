import { describe, expect, jest, test } from '@jest/globals';
import { sleep, systemEnvironment } from '../src/environment.js';
import { eventually } from './support/eventually.js';
import { VirtualEnvironment } from './support/virtual-environment.js';

describe('sleep', () => {
  test('ends when its time has come, not before', async () => {
    const world = new VirtualEnvironment(1);
    let awake = false;
    void sleep(world, 1_000).then(() => {
      awake = true;
    });
    await world.run(() => false, 999);
    expect(awake).toBe(false);
    await world.run(() => false, 1);
    expect(awake).toBe(true);
  });

  test('is cut short with the reason of its signal, and leaves no timer', async () => {
    const world = new VirtualEnvironment(1);
    const stop = new AbortController();
    const sleeping = sleep(world, 1_000, stop.signal);
    stop.abort(new Error('enough'));
    await expect(sleeping).rejects.toThrow('enough');
    expect(world.pendingTimers).toBe(0);
  });

  test('does not begin when its signal is aborted already', async () => {
    const world = new VirtualEnvironment(1);
    await expect(sleep(world, 1_000, AbortSignal.abort(new Error('enough')))).rejects.toThrow('enough');
    expect(world.pendingTimers).toBe(0);
  });

  test('that has ended no longer minds its signal', async () => {
    const world = new VirtualEnvironment(1);
    const stop = new AbortController();
    await world.settle(sleep(world, 10, stop.signal));
    const removed = jest.spyOn(stop.signal, 'removeEventListener');
    stop.abort();
    expect(removed).not.toHaveBeenCalled();
    expect(world.pendingTimers).toBe(0);
  });
});

describe('the real environment', () => {
  test('calls back once, and not after it was cancelled', async () => {
    const called: string[] = [];
    const cancel = systemEnvironment.after(0, () => called.push('cancelled'));
    cancel();
    systemEnvironment.after(1, () => called.push('later'));
    systemEnvironment.after(-5, () => called.push('at once'));
    await eventually(() => expect(called.sort()).toEqual(['at once', 'later']));
  });

  test('does not fire at once what is further away than a timer of Node can be', () => {
    jest.useFakeTimers();
    try {
      let fired = 0;
      const days30 = 30 * 86_400_000;
      systemEnvironment.after(days30, () => {
        fired += 1;
      });
      const cancel = systemEnvironment.after(days30, () => {
        fired += 100;
      });
      jest.advanceTimersByTime(days30 - 1);
      expect(fired).toBe(0);
      cancel();
      jest.advanceTimersByTime(1);
      expect(fired).toBe(1);
      expect(jest.getTimerCount()).toBe(0);
    } finally {
      jest.useRealTimers();
    }
  });

  test('makes ids that are UUIDs, each another', () => {
    const ids = Array.from({ length: 100 }, () => systemEnvironment.id());
    expect(new Set(ids).size).toBe(100);
    for (const id of ids) expect(id).toMatch(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
  });
});
