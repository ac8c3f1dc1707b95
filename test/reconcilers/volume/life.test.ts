import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { VolumeStatus } from '../../../src/resources/volume.js';
import { volumeStatusSchema } from '../../../src/resources/volume.js';
import { INSTALLATION, Rig } from '../../support/rig.js';
import { failure } from '../../support/scripted-cloud.js';

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

const ON_WEB = { attachTo: { virtualMachineRef: { name: 'web-1' } } };
const said = (name = 'data') => rig.said('Volume', name);
const ready = (name = 'data') => said(name).Ready;
const message = (name = 'data') => rig.message('Volume', name);
const status = (name = 'data'): VolumeStatus => volumeStatusSchema.parse(rig.get('Volume', name).status ?? {});
const volume = (id = 'v1') => rig.cloud.volumes.all.get(id);
const changes = () => rig.cloud.calls.filter((call) => /Volume/.test(call) && !/^(list|get|find)/.test(call));

async function declare(name = 'data', spec: Record<string, unknown> = {}): Promise<void> {
  await rig.store.create({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'Volume',
    metadata: { name, namespace: 'default' },
    spec: { cloudRef: { name: 'lab' }, sizeGiB: 1, ...spec },
  });
}

/** A dispatcher at work, and a volume that is as it is declared. */
async function withVolume(spec: Record<string, unknown> = {}): Promise<void> {
  await rig.declareCloud();
  rig.start();
  await declare('data', spec);
  await rig.until('data is Ready', () => ready()?.startsWith('True') ?? false, 60_000);
}

/** The machine `web-1` with server s1, and a volume that is attached to it. */
async function withAttached(spec: Record<string, unknown> = {}): Promise<void> {
  await rig.withReadyMachine();
  await declare('data', { ...ON_WEB, ...spec });
  await rig.until('data is attached', () => ready() === 'True Attached', 60_000);
}

/** A second machine, with server s2. */
async function anotherMachine(name = 'web-2', id = 's2'): Promise<void> {
  await rig.declare(name);
  await rig.until(`${name} has a server`, () => rig.status(name).id === id);
  rig.cloud.put(id, { state: 'Running' });
  await rig.until(`${name} is Ready`, () => rig.said('VirtualMachine', name).Ready === 'True Running');
}

