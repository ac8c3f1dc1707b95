import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { type AssignmentStatus, assignmentStatusSchema } from '../../../src/resources/assignment.js';
import type { Resource } from '../../../src/resources/metadata.js';
import { virtualMachineSpecSchema } from '../../../src/resources/virtual-machine.js';
import { Rig } from '../../support/rig.js';

const VM = 'VirtualMachine';
const VMA = 'VirtualMachineAssignment';

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

/** A dispatcher with machines web-1, web-2, ... labelled app: galaxy, whose servers s1, s2, ... run. */
async function withMachines(count: number): Promise<void> {
  await rig.declareCloud();
  rig.start();
  await rig.pass(500);
  for (let index = 1; index <= count; index += 1) await addMachine(`web-${index}`, `s${index}`);
}

async function addMachine(name: string, server: string): Promise<void> {
  const { metadata, ...rest } = await rig.declare(name);
  await rig.store.update({ ...rest, metadata: { ...metadata, labels: { app: 'galaxy' } } });
  await rig.until(`${name} has ${server}`, () => rig.cloud.servers.has(server));
  rig.cloud.put(server, { state: 'Running' });
  await rig.until(`${name} is Ready`, () => rig.said(VM, name).Ready === 'True Running');
}

async function assign(name: string, spec: Record<string, unknown> = {}): Promise<Resource> {
  return rig.store.create({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: VMA,
    metadata: { name, namespace: 'default' },
    spec: { user: name, application: 'galaxy', selector: { matchLabels: { app: 'galaxy' } }, ...spec },
  });
}

const status = (name: string): AssignmentStatus => assignmentStatusSchema.parse(rig.get(VMA, name).status ?? {});
const machineOf = (name: string) => status(name).virtualMachine?.name;
const ready = (name: string) => rig.said(VMA, name).Ready;
const specOf = (name: string) => virtualMachineSpecSchema.parse(rig.get(VM, name).spec);
const bound = (name: string, machine?: string) =>
  rig.until(`${name} is bound`, () => ready(name) === 'True Bound' && (machine === undefined || machineOf(name) === machine));

