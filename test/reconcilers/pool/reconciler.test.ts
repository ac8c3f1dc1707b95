import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { poolDraft, recipeDraft } from '../../support/pools.js';
import { Rig } from '../../support/rig.js';

const POOL = 'VirtualMachinePool';
const VM = 'VirtualMachine';

let rig: Rig;
beforeEach(async () => {
  rig = new Rig();
  await rig.declareCloud();
  rig.start();
  await rig.pass(500);
});
afterEach(() => rig.stop());

const machines = () =>
  rig.store
    .everything(VM)
    .map(({ metadata }) => metadata.name)
    .sort();
const said = () => rig.said(POOL, 'galaxy');
const status = () => rig.get(POOL, 'galaxy').status;
const spec = (name: string) => rig.get(VM, name).spec as Record<string, unknown>;

/** The cloud builds and deletes within three seconds whatever it was asked to. */
async function goOn(ms = 30_000): Promise<void> {
  for (let gone = 0; gone < ms; gone += 3_000) {
    await rig.pass(3_000);
    for (const { id, state } of rig.cloud.servers.values()) {
      if (state === 'Building') rig.cloud.put(id, { state: 'Running' });
      if (state === 'Deleting') rig.cloud.remove(id);
    }
  }
}

async function declare(spec: Record<string, unknown> = {}, recipe: Record<string, unknown> = {}): Promise<void> {
  await rig.store.create(recipeDraft(recipe));
  await rig.store.create(poolDraft(spec));
}

/** An assignment has taken a machine, as the assignment's reconciler writes it. */
async function claim(name: string, uid = 'uid-of-alice'): Promise<void> {
  const vm = rig.get(VM, name);
  await rig.store.update({ ...vm, spec: { ...spec(name), claimRef: { name: 'alice', uid, epoch: 1 } } });
}

async function assignment(name = 'alice'): Promise<string> {
  const made = await rig.store.create({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachineAssignment',
    metadata: { name, namespace: 'default', finalizers: ['test/kept'] },
    spec: { user: name, application: 'galaxy', poolRef: { name: 'galaxy' } },
  });
  return made.metadata.uid;
}

