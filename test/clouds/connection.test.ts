import { afterEach, describe, expect, test } from '@jest/globals';
import { Connection, type ConnectionSettings } from '../../src/clouds/connection.js';
import { silentLog } from '../support/log.js';
import { NOBODY } from '../support/nobody.js';
import { ScriptedCloud, serverOf } from '../support/scripted-cloud.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

const SETTINGS: ConnectionSettings = {
  intervalMs: 2_000,
  auditIntervalMs: 60_000,
  settleMs: 30_000,
  buildTimeoutMs: 600_000,
  serverLimit: undefined,
};
const world = new VirtualEnvironment(1);
const open: Connection[] = [];

function connect(settings: Partial<ConnectionSettings> = {}) {
  const cloud = new ScriptedCloud(world);
  const connection = new Connection(cloud, { ...SETTINGS, ...settings }, world, silentLog, NOBODY);
  open.push(connection);
  return { cloud, connection };
}

/** A server of ours, as the cloud's answer to its create. */
const ours = (id: string, uid: string, installation = 'here') => serverOf(id, { owner: { installation, uid, attempt: 'token' } });

afterEach(async () => {
  await world.settle(Promise.all(open.splice(0).map((each) => each.close())));
  expect(world.pendingTimers).toBe(0);
});

describe('the server limit', () => {
  test('is none unless it is set', () => {
    expect(connect().connection.hasRoomFor('here', 'u1')).toBe(true);
  });

  test('counts the resources that have servers, and those who asked and have none yet, each once', () => {
    const { connection } = connect({ serverLimit: 3 });
    connection.observer.note(ours('s1', 'u1'));
    connection.observer.note(ours('s2', 'u1'));
    connection.reserve('key of u2', 'u2');
    expect(connection.hasRoomFor('here', 'u3')).toBe(true);
    connection.reserve('key of u3', 'u3');
    expect(connection.hasRoomFor('here', 'u4')).toBe(false);
    connection.observer.note(ours('s3', 'u3'));
    expect(connection.hasRoomFor('here', 'u4')).toBe(false);
    connection.free('key of u3');
    expect(connection.hasRoomFor('here', 'u4')).toBe(false);
    connection.free('key of u2');
    expect(connection.hasRoomFor('here', 'u4')).toBe(true);
  });

  test('does not count what is reserved against who reserved it', () => {
    const { connection } = connect({ serverLimit: 1 });
    connection.reserve('key of u1', 'u1');
    expect(connection.hasRoomFor('here', 'u1')).toBe(true);
    expect(connection.hasRoomFor('here', 'u2')).toBe(false);
  });

  test('does not count servers of nobody, or of another installation', () => {
    const { connection } = connect({ serverLimit: 1 });
    connection.observer.note(serverOf('theirs'));
    connection.observer.note(ours('s1', 'u1', 'there'));
    expect(connection.hasRoomFor('here', 'u2')).toBe(true);
  });

  test('of zero leaves no room at all, and a change of it holds at once', () => {
    const { connection } = connect({ serverLimit: 0 });
    expect(connection.hasRoomFor('here', 'u1')).toBe(false);
    connection.configure({ ...SETTINGS, serverLimit: 1 });
    expect(connection.hasRoomFor('here', 'u1')).toBe(true);
    connection.configure(SETTINGS);
    connection.observer.note(ours('s1', 'u2'));
    expect(connection.hasRoomFor('here', 'u1')).toBe(true);
  });
});

describe('a connection', () => {
  test('observes from its start, once, and no more when it is closed', async () => {
    const { cloud, connection } = connect();
    await world.run(() => false, 60_000);
    expect(cloud.calls).toEqual([]);
    connection.start();
    connection.start();
    await world.run(() => false, 0);
    expect(cloud.calls).toEqual(['listServers']);
    await world.settle(connection.close());
    await world.run(() => false, 120_000);
    expect(cloud.calls).toEqual(['listServers']);
    expect(cloud.closed).toBe(true);
  });

  test('lets the call in hand end before it frees the driver', async () => {
    const { cloud, connection } = connect();
    const gate = cloud.hold('listServers');
    connection.start();
    await world.run(() => false, 0);
    const closing = connection.close();
    await world.run(() => false, 0);
    expect(cloud.closed).toBe(false);
    gate.open();
    await world.settle(closing);
    expect(cloud.closed).toBe(true);
  });

  test('hands new intervals to its observer', async () => {
    const { cloud, connection } = connect();
    connection.start();
    connection.configure({ ...SETTINGS, auditIntervalMs: 5_000, settleMs: 7 });
    await world.run(() => false, 5_000);
    expect(cloud.count('listServers')).toBe(2);
    expect(connection.settings.settleMs).toBe(7);
  });
});
