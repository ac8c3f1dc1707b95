import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { formatKey, keyOf } from '../src/resources/metadata.js';
import { Rig } from './support/rig.js';
import { failure } from './support/scripted-cloud.js';

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

const VM = 'VirtualMachine';
const writes = (name: string) => rig.journal.filter((line) => line.startsWith('store: update') && line.endsWith(`${VM} ${name}`));

describe('a dispatcher', () => {
  test('says when it knows all, and what it knows', async () => {
    await rig.declareCloud();
    await rig.declare('web-1', { paused: true });
    const { dispatcher } = rig.start();
    expect([dispatcher.synced, dispatcher.leading]).toEqual([false, false]);
    await rig.pass(100);
    expect([dispatcher.synced, dispatcher.leading]).toEqual([true, true]);
    expect(dispatcher.list(VM).map(({ metadata }) => metadata.name)).toEqual(['web-1']);
    expect(dispatcher.list('Cloud').map(({ metadata }) => metadata.name)).toEqual(['lab']);
    expect(dispatcher.list('KeyPair')).toEqual([]);
  });

  test('does nothing before everything declared is known', async () => {
    await rig.declareCloud();
    await rig.declare('web-1');
    rig.faults = {
      beforeRead: (operation, { kind }) => {
        if (operation === 'list' && kind === 'Secret') throw new Error('the store is away');
      },
    };
    const { dispatcher } = rig.start();
    await rig.pass(60_000);
    expect(dispatcher.synced).toBe(false);
    expect(rig.journal).toEqual([]);
    rig.faults = {};
    await rig.pass(60_000);
    expect(rig.status('web-1').id).toBe('s1');
  });

  test('finishes the step in hand when it is stopped, begins no other, writes its events, and frees all', async () => {
    await rig.declareCloud();
    const { dispatcher } = rig.start();
    await rig.pass(500);
    const gate = rig.cloud.hold('createServer');
    await rig.declare('web-1');
    await rig.pass(500);
    expect(rig.cloud.count('createServer')).toBe(1);
    const stopping = dispatcher.stop();
    await rig.declare('web-2');
    await rig.pass(2_000);
    gate.open();
    await rig.world.settle(stopping);
    expect(rig.status('web-1').id).toBe('s1');
    expect(rig.events('web-1')).toEqual(['Normal Created']);
    expect(rig.cloud.closed).toBe(true);
    expect(dispatcher.leading).toBe(false);
    const { length } = rig.journal;
    await rig.pass(3_600_000);
    expect(rig.journal).toHaveLength(length);
    expect(rig.world.pendingTimers).toBe(0);
    rig.start();
    await rig.pass(2_000);
    expect(rig.cloud.count('createServer')).toBe(2);
  });

  test('that is stopped before anything is known ends at once', async () => {
    const { dispatcher } = rig.start();
    await rig.world.settle(dispatcher.stop());
    expect(rig.journal).toEqual([]);
  });
});

describe('a status that somebody else wrote', () => {
  test('is looked at after a while, so that two who differ do not race', async () => {
    await rig.withReadyMachine();
    rig.journal.length = 0;
    for (let round = 0; round < 10; round += 1) {
      const current = rig.get(VM, 'web-1');
      await rig.store.updateStatus({ ...current, status: { ...rig.status('web-1'), state: `theirs ${round}` } });
      await rig.pass(100);
    }
    await rig.pass(900);
    expect(writes('web-1')).toEqual([]);
    await rig.pass(5_000);
    expect(writes('web-1')).toHaveLength(1);
    expect(rig.status('web-1').state).toBe('Running');
  });

  test('as by two leaders at once who differ costs each one write in two seconds at most', async () => {
    await rig.withReadyMachine();
    // Another cloud answers the second one: it sees the server stopped for ever.
    rig.cloud.break('startServer', failure('Conflict'));
    rig.cloud.break('stopServer', failure('Conflict'));
    rig.start();
    rig.cloud.put('s1', { state: 'Stopped' });
    await rig.pass(10_000);
    rig.journal.length = 0;
    await rig.pass(60_000);
    expect(writes('web-1').length).toBeLessThanOrEqual(62);
    expect(rig.cloud.servers.size).toBe(1);
  });

  test('while a declaration that somebody changed is looked at now', async () => {
    await rig.withReadyMachine();
    await rig.edit(VM, 'web-1', { metadata: { role: 'db' } });
    await rig.pass(50);
    expect(rig.cloud.servers.get('s1')?.metadata).toEqual({ role: 'db' });
  });
});