describe('a pool', () => {
  test('of the contract has five machines, made from the recipe, ready to be taken', async () => {
    await declare({
      replicas: 5,
      maxSize: 40,
      reclaim: 'Recycle',
      schedules: [{ cron: '0 8 * * 1-5', timeZone: 'Europe/Rome', replicas: 10 }],
    });
    await goOn();
    expect(machines()).toEqual(['galaxy-0', 'galaxy-1', 'galaxy-2', 'galaxy-3', 'galaxy-4']);
    expect(said()).toEqual({ Ready: 'True PoolReady' });
    expect(status()).toMatchObject({
      replicas: 5,
      wanted: 5,
      free: 5,
      assigned: 0,
      creating: 0,
      total: 5,
      selector: 'dispatcher.dev/pool=galaxy',
    });
    const { metadata } = rig.get(POOL, 'galaxy');
    expect(metadata.finalizers).toEqual(['dispatcher.dev/pool']);
    expect(rig.get(VM, 'galaxy-0')).toMatchObject({
      metadata: {
        labels: { 'dispatcher.dev/pool': 'galaxy' },
        ownerReferences: [{ kind: POOL, name: 'galaxy', uid: metadata.uid, controller: true }],
      },
      spec: { image: 'cirros', flavor: 'm1.tiny', userData: "#cloud-config\nruncmd: [[echo, 'hello']]\n" },
    });
    expect(rig.events('galaxy')).toEqual(['Normal ScaledUp']);
    expect(rig.eventMessages('galaxy')).toEqual(['created galaxy-0, galaxy-1, galaxy-2, galaxy-3, galaxy-4']);
  });

  test('is held before its first machine is declared', async () => {
    rig.journal.length = 0;
    await declare({ replicas: 1 });
    await rig.pass(1_000);
    const writes = rig.journal.filter((line) => / (VirtualMachinePool|VirtualMachine) /.test(line));
    expect(writes.slice(0, 2)).toEqual(['store: update VirtualMachinePool galaxy', 'store: create VirtualMachine galaxy-0']);
  });

  test('that nothing changes writes nothing', async () => {
    await declare();
    await goOn();
    rig.journal.length = 0;
    await rig.pass(3_600_000);
    expect(rig.journal.filter((line) => line.startsWith('store:') && !line.endsWith(' Cloud lab'))).toEqual([]);
  });

  test('makes up for those that are assigned, up to maxSize, and then says what keeps it', async () => {
    await declare({ replicas: 2, maxSize: 3 });
    await goOn();
    await assignment();
    await goOn();
    expect(status()).toMatchObject({ free: 2, assigned: 1, total: 3 });
    await assignment('bob');
    await goOn();
    expect(status()).toMatchObject({ free: 1, assigned: 2, total: 3 });
    expect(said()).toEqual({ Ready: 'False MaxSizeReached', Stalled: 'True MaxSizeReached' });
    expect(rig.message(POOL, 'galaxy')).toContain('maxSize is 3, and 2 are assigned');
  });

  test('follows replicas up and down, the newest machines first', async () => {
    await declare();
    await goOn();
    await rig.edit(POOL, 'galaxy', { replicas: 5 });
    await goOn();
    expect(machines()).toHaveLength(5);
    await rig.edit(POOL, 'galaxy', { replicas: 1 });
    await goOn();
    expect(machines()).toEqual(['galaxy-0']);
    expect(said()).toEqual({ Ready: 'True PoolReady' });
  });

  test('whose server is gone has it made again, and no machine more', async () => {
    await declare();
    await goOn();
    const [server] = rig.cloud.servers.keys();
    rig.cloud.remove(server ?? '');
    await goOn(60_000);
    expect(machines()).toEqual(['galaxy-0', 'galaxy-1', 'galaxy-2']);
    expect(status()).toMatchObject({ free: 3, total: 3 });
    expect(rig.cloud.count('createServer')).toBe(4);
  });

  test('replaces a machine whose server is in error, and says why', async () => {
    await declare();
    await goOn();
    const { uid } = rig.get(VM, 'galaxy-1').metadata;
    rig.cloud.put(rig.status('galaxy-1').id ?? '', { state: 'Error', fault: 'the host is gone' });
    await goOn(60_000);
    expect(machines()).toHaveLength(3);
    expect(machines().some((name) => rig.get(VM, name).metadata.uid === uid)).toBe(false);
    expect(rig.events('galaxy')).toContain('Warning DeletedFaulty');
    expect(said()).toEqual({ Ready: 'True PoolReady' });
  });

  test('keeps a machine that only a person calls faulty, makes another, and tells of the disagreement while it lasts', async () => {
    await declare();
    await goOn();
    const vm = rig.get(VM, 'galaxy-1');
    const annotations = { ...vm.metadata.annotations, 'dispatcher.dev/faulty': 'no sound' };
    await rig.store.update({ ...vm, metadata: { ...vm.metadata, annotations } });
    await goOn();
    expect(said()).toEqual({ Ready: 'True PoolReady', ObservationsConflict: 'True CloudAndInventoryDisagree' });
    expect(rig.message(POOL, 'galaxy', 'ObservationsConflict')).toContain('galaxy-1: the inventory calls it faulty: no sound');
    expect(status()).toMatchObject({ free: 3, faulty: 1, total: 4 });
    const marked = rig.get(VM, 'galaxy-1');
    const { 'dispatcher.dev/faulty': _gone, ...others } = marked.metadata.annotations ?? {};
    await rig.store.update({ ...marked, metadata: { ...marked.metadata, annotations: others } });
    await goOn();
    expect(said()).toEqual({ Ready: 'True PoolReady' });
    expect(status()).toMatchObject({ free: 3, faulty: 0, total: 3 });
  });

  test('passes over a name that somebody else has', async () => {
    await rig.declare('galaxy-1');
    await declare({ replicas: 2 });
    await goOn();
    expect(machines()).toEqual(['galaxy-0', 'galaxy-1', 'galaxy-2']);
    expect(status()).toMatchObject({ free: 2, total: 2 });
  });

  test('keeps stopped machines, starts them when free ones are taken, and makes new ones for them', async () => {
    await declare({ replicas: 1, standby: 2 });
    await goOn();
    expect(status()).toMatchObject({ free: 1, standby: 2, total: 3, replicas: 1 });
    const running = machines().find((name) => spec(name).powerState !== 'Stopped') ?? '';
    await claim(running, await assignment());
    await goOn(60_000);
    expect(status()).toMatchObject({ free: 1, standby: 2, assigned: 1, total: 4 });
    expect(rig.events('galaxy')).toContain('Normal StartedStandby');
  });

  test('paused makes, changes and deletes nothing, and says how it stands', async () => {
    await declare({ replicas: 2, paused: true });
    await goOn(6_000);
    expect(machines()).toEqual([]);
    expect(said()).toEqual({ Ready: 'False Paused' });
    await rig.edit(POOL, 'galaxy', { paused: undefined });
    await goOn();
    expect(said()).toEqual({ Ready: 'True PoolReady' });
  });

  test('counts a machine as free when what it does at boot is over', async () => {
    await declare({ replicas: 1 }, { readiness: { delay: '5m' } });
    await goOn();
    expect(rig.said(VM, 'galaxy-0').Ready).toBe('True Running');
    expect(status()).toMatchObject({ free: 0, creating: 1 });
    await rig.pass(290_000);
    expect(status()).toMatchObject({ free: 1, creating: 0 });
  });
});