describe('an assignment', () => {
  test('is given a machine that is free, at once, and the cloud is told who has it', async () => {
    await withMachines(1);
    await assign('alice');
    await rig.until('alice is bound', () => ready('alice') === 'True Bound', 1_000);
    expect(status('alice')).toMatchObject({ virtualMachine: { name: 'web-1' }, epoch: 1, id: 's1', cloud: 'lab' });
    expect(specOf('web-1').claimRef).toMatchObject({ name: 'alice', epoch: 1 });
    await rig.pass(10_000);
    expect(rig.cloud.servers.get('s1')?.metadata).toEqual({ 'assigned-user': 'alice', 'assigned-application': 'galaxy' });
    expect(rig.status('web-1').assignment).toEqual({ name: 'alice', user: 'alice', application: 'galaxy' });
    expect(rig.events('alice')).toEqual(['Normal Bound']);
  });

  test('waits for one that is taken, and those that wait are served by priority, then age', async () => {
    await withMachines(1);
    await assign('first');
    await bound('first');
    for (const [name, priority] of [
      ['old', 0],
      ['young', 0],
      ['urgent', 5],
    ] as const) {
      await assign(name, { priority });
      await rig.pass(2_000);
    }
    expect([ready('urgent'), status('urgent').place]).toEqual(['False Waiting', 1]);
    expect([status('old').place, status('young').place]).toEqual([2, 3]);
    await addMachine('web-2', 's2');
    await bound('urgent', 'web-2');
    await addMachine('web-3', 's3');
    await bound('old', 'web-3');
    await rig.until('young is told its place', () => status('young').place === 1, 2_000);
  });

  test('gives its machine back when it is deleted, and the next in the queue has it', async () => {
    await withMachines(1);
    await assign('alice', { release: 'Keep' });
    await bound('alice');
    await assign('bob');
    await rig.pass(1_000);
    await rig.remove(VMA, 'alice');
    await bound('bob', 'web-1');
    expect(rig.find(VMA, 'alice')).toBeUndefined();
    await rig.pass(10_000);
    expect(rig.cloud.servers.get('s1')?.metadata).toMatchObject({ 'assigned-user': 'bob' });
    expect(rig.cloud.count('rebuildServer')).toBe(0);
  });

  test('with release Recycle: the machine is rebuilt, and nobody has it before that is done', async () => {
    await withMachines(1);
    await assign('alice', { release: 'Recycle' });
    await bound('alice');
    await assign('bob');
    await rig.remove(VMA, 'alice');
    await rig.until('the rebuild is asked for', () => rig.cloud.count('rebuildServer') === 1);
    rig.cloud.put('s1', { state: 'Rebuilding' });
    await rig.pass(60_000);
    expect(ready('bob')).toBe('False Waiting');
    rig.cloud.put('s1', { state: 'Running' });
    await bound('bob', 'web-1');
    expect(rig.cloud.count('rebuildServer')).toBe(1);
  });

  test('with release Delete: the machine goes', async () => {
    await withMachines(1);
    await assign('alice', { release: 'Delete' });
    await bound('alice');
    await rig.remove(VMA, 'alice');
    await rig.until('the server is deleted', () => rig.cloud.count('deleteServer') === 1);
    rig.cloud.remove('s1');
    await rig.until('the machine is gone', () => rig.find(VM, 'web-1') === undefined);
    expect(rig.find(VMA, 'alice')).toBeUndefined();
  });

  test('is moved to another machine when the cloud lost its server, and says why', async () => {
    await withMachines(2);
    await assign('alice');
    await bound('alice', 'web-1');
    rig.cloud.remove('s1');
    await bound('alice', 'web-2');
    expect(status('alice')).toMatchObject({
      epoch: 2,
      id: 's2',
      move: { from: 'web-1', why: 'server s1 of VirtualMachine web-1 was deleted in the cloud' },
    });
    await rig.pass(1_000);
    expect(rig.events('alice')).toEqual(['Normal Bound', 'Warning MachineLost', 'Normal GivenBack', 'Warning Reassigned']);
    expect(specOf('web-1').claimRef).toBeUndefined();
    expect(specOf('web-1').rebuilds).toBeUndefined();
  });

  test('is moved when a person calls its machine faulty; what may be on that one is not destroyed, and the disagreement is told', async () => {
    await withMachines(2);
    await assign('alice', { release: 'Delete' });
    await bound('alice', 'web-1');
    await annotate(VM, 'web-1', { 'dispatcher.dev/faulty': 'the disk is slow' });
    await bound('alice', 'web-2');
    await rig.pass(60_000);
    expect(status('alice').move?.why).toContain('the disk is slow');
    expect(rig.said(VMA, 'alice')).toMatchObject({ Ready: 'True Bound', ObservationsConflict: 'True Disagreement' });
    expect(rig.cloud.count('deleteServer')).toBe(0);
    expect(specOf('web-1').claimRef).toMatchObject({ name: 'alice', epoch: 1 });
    // They agree: the cloud too says that it is broken.
    rig.cloud.put('s1', { state: 'Error' });
    await rig.until('the machine goes', () => rig.cloud.count('deleteServer') === 1);
    expect(rig.said(VMA, 'alice').ObservationsConflict).toBeUndefined();
  });

  test('with onFailure Hold: it is told, and nothing is done', async () => {
    await withMachines(2);
    await assign('alice', { onFailure: 'Hold' });
    await bound('alice', 'web-1');
    rig.cloud.remove('s1');
    await rig.pass(60_000);
    expect(rig.said(VMA, 'alice')).toMatchObject({ Ready: 'False MachineLost', Stalled: 'True MachineLost' });
    expect(machineOf('alice')).toBe('web-1');
    await rig.edit(VMA, 'alice', { onFailure: 'Reassign' });
    await bound('alice', 'web-2');
  });

  test('ends when its ttl is over, and stays to be read', async () => {
    await withMachines(1);
    await assign('alice', { ttl: '1h', release: 'Keep' });
    await bound('alice');
    expect(Date.parse(status('alice').expiresAt ?? '') - Date.parse(status('alice').boundAt ?? '')).toBe(3_600_000);
    await rig.pass(3_590_000);
    expect(ready('alice')).toBe('True Bound');
    await rig.pass(11_000);
    expect(rig.said(VMA, 'alice')).toMatchObject({ Ready: 'False Ended', Stalled: 'True Ended' });
    expect(status('alice').ended?.why).toBe('its ttl of 1h is over');
    expect(specOf('web-1').claimRef).toBeUndefined();
    await rig.remove(VMA, 'alice');
    await rig.until('it is gone', () => rig.find(VMA, 'alice') === undefined);
  });

  test('ends when it is idle for too long, counted from the last activity that was reported', async () => {
    await withMachines(1);
    await assign('alice', { idleTimeout: '10m' });
    await bound('alice');
    await rig.pass(500_000);
    await annotate(VMA, 'alice', { 'dispatcher.dev/active-at': rig.world.now().toISOString() });
    await rig.pass(500_000);
    expect(ready('alice')).toBe('True Bound');
    await rig.pass(110_000);
    expect(status('alice').ended?.why).toBe('it was idle for 10m');
  });

  test('of a namespace that has all that its Cloud allows waits, and is told so', async () => {
    await rig.declareCloud({ limits: { assignmentsPerNamespace: 1 } });
    rig.start();
    await rig.pass(500);
    await addMachine('web-1', 's1');
    await addMachine('web-2', 's2');
    await assign('alice', { release: 'Keep' });
    await bound('alice');
    await assign('bob');
    await rig.pass(5_000);
    expect(ready('bob')).toBe('False QuotaExceeded');
    await rig.remove(VMA, 'alice');
    await bound('bob');
  });

  test('that names what is not there is told which field is wrong, and goes on when it is', async () => {
    await withMachines(0);
    await assign('alice', { selector: undefined, virtualMachineRef: { name: 'web-1' } });
    await rig.pass(1_000);
    expect(rig.said(VMA, 'alice')).toEqual({ Ready: 'False MachineNotFound', Stalled: 'True MachineNotFound' });
    expect(rig.message(VMA, 'alice')).toBe('spec.virtualMachineRef.name: there is no VirtualMachine default/web-1');
    await addMachine('web-1', 's1');
    await bound('alice', 'web-1');
  });

  test('whose pool cannot serve is told why: its recipe is missing, it goes, it is gone', async () => {
    await withMachines(0);
    const spec = { cloudRef: { name: 'lab' }, recipeRef: { name: 'galaxy' }, replicas: 0, maxSize: 1 };
    await declare('VirtualMachinePool', 'galaxy', spec);
    await assign('alice', { selector: undefined, poolRef: { name: 'galaxy' } });
    await rig.until('the recipe is missed', () => ready('alice') === 'False RecipeNotFound');
    await declare('Recipe', 'galaxy', { image: 'cirros', flavor: 'm1.tiny', applications: ['galaxy'] });
    await rig.until('alice waits', () => ready('alice') === 'False Waiting');
    await rig.remove('VirtualMachinePool', 'galaxy');
    await rig.until('the pool is missed', () => ready('alice') === 'False PoolNotFound');
  });
});

