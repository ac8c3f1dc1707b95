import { afterEach, describe, expect, test } from '@jest/globals';
import type { OwnerTag, Server } from '../../src/clouds/driver.js';
import { CloudObserver } from '../../src/clouds/observer.js';
import { silentLog } from '../support/log.js';
import { failure, ScriptedCloud, serverOf } from '../support/scripted-cloud.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const INTERVAL = 2_000;
const AUDIT = 60_000;
const IDLE = 5 * INTERVAL;

const owner = (uid: string): OwnerTag => ({ installation: 'here', uid, attempt: 'token-1' });

/** An observer at work over a scripted cloud, and all that it told. */
class Watch {
  readonly world = new VirtualEnvironment(1);
  readonly cloud = new ScriptedCloud(this.world);
  /** `s1 Running`, in the order told. */
  readonly changes: string[] = [];
  readonly completed: string[] = [];
  health = 0;
  /** Milliseconds since the start of each list, by kind. */
  readonly audits: number[] = [];
  readonly polls: number[] = [];
  readonly #start = this.world.milliseconds;
  readonly #stop = new AbortController();
  readonly observer: CloudObserver;
  #running: Promise<void> | undefined;

  constructor() {
    this.cloud.onCall = (call) => {
      if (call === 'listServers') this.audits.push(this.elapsed);
      if (call === 'listChanges') this.polls.push(this.elapsed);
    };
    this.observer = new CloudObserver(this.cloud, { intervalMs: INTERVAL, auditIntervalMs: AUDIT }, this.world, silentLog, {
      serversChanged: (servers) => this.changes.push(...servers.map(({ id, state }) => `${id} ${state}`)),
      completed: (keys) => this.completed.push(...keys),
      healthChanged: () => {
        this.health += 1;
      },
    });
  }

  get elapsed(): number {
    return this.world.milliseconds - this.#start;
  }

  at(ms: number): Date {
    return new Date(this.#start + ms);
  }

  /** Begins to observe, and lets all that happens at once happen. */
  async start(): Promise<void> {
    this.#running = this.observer.run(this.#stop.signal);
    await this.pass(0);
  }

  async pass(ms: number): Promise<void> {
    await this.world.run(() => false, ms);
  }

  /** The ids known, in order. */
  get known(): string[] {
    return [...this.observer.servers()].map(({ id }) => id).sort();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    if (this.#running) await this.world.settle(this.#running);
  }
}

const watches: Watch[] = [];
const watch = (): Watch => {
  const made = new Watch();
  watches.push(made);
  return made;
};
afterEach(async () => {
  for (const each of watches.splice(0)) {
    await each.stop();
    expect(each.world.pendingTimers).toBe(0);
  }
});

describe('an audit', () => {
  test('learns all that is there, and tells of it once', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.put('s1', { owner: owner('u1') });
    cloud.put('s2');
    await w.start();
    expect(w.known()).toEqual(['s1', 's2']);
    expect(w.changes).toEqual(['s1 Running', 's2 Running']);
    expect(observer.sighting('s1')?.asOf).toEqual(w.at(0));
    expect(observer.health).toEqual({ completeAt: w.at(0), error: undefined });
    await w.pass(AUDIT);
    expect(w.audits).toEqual([0, AUDIT]);
    expect(w.changes).toHaveLength(2);
    expect(observer.health.completeAt).toEqual(w.at(AUDIT));
  });

  test('removes what it does not list, and tells of it as deleted', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.put('s1', { owner: owner('u1') });
    await w.start();
    observer.note(serverOf('noted', { owner: owner('u2') }));
    w.changes.length = 0;
    cloud.break('listChanges', failure('Unavailable'));
    cloud.remove('s1');
    await w.pass(AUDIT + INTERVAL * 16);
    expect(w.known()).toEqual([]);
    expect(w.changes).toEqual(['s1 Deleted', 'noted Deleted']);
    expect(observer.ownedBy('here', 'u1')).toEqual([]);
    expect(observer.isGone('s1')).toBe(false);
  });

  test('keeps what was noted after it began, though it does not list it', async () => {
    const { cloud, observer, ...w } = spread(watch());
    const gate = cloud.hold('listServers');
    await w.start();
    await w.pass(1);
    observer.note(serverOf('new', { state: 'Building', owner: owner('u1') }));
    gate.open();
    await w.pass(0);
    expect(w.known()).toEqual(['new']);
    expect(observer.ownedBy('here', 'u1').map(({ id }) => id)).toEqual(['new']);
    expect(w.changes).toEqual(['new Building']);
  });

  test('does not put an older answer over a newer note', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.put('s1', { state: 'Building' });
    const gate = cloud.hold('listServers');
    await w.start();
    await w.pass(1);
    observer.note(serverOf('s1', { state: 'Running' }));
    gate.open();
    await w.pass(0);
    expect(observer.sighting('s1')?.server.state).toBe('Running');
    expect(observer.sighting('s1')?.asOf).toEqual(w.at(1));
  });