describe('a changed recipe', () => {
  test('rolls through the free machines, one missing at most, and leaves an assigned one alone', async () => {
    await declare({ replicas: 4 });
    await goOn();
    await claim('galaxy-0', await assignment());
    await goOn();
    const old = rig.get(VM, 'galaxy-0').metadata.uid;
    await rig.edit('Recipe', 'galaxy', { flavor: 'm1.small' });
    let fewest = 4;
    for (let step = 0; (step < 100 && said().Ready !== 'True PoolReady') || step < 2; step += 1) {
      await goOn(3_000);
      fewest = Math.min(fewest, (status() as { free: number }).free);
    }
    expect(fewest).toBeGreaterThanOrEqual(3);
    expect(said()).toEqual({ Ready: 'True PoolReady' });
    expect(machines().filter((name) => spec(name).flavor === 'm1.tiny')).toEqual(['galaxy-0']);
    expect(rig.get(VM, 'galaxy-0').metadata.uid).toBe(old);
  });

  test('makes a new machine before an old one goes where none may be missing', async () => {
    await declare({ replicas: 2, maxUnavailable: 0 });
    await goOn();
    await rig.edit('Recipe', 'galaxy', { flavor: 'm1.small' });
    let fewest = 2;
    for (let step = 0; step < 60; step += 1) {
      await goOn(3_000);
      fewest = Math.min(fewest, (status() as { free: number }).free);
    }
    expect(fewest).toBe(2);
    expect(said()).toEqual({ Ready: 'True PoolReady' });
    expect(machines().map((name) => spec(name).flavor)).toEqual(['m1.small', 'm1.small']);
  });
});

describe('what cannot be made is told, and what is there is kept', () => {
  test.each([
    ['a recipe that is not there', { recipeRef: { name: 'other' } }, {}, 'ReferenceNotFound', 'there is no Recipe other'],
    ['a value for no parameter', { parameters: { volume: '11' } }, {}, 'InvalidParameters', 'spec.parameters.volume: '],
    [
      'a value that is missing',
      {},
      { userData: { parameters: [{ name: 'greeting' }], template: '{{ greeting }}' } },
      'InvalidParameters',
      'spec.parameters.greeting: ',
    ],
    ['a recipe that is wrong', {}, { userData: { template: '{{ x }}' } }, 'RecipeInvalid', 'no parameter declares "x"'],
    ['a Cloud that is not there', { cloudRef: { name: 'moon' } }, {}, 'CloudNotFound', 'there is no Cloud moon'],
  ])('%s', async (_sentence, pool, recipe, reason, message) => {
    await declare(pool, recipe);
    await rig.pass(2_000);
    expect(said()).toEqual({ Ready: `False ${reason}`, Stalled: `True ${reason}` });
    expect(rig.message(POOL, 'galaxy')).toContain(message);
    expect(machines()).toEqual([]);
  });

  test('a recipe that is taken away', async () => {
    await declare();
    await goOn();
    await rig.remove('Recipe', 'galaxy');
    await goOn();
    expect(said()).toEqual({ Ready: 'False ReferenceNotFound', Stalled: 'True ReferenceNotFound' });
    expect(status()).toMatchObject({ free: 3, outdated: 0 });
    await rig.store.create(recipeDraft());
    await goOn();
    expect(said()).toEqual({ Ready: 'True PoolReady' });
    expect(rig.cloud.count('createServer')).toBe(3);
  });
});

describe('a machine whose assignment is gone', () => {
  test('is deleted and made up for', async () => {
    await declare();
    await goOn();
    const { uid } = rig.get(VM, 'galaxy-0').metadata;
    await claim('galaxy-0');
    await goOn(60_000);
    expect(machines()).toHaveLength(3);
    expect(machines().some((name) => rig.get(VM, name).metadata.uid === uid)).toBe(false);
    expect(rig.events('galaxy')).toContain('Normal TookBack');
  });

  test('is to be rebuilt where the pool says Recycle', async () => {
    await declare({ reclaim: 'Recycle' });
    await goOn();
    await claim('galaxy-0');
    await rig.pass(2_000);
    expect(spec('galaxy-0')).toMatchObject({ rebuilds: 1 });
    expect(spec('galaxy-0')).not.toHaveProperty('claimRef');
  });

  test("is left alone while the assignment is there, though its name is another one's by now", async () => {
    await declare();
    await goOn();
    await claim('galaxy-0', await assignment());
    await goOn();
    expect(spec('galaxy-0')).toHaveProperty('claimRef');
  });
});

describe('a pool that is deleted', () => {
  test('goes after its machines, and leaves nothing in the cloud', async () => {
    await declare();
    await goOn();
    await rig.remove(POOL, 'galaxy');
    await goOn();
    expect(rig.find(POOL, 'galaxy')).toBeUndefined();
    expect(machines()).toEqual([]);
    expect(rig.cloud.servers.size).toBe(0);
  });

  test('waits for those that are assigned, and says so', async () => {
    await declare();
    await goOn();
    await claim('galaxy-0', await assignment());
    await rig.pass(1_000);
    await rig.remove(POOL, 'galaxy');
    await goOn();
    expect(machines()).toEqual(['galaxy-0']);
    expect(said()).toEqual({ Ready: 'False Deleting', Reconciling: 'True Deleting' });
    expect(rig.message(POOL, 'galaxy')).toBe('waits for 1 assigned machines');
    const { claimRef: _given, ...free } = spec('galaxy-0');
    await rig.store.update({ ...rig.get(VM, 'galaxy-0'), spec: free });
    await goOn();
    expect(machines()).toEqual([]);
    expect(rig.find(POOL, 'galaxy')).toBeUndefined();
  });
});