describe('making it', () => {
  test('is, in this order: the finalizer, the ledger, the create, the id', async () => {
    await rig.declareCloud();
    rig.start();
    await rig.pass(500);
    rig.journal.length = 0;
    await declare('data', { sizeGiB: 10, type: 'ssd' });
    await rig.until('it is Ready', () => ready() === 'True Available');
    expect(rig.journal.filter((line) => /(V|v)olume/.test(line) && !/listVolumes/.test(line))).toEqual([
      'store: updateStatus Volume data',
      'cloud: listVolumeTypes',
      'store: update Volume data',
      'store: updateStatus Volume data',
      'cloud: createVolume data 10',
      'store: updateStatus Volume data',
      'store: updateStatus Volume data',
    ]);
    expect(rig.cloud.volumes.requests).toEqual([{ name: 'data', sizeGiB: 10, type: 'type-1' }]);
    const { uid, finalizers } = rig.get('Volume', 'data').metadata;
    expect(finalizers).toEqual(['dispatcher.dev/volume']);
    expect(volume()?.owner).toEqual({ installation: INSTALLATION, uid, attempt: status().ledger?.token });
    expect(status()).toMatchObject({ id: 'v1', state: 'Available', sizeGiB: 10, builtAt: expect.any(String) });
    expect(rig.events('data')).toEqual(['Normal Created']);
  });

  test('writes nothing more while nothing changes, and looks only every ten seconds', async () => {
    await withVolume();
    await rig.pass(60_000);
    rig.journal.length = 0;
    await rig.pass(600_000);
    const done = rig.journal.filter((line) => /olume/.test(line));
    expect(done.filter((line) => line !== 'cloud: listVolumes')).toEqual([]);
    expect(done.length).toBeLessThanOrEqual(61);
  });

  test.each([
    ['the reply is lost', true, ['v1']],
    ['nothing came of it', false, ['v1']],
  ])('of unknown outcome waits out the settle time, and there is one: %s', async (_reason, afterEffect, ids) => {
    await rig.declareCloud();
    rig.start();
    rig.cloud.volumes.madeAs = 'Creating';
    rig.cloud.fail('createVolume', failure('UnknownOutcome'), { afterEffect });
    // Lists do not show it for as long as the settle time.
    await declare();
    await rig.until('it is asked for', () => rig.cloud.count('createVolume') === 1);
    if (!afterEffect) {
      await rig.pass(25_000);
      expect(said()).toEqual({ Ready: 'False OutcomeUnknown', Reconciling: 'True OutcomeUnknown' });
      expect(rig.cloud.count('createVolume')).toBe(1);
    }
    await rig.until('it is bound', () => status().id !== undefined);
    expect(rig.cloud.count('findVolumesByName')).toBe(afterEffect ? 0 : 1);
    expect([...rig.cloud.volumes.all.keys()]).toEqual(ids);
  });

  test('makes one, whoever is killed right after the create', async () => {
    await rig.declareCloud();
    const { process } = rig.start();
    rig.cloud.onCall = (call) => {
      if (call.startsWith('createVolume')) process.kill();
    };
    await declare();
    await rig.pass(10_000);
    rig.cloud.onCall = () => undefined;
    rig.start();
    await rig.until('it is Ready', () => ready() === 'True Available');
    expect(rig.cloud.count('createVolume')).toBe(1);
    expect(rig.events('data')).toContain('Normal Bound');
  });

  test('deletes a twin that comes later than anybody can wait, and never one that has our token', async () => {
    await withVolume();
    const { uid } = rig.get('Volume', 'data').metadata;
    const owner = { installation: INSTALLATION, uid, attempt: 'another' };
    rig.cloud.volumes.put('late', { owner });
    rig.cloud.volumes.put('copy', { owner: { ...owner, attempt: status().ledger?.token ?? '' } });
    await rig.until('the twin is gone', () => volume('late') === undefined);
    await rig.pass(60_000);
    expect([...rig.cloud.volumes.all.keys()]).toEqual(['v1', 'copy']);
    expect(ready()).toBe('True Available');
  });

  test('is tried again, later each time, when builds fail, and stalls', async () => {
    await rig.declareCloud();
    rig.start();
    rig.cloud.volumes.madeAs = 'Error';
    await declare();
    await rig.pass(8_000);
    expect(rig.cloud.count('createVolume')).toBe(1);
    expect(rig.cloud.count('deleteVolume')).toBe(1);
    expect(ready()).toBe('False BuildFailed');
    await rig.until('it stalls', () => said().Stalled === 'True BuildFailed');
    expect(rig.cloud.count('createVolume')).toBe(4);
    rig.cloud.volumes.madeAs = 'Available';
    await rig.until('it is Ready', () => ready() === 'True Available');
    expect(status().failures).toBeUndefined();
    expect(rig.cloud.volumes.all.size).toBe(1);
  });

  test("tells a quota in the cloud's own words", async () => {
    await rig.declareCloud();
    rig.start();
    rig.cloud.fail('createVolume', failure('Quota', 'VolumeLimitExceeded: at most 10 volumes'));
    await declare();
    await rig.until('it is told', () => ready() === 'False Quota');
    expect(message()).toContain('VolumeLimitExceeded: at most 10 volumes');
    await rig.until('it is Ready', () => ready() === 'True Available');
  });

  test('waits for a type that there is', async () => {
    await rig.declareCloud();
    rig.start();
    await declare('data', { type: 'nvme' });
    await rig.until('it is told', () => said().Stalled === 'True ReferenceNotFound');
    expect(message()).toBe('spec.type: no volume type has the name or id "nvme"');
    expect(changes()).toEqual([]);
    rig.cloud.volumes.types = [{ id: 'type-2', name: 'nvme' }];
    await rig.until('it is Ready', () => ready() === 'True Available');
  });

  test('says that a cloud has no volumes, and nothing else suffers', async () => {
    rig.cloud.break('listVolumes', failure('Unsupported', 'this cloud has no volume service'));
    await rig.withReadyMachine();
    await declare('data', ON_WEB);
    await rig.until('it is told', () => said().Stalled === 'True VolumesUnsupported');
    expect(message()).toContain('this cloud has no volume service');
    expect(rig.said('Cloud', 'lab').Ready).toContain('True');
    expect(rig.said('VirtualMachine', 'web-1').Ready).toBe('True Running');
    await rig.remove('Volume', 'data');
    await rig.until('it is gone', () => rig.find('Volume', 'data') === undefined);
  });

  test('is never repeated once it held data: one that vanished is told', async () => {
    await withVolume();
    rig.cloud.volumes.remove('v1');
    await rig.until('it is told', () => said().Stalled === 'True VolumeLost');
    expect(message()).toContain('volume v1 is gone');
    await rig.pass(1_300_000);
    expect(rig.cloud.count('createVolume')).toBe(1);
    await rig.remove('Volume', 'data');
    await rig.until('it is gone', () => rig.find('Volume', 'data') === undefined);
  });

  test('in error it is left, once it may hold data', async () => {
    await withVolume();
    rig.cloud.volumes.put('v1', { state: 'Error' });
    await rig.until('it is told', () => said().Stalled === 'True VolumeInError');
    rig.cloud.volumes.put('v1', { state: 'Available' });
    await rig.until('it is Ready', () => ready() === 'True Available');
    expect(rig.cloud.count('deleteVolume')).toBe(0);
  });

  test('in error it is left, though the status was lost', async () => {
    await withVolume();
    rig.cloud.volumes.put('v1', { state: 'Error' });
    const { status: _status, ...lost } = rig.get('Volume', 'data');
    await rig.store.updateStatus({ ...lost, status: {} });
    await rig.until('it is bound again', () => status().id === 'v1');
    await rig.until('it is told', () => said().Stalled === 'True VolumeInError');
    await rig.pass(60_000);
    expect(changes()).toEqual(['createVolume data 1']);
  });

  test('keeps its name and our tag', async () => {
    await withVolume();
    rig.cloud.volumes.put('v1', { name: 'mine' });
    rig.cloud.volumes.strip('v1');
    await rig.until('both are put right', () => volume()?.name === 'data' && volume()?.owner !== undefined);
    expect(volume()?.owner?.attempt).toBe(status().ledger?.token);
  });
});