  test('does not bring back a server that was found gone after it began', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.put('s1');
    await w.start();
    const gate = cloud.hold('listServers');
    await w.pass(AUDIT + 1);
    observer.noteGone('s1');
    gate.open();
    await w.pass(0);
    expect(w.audits).toEqual([0, AUDIT]);
    expect(w.known()).toEqual([]);
    expect(observer.isGone('s1')).toBe(true);
  });

  test('that began later may bring back a server that was thought gone', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.put('s1');
    await w.start();
    observer.noteGone('s1');
    await w.pass(AUDIT);
    expect(w.known()).toEqual(['s1']);
    expect(observer.isGone('s1')).toBe(false);
  });

  test('forgets what is gone only after ten minutes', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.put('s1');
    await w.start();
    cloud.remove('s1');
    observer.noteGone('s1');
    await w.pass(600_000);
    expect(observer.isGone('s1')).toBe(true);
    await w.pass(AUDIT * 2);
    expect(observer.isGone('s1')).toBe(false);
  });
});

describe('a delta poll', () => {
  test('tells what changed, and nothing else', async () => {
    const { cloud, ...w } = spread(watch());
    cloud.put('s1');
    cloud.put('s2');
    await w.start();
    w.changes.length = 0;
    cloud.put('s2', { state: 'Stopped' });
    await w.pass(IDLE);
    expect(w.changes).toEqual(['s2 Stopped']);
    expect(w.known()).toEqual(['s1', 's2']);
  });

  test('never removes by absence, only by the word of the cloud', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.put('s1', { owner: owner('u1') });
    cloud.put('s2');
    await w.start();
    cloud.put('s3');
    await w.pass(IDLE);
    expect(w.known()).toEqual(['s1', 's2', 's3']);
    cloud.remove('s1');
    await w.pass(IDLE);
    expect(w.known()).toEqual(['s2', 's3']);
    expect(observer.isGone('s1')).toBe(true);
    expect(observer.ownedBy('here', 'u1')).toEqual([]);
    expect(w.changes.at(-1)).toBe('s1 Deleted');
  });

  test('does not put an older answer over a newer note', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.put('s1');
    await w.start();
    cloud.put('s1', { state: 'Stopped' });
    const gate = cloud.hold('listChanges');
    await w.pass(IDLE + 1);
    observer.note(serverOf('s1', { state: 'Stopped', task: 'starting' }));
    gate.open();
    await w.pass(0);
    expect(observer.sighting('s1')?.server.task).toBe('starting');
  });

  test('comes at the interval while any key is moving, and five times as rarely while none is', async () => {
    const { observer, ...w } = spread(watch());
    await w.start();
    await w.pass(IDLE * 2);
    expect(w.polls).toEqual([IDLE, 2 * IDLE]);
    observer.setMoving('a', true);
    observer.setMoving('b', true);
    await w.pass(INTERVAL * 2);
    observer.setMoving('a', false);
    await w.pass(INTERVAL);
    expect(w.polls.slice(2)).toEqual([2 * IDLE + INTERVAL, 2 * IDLE + 2 * INTERVAL, 2 * IDLE + 3 * INTERVAL]);
    observer.setMoving('b', false);
    await w.pass(IDLE);
    expect(w.polls.slice(5)).toEqual([2 * IDLE + 3 * INTERVAL + IDLE]);
    expect(w.audits).toEqual([0]);
  });

  test('comes soon after something began to move in a quiet time', async () => {
    const { observer, ...w } = spread(watch());
    await w.start();
    await w.pass(INTERVAL * 3);
    observer.setMoving('a', true);
    await w.pass(0);
    expect(w.polls).toEqual([INTERVAL * 3]);
  });
});

