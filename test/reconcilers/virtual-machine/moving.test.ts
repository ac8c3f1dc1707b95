import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { vmDraft } from '../../support/resources.js';
import { INSTALLATION, Rig } from '../../support/rig.js';

const VM = 'VirtualMachine';
const ELSEWHERE = { installation: 'installation-0', uid: 'uid-there', attempt: 'attempt-there' };
const ANNOTATION = 'dispatcher.dev/owner-tag';
const FROM_ELSEWHERE = {
  annotations: { [ANNOTATION]: `${ELSEWHERE.installation}/${ELSEWHERE.uid}` },
  finalizers: ['dispatcher.dev/server'],
};

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

const changes = () => rig.cloud.calls.filter((call) => /^(create|delete|set|rename|start|stop)/.test(call));
const annotationOf = (name: string) => rig.get(VM, name).metadata.annotations?.[ANNOTATION];

describe('a record that was declared in another installation before', () => {
  beforeEach(async () => {
    rig.cloud.put('old-1', { name: 'web-1', state: 'Running', owner: ELSEWHERE, imageId: 'image-1', flavorId: '1' });
    await rig.declareCloud();
  });

  test('binds the server that runs, takes its owner tag over, and makes none', async () => {
    rig.start();
    await rig.store.create(vmDraft('web-1', FROM_ELSEWHERE));
    await rig.until('it is Ready', () => rig.said(VM, 'web-1').Ready === 'True Running', 60_000);
    const { uid } = rig.get(VM, 'web-1').metadata;
    expect(rig.status('web-1').id).toBe('old-1');
    expect(rig.cloud.servers.get('old-1')?.owner).toEqual({ ...ELSEWHERE, installation: INSTALLATION, uid });
    expect(annotationOf('web-1')).toBe(`${INSTALLATION}/${uid}`);
    expect(changes().filter((call) => call.startsWith('create') || call.startsWith('delete'))).toEqual([]);
  });

  test('does so without its finalizer too, which whoever moved it took away', async () => {
    rig.start();
    await rig.store.create(vmDraft('web-1', { annotations: FROM_ELSEWHERE.annotations }));
    await rig.until('it is Ready', () => rig.said(VM, 'web-1').Ready === 'True Running', 60_000);
    expect(rig.status('web-1').id).toBe('old-1');
    expect(rig.get(VM, 'web-1').metadata.finalizers).toEqual(['dispatcher.dev/server']);
    expect(rig.cloud.count('createServer')).toBe(0);
  });

  test.each([1, 2, 3, 4, 5])('is not lost by a kill after write %i', async (writes) => {
    const { process } = rig.start();
    let written = 0;
    rig.faults = {
      afterWrite: async (_operation, key) => {
        if (key.kind === VM && ++written === writes) process.kill();
      },
    };
    await rig.store.create(vmDraft('web-1', FROM_ELSEWHERE));
    await rig.pass(30_000);
    rig.faults = {};
    rig.start();
    await rig.until('it is Ready', () => rig.said(VM, 'web-1').Ready === 'True Running', 300_000);
    expect(rig.status('web-1').id).toBe('old-1');
    expect(rig.cloud.count('createServer')).toBe(0);
    expect([...rig.cloud.servers.keys()]).toEqual(['old-1']);
  });

  test('has one made if its server is not there any more', async () => {
    rig.cloud.remove('old-1');
    rig.start();
    await rig.store.create(vmDraft('web-1', FROM_ELSEWHERE));
    await rig.until('one is made', () => rig.cloud.count('createServer') === 1, 60_000);
    expect(annotationOf('web-1')).toBe(`${INSTALLATION}/${rig.get(VM, 'web-1').metadata.uid}`);
  });

  test('does not take a server of another name: it was copied, not moved', async () => {
    rig.start();
    await rig.store.create(vmDraft('web-9', FROM_ELSEWHERE));
    await rig.until('one is made', () => rig.cloud.count('createServer') === 1, 60_000);
    expect(rig.cloud.servers.get('old-1')?.owner).toEqual(ELSEWHERE);
  });

  test('deleted before anything was done for it, takes its server with it', async () => {
    rig.start();
    await rig.pass(1_000);
    await rig.store.create(vmDraft('web-1', FROM_ELSEWHERE));
    await rig.remove(VM, 'web-1');
    await rig.until('its deletion is asked for', () => rig.cloud.count('deleteServer') === 1, 60_000);
    rig.cloud.remove('old-1');
    await rig.until('the record is gone', () => rig.find(VM, 'web-1') === undefined, 60_000);
  });
});

test('a copy of a record that is still here has a server of its own', async () => {
  await rig.withReadyMachine('web-1');
  const { annotations = {} } = rig.get(VM, 'web-1').metadata;
  expect(annotations[ANNOTATION]).toBe(`${INSTALLATION}/${rig.get(VM, 'web-1').metadata.uid}`);
  await rig.store.create(vmDraft('web-2', { annotations }, { hostname: 'web-1' }));
  await rig.until(
    'it is bound',
    () => rig.find(VM, 'web-2')?.status !== undefined && rig.status('web-2').id !== undefined,
    60_000,
  );
  expect(rig.status('web-2').id).not.toBe('s1');
  expect(rig.status('web-1').id).toBe('s1');
});

describe('a record whose server was moved to another installation', () => {
  const takeOver = async () => {
    await rig.withReadyMachine('web-1');
    rig.cloud.put('s1', { owner: ELSEWHERE });
    await rig.until('it is seen', () => rig.said(VM, 'web-1').Ready === 'False TakenOver', 120_000);
  };

  test('says so, and touches the server no more', async () => {
    await takeOver();
    const before = changes().length;
    await rig.edit(VM, 'web-1', { powerState: 'Stopped', metadata: { role: 'other' } });
    await rig.pass(120_000);
    expect(changes()).toHaveLength(before);
    expect(rig.said(VM, 'web-1')).toEqual({ Ready: 'False TakenOver', Stalled: 'True TakenOver' });
  });

  test('does not put its own tag back while the other is writing one', async () => {
    await rig.withReadyMachine('web-1');
    const before = changes().length;
    rig.cloud.put('s1', { owner: ELSEWHERE, ownerTagWhole: false });
    await rig.until('it is seen', () => rig.said(VM, 'web-1').Ready === 'False TakenOver', 120_000);
    expect(changes()).toHaveLength(before);
  });

  test('is deleted without it', async () => {
    await takeOver();
    await rig.remove(VM, 'web-1');
    await rig.until('the record is gone', () => rig.find(VM, 'web-1') === undefined, 60_000);
    await rig.pass(1_200_000);
    expect(rig.cloud.servers.get('s1')).toMatchObject({ state: 'Running', owner: ELSEWHERE });
  });
});