describe('its place', () => {
  test('is the machine that it names; what is asked for is written down before', async () => {
    await rig.withReadyMachine();
    let before: unknown;
    rig.cloud.onCall = (call) => {
      if (call.startsWith('attachVolume')) before = status();
    };
    await declare('data', ON_WEB);
    await rig.until('data is attached', () => ready() === 'True Attached', 60_000);
    expect(before).toMatchObject({
      builtAt: expect.any(String),
      attachment: { virtualMachine: 'web-1', serverId: 's1', askedAt: expect.any(String) },
    });
    expect(status().attachment).toEqual({ virtualMachine: 'web-1', serverId: 's1', device: '/dev/vdb' });
    expect(changes()).toEqual(['createVolume data 1', 'attachVolume v1 s1']);
    expect(rig.events('data')).toEqual(['Normal Created', 'Normal Attached']);
  });

  test('is waited for until the machine has a server that can take it', async () => {
    await rig.declareCloud();
    rig.start();
    await declare('data', ON_WEB);
    await rig.until('it is told', () => said().Stalled === 'True ReferenceNotFound');
    expect(message()).toBe('spec.attachTo.virtualMachineRef.name: there is no VirtualMachine default/web-1');
    await rig.declare('web-1');
    await rig.until('it is told', () => ready() === 'False MachineNotReady');
    await rig.pass(30_000);
    expect(rig.cloud.count('attachVolume')).toBe(0);
    rig.cloud.put('s1', { state: 'Running' });
    await rig.until('it is attached', () => ready() === 'True Attached', 10_000);
  });

  test('cannot be a machine of another Cloud', async () => {
    await rig.declareCloud({}, 'far');
    await rig.declareCloud();
    rig.start();
    await rig.declare('web-1', { cloudRef: { name: 'far' } });
    await declare('data', ON_WEB);
    await rig.until('it is told', () => said().Stalled === 'True OtherCloud');
    expect(message()).toContain('VirtualMachine web-1 is in Cloud far, and this volume in Cloud lab');
  });

  test('changes with the declaration: it is detached there, then attached here', async () => {
    await withAttached();
    await anotherMachine();
    await rig.edit('Volume', 'data', { attachTo: { virtualMachineRef: { name: 'web-2' } } });
    await rig.until('it has moved', () => ready() === 'True Attached' && status().attachment?.serverId === 's2');
    await rig.edit('Volume', 'data', { attachTo: undefined });
    await rig.until('it is nowhere', () => ready() === 'True Available');
    expect(changes().slice(1)).toEqual(['attachVolume v1 s1', 'detachVolume v1 s1', 'attachVolume v1 s2', 'detachVolume v1 s2']);
    expect(status().attachment).toBeUndefined();
  });

  test('stays while its machine is not there any more, if nothing else is declared', async () => {
    await withAttached();
    await rig.edit('VirtualMachine', 'web-1', { deletionPolicy: 'Orphan' });
    await rig.remove('VirtualMachine', 'web-1');
    await rig.until('the machine is gone', () => rig.find('VirtualMachine', 'web-1') === undefined);
    await rig.pass(60_000);
    expect(said().Stalled).toBe('True ReferenceNotFound');
    expect(volume()?.attachments).toHaveLength(1);
  });

  test('is had again, with the same volume, when the machine is replaced', async () => {
    await withAttached();
    rig.cloud.remove('s1');
    await rig.until('it has another server', () => rig.status('web-1').id === 's2');
    rig.cloud.put('s2', { state: 'Running' });
    await rig.until('it is attached', () => ready() === 'True Attached' && status().attachment?.serverId === 's2');
    expect(changes()).toEqual(['createVolume data 1', 'attachVolume v1 s1', 'attachVolume v1 s2']);
  });

  test('is had again when somebody detaches it by hand', async () => {
    await withAttached();
    rig.cloud.volumes.release('s1');
    await rig.until('it is attached again', () => rig.cloud.count('attachVolume') === 2, 20_000);
    expect(volume()?.attachments).toHaveLength(1);
  });

  test('on a server that is not ours is left to whoever put it there', async () => {
    await withVolume();
    rig.cloud.put('foreign');
    rig.cloud.volumes.attach('v1', 'foreign');
    await rig.until('it is told', () => said().Stalled === 'True AttachedElsewhere');
    expect(message()).toContain('server foreign');
    expect(status().attachment).toBeUndefined();
    await rig.pass(60_000);
    expect(rig.cloud.count('detachVolume')).toBe(0);
    rig.cloud.volumes.release('foreign');
    await rig.until('it is Ready', () => ready() === 'True Available');
  });

  test('on another machine of ours is put right', async () => {
    await withAttached();
    await anotherMachine();
    rig.cloud.volumes.attach('v1', 's2');
    await rig.until('it is taken from there', () => rig.cloud.count('detachVolume') === 1);
    await rig.until('it is back', () => status().attachment?.serverId === 's1' && ready() === 'True Attached');
    expect(changes().slice(2)).toEqual(['detachVolume v1 s2', 'attachVolume v1 s1']);
  });

  test.each([
    ['that came to nothing', false],
    ['whose reply was lost', true],
  ])('is asked for once more only when the settle time is over, for an attachment %s', async (_reason, afterEffect) => {
    await rig.withReadyMachine();
    rig.cloud.fail('attachVolume', failure('UnknownOutcome'), { afterEffect });
    await declare('data', ON_WEB);
    await rig.until('it is asked for', () => rig.cloud.count('attachVolume') === 1);
    await rig.pass(25_000);
    expect(rig.cloud.count('attachVolume')).toBe(1);
    expect(status().attachment?.serverId).toBe('s1');
    await rig.until('it is attached', () => ready() === 'True Attached');
    expect(rig.cloud.count('attachVolume')).toBe(afterEffect ? 1 : 2);
    expect(rig.events('data')).toEqual(['Normal Created', 'Warning OutcomeUnknown', ...(afterEffect ? [] : ['Normal Attached'])]);
  });

  test('is forgotten at once when the cloud refuses it', async () => {
    await rig.withReadyMachine();
    rig.cloud.break('attachVolume', failure('Conflict', 'instance is locked'));
    await declare('data', ON_WEB);
    await rig.pass(10_000);
    expect(said()).toEqual({ Ready: 'False Conflict', Reconciling: 'True Conflict' });
    expect(message()).toContain('instance is locked');
    expect(status().attachment).toBeUndefined();
    rig.cloud.break('attachVolume', undefined);
    await rig.until('it is attached', () => ready() === 'True Attached', 60_000);
  });

  test('is one that the store confirms, whatever a cache says', async () => {
    await withAttached();
    await anotherMachine();
    // What is seen late is decided by what stands in the store.
    await rig.edit('Volume', 'data', { attachTo: { virtualMachineRef: { name: 'web-2' } } });
    await rig.edit('Volume', 'data', ON_WEB);
    await rig.pass(30_000);
    expect(rig.cloud.count('detachVolume')).toBe(0);
    expect(ready()).toBe('True Attached');
  });
});