describe('looking', () => {
  test('is one call at a time, however long it takes', async () => {
    const { cloud, observer, ...w } = spread(watch());
    await w.start();
    observer.setMoving('a', true);
    const gate = cloud.hold('listChanges');
    await w.pass(AUDIT * 3);
    observer.wantComplete('a', w.at(w.elapsed()));
    await w.pass(INTERVAL);
    expect(cloud.calls).toEqual(['listServers', 'listChanges']);
    gate.open();
    await w.pass(0);
    expect(cloud.calls).toEqual(['listServers', 'listChanges', 'listServers']);
  });

  test('ends when it is told to, without a call more', async () => {
    const w = watch();
    await w.start();
    await w.stop();
    const { length } = w.cloud.calls;
    await w.pass(AUDIT * 2);
    expect(w.cloud.calls).toHaveLength(length);
  });

  test('that is cut short by the end is no failure', async () => {
    const w = watch();
    const gate = w.cloud.hold('listServers');
    await w.start();
    w.cloud.fail('listServers', failure('Unavailable', 'it was called off'));
    const stopping = w.stop();
    gate.open();
    await stopping;
    expect(w.observer.health.error).toBeUndefined();
    expect(w.health).toBe(0);
  });
});

describe('a look that fails', () => {
  test('changes nothing, is in the health, and is tried again later each time up to 30 s', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.put('s1');
    await w.start();
    w.changes.length = 0;
    cloud.break('listChanges', failure('Unavailable'));
    cloud.break('listServers', failure('Unavailable', 'it is down', { status: 503 }));
    cloud.remove('s1');
    await w.pass(AUDIT * 6);
    expect(w.known()).toEqual(['s1']);
    expect(w.changes).toEqual([]);
    expect(observer.health.completeAt).toEqual(w.at(0));
    expect(observer.health.error?.error).toMatchObject({ code: 'Unavailable', message: 'it is down', status: 503 });
    const tries = [...w.polls, ...w.audits].sort((a, b) => a - b);
    const waits = tries.slice(1).map((time, index) => time - (tries[index] ?? 0));
    expect(waits.slice(1, 6)).toEqual([4_000, 8_000, 16_000, 30_000, 30_000]);
    expect(Math.max(...waits)).toBe(30_000);
  });

  test('heals: the error is gone from the health, and whoever listens is told', async () => {
    const { cloud, observer, ...w } = spread(watch());
    cloud.fail('listServers', failure('Unauthorized', 'wrong password'));
    await w.start();
    expect(observer.health).toMatchObject({ completeAt: undefined, error: { at: w.at(0), error: { code: 'Unauthorized' } } });
    expect(w.health()).toBe(1);
    await w.pass(INTERVAL * 2);
    expect(observer.health).toEqual({ completeAt: w.at(INTERVAL * 2), error: undefined });
    expect(w.health()).toBe(2);
  });

  test('counts its failures anew after a success', async () => {
    const { cloud, ...w } = spread(watch());
    for (let times = 0; times < 3; times += 1) cloud.fail('listServers', failure('Unavailable'));
    await w.start();
    await w.pass(4_000 + 8_000 + 16_000);
    expect(w.audits).toEqual([0, 4_000, 12_000, 28_000]);
    cloud.fail('listServers', failure('Unavailable'));
    await w.pass(AUDIT + 4_000);
    expect(w.audits.slice(4)).toEqual([28_000 + AUDIT, 28_000 + AUDIT + 4_000]);
  });

  test('is not tried again before the cloud allows it, whoever asks', async () => {
    const { cloud, observer, ...w } = spread(watch());
    await w.start();
    cloud.fail('listServers', failure('RateLimited', 'slow down', { retryAfterMs: 45_000 }));
    await w.pass(AUDIT);
    w.polls.length = 0;
    observer.wantComplete('a', w.at(w.elapsed()));
    observer.setMoving('a', true);
    await w.pass(44_999);
    expect({ audits: w.audits, polls: w.polls }).toEqual({ audits: [0, AUDIT], polls: [] });
    await w.pass(1);
    expect(w.audits).toEqual([0, AUDIT, AUDIT + 45_000]);
    expect(w.completed).toEqual(['a']);
  });

  test('a poll that was told to wait keeps the audit waiting too', async () => {
    const { cloud, ...w } = spread(watch());
    cloud.fail('listChanges', failure('RateLimited', 'slow down', { retryAfterMs: 90_000 }));
    await w.start();
    await w.pass(IDLE + 89_999);
    expect({ audits: w.audits, polls: w.polls }).toEqual({ audits: [0], polls: [IDLE] });
    await w.pass(1);
    expect(w.audits).toEqual([0, IDLE + 90_000]);
  });

  test('with something that is no CloudError is a failure of the cloud all the same', async () => {
    const world = new VirtualEnvironment(1);
    const stop = new AbortController();
    const strange = { listServers: () => Promise.reject(new TypeError('odd')), listChanges: () => Promise.reject(new Error()) };
    const listener = { serversChanged: () => undefined, completed: () => undefined, healthChanged: () => undefined };
    const observer = new CloudObserver(strange, { intervalMs: 1_000, auditIntervalMs: AUDIT }, world, silentLog, listener);
    const running = observer.run(stop.signal);
    await world.run(() => false, 0);
    expect(observer.health.error?.error).toMatchObject({ code: 'Unavailable', message: expect.stringContaining('odd') });
    stop.abort();
    await world.settle(running);
  });
});

