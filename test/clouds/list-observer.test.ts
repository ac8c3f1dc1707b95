import { afterEach, describe, expect, test } from '@jest/globals';
import { ListObserver } from '../../src/clouds/list-observer.js';
import { silentLog } from '../support/log.js';
import { failure } from '../support/scripted-cloud.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const INTERVAL = 2_000;
const AUDIT = 60_000;
const WATCHING = 5 * INTERVAL;
const UNUSED = 10 * AUDIT;

interface Item {
  readonly id: string;
  readonly value: string;
}

/** A list observer at work over a list that a test writes, and all that it told. */
class Watch {
  readonly world = new VirtualEnvironment(1);
  /** What the cloud has. */
  readonly cloud = new Map<string, Item>();
  /** What the next lists fail with, in turn. */
  readonly failures: Error[] = [];
  /** How long a list takes. */
  tookMs = 0;
  /** `a: 1 -> 2`, in the order told. */
  readonly changes: string[] = [];
  readonly completed: string[] = [];
  health = 0;
  /** Milliseconds since the start of each list. */
  readonly looks: number[] = [];
  readonly observer: ListObserver<Item>;
  readonly #start = this.world.milliseconds;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;

  constructor() {
    const options = {
      what: 'items',
      list: () => this.#list(),
      index: ({ value }: Item) => [value],
      same: (a: Item, b: Item) => a.value === b.value,
    };
    this.observer = new ListObserver(options, { intervalMs: INTERVAL, auditIntervalMs: AUDIT }, this.world, silentLog, {
      changed: (changes) => {
        for (const { previous, current } of changes) {
          this.changes.push(`${current?.id ?? previous?.id}: ${previous?.value ?? 'nothing'} -> ${current?.value ?? 'nothing'}`);
        }
      },
      completed: (keys) => this.completed.push(...keys),
      healthChanged: () => {
        this.health += 1;
      },
    });
  }