describe('its size', () => {
  test('grows while it is in use', async () => {
    await withAttached();
    await rig.edit('Volume', 'data', { sizeGiB: 2 });
    await rig.until('it has grown', () => status().sizeGiB === 2 && ready() === 'True Attached');
    expect(changes().slice(2)).toEqual(['extendVolume v1 2']);
    expect(rig.events('data')).toContain('Normal Grown');
  });

  test('waits for a detachment where the cloud cannot do that, and all else goes on', async () => {
    await withAttached();
    rig.cloud.volumes.growsInUse = false;
    await rig.edit('Volume', 'data', { sizeGiB: 2 });
    await rig.until('it is told', () => said().Stalled === 'True GrowsWhenDetached');
    expect(message()).toContain('this cloud grows no volume that is in use');
    rig.cloud.volumes.put('v1', { name: 'other' });
    await rig.until('it is renamed', () => volume()?.name === 'data');
    await rig.edit('Volume', 'data', { attachTo: undefined });
    await rig.until('it has grown', () => ready() === 'True Available');
    expect(volume()?.sizeGiB).toBe(2);
    expect(rig.events('data')).toContain('Normal Grown');
  });

  test('larger than declared is told, with the number to set, and never made less', async () => {
    await withAttached();
    rig.cloud.volumes.put('v1', { sizeGiB: 5 });
    await rig.until('it is told', () => said().Stalled === 'True ShrinkRefused');
    expect(message()).toContain('set spec.sizeGiB to 5');
    await rig.edit('Volume', 'data', { sizeGiB: 5 });
    await rig.until('it is Ready', () => ready() === 'True Attached');
    expect(rig.cloud.count('extendVolume')).toBe(0);
  });
});

