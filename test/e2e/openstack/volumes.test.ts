import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { eventually } from '../../support/eventually.js';
import { Lab, LOOK_EVERY_MS, PATIENCE_MS } from '../support/lab.js';
import { describeOnOpenStack, openstack } from '../support/openstack.js';
import { Stock } from '../support/stock.js';
import { Volumes } from '../support/volumes.js';

jest.setTimeout(240_000);

/** Short, to keep the test short: the attempt that a kill leaves open waits so long. */
const SETTLE = '10s';
const LABELS = { app: 'volumes' };

describeOnOpenStack('Volumes on a real OpenStack', () => {
  let lab: Lab;
  let volumes: Volumes;
  let stock: Stock;
  let id: string | undefined;

  const labelled = (name: string) => {
    const { metadata, ...machine } = lab.machine(name);
    return { ...machine, metadata: { ...Object(metadata), labels: LABELS } };
  };
  const on = (name: string) => ({ attachTo: { virtualMachineRef: { name: lab.named(name) } } });
  /** Waits until Cinder shows it on that server alone. */
  const untilOn = (name: string, serverId: string | undefined) =>
    eventually(
      async () =>
        expect(await volumes.shown(name)).toMatchObject({
          status: serverId === undefined ? 'available' : 'in-use',
          servers: serverId === undefined ? [] : [serverId],
        }),
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );

  beforeAll(async () => {
    lab = await Lab.open('vol', { observe: { interval: '1s', auditInterval: '10s', settleTime: SETTLE } });
    volumes = new Volumes(lab);
    stock = new Stock(lab);
    await volumes.sweep();
    await lab.apply(lab.machine('db', { onChange: 'Replace' }), labelled('one'), labelled('two'));
  });
  afterAll(async () => {
    await lab?.close();
    await volumes?.sweep();
  });

  it('makes one of 1 GiB, with our owner tag, and attaches it to its machine', async () => {
    await lab.apply(volumes.manifest('data', on('db')));
    const { status, metadata } = await volumes.until('data', { status: 'True', reason: 'Attached' });
    id = status.id;
    const server = (await lab.get('db')).status.id ?? '';
    expect(await volumes.shown('data')).toMatchObject({
      id,
      size: 1,
      status: 'in-use',
      servers: [server],
      metadata: { 'dispatcher.uid': metadata.uid },
    });
    expect(status.attachment).toMatchObject({ virtualMachine: lab.named('db'), serverId: server });
  });

  it('grows it to 2 GiB while it is in use', async () => {
    await volumes.change('data', { sizeGiB: 2 });
    await volumes.until('data', { status: 'True', reason: 'Attached' });
    expect(await volumes.shown('data')).toMatchObject({ id, size: 2, status: 'in-use' });
  });

  it('attaches the same one again when its machine is replaced', async () => {
    const before = (await lab.get('db')).status.id;
    await lab.change('db', { userData: '#cloud-config\n' });
    const { status } = await lab.until('db', { status: 'True' });
    expect(status.id).not.toBe(before);
    await untilOn('data', status.id);
    expect((await volumes.until('data', { status: 'True', reason: 'Attached' })).status.id).toBe(id);
  });

  it('attaches again what the stock client has detached', async () => {
    const server = (await lab.get('db')).status.id ?? '';
    const before = await lab.dispatcher.cloudCalls('attachVolume');
    await openstack('server', 'remove', 'volume', server, id ?? '');
    await eventually(
      async () => expect(await lab.dispatcher.cloudCalls('attachVolume')).toBe(before + 1),
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
    await untilOn('data', server);
  });

  it('makes exactly one, though it is killed in the middle of it', async () => {
    const attached = volumes.manifest('killed', { ...on('db'), deletionPolicy: 'Delete' });
    await lab.apply(attached);
    await eventually(async () => expect(await lab.dispatcher.cloudCalls('createVolume')).toBeGreaterThan(1), PATIENCE_MS, 20);
    await lab.dispatcher.kill();
    await lab.dispatcher.start();
    await eventually(async () => expect(await lab.dispatcher.cloudCalls('attachVolume')).toBeGreaterThan(0), PATIENCE_MS, 20);
    await lab.dispatcher.kill();
    await lab.dispatcher.start();
    const { status } = await volumes.until('killed', { status: 'True', reason: 'Attached' });
    expect(await volumes.shown('killed')).toMatchObject({ id: status.id, servers: [(await lab.get('db')).status.id] });
  });

  it('follows an assignment from machine to machine', async () => {
    const selector = { matchLabels: LABELS };
    await lab.apply(
      stock.assignment('alice', { application: 'galaxy', selector }),
      volumes.manifest('home', { attachTo: { assignmentRef: { name: 'alice' } } }),
    );
    const first = await stock.untilBound('alice');
    await untilOn('home', first.id);
    const { id: home } = await volumes.shown('home');
    await openstack('server', 'delete', first.id);
    const second = await stock.untilBound('alice', first);
    await untilOn('home', second.id);
    expect((await volumes.until('home', { status: 'True', reason: 'Attached' })).status.id).toBe(home);
  });

  it('is one record’s, and tells the other one that would adopt it whose it is', async () => {
    await lab.apply(volumes.manifest('thief', { adopt: { id: id ?? '' }, deletionPolicy: 'Delete' }));
    await volumes.until('thief', {
      status: 'False',
      reason: 'VolumeClaimed',
      message: expect.stringContaining(`Volume default/${lab.named('data')} already has the volume`),
    });
    await volumes.delete('thief');
    await volumes.untilGone('thief');
    expect((await volumes.shown('data')).id).toBe(id);
  });

  it('adopts one that was made with the stock client, and tells the size to declare', async () => {
    await openstack('volume', 'create', '--size', '2', lab.named('legacy'));
    await lab.apply(volumes.manifest('legacy', { adopt: { name: lab.named('legacy') } }));
    await volumes.until('legacy', {
      status: 'False',
      reason: 'ShrinkRefused',
      message: expect.stringContaining('set spec.sizeGiB to 2'),
    });
    await volumes.change('legacy', { sizeGiB: 2 });
    const { status } = await volumes.until('legacy', { status: 'True', reason: 'Available' });
    expect((await volumes.shown('legacy')).id).toBe(status.id);
  });

  it('says that there is no such type', async () => {
    await lab.apply(volumes.manifest('typed', { type: 'no-such-type' }));
    const message = 'spec.type: no volume type has the name or id "no-such-type"';
    await volumes.until('typed', { status: 'False', reason: 'ReferenceNotFound', message });
    await volumes.delete('typed');
    await volumes.untilGone('typed');
  });

  it('with Delete is not deleted while it is attached, and is once that is not declared any more', async () => {
    await volumes.delete('killed');
    await volumes.until('killed', { status: 'False', reason: 'InUse', message: expect.stringContaining('remove spec.attachTo') });
    expect((await volumes.shown('killed')).status).toBe('in-use');
    await volumes.change('killed', { attachTo: null });
    await volumes.untilGone('killed');
    expect((await volumes.inCloud()).map(({ name }) => name)).not.toContain(lab.named('killed'));
  });

  it('with Retain does not go while it is attached either; then it stays, without our owner tag, and nothing of ours is left in the end', async () => {
    await volumes.delete('data', 'home', 'legacy');
    await volumes.until('data', { status: 'False', reason: 'InUse', message: expect.stringContaining('remove spec.attachTo') });
    expect((await volumes.shown('data')).status).toBe('in-use');
    await volumes.change('data', { attachTo: null });
    await stock.release('alice');
    for (const name of ['data', 'home', 'legacy']) await volumes.untilGone(name);
    expect(await volumes.shown('data')).toMatchObject({ id, status: 'available', servers: [] });
    const left = await volumes.inCloud();
    expect(left.map(({ name }) => name).sort()).toEqual(['data', 'home', 'legacy'].map((name) => lab.named(name)));
    expect(left.flatMap(({ metadata }) => Object.keys(metadata).filter((key) => key.startsWith('dispatcher')))).toEqual([]);
    await lab.deleteAll();
  });
});
