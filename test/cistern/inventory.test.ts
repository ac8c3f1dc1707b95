import { afterEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { CisternError } from '../../src/cistern/errors.js';
import { CisternInventory } from '../../src/cistern/inventory.js';
import type { CisternNode } from '../../src/cistern/protocol.js';
import { captureLog } from '../support/log.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const INTERVAL = 5_000;

const node = (serverId: string, change: Partial<CisternNode> = {}): CisternNode => ({
  id: serverId,
  serverId,
  hostname: `vm-${serverId}`,
  user: '',
  recipe: 'test',
  status: 'FREE',
  faulty: false,
  ...change,
});

const down = (message = 'nobody listens') => new CisternError('Unreachable', message);

/** An inventory at work over a Cistern in which nothing happens but what a test says, and all that it told. */
class Watch {
  readonly world = new VirtualEnvironment(1);
  /** What Cistern answers to a list that arrives now. */
  list: readonly CisternNode[] = [];
  failure: unknown;
  /** Lists wait for it before they end. What they tell is as of their arrival. */
  gate: Promise<void> = Promise.resolve();
  /** Milliseconds since the start of each list. */
  readonly looks: number[] = [];
  mostAtOnce = 0;
  /** Each time: the servers that changed, in order. */
  readonly changes: string[][] = [];
  health = 0;
  onChange: () => void = () => undefined;
  readonly captured = captureLog();
  readonly inventory: CisternInventory;
  readonly #start = this.world.milliseconds;
  readonly #stop = new AbortController();
  #atOnce = 0;
  #running: Promise<void> | undefined;

  constructor(settings: { intervalMs?: number } = {}) {
    const client = { nodes: () => this.#nodes() };
    this.inventory = new CisternInventory(client, settings, this.world, this.captured.log, {
      nodesChanged: (serverIds) => {
        this.changes.push(serverIds.toSorted());
        this.onChange();
      },
      healthChanged: () => {
        this.health += 1;
      },
    });
  }

  async #nodes(): Promise<readonly CisternNode[]> {
    this.looks.push(this.world.milliseconds - this.#start);
    this.mostAtOnce = Math.max(this.mostAtOnce, ++this.#atOnce);
    const { list, failure } = this;
    await this.gate;
    this.#atOnce -= 1;
    if (failure !== undefined) throw failure;
    return list;
  }

  at(ms: number): Date {
    return new Date(this.#start + ms);
  }

  async start(): Promise<void> {
    this.#running = this.inventory.run(this.#stop.signal);
    await this.pass(0);
  }

  async pass(ms: number): Promise<void> {
    await this.world.run(() => false, ms);
  }

  /** Holds back the answers to lists that arrive from now on. */
  hold(): () => Promise<void> {
    let open = () => undefined as undefined;
    this.gate = new Promise((resolve) => {
      open = () => void resolve();
    });
    return async () => {
      this.gate = Promise.resolve();
      open();
      await this.pass(0);
    };
  }

  get known(): string[] {
    return this.inventory
      .nodes()
      .map(({ serverId }) => serverId)
      .sort();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    if (this.#running) await this.world.settle(this.#running);
  }
}

const watches: Watch[] = [];
function watch(settings: { intervalMs?: number } = {}): Watch {
  const made = new Watch(settings);
  watches.push(made);
  return made;
}
afterEach(async () => {
  for (const each of watches.splice(0)) {
    await each.stop();
    expect(each.world.pendingTimers).toBe(0);
    expect(each.mostAtOnce).toBeLessThanOrEqual(1);
  }
});

describe('a look', () => {
  test('is taken every five seconds, or as often as is said', async () => {
    const usual = watch();
    await usual.start();
    await usual.pass(12_000);
    expect(usual.looks).toEqual([0, 5_000, 10_000]);
    const often = watch({ intervalMs: 1_000 });
    await often.start();
    await often.pass(2_000);
    expect(often.looks).toEqual([0, 1_000, 2_000]);
  });

  test('tells what is new, changed and gone, and nothing twice', async () => {
    const w = watch();
    const lastActivity = (text: string) => ({ lastActivity: new Date(text) });
    w.list = [node('a'), node('b', lastActivity('2026-01-01T00:00:00Z')), node('c')];
    await w.start();
    expect(w.changes).toEqual([['a', 'b', 'c']]);
    w.list = [node('a'), node('b', lastActivity('2026-01-01T00:00:00Z')), node('c')];
    await w.pass(INTERVAL);
    expect(w.changes).toHaveLength(1);
    w.list = [node('a', { faulty: true }), node('b', lastActivity('2026-01-01T00:00:05Z')), node('d')];
    await w.pass(INTERVAL);
    expect(w.changes.slice(1)).toEqual([['a', 'b', 'c', 'd']]);
    expect(w.inventory.node('a')).toEqual(node('a', { faulty: true }));
    expect(w.inventory.node('c')).toBeUndefined();
    expect(w.known).toEqual(['a', 'b', 'd']);
  });

  test('that lists nothing says that nothing is there', async () => {
    const w = watch();
    w.list = [node('a')];
    await w.start();
    w.list = [];
    await w.pass(INTERVAL);
    expect(w.known).toEqual([]);
    expect(w.changes).toEqual([['a'], ['a']]);
  });

  test('is asked for by many and taken once, at once', async () => {
    const w = watch();
    await w.start();
    await w.pass(1_000);
    for (let i = 0; i < 10; i += 1) w.inventory.lookNow();
    await w.pass(0);
    expect(w.looks).toEqual([0, 1_000]);
    await w.pass(INTERVAL);
    expect(w.looks).toEqual([0, 1_000, 6_000]);
  });

  test('that is asked for while another is under way follows it, since that one may have seen what was before', async () => {
    const w = watch();
    const open = w.hold();
    await w.start();
    await w.pass(1_000);
    w.inventory.lookNow();
    w.inventory.lookNow();
    w.list = [node('a')];
    await open();
    expect(w.looks).toEqual([0, 1_000]);
    expect(w.known).toEqual(['a']);
  });

  test('that takes longer than the interval is followed by the next at once', async () => {
    const w = watch();
    const open = w.hold();
    await w.start();
    await w.pass(12_000);
    await open();
    await w.pass(4_999);
    expect(w.looks).toEqual([0, 12_000]);
    expect(w.inventory.health.observedAt).toEqual(w.at(12_000));
  });

  test('that is cut off when all stops tells nothing', async () => {
    const w = watch();
    await w.start();
    w.list = [node('a')];
    const open = w.hold();
    await w.pass(INTERVAL);
    const stopped = w.stop();
    w.failure = down();
    await open();
    await stopped;
    expect(w.changes).toEqual([]);
    expect(w.inventory.health).toEqual({ observedAt: w.at(0), error: undefined });
  });
});

describe('a look that fails', () => {
  test('keeps what is known, and is tried again with pauses that grow to 30 s', async () => {
    const w = watch();
    w.list = [node('a')];
    await w.start();
    w.list = [];
    w.failure = down();
    await w.pass(150_000);
    expect(w.looks).toEqual([0, 5_000, 15_000, 35_000, 65_000, 95_000, 125_000]);
    expect(w.known).toEqual(['a']);
    expect(w.changes).toEqual([['a']]);
    expect(w.captured.messages()).toEqual(Array(6).fill('looking at Cistern failed'));
    w.failure = undefined;
    await w.pass(10_000);
    expect(w.looks.slice(7)).toEqual([155_000, 160_000]);
    expect(w.known).toEqual([]);
    w.failure = down();
    await w.pass(15_000);
    expect(w.looks.slice(9)).toEqual([165_000, 175_000]);
  });

  test('is not tried sooner because somebody asks', async () => {
    const w = watch();
    w.failure = down();
    await w.start();
    w.inventory.lookNow();
    await w.pass(9_999);
    expect(w.looks).toEqual([0]);
    await w.pass(1);
    expect(w.looks).toEqual([0, 10_000]);
  });

  test('of whatever sort does not end the run', async () => {
    const w = watch();
    w.failure = new TypeError('a defect');
    await w.start();
    expect(w.inventory.health.error?.error).toMatchObject({
      code: 'Unreachable',
      message: 'listing the nodes of Cistern failed: TypeError: a defect',
    });
    await w.pass(10_000);
    expect(w.looks).toEqual([0, 10_000]);
  });
});

test('a listener that throws does not end the run', async () => {
  const w = watch();
  w.onChange = () => {
    throw new Error('a defect');
  };
  w.list = [node('a')];
  await w.start();
  await w.pass(INTERVAL);
  expect(w.looks).toEqual([0, INTERVAL]);
  expect(w.health).toBe(1);
  expect(w.captured.messages()).toEqual(['a listener of Cistern failed']);
});

describe('health', () => {
  test('is told when it changes: first seen, failing, failing otherwise, stale, seen again', async () => {
    const w = watch();
    const { inventory } = w;
    expect(inventory.health).toEqual({ observedAt: undefined, error: undefined });
    await w.start();
    expect(w.health).toBe(1);
    await w.pass(INTERVAL);
    expect(w.health).toBe(1);
    expect(inventory.health).toEqual({ observedAt: w.at(5_000), error: undefined });
    w.failure = down();
    await w.pass(INTERVAL);
    expect(w.health).toBe(2);
    expect(inventory.health).toEqual({ observedAt: w.at(5_000), error: { at: w.at(10_000), error: w.failure } });
    w.failure = down('time is up');
    await w.pass(10_000);
    expect(w.health).toBe(3);
    // Looks at 40 s and at 70 s fail alike; at the second one what is known is stale.
    await w.pass(20_000);
    expect(w.health).toBe(3);
    await w.pass(30_000);
    expect(w.health).toBe(4);
    w.failure = undefined;
    await w.pass(30_000);
    expect(w.health).toBe(5);
    expect(inventory.health).toEqual({ observedAt: w.at(100_000), error: undefined });
  });

  test('is told when Cistern cannot be reached from the beginning', async () => {
    const w = watch();
    w.failure = down();
    await w.start();
    expect(w.health).toBe(1);
    expect(w.inventory.health).toEqual({ observedAt: undefined, error: { at: w.at(0), error: w.failure } });
  });

  test('is stale before the first look, and three intervals and 30 s after the last one began', async () => {
    const w = watch({ intervalMs: 1_000 });
    expect(w.inventory.stale(w.at(0))).toBe(true);
    await w.start();
    expect(w.inventory.stale(w.at(33_000))).toBe(false);
    expect(w.inventory.stale(w.at(33_001))).toBe(true);
  });
});

describe('a note', () => {
  test('is seen at once, and told if it says something new', async () => {
    const w = watch();
    w.list = [node('a')];
    await w.start();
    w.inventory.note(node('a', { user: 'alice' }));
    w.inventory.note(node('a', { user: 'alice' }));
    w.inventory.note(node('b'));
    expect(w.inventory.node('a')?.user).toBe('alice');
    expect(w.changes).toEqual([['a'], ['a'], ['b']]);
  });

  test('is not undone by a look that began before it, neither what it changed nor what it added', async () => {
    const w = watch();
    w.list = [node('a')];
    await w.start();
    const open = w.hold();
    await w.pass(INTERVAL);
    w.inventory.note(node('a', { user: 'alice' }));
    w.inventory.note(node('b'));
    await open();
    expect(w.inventory.node('a')?.user).toBe('alice');
    expect(w.known).toEqual(['a', 'b']);
    expect(w.changes).toEqual([['a'], ['a'], ['b']]);
  });

  test('yields to a look that began later, though at the same instant', async () => {
    const w = watch();
    w.list = [node('a')];
    await w.start();
    w.inventory.note(node('a', { user: 'alice' }));
    w.inventory.note(node('b'));
    w.inventory.lookNow();
    await w.pass(0);
    expect(w.inventory.node('a')?.user).toBe('');
    expect(w.known).toEqual(['a']);
  });

  test('of a call whose outcome is not known is a doubt, until a look that begins later tells, though it tells nothing new', async () => {
    const w = watch();
    w.list = [node('a')];
    await w.start();
    const open = w.hold();
    await w.pass(INTERVAL);
    w.inventory.doubt('a');
    w.inventory.doubt('b');
    await open();
    expect([w.inventory.isDoubted('a'), w.inventory.node('a')?.user, w.known]).toEqual([true, '', ['a']]);
    await w.pass(INTERVAL);
    expect([w.inventory.isDoubted('a'), w.changes]).toEqual([false, [['a'], ['a'], ['a']]]);
  });

  test('outlives looks that fail', async () => {
    const w = watch();
    await w.start();
    w.inventory.note(node('a'));
    w.failure = down();
    await w.pass(60_000);
    expect(w.known).toEqual(['a']);
  });
});

type Step =
  | { kind: 'put'; id: string; user: string; noted: boolean }
  | { kind: 'remove'; id: string }
  | { kind: 'pass'; ms: number }
  | { kind: 'look' | 'fail' | 'mend' | 'hold' | 'open' };

test('whatever happens meanwhile, what was noted is known until Cistern says otherwise, and in the end all is known and was told', async () => {
  const id = fc.constantFrom('a', 'b', 'c');
  const steps: fc.Arbitrary<Step> = fc.oneof(
    fc.record({ kind: fc.constant('put' as const), id, user: fc.constantFrom('', 'alice', 'bob'), noted: fc.boolean() }),
    fc.record({ kind: fc.constant('remove' as const), id }),
    fc.record({ kind: fc.constant('pass' as const), ms: fc.integer({ min: 0, max: 8_000 }) }),
    fc.record({ kind: fc.constantFrom('look' as const, 'fail' as const, 'mend' as const, 'hold' as const, 'open' as const) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(steps, { maxLength: 40 }), async (happening) => {
      const w = new Watch();
      const heard = new Map<string, CisternNode>();
      w.onChange = () => {
        for (const serverId of w.changes.at(-1) ?? []) {
          const now = w.inventory.node(serverId);
          if (now) heard.set(serverId, now);
          else heard.delete(serverId);
        }
      };
      const noted = new Set<string>();
      const held: (() => Promise<void>)[] = [];
      const open = async () => {
        for (const each of held.splice(0)) await each();
      };
      await w.start();
      for (const step of happening) {
        if (step.kind === 'put' || step.kind === 'remove') {
          w.list = w.list.filter(({ serverId }) => serverId !== step.id);
          noted.delete(step.id);
        }
        if (step.kind === 'put') {
          const now = node(step.id, { user: step.user });
          w.list = [...w.list, now];
          if (step.noted) {
            noted.add(step.id);
            w.inventory.note(now);
          }
        } else if (step.kind === 'pass') await w.pass(step.ms);
        else if (step.kind === 'look') {
          w.inventory.lookNow();
          await w.pass(0);
        } else if (step.kind === 'fail') w.failure = down();
        else if (step.kind === 'mend') w.failure = undefined;
        else if (step.kind === 'hold') held.push(w.hold());
        else if (step.kind === 'open') await open();
        for (const one of w.list) if (noted.has(one.serverId)) expect(w.inventory.node(one.serverId)).toEqual(one);
      }
      w.failure = undefined;
      await open();
      await w.pass(60_000);
      expect(w.known).toEqual(w.list.map(({ serverId }) => serverId).sort());
      expect(heard).toEqual(new Map(w.list.map((one) => [one.serverId, one])));
      expect(w.mostAtOnce).toBe(1);
      await w.stop();
      expect(w.world.pendingTimers).toBe(0);
    }),
  );
});