describe('leadership', () => {
  test('is of one at a time; the other takes over when it is given up, looks at all anew, and makes nothing twice', async () => {
    await rig.declareCloud();
    const first = rig.start({ holder: 'a' });
    await rig.pass(1_000);
    const second = rig.start({ holder: 'b' });
    await rig.declare('web-1');
    await rig.pass(5_000);
    expect([first.dispatcher.leading, second.dispatcher.leading]).toEqual([true, false]);
    expect(second.dispatcher.synced).toBe(true);
    rig.cloud.put('s1', { state: 'Running' });
    await rig.pass(15_000);
    const before = rig.get(VM, 'web-1');
    const audits = rig.cloud.count('listServers');
    await rig.world.settle(first.dispatcher.stop());
    await rig.pass(30_000);
    expect(second.dispatcher.leading).toBe(true);
    expect(rig.cloud.count('listServers')).toBe(audits + 1);
    expect(rig.get(VM, 'web-1')).toEqual(before);
    rig.cloud.remove('s1');
    await rig.until('another is bound', () => rig.status('web-1').id === 's2', 30_000);
    expect(rig.cloud.count('createServer')).toBe(2);
  });

  test('that is lost and regained observes everything anew', async () => {
    await rig.declareCloud();
    const { dispatcher } = rig.start({ holder: 'a' });
    await rig.declare('web-1');
    await rig.pass(5_000);
    rig.cloud.put('s1', { state: 'Running' });
    await rig.pass(15_000);
    rig.faults = {
      beforeWrite: (operation) => {
        if (operation === 'acquire') throw new Error('the store is away');
      },
    };
    await rig.until('it is lost', () => !dispatcher.leading, 120_000);
    await rig.pass(5_000);
    expect(rig.cloud.closed).toBe(true);
    const { length } = rig.cloud.calls;
    rig.cloud.remove('s1');
    await rig.pass(120_000);
    expect(rig.cloud.calls).toHaveLength(length);
    rig.faults = {};
    await rig.until('it is regained, and the loss is seen', () => rig.status('web-1').id === 's2', 120_000);
    expect(rig.cloud.calls.slice(length)[0]).toBe('listServers');
  });
});

describe('who is woken', () => {
  test('by a change of a Cloud: its machines and no others', async () => {
    await rig.declareCloud();
    await rig.declareCloud({}, 'other');
    rig.start();
    await rig.declare('here');
    await rig.declare('there', { cloudRef: { name: 'other' } });
    await rig.pass(1_000);
    rig.journal.length = 0;
    await rig.edit('Cloud', 'lab', { paused: true });
    await rig.pass(50);
    expect([writes('here').length, writes('there').length]).toEqual([1, 0]);
    expect(rig.said(VM, 'here').Ready).toBe('Unknown CloudPaused');
  });

  test('by a look that tells of one server: its machine and no other', async () => {
    await rig.declareCloud();
    rig.start();
    await rig.declare('one');
    await rig.declare('two');
    await rig.pass(1_000);
    for (const id of ['s1', 's2']) rig.cloud.put(id, { state: 'Running' });
    await rig.pass(20_000);
    rig.journal.length = 0;
    const id = rig.status('two').id ?? '';
    rig.cloud.put(id, { state: 'Paused' });
    await rig.pass(10_500);
    expect([writes('one').length, writes('two').length > 0]).toEqual([0, true]);
    expect(rig.cloud.calls).toContain(`resumeServer ${id}`);
  });

  test('by the cloud that answers again: the machines that are not Ready', async () => {
    await rig.withReadyMachine();
    rig.cloud.break('createServer', failure('Invalid'));
    await rig.declare('web-2');
    await rig.pass(1_000);
    for (const list of ['listServers', 'listChanges'] as const) rig.cloud.break(list, failure('Unavailable'));
    await rig.pass(60_000);
    for (const list of ['listServers', 'listChanges', 'createServer'] as const) rig.cloud.break(list, undefined);
    await rig.until('web-2 is bound', () => rig.status('web-2').id !== undefined, 31_000);
  });

  test('by a thousand servers at once: each machine once', async () => {
    await rig.declareCloud();
    rig.start();
    await rig.pass(500);
    await Promise.all(Array.from({ length: 300 }, (_, index) => rig.declare(`web-${index}`)));
    await rig.pass(2_000);
    expect(rig.cloud.count('createServer')).toBe(300);
    rig.journal.length = 0;
    for (const id of rig.cloud.servers.keys()) rig.cloud.put(id, { state: 'Running' });
    await rig.pass(5_000);
    expect(rig.journal.filter((line) => line.startsWith('store: updateStatus VirtualMachine'))).toHaveLength(300);
    expect(rig.store.everything(VM).every(({ metadata }) => rig.said(VM, metadata.name).Ready === 'True Running')).toBe(true);
  });
});

test('a record whose finalizer somebody took away while it was moving does not keep the polls quick', async () => {
  await rig.declareCloud({ orphans: { policy: 'Report' }, limits: { servers: 1 } });
  rig.start();
  await rig.pass(500);
  rig.cloud.fail('createServer', failure('UnknownOutcome'));
  await rig.declare('web-1');
  await rig.pass(5_000);
  const { finalizers: _taken, ...metadata } = rig.get(VM, 'web-1').metadata;
  await rig.store.update({ ...rig.get(VM, 'web-1'), metadata });
  await rig.store.delete(keyOf(rig.get(VM, 'web-1')));
  await rig.pass(2_000);
  expect(rig.find(VM, 'web-1')).toBeUndefined();
  const before = rig.cloud.count('listChanges');
  await rig.pass(40_000);
  expect(rig.cloud.count('listChanges') - before).toBeLessThanOrEqual(5);
  await rig.declare('web-2');
  await rig.pass(1_000);
  expect(rig.status('web-2').id).toBe('s1');
});

test('the log bears the key on the lines of a step', async () => {
  await rig.withReadyMachine();
  const key = formatKey(keyOf(rig.get(VM, 'web-1')));
  const lines = rig.log.lines.filter(({ msg }) => msg === 'step taken');
  expect(lines).toMatchObject([{ key, step: 'Create' }]);
});
