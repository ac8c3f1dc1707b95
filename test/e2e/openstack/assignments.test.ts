import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals';
import { eventually } from '../../support/eventually.js';
import { Cistern } from '../support/cistern.js';
import { conditionOf, Lab, LOOK_EVERY_MS, PATIENCE_MS } from '../support/lab.js';
import { describeOnOpenStack, mend, openstack, openstackAsAdmin, service } from '../support/openstack.js';
import { type Bound, Stock } from '../support/stock.js';

jest.setTimeout(240_000);

const POOL = 'pool';
const APPLICATION = 'galaxy';
const WANTED = { replicas: 3, maxSize: 6, reclaim: 'Recycle' } as const;

describeOnOpenStack('Assignments from a pool on a real OpenStack', () => {
  let lab: Lab;
  let stock: Stock;
  let cistern: Cistern | undefined;
  let alice: Bound;
  let bob: Bound;

  /** What Nova says of who has a server; undefined: there is no such server. */
  const shownInCloud = async (id: string) => {
    const metadata = (await lab.servers()).find((server) => server.id === id)?.metadata;
    return metadata && { user: metadata['assigned-user'], application: metadata['assigned-application'] };
  };
  const untilShownInCloud = (id: string, user: string | undefined) =>
    eventually(
      async () => expect(await shownInCloud(id)).toEqual({ user, application: user === undefined ? undefined : APPLICATION }),
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );

  beforeAll(async () => {
    lab = await Lab.open('assign');
    stock = new Stock(lab);
    await lab.apply(stock.recipe(POOL, APPLICATION), stock.pool(POOL, WANTED));
  });
  afterEach(() => mend('nova-compute'));
  afterAll(async () => {
    await lab?.close();
    await cistern?.close();
  });

  it('gives each user a machine, shows in the cloud who has it, and keeps the pool full beside them', async () => {
    const poolRef = { name: lab.named(POOL) };
    await lab.apply(
      stock.assignment('alice', { application: APPLICATION, poolRef }),
      // The pool is found by the application.
      stock.assignment('bob', { application: APPLICATION }),
    );
    alice = await stock.untilBound('alice');
    bob = await stock.untilBound('bob');
    expect(bob.id).not.toBe(alice.id);
    await untilShownInCloud(alice.id, 'alice');
    await untilShownInCloud(bob.id, 'bob');
    await stock.untilFull(POOL, 2);
  });

  it('gives a user whose VM was deleted through the stock client another one, and says why', async () => {
    const before = alice;
    await openstack('server', 'delete', before.id);
    alice = await stock.untilBound('alice', before);
    const why = `server ${before.id} of VirtualMachine ${before.machine} was deleted in the cloud`;
    expect(alice.status.move).toMatchObject({ from: before.machine, id: before.id, why });
    expect(alice.machine).not.toBe(before.machine);
    expect(await stock.events('alice', 'Reassigned')).toEqual([`give VirtualMachine ${alice.machine} instead: ${why}`]);
    await untilShownInCloud(alice.id, 'alice');
    await stock.untilFull(POOL, 2);
    // Whatever took the place of the one that is gone is shown as nobody's.
    const others = (await lab.servers()).filter(({ id }) => id !== alice.id && id !== bob.id);
    expect(others.map(({ metadata }) => metadata['assigned-user'])).toEqual([undefined, undefined, undefined]);
    expect((await stock.untilBound('bob')).id).toBe(bob.id);
  });

  it('an inventory that is added is told who has what', async () => {
    const opened = await Cistern.open(() => lab.servers());
    cistern = opened;
    await lab.apply(lab.cloud({ cistern: { endpoint: opened.endpoint, interval: '1s' } }));
    await eventually(
      () =>
        expect(Object.fromEntries(opened.users)).toEqual({
          [alice.id]: 'alice',
          [bob.id]: 'bob',
        }),
      PATIENCE_MS,
    );
    await stock.untilFull(POOL, 2);
  });

  it('gives a user whose VM the inventory calls faulty another one, and destroys the faulty one only when the cloud agrees', async () => {
    if (!cistern) throw new Error('the inventory is not there');
    const before = bob;
    cistern.faulty.add(before.id);
    bob = await stock.untilBound('bob', before);
    const why = expect.stringMatching(
      new RegExp(`VirtualMachine ${before.machine}: the inventory calls it faulty: .*"FAULTY".*, and the cloud does not$`),
    );
    expect(bob.status.move).toMatchObject({ from: before.machine, id: before.id, why });
    expect(await stock.events('bob', 'Reassigned')).toEqual([
      `give VirtualMachine ${bob.machine} instead: ${bob.status.move?.why}`,
    ]);
    expect(cistern.users.get(bob.id)).toBe('bob');
    await untilShownInCloud(bob.id, 'bob');

    // One more room is taken by the one that nobody is given, so that the pool is at its maxSize; that one is let alone.
    await stock.untilFull(POOL, 3);
    const { looks } = cistern;
    await eventually(() => expect(cistern?.looks).toBeGreaterThan(looks + 6), PATIENCE_MS);
    expect(conditionOf(await stock.get('bob'), 'ObservationsConflict')).toMatchObject({
      status: 'True',
      message: expect.stringContaining(`VirtualMachine ${before.machine} is not given back: the inventory calls it faulty`),
    });
    expect((await lab.servers()).find(({ id }) => id === before.id)).toMatchObject({ status: 'ACTIVE', task: null });
    await untilShownInCloud(before.id, undefined);

    await openstackAsAdmin('server', 'set', '--state', 'error', before.id);
    await eventually(
      async () => expect((await lab.servers()).map(({ id }) => id)).not.toContain(before.id),
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
    await stock.untilFull(POOL, 2);
    const after = await stock.get('bob');
    expect(after.status.id).toBe(bob.id);
    expect(conditionOf(after, 'ObservationsConflict')).toBeUndefined();
    expect(Object.fromEntries(cistern.users)).toEqual({ [alice.id]: 'alice', [bob.id]: 'bob' });
  });

  it('recycles what is released by a rebuild in the cloud, and gives it to the next user only after that', async () => {
    const { machine, id } = alice;
    // So many users that the pool is at its maxSize and short of free ones: what is given back is wanted.
    for (const user of ['dave', 'erin']) await lab.apply(stock.assignment(user, { application: APPLICATION }));
    for (const user of ['dave', 'erin']) await stock.untilBound(user);
    const next = { application: APPLICATION, virtualMachineRef: { name: machine }, release: 'Delete' } as const;
    await lab.apply(stock.assignment('carol', next));
    await service('freeze', 'nova-compute');
    await stock.release('alice');
    await eventually(
      async () => expect((await lab.servers()).find((server) => server.id === id)).toMatchObject({ status: 'REBUILD' }),
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
    await eventually(
      async () => {
        const shown = (await lab.machines()).find(({ metadata }) => metadata.name === machine);
        expect(shown && conditionOf(shown, 'Ready')).toMatchObject({ status: 'False', reason: 'Rebuilding' });
      },
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
    const waiting = await stock.get('carol');
    expect(waiting.status.virtualMachine).toBeUndefined();
    expect(conditionOf(waiting, 'Ready')).toMatchObject({ status: 'False', reason: 'Waiting' });
    const thawedAt = Date.now();
    await service('thaw', 'nova-compute');
    const carol = await stock.untilBound('carol');
    expect({ machine: carol.machine, id: carol.id }).toEqual({ machine, id });
    expect(Date.parse(carol.status.boundAt ?? '')).toBeGreaterThan(thawedAt);
    expect((await lab.servers()).find((server) => server.id === id)).toMatchObject({ status: 'ACTIVE', task: null });
    expect((await lab.nova.actions(id)).filter((action) => action === 'rebuild')).toEqual(['rebuild']);
    await untilShownInCloud(id, 'carol');
    expect((await stock.users()).sort()).toEqual(['bob', 'carol', 'dave', 'erin']);
  });

  it('deletes what is released with Delete, and leaves nothing in the end', async () => {
    const carol = await stock.untilBound('carol');
    await stock.release('carol');
    await eventually(
      async () => expect((await lab.servers()).map(({ id }) => id)).not.toContain(carol.id),
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
    await stock.untilFull(POOL, 3);
    expect((await stock.untilBound('bob')).id).toBe(bob.id);
    await lab.dispatcher.kubectl(['delete', 'vmpool,recipe', '--wait=false', lab.named(POOL)]);
    await stock.release('bob', 'dave', 'erin');
    await lab.untilEmpty();
    await eventually(async () => expect(await stock.users()).toEqual([]), PATIENCE_MS, LOOK_EVERY_MS);
    expect([...(cistern?.users ?? [])]).toEqual([]);
  });
});