  at(ms: number): Date {
    return new Date(this.#start + ms);
  }

  put(id: string, value = '1'): void {
    this.cloud.set(id, { id, value });
  }

  start(): Promise<void> {
    this.#running = this.observer.run(this.#stop.signal);
    return this.pass(0);
  }

  async pass(ms: number): Promise<void> {
    await this.world.run(() => false, ms);
  }

  /** All that is known: `a=1`. */
  get known(): string[] {
    return [...this.observer.items()].map(({ id, value }) => `${id}=${value}`).sort();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    if (this.#running) await this.world.settle(this.#running);
  }

  /** The list as it is when it is asked for, given when it has taken its time. */
  async #list(): Promise<readonly Item[]> {
    this.looks.push(this.world.milliseconds - this.#start);
    const items = [...this.cloud.values()];
    if (this.tookMs > 0) await new Promise<void>((resolve) => this.world.after(this.tookMs, resolve));
    const error = this.failures.shift();
    if (error) throw error;
    return items;
  }
}

const watches: Watch[] = [];
const watch = (): Watch => {
  const made = new Watch();
  watches.push(made);
  return made;
};
/** One that looks every interval, and has looked once. */
const moving = async (...ids: readonly string[]): Promise<Watch> => {
  const w = watch();
  for (const id of ids) w.put(id);
  w.observer.setPace('key', 'moving');
  await w.start();
  return w;
};
afterEach(async () => {
  for (const each of watches.splice(0)) {
    await each.stop();
    expect(each.world.pendingTimers).toBe(0);
  }
});

describe('a look', () => {
  test('learns all that is there, and tells of each news once', async () => {
    const w = await moving('a', 'b');
    expect(w.known).toEqual(['a=1', 'b=1']);
    expect(w.changes).toEqual(['a: nothing -> 1', 'b: nothing -> 1']);
    expect(w.health).toBe(1);
    expect(w.observer.health).toEqual({ completeAt: w.at(0), error: undefined });
    w.put('a', '2');
    w.cloud.delete('b');
    w.changes.length = 0;
    await w.pass(INTERVAL);
    expect(w.changes).toEqual(['a: 1 -> 2', 'b: 1 -> nothing']);
    await w.pass(INTERVAL);
    expect(w.changes).toHaveLength(2);
    expect(w.observer.health.completeAt).toEqual(w.at(2 * INTERVAL));
    expect(w.health).toBe(1);
  });

  test('keeps the index', async () => {
    const w = await moving('a', 'b');
    expect(w.observer.by('1').map(({ id }) => id)).toEqual(['a', 'b']);
    w.put('a', '2');
    w.cloud.delete('b');
    await w.pass(INTERVAL);
    expect(w.observer.by('1')).toEqual([]);
    expect(w.observer.by('2').map(({ id }) => id)).toEqual(['a']);
  });

  test('says how old what is known is at most, though it is as it was', async () => {
    const w = await moving('a');
    await w.pass(INTERVAL);
    expect(w.observer.get('a')).toEqual({ item: { id: 'a', value: '1' }, asOf: w.at(INTERVAL) });
    expect(w.changes).toHaveLength(1);
  });

  test.each([
    { reason: 'after it began', after: 1 },
    { reason: 'in the very millisecond in which it began', after: 0 },
  ])('keeps what was noted $reason, whatever it lists', async ({ after }) => {
    const w = await moving('old', 'gone');
    w.tookMs = 100;
    await w.pass(INTERVAL + after);
    w.observer.note({ id: 'new', value: '1' });
    w.observer.note({ id: 'old', value: '2' });
    w.observer.noteGone('gone');
    await w.pass(100);
    expect(w.looks).toEqual([0, INTERVAL]);
    expect(w.known).toEqual(['new=1', 'old=2']);
    expect(w.observer.isGone('gone')).toBe(true);
    expect(w.observer.isGone('new')).toBe(false);
  });

  test('does away with what was noted before it began, and is not there', async () => {
    const w = await moving();
    await w.pass(1);
    w.observer.note({ id: 'a', value: '1' });
    await w.pass(INTERVAL);
    expect(w.known).toEqual([]);
    expect(w.observer.isGone('a')).toBe(true);
    expect(w.changes).toEqual(['a: nothing -> 1', 'a: 1 -> nothing']);
  });

  test('that fails changes nothing, is told once, and is tried again ever more rarely', async () => {
    const w = await moving('a');
    w.cloud.clear();
    w.failures.push(...Array.from({ length: 6 }, () => failure('Unavailable')));
    await w.pass(120_000);
    expect(w.looks.slice(0, 8)).toEqual([0, 2_000, 6_000, 14_000, 30_000, 60_000, 90_000, 120_000]);
    expect(w.known).toEqual([]);
    expect(w.health).toBe(3);
    expect(w.changes).toEqual(['a: nothing -> 1', 'a: 1 -> nothing']);
    await w.pass(INTERVAL);
    expect(w.looks).toHaveLength(9);
  });

  test('that fails leaves what is known, with the time at which it was true', async () => {
    const w = await moving('a');
    w.failures.push(failure('Unavailable'));
    w.cloud.clear();
    await w.pass(INTERVAL);
    expect(w.known).toEqual(['a=1']);
    expect(w.observer.isGone('a')).toBe(false);
    expect(w.observer.health).toMatchObject({
      completeAt: w.at(0),
      error: { at: w.at(INTERVAL), error: { code: 'Unavailable' } },
    });
  });

  test('that fails with what is no failure of a cloud is Unavailable', async () => {
    const w = await moving();
    w.failures.push(new TypeError('oops'));
    await w.pass(INTERVAL);
    expect(w.observer.health.error?.error).toMatchObject({ code: 'Unavailable', message: expect.stringContaining('oops') });
  });

  test('is put off as long as the cloud asks', async () => {
    const w = await moving();
    w.failures.push(failure('RateLimited', 'slow down', { retryAfterMs: 45_000 }));
    await w.pass(INTERVAL + 45_000);
    expect(w.looks).toEqual([0, INTERVAL, INTERVAL + 45_000]);
  });

  test('at a service that the cloud does not have is rare, whoever waits', async () => {
    const w = watch();
    w.failures.push(failure('Unsupported'));
    w.observer.setPace('key', 'moving');
    await w.start();
    w.observer.wantComplete('key', w.at(0));
    await w.pass(UNUSED);
    expect(w.looks).toEqual([0, UNUSED]);
    expect(w.completed).toEqual(['key']);
    expect(w.health).toBe(2);
  });
});

describe('what is gone', () => {
  test('is remembered for ten minutes, and is there again when a later list has it', async () => {
    const w = await moving('a', 'b');
    w.observer.noteGone('a');
    w.observer.noteGone('never-seen');
    expect(w.changes.slice(2)).toEqual(['a: 1 -> nothing']);
    expect(w.observer.isGone('never-seen')).toBe(true);
    await w.pass(INTERVAL);
    expect(w.known).toEqual(['a=1', 'b=1']);
    expect(w.observer.isGone('a')).toBe(false);
    w.cloud.delete('b');
    await w.pass(INTERVAL);
    await w.pass(600_000);
    expect(w.observer.isGone('b')).toBe(true);
    await w.pass(INTERVAL);
    expect(w.observer.isGone('b')).toBe(false);
    expect(w.observer.isGone('never-seen')).toBe(false);
  });
});

describe('a note', () => {
  test('is told if it is news', async () => {
    const w = await moving('a');
    w.observer.note({ id: 'a', value: '1' });
    w.observer.note({ id: 'a', value: '2' });
    w.observer.note({ id: 'a', value: '3' });
    expect(w.changes.slice(1)).toEqual(['a: 1 -> 2', 'a: 2 -> 3']);
    expect(w.observer.by('3')).toEqual([{ id: 'a', value: '3' }]);
    expect(w.observer.by('2')).toEqual([]);
  });
});

describe('the pace', () => {
  test('is none before anybody needs a look', async () => {
    const w = watch();
    await w.start();
    await w.pass(10 * UNUSED);
    expect(w.looks).toEqual([]);
    w.observer.setPace('key', 'watching');
    await w.pass(0);
    expect(w.looks).toEqual([10 * UNUSED]);
  });

  test('is that of whoever needs it most, and slow when nobody does any more', async () => {
    const w = watch();
    w.observer.setPace('a', 'watching');
    await w.start();
    await w.pass(WATCHING);
    expect(w.looks).toEqual([0, WATCHING]);
    w.observer.setPace('b', 'moving');
    await w.pass(INTERVAL);
    expect(w.looks.slice(2)).toEqual([WATCHING + INTERVAL]);
    w.observer.setPace('b', undefined);
    w.observer.setPace('a', undefined);
    const last = WATCHING + INTERVAL;
    // What was due by the old pace may still come.
    await w.pass(UNUSED + INTERVAL);
    const rest = w.looks.slice(3);
    expect(rest.at(-1)).toBeGreaterThanOrEqual(last + UNUSED);
    expect(rest.length).toBeLessThanOrEqual(2);
  });

  test('gives at most a tenth of the time to a list that takes long', async () => {
    const w = watch();
    w.tookMs = 5_000;
    w.observer.setPace('key', 'moving');
    await w.start();
    await w.pass(150_000);
    expect(w.looks).toEqual([0, 50_000, 100_000, 150_000]);
    await w.pass(5_000);
  });

  test('follows new settings at once', async () => {
    const w = await moving();
    w.observer.configure({ intervalMs: 100, auditIntervalMs: AUDIT });
    await w.pass(200);
    expect(w.looks).toEqual([0, 100, 200]);
  });
});

describe('who wants a complete list', () => {
  test('is told at once if there is one that began late enough', async () => {
    const w = await moving();
    await w.pass(1);
    w.observer.wantComplete('key', w.at(0));
    expect(w.completed).toEqual(['key']);
    expect(w.looks).toHaveLength(1);
  });

  test('gets one that begins at that time or later, though nobody else looks', async () => {
    const w = watch();
    await w.start();
    w.observer.wantComplete('a', w.at(500));
    await w.pass(499);
    expect(w.looks).toEqual([]);
    await w.pass(1);
    expect(w.looks).toEqual([500]);
    expect(w.completed).toEqual(['a']);
  });

  test('is not told of one that had begun before', async () => {
    const w = await moving();
    w.tookMs = 100;
    await w.pass(INTERVAL + 50);
    w.observer.wantComplete('key', w.at(INTERVAL + 50));
    await w.pass(50);
    expect(w.completed).toEqual([]);
    await w.pass(INTERVAL + 100);
    expect(w.looks).toEqual([0, INTERVAL, 2 * INTERVAL + 100]);
    expect(w.completed).toEqual(['key']);
  });

  test('is not told of one that failed', async () => {
    const w = watch();
    w.failures.push(failure('Unavailable'));
    await w.start();
    w.observer.wantComplete('key', w.at(0));
    await w.pass(2 * INTERVAL - 1);
    expect(w.completed).toEqual([]);
    await w.pass(1);
    expect(w.completed).toEqual(['key']);
  });

  test('shares it with all who want one by then', async () => {
    const w = await moving();
    for (const key of ['a', 'b', 'c']) w.observer.wantComplete(key, w.at(10));
    w.observer.wantComplete('later', w.at(INTERVAL + 1));
    await w.pass(INTERVAL);
    expect(w.completed).toEqual(['a', 'b', 'c']);
    expect(w.looks).toHaveLength(2);
  });
});

test('the end comes at once, and nothing is taken in after it', async () => {
  const w = await moving('a');
  w.tookMs = 1_000;
  await w.pass(INTERVAL);
  w.failures.push(failure('Unavailable', 'called off'));
  const health = w.health;
  await w.stop();
  expect(w.health).toBe(health);
  expect(w.known).toEqual(['a=1']);
});