describe('wanting a complete observation', () => {
  test('that is there already is told at once', async () => {
    const { observer, ...w } = spread(watch());
    await w.start();
    observer.wantComplete('a', w.at(0));
    expect(w.completed).toEqual(['a']);
    await w.pass(AUDIT * 2);
    expect(w.completed).toEqual(['a']);
  });

  test('is told exactly once, by an audit that began at that time, which comes for its sake', async () => {
    const { observer, ...w } = spread(watch());
    await w.start();
    observer.wantComplete('a', w.at(30_000));
    observer.wantComplete('b', w.at(30_000));
    await w.pass(29_999);
    expect(w.completed).toEqual([]);
    await w.pass(1);
    expect(w.audits).toEqual([0, 30_000]);
    expect(w.completed).toEqual(['a', 'b']);
    await w.pass(AUDIT * 2);
    expect(w.completed).toEqual(['a', 'b']);
  });

  test('is not told by an audit that began before, though it ends after', async () => {
    const { cloud, observer, ...w } = spread(watch());
    const gate = cloud.hold('listServers');
    await w.start();
    observer.wantComplete('a', w.at(5_000));
    await w.pass(10_000);
    gate.open();
    await w.pass(0);
    expect(w.completed).toEqual(['a']);
    expect(w.audits).toEqual([0, 10_000]);
    expect(observer.health.completeAt).toEqual(w.at(10_000));
  });

  test('is not told by an audit that fails', async () => {
    const { cloud, observer, ...w } = spread(watch());
    await w.start();
    cloud.fail('listServers', failure('Unavailable'));
    observer.wantComplete('a', w.at(3_000));
    await w.pass(3_000);
    expect(w.audits).toEqual([0, 3_000]);
    expect(w.completed).toEqual([]);
    await w.pass(4_000);
    expect(w.completed).toEqual(['a']);
  });

  test('for several times is one audit for each that needs one', async () => {
    const { observer, ...w } = spread(watch());
    await w.start();
    observer.wantComplete('late', w.at(40_000));
    observer.wantComplete('early', w.at(20_000));
    await w.pass(20_000);
    expect(w.completed).toEqual(['early']);
    await w.pass(20_000);
    expect(w.completed).toEqual(['early', 'late']);
    expect(w.audits).toEqual([0, 20_000, 40_000]);
  });

  test('now does not list more often than polls come', async () => {
    const { observer, ...w } = spread(watch());
    await w.start();
    for (let index = 0; index < 10; index += 1) {
      await w.pass(100);
      observer.wantComplete(`key-${index}`, w.at(w.elapsed()));
    }
    await w.pass(INTERVAL);
    expect(w.audits).toEqual([0, INTERVAL]);
    expect(w.completed).toHaveLength(10);
  });
});

describe('owners', () => {
  test('are found by the tag, and follow a tag that changes or goes', async () => {
    const { cloud, observer, ...w } = spread(watch());
    const ids = (uid: string) => observer.ownedBy('here', uid).map(({ id }: Server) => id);
    cloud.put('s1', { owner: owner('u1') });
    cloud.put('s2', { owner: owner('u1') });
    await w.start();
    expect(ids('u1')).toEqual(['s1', 's2']);
    cloud.put('s1', { owner: owner('u2') });
    await w.pass(IDLE);
    expect([ids('u1'), ids('u2')]).toEqual([['s2'], ['s1']]);
    observer.note(serverOf('s1'));
    expect(ids('u2')).toEqual([]);
    observer.noteGone('s2');
    expect(ids('u1')).toEqual([]);
    expect(observer.ownerCount('here')).toBe(0);
  });
});