describe('a process that is killed', () => {
  test('between claim and status leaves a claim that the next one takes up', async () => {
    await withMachines(2);
    await rig.stop();
    const before = rig.start();
    await rig.pass(500);
    rig.faults.beforeWrite = async (operation, key) => {
      if (operation === 'updateStatus' && key.kind === VMA) {
        before.process.kill();
        await new Promise(() => undefined);
      }
    };
    await assign('alice');
    await rig.until('the claim is made', () => [1, 2].some((n) => specOf(`web-${n}`).claimRef !== undefined));
    rig.faults = {};
    rig.start();
    await bound('alice');
    expect([1, 2].filter((n) => specOf(`web-${n}`).claimRef !== undefined)).toHaveLength(1);
    expect(status('alice').epoch).toBe(1);
  });

  test('two claims that two controllers made for one assignment: one is kept, the other machine is free again', async () => {
    await withMachines(2);
    await rig.stop();
    const { metadata } = await assign('alice');
    for (const name of ['web-1', 'web-2']) {
      const machine = rig.get(VM, name);
      const claimRef = { name: 'alice', uid: metadata.uid, epoch: 1 };
      await rig.store.update({ ...machine, spec: { ...specOf(name), claimRef } });
    }
    rig.start();
    await bound('alice', 'web-1');
    await rig.until('the other is free', () => specOf('web-2').claimRef === undefined);
    await assign('bob');
    await bound('bob', 'web-2');
  });
});

async function declare(kind: string, name: string, spec: Record<string, unknown>): Promise<void> {
  await rig.store.create({ apiVersion: 'dispatcher.dev/v1alpha1', kind, metadata: { name, namespace: 'default' }, spec });
}

async function annotate(kind: string, name: string, annotations: Record<string, string>): Promise<void> {
  const { metadata, ...rest } = rig.get(kind, name);
  await rig.store.update({ ...rest, metadata: { ...metadata, annotations: { ...metadata.annotations, ...annotations } } });
}