describe('adoption', () => {
  test.each([
    ['id', { id: 'old' }],
    ['name', { name: 'their-name' }],
  ])('by %s takes the one that matches, with its name and our tag, and makes none', async (_reason, adopt) => {
    rig.cloud.volumes.put('old', { name: 'their-name', sizeGiB: 1 });
    await withVolume({ adopt });
    expect(volume('old')).toMatchObject({ name: 'data', owner: { installation: INSTALLATION } });
    expect(rig.cloud.count('createVolume')).toBe(0);
    expect(rig.events('data')).toContain('Normal Adopted');
    expect(status().builtAt).toBeDefined();
  });

  test.each([
    ['none matches', [], 'AdoptionNotFound', '0 volumes have the name "theirs"'],
    ['two match', ['a', 'b'], 'AdoptionAmbiguous', '2 volumes have the name "theirs"'],
  ])('does nothing while %s', async (_reason, ids, reason, words) => {
    await rig.declareCloud();
    rig.start();
    for (const id of ids) rig.cloud.volumes.put(id, { name: 'theirs' });
    await declare('data', { adopt: { name: 'theirs' } });
    await rig.until('it is told', () => said().Stalled === `True ${reason}`);
    expect(message()).toContain(words);
    for (const id of ids.slice(1)) rig.cloud.volumes.remove(id);
    if (ids.length === 0) rig.cloud.volumes.put('a', { name: 'theirs' });
    await rig.until('it is adopted', () => status().id === 'a', 60_000);
  });

  test("of another installation's volume is refused", async () => {
    await rig.declareCloud();
    rig.start();
    rig.cloud.volumes.put('old', { owner: { installation: 'another', uid: 'u', attempt: 'a' } });
    await declare('data', { adopt: { id: 'old' } });
    await rig.until('it is told', () => said().Stalled === 'True AdoptionConflict');
    await rig.pass(60_000);
    expect(changes()).toEqual([]);
  });

  test('of one that another record has is told, names that one, and its deletion leaves the volume alone', async () => {
    await withVolume();
    await declare('second', { adopt: { id: 'v1' }, deletionPolicy: 'Delete' });
    await rig.until('it is told', () => said('second').Stalled === 'True VolumeClaimed');
    expect(message('second')).toContain('Volume default/data already has the volume');
    await rig.remove('Volume', 'second');
    await rig.until('it is gone', () => rig.find('Volume', 'second') === undefined);
    await rig.remove('Volume', 'data');
    await rig.until('it is gone', () => rig.find('Volume', 'data') === undefined);
    expect(volume()).toBeDefined();
  });

  test('by two at once is one’s, and the other says whose it is', async () => {
    rig.cloud.volumes.put('old');
    await rig.declareCloud();
    await declare('data', { adopt: { id: 'old' } });
    await declare('second', { adopt: { id: 'old' } });
    rig.start();
    const names = ['data', 'second'];
    await rig.until(
      'both are told',
      () =>
        names
          .map((name) => ready(name))
          .sort()
          .join() === 'False VolumeClaimed,True Available',
    );
  });
});

