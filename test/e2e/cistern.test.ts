import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../support/eventually.js';
import { simulate } from '../support/simulator.js';
import { type Assigned, apply, assignmentsOf, cisternOf, keepBooks, machinesOf, saidOf } from './support/books.js';
import { Dispatcher } from './support/dispatcher.js';
import { Door, type Moment } from './support/door.js';
import { type Cloud, galaxy, surroundings } from './support/replicas.js';

jest.setTimeout(300_000);

/** In a round of the last test four have a user, three are taken back, and two are left. */
const MACHINES = 9;
/** When the inventory is killed. In the first round nothing is taken back. */
const KILLS: readonly Moment[] = [
  { call: 'assign', when: 'before' },
  { call: 'assign', when: 'during' },
  { call: 'release', when: 'during' },
  { call: 'assign', when: 'after' },
  { call: 'release', when: 'after' },
];
const PATIENCE_MS = 90_000;
const LOOK_MS = 300;

const serversSchema = z.object({ servers: z.array(z.object({ id: z.string(), metadata: z.record(z.string(), z.string()) })) });

describe('A Dispatcher whose inventory is another Dispatcher', () => {
  let owner: Dispatcher;
  let inventory: Dispatcher;
  let cistern: ReturnType<typeof cisternOf>;
  let cloud: Cloud;
  /** What the owner's calls to its inventory go through. */
  let door: Door;

  beforeAll(async () => {
    cloud = await simulate({ buildTime: 200, latency: 5 });
    [owner, inventory] = await Promise.all([Dispatcher.start(), Dispatcher.start()]);
    await inventory.command(['user', 'create', 'cistern', '--role', 'agent', '--password-stdin'], 'correct horse battery\n');
    const token = (await inventory.command(['token', 'create', '--user', 'cistern'])).trim();
    door = await Door.open(() => inventory.http);
    cistern = cisternOf(inventory, token);
    await apply(inventory, ...surroundings(cloud.url));
    await apply(owner, ...owned(cloud.url, `${door.url}/cistern/api/v1`, token));
  });
  afterAll(async () => {
    await Promise.all([owner?.close(), inventory?.close()]);
    await door?.close();
    await cloud?.close();
  });

  const ask = (...users: readonly string[]) => apply(owner, ...users.map((user) => assignment(user)));
  const giveUp = (...users: readonly string[]) => owner.kubectl(['delete', 'vma', ...users, '--wait=false']);
  const assignmentFor = async (user: string): Promise<Assigned> => {
    const found = (await assignmentsOf(owner)).find(({ metadata }) => metadata.name === user);
    if (!found) throw new Error(`there is no assignment ${user}`);
    return found;
  };
  const until = <T>(check: () => Promise<T>) => eventually(check, PATIENCE_MS, LOOK_MS);
  const untilBound = (user: string) =>
    until(async () => {
      const found = await assignmentFor(user);
      expect(saidOf(found, 'Ready')).toBe('True Bound');
      return found;
    });
  const nodeOf = async (id: string | undefined) => (await cistern.nodes()).find(({ id_vm }) => id_vm === id);
  const untilFree = (count: number) =>
    until(async () => {
      await keepBooks(owner, inventory);
      expect(await owner.kubectl(['get', 'vmpool', 'galaxy', '-o', 'jsonpath={.status.free}'])).toBe(`${count}`);
    });

  /**
   * Waits until exactly these users have machines, each one to itself, and expects that both Dispatchers and the cloud say the same: the
   * assignments of the owner, the nodes and assignments of the inventory, and the servers' metadata.
   */
  const untilAgreed = (users: readonly string[]) =>
    until(async () => {
      await keepBooks(owner, inventory);
      const all = await assignmentsOf(owner);
      const bound = all.map((each) => `${each.spec.user} ${each.status.id} ${saidOf(each, 'Ready')}`);
      expect(all.map(({ spec }) => spec.user).sort()).toEqual([...users].sort());
      const nodes = await cistern.nodes();
      const told = nodes.flatMap(({ id_vm, user }) => (user === '' ? [] : [`${user} ${id_vm} True Bound`]));
      expect(told.sort()).toEqual(bound.sort());
      expect(new Set(all.map(({ status }) => status.id)).size).toBe(all.length);
      expect((await assignmentsOf(inventory)).map(({ spec }) => spec.user).sort()).toEqual([...users].sort());
      const user = await cloud.logIn();
      const { servers } = serversSchema.parse((await user.ask('GET', '/compute/v2.1/servers/detail')).body);
      const tagged = servers.flatMap(({ id, metadata }) =>
        metadata['assigned-user'] ? [`${metadata['assigned-user']} ${id} True Bound`] : [],
      );
      expect(tagged.sort()).toEqual(bound.sort());
      expect(servers).toHaveLength(MACHINES);
    });

  test('gives no machine before the inventory lists it', async () => {
    await until(async () => {
      const ready = (await machinesOf(owner)).filter((vm) => saidOf(vm, 'Ready') === 'True Running');
      expect(ready).toHaveLength(MACHINES);
    });
    await owner.kubectl(['wait', '--for=condition=InventoryReady', '--timeout=60s', 'cloud/lab']);
    await ask('early');
    await until(async () => expect(saidOf(await assignmentFor('early'), 'Ready')).toBe('False InventoryUnknown'));
    expect(await owner.kubectl(['get', 'vmpool', 'galaxy', '-o', 'jsonpath={.status.free}'])).toBe('0');
    await untilFree(MACHINES - 1);
    await untilBound('early');
    await giveUp('early');
    await untilAgreed([]);
    await untilFree(MACHINES);
  });

  test('binds after the inventory has agreed, and frees the node there when it takes the machine back', async () => {
    await ask('alice');
    const bound = await untilBound('alice');
    const [agreed, ...others] = await assignmentsOf(inventory);
    expect(others).toEqual([]);
    expect(agreed?.spec).toMatchObject({
      user: 'alice',
      application: 'galaxy',
      virtualMachineRef: { name: `vm-${bound.status.id}` },
    });
    expect(Date.parse(agreed?.status.boundAt ?? '')).toBeLessThanOrEqual(Date.parse(bound.status.boundAt ?? ''));
    expect(await nodeOf(bound.status.id)).toMatchObject({ user: 'alice', status_desc: 'ASSIGNED' });
    await owner.kubectl(['delete', 'vma', 'alice', '--timeout=60s']);
    expect(await assignmentsOf(inventory)).toEqual([]);
    // It is rebuilt, and free there only after that.
    await until(async () => expect(await nodeOf(bound.status.id)).toMatchObject({ user: '', status_desc: 'FREE' }));
    await untilFree(MACHINES);
  });

  test('gives up a machine that the operator of the inventory marks as faulty, and says that the two do not agree', async () => {
    await ask('bob');
    const { id, virtualMachine } = (await untilBound('bob')).status;
    await inventory.kubectl(['annotate', 'vm', `vm-${id}`, 'dispatcher.dev/faulty=its disk clicks']);
    const moved = await until(async () => {
      const now = await assignmentFor('bob');
      expect(saidOf(now, 'Ready')).toBe('True Bound');
      expect(now.status.id).not.toBe(id);
      expect(saidOf(now, 'ObservationsConflict')).toBe('True Disagreement');
      return now;
    });
    expect(moved.status.move).toMatchObject({ from: virtualMachine?.name, id, why: expect.stringContaining('calls it faulty') });
    expect(await nodeOf(moved.status.id)).toMatchObject({ user: 'bob' });
    expect(await nodeOf(id)).toBeUndefined();
    await inventory.kubectl(['annotate', 'vm', `vm-${id}`, 'dispatcher.dev/faulty-']);
    await untilAgreed(['bob']);
    await giveUp('bob');
    await untilAgreed([]);
    await untilFree(MACHINES);
  });

  test('does not give a machine that the inventory has given to somebody else', async () => {
    const [node] = await cistern.nodes();
    expect(await cistern.assign(node?.id_vm ?? '', 'stranger')).toMatchObject({ code: 200, body: { id_vm: node?.id_vm } });
    const users = Array.from({ length: MACHINES }, (_, index) => `many-${index + 1}`);
    await ask(...users);
    await until(async () => {
      const all = await assignmentsOf(owner);
      expect(all.filter((each) => saidOf(each, 'Ready') === 'True Bound')).toHaveLength(MACHINES - 1);
      expect(all.filter(({ status }) => status.place === 1)).toHaveLength(1);
      expect(all.filter(({ status }) => status.id === node?.id_vm)).toEqual([]);
    });
    expect(await nodeOf(node?.id_vm)).toMatchObject({ user: 'stranger' });
    expect(await cistern.release(node?.id_vm ?? '')).toMatchObject({ code: 200 });
    await untilAgreed(users);
    await giveUp(...users);
    await untilAgreed([]);
    await untilFree(MACHINES);
  });

  test(`comes to the same as its inventory though that is killed ${KILLS.length} times while machines are given and taken back`, async () => {
    let present: string[] = [];
    for (const [round, moment] of KILLS.entries()) {
      const coming = [`round-${round}-a`, `round-${round}-b`];
      const kept = present.slice(-1);
      const theirs = await Promise.all(kept.map(untilBound));
      const killed = door.at(moment, () => inventory.kill());
      await Promise.all([killed, ask(...coming), ...present.slice(0, -1).map((user) => giveUp(user))]);
      const late = `round-${round}-late`;
      await ask(late);
      await until(async () => {
        const waiting = await assignmentFor(late);
        expect(saidOf(waiting, 'Ready')).toMatch(/^False Inventory/);
        const said = waiting.status.conditions?.find(({ type }) => type === 'Ready')?.message;
        expect(said).toMatch(/Cistern at .* no answer|the inventory of Cloud lab/);
      });
      for (const { metadata, status } of theirs) {
        const now = await assignmentFor(metadata.name);
        expect([saidOf(now, 'Ready'), now.status.id, now.status.epoch]).toEqual(['True Bound', status.id, status.epoch]);
      }
      await inventory.start();
      present = [...kept, ...coming, late];
      await untilAgreed(present);
      await untilFree(MACHINES - present.length);
    }
    await giveUp(...present);
    await untilAgreed([]);
    await untilFree(MACHINES);
  });
});

function assignment(user: string): object {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachineAssignment',
    metadata: { name: user, namespace: 'default' },
    // Some machines are deleted when they are given back, and others rebuilt: the inventory has to bear both.
    spec: { user, application: 'galaxy', poolRef: { name: 'galaxy' }, ...(user.endsWith('-a') && { release: 'Delete' }) },
  };
}

/** What is declared in the Dispatcher that owns the machines: beside the Cloud, with its inventory, a pool. */
function owned(endpoint: string, cistern: string, token: string): object[] {
  const credentialsRef = { name: 'cistern', namespace: 'default' };
  const inventory = { cistern: { endpoint: cistern, credentialsRef, interval: '1s' } };
  return [
    { apiVersion: 'v1', kind: 'Secret', metadata: credentialsRef, stringData: { token } },
    ...surroundings(endpoint).map((each) =>
      'spec' in each && isCloud(each) ? { ...each, spec: { ...each.spec, ...inventory } } : each,
    ),
    ...galaxy(MACHINES),
  ];
}

function isCloud(manifest: object): manifest is { kind: 'Cloud'; spec: object } {
  return 'kind' in manifest && manifest.kind === 'Cloud';
}