test('owners of another installation are its own, though the uid be the same', () => {
  const { observer } = watch();
  observer.note(serverOf('s1', { owner: owner('u1') }));
  observer.note(serverOf('s2', { owner: { ...owner('u1'), installation: 'there' } }));
  observer.note(serverOf('s3', { owner: { ...owner('u2'), installation: 'there' } }));
  expect(observer.ownedBy('here', 'u1').map(({ id }) => id)).toEqual(['s1']);
  expect(observer.ownedBy('there', 'u1').map(({ id }) => id)).toEqual(['s2']);
  expect([observer.ownerCount('here'), observer.ownerCount('there')]).toEqual([1, 2]);
  observer.note(serverOf('s2', { owner: owner('u1') }));
  expect(observer.ownedBy('here', 'u1').map(({ id }) => id)).toEqual(['s1', 's2']);
  expect([observer.ownerCount('here'), observer.ownerCount('there')]).toEqual([1, 1]);
});

describe('noting', () => {
  test.each<[string, Partial<Server>, string[]]>([
    ['the same again tells nobody', {}, []],
    ['metadata in another order is the same', { metadata: { b: '2', a: '1' } }, []],
    ['tags in another order are the same', { tags: ['y', 'x'] }, []],
    ['a state is news', { state: 'Stopped' }, ['s1 Stopped']],
    ['a task is news', { task: 'powering-off' }, ['s1 Running']],
    ['an address is news', { addresses: [{ network: 'n', address: '10.0.0.1', type: 'Fixed' }] }, ['s1 Running']],
    ['a fault is news', { fault: 'no host' }, ['s1 Running']],
    ['an owner tag that is broken is news', { ownerTagWhole: false }, ['s1 Running']],
    ['a deletion is news', { state: 'Deleted' }, ['s1 Deleted']],
  ])('%s', (_reason, change, told) => {
    const { observer, changes } = watch();
    const first = serverOf('s1', { metadata: { a: '1', b: '2' }, tags: ['x', 'y'] });
    observer.note(first);
    changes.length = 0;
    observer.note({ ...first, ...change });
    expect(changes).toEqual(told);
  });

  test('that an unknown server is gone tells nobody, and is remembered', () => {
    const { observer, changes } = watch();
    observer.noteGone('s9');
    expect(changes).toEqual([]);
    expect(observer.isGone('s9')).toBe(true);
  });
});

describe('new settings', () => {
  test('bring the next audit forward, and the ones after it', async () => {
    const { observer, ...w } = spread(watch());
    await w.start();
    observer.configure({ intervalMs: INTERVAL, auditIntervalMs: 15_000 });
    await w.pass(30_000);
    expect(w.audits).toEqual([0, 15_000, 30_000]);
  });

  test('bring the next poll forward, and the ones after it', async () => {
    const { observer, ...w } = spread(watch());
    observer.configure({ intervalMs: 20_000, auditIntervalMs: AUDIT });
    await w.start();
    observer.setMoving('a', true);
    observer.configure({ intervalMs: 500, auditIntervalMs: AUDIT });
    await w.pass(1_000);
    expect(w.polls).toEqual([500, 1_000]);
  });

  test('that are the old ones change nothing', async () => {
    const { observer, ...w } = spread(watch());
    await w.start();
    for (let index = 0; index < 5; index += 1) {
      await w.pass(AUDIT / 4);
      observer.configure({ intervalMs: INTERVAL, auditIntervalMs: AUDIT });
    }
    expect(w.audits).toEqual([0, AUDIT]);
  });
});

/** The parts of a watch that tests take apart, with what is read later as functions. */
function spread(w: Watch) {
  return {
    cloud: w.cloud,
    observer: w.observer,
    changes: w.changes,
    completed: w.completed,
    audits: w.audits,
    polls: w.polls,
    health: () => w.health,
    known: () => w.known,
    elapsed: () => w.elapsed,
    at: (ms: number) => w.at(ms),
    start: () => w.start(),
    pass: (ms: number) => w.pass(ms),
  };
}