test('one that bears our tag and has no record is counted and left, until a record adopts it', async () => {
  await withVolume();
  rig.cloud.volumes.put('left', { owner: { installation: INSTALLATION, uid: 'nobody', attempt: 'a' } });
  const counted = () => Object(rig.get('Cloud', 'lab').status).volumes;
  await rig.until('it is counted', () => counted()?.orphans === 1, 180_000);
  expect(counted()).toEqual({ ours: 2, orphans: 1 });
  await declare('second', { adopt: { id: 'left' } });
  await rig.until('it is adopted', () => ready('second') === 'True Available');
  await rig.until('it is not counted any more', () => counted()?.orphans === 0, 180_000);
  expect(rig.cloud.count('deleteVolume')).toBe(0);
});

describe('its deletion', () => {
  const gone = () => rig.until('it is gone', () => rig.find('Volume', 'data') === undefined);

  test.each([
    { deletionPolicy: undefined, last: 'setVolumeOwner v1 nobody', left: 1 },
    { deletionPolicy: 'Delete', last: 'deleteVolume v1', left: 0 },
  ])(
    'is refused while it is attached, and says what to do; without attachTo it goes, with $deletionPolicy: $last',
    async ({ deletionPolicy, last, left }) => {
      await withAttached(deletionPolicy === undefined ? {} : { deletionPolicy });
      await rig.remove('Volume', 'data');
      await rig.until('it is told', () => said().Stalled === 'True InUse');
      expect(message()).toBe(
        'volume v1 is attached to VirtualMachine web-1 (server s1): remove spec.attachTo, or delete that machine, and it is let go',
      );
      await rig.pass(60_000);
      expect(rig.cloud.volumes.all.size).toBe(1);
      await rig.edit('Volume', 'data', { attachTo: undefined });
      await gone();
      expect(changes().slice(2)).toEqual(['detachVolume v1 s1', last]);
      expect(rig.cloud.volumes.all.size).toBe(left);
      expect(volume()?.owner).toBeUndefined();
    },
  );

  test('with Retain leaves it where somebody else has put it', async () => {
    await withVolume();
    rig.cloud.put('foreign');
    rig.cloud.volumes.attach('v1', 'foreign');
    await rig.pass(15_000);
    await rig.remove('Volume', 'data');
    await gone();
    expect(volume()).toMatchObject({ attachments: [{ serverId: 'foreign' }] });
    expect(volume()?.owner).toBeUndefined();
    expect(rig.cloud.count('detachVolume')).toBe(0);
  });

  test('with Delete goes on when the machine goes', async () => {
    await withAttached({ deletionPolicy: 'Delete' });
    await rig.remove('Volume', 'data');
    await rig.until('it is told', () => said().Stalled === 'True InUse');
    await rig.remove('VirtualMachine', 'web-1');
    await rig.until('the server is being deleted', () => rig.cloud.servers.get('s1')?.state === 'Deleting');
    await rig.pass(5_000);
    rig.cloud.remove('s1');
    await gone();
    expect(rig.cloud.count('detachVolume')).toBe(0);
    expect(rig.cloud.volumes.all.size).toBe(0);
  });

  test('with Delete never takes it from a server that is not ours', async () => {
    await withVolume({ deletionPolicy: 'Delete' });
    rig.cloud.put('foreign');
    rig.cloud.volumes.attach('v1', 'foreign');
    await rig.pass(15_000);
    await rig.remove('Volume', 'data');
    await rig.pass(60_000);
    expect(said().Stalled).toBe('True AttachedElsewhere');
    rig.cloud.volumes.release('foreign');
    await gone();
    expect(changes().slice(1)).toEqual(['deleteVolume v1']);
  });

  test('of one that the cloud has lost already ends', async () => {
    await withVolume({ deletionPolicy: 'Delete' });
    rig.cloud.volumes.remove('v1');
    await rig.remove('Volume', 'data');
    await gone();
  });

  test.each([
    ['Delete', 0],
    ['Retain', 1],
  ])('waits for an attempt of unknown outcome, with %s', async (deletionPolicy, left) => {
    await rig.declareCloud();
    rig.start();
    rig.cloud.fail('createVolume', failure('UnknownOutcome'), { afterEffect: false });
    await declare('data', { deletionPolicy });
    await rig.until('it is asked for', () => rig.cloud.count('createVolume') === 1);
    await rig.remove('Volume', 'data');
    await rig.pass(10_000);
    expect(rig.get('Volume', 'data').metadata.finalizers).toEqual(['dispatcher.dev/volume']);
    const { uid } = rig.get('Volume', 'data').metadata;
    const attempt = status().ledger?.token ?? '';
    rig.cloud.volumes.put('v9', { name: 'data', owner: { installation: INSTALLATION, uid, attempt } });
    await gone();
    expect(rig.cloud.volumes.all.size).toBe(left);
    for (const one of rig.cloud.volumes.all.values()) expect(one.owner).toBeUndefined();
  });

  test('keeps the Cloud for as long as a Volume names it', async () => {
    await withVolume();
    await rig.remove('Cloud', 'lab');
    await rig.pass(5_000);
    expect(rig.message('Cloud', 'lab', 'Terminating')).toBe('1 Volume in it must be deleted first');
    await rig.remove('Volume', 'data');
    await rig.until('the Cloud is gone', () => rig.find('Cloud', 'lab') === undefined);
  });
});
