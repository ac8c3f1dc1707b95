import { afterEach, beforeEach, expect, test } from '@jest/globals';
import type { Resource } from '../../../src/resources/metadata.js';
import { Rig } from '../../support/rig.js';
import { failure } from '../../support/scripted-cloud.js';

const VM = 'VirtualMachine';
const VMA = 'VirtualMachineAssignment';

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

async function withMachines(count: number): Promise<void> {
  await rig.declareCloud();
  rig.start();
  await rig.pass(500);
  for (let index = 1; index <= count; index += 1) {
    const { metadata, ...rest } = await rig.declare(`web-${index}`);
    await rig.store.update({ ...rest, metadata: { ...metadata, labels: { app: 'galaxy' } } });
    await rig.until('it has a server', () => rig.cloud.servers.has(`s${index}`));
    rig.cloud.put(`s${index}`, { state: 'Running' });
    await rig.until('it is Ready', () => rig.said(VM, `web-${index}`).Ready === 'True Running');
  }
}

const assign = (name: string): Promise<Resource> =>
  rig.store.create({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: VMA,
    metadata: { name, namespace: 'default' },
    spec: { user: name, application: 'galaxy', selector: { matchLabels: { app: 'galaxy' } } },
  });

const declare = (attachTo: Record<string, unknown>, name = 'home'): Promise<Resource> =>
  rig.store.create({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'Volume',
    metadata: { name, namespace: 'default' },
    spec: { cloudRef: { name: 'lab' }, sizeGiB: 1, attachTo },
  });

const OF_ALICE = { assignmentRef: { name: 'alice' } };
const home = () => rig.said('Volume', 'home');
const at = () => rig.cloud.volumes.all.get('v1')?.attachments.map(({ serverId }) => serverId);
const is = (what: string, kind: string, name: string, ready: string) =>
  rig.until(what, () => rig.said(kind, name).Ready === ready, 120_000);
const assigned = (name: string) => is(`${name} has a machine`, VMA, name, 'True Bound');

test('a volume follows its assignment from machine to machine', async () => {
  await withMachines(2);
  await declare(OF_ALICE);
  await rig.until('there is no such assignment', () => home().Stalled === 'True ReferenceNotFound');
  expect(rig.message('Volume', 'home')).toBe(
    'spec.attachTo.assignmentRef.name: there is no VirtualMachineAssignment default/alice',
  );
  await assign('alice');
  await is('it is there', 'Volume', 'home', 'True Attached');
  expect(at()).toEqual(['s1']);
  rig.cloud.put('s1', { state: 'Error' });
  await rig.until('alice has the other machine, and her volume', () => at()?.[0] === 's2');
  await is('it is there', 'Volume', 'home', 'True Attached');
  expect(rig.cloud.calls.filter((call) => /^(attach|detach)Volume/.test(call))).toEqual([
    'attachVolume v1 s1',
    'detachVolume v1 s1',
    'attachVolume v1 s2',
  ]);
});

test('waits while its assignment has no machine, and is taken from one that it has lost', async () => {
  await withMachines(1);
  await assign('alice');
  await declare(OF_ALICE);
  await is('it is there', 'Volume', 'home', 'True Attached');
  await rig.remove(VMA, 'alice');
  await rig.until('it is nowhere', () => at()?.length === 0);
  await rig.until('it is told', () => home().Stalled === 'True ReferenceNotFound');
  await assign('bob');
  await assigned('bob');
  await assign('alice');
  await is('alice waits', VMA, 'alice', 'False Waiting');
  await is('it waits', 'Volume', 'home', 'False AssignmentWaits');
  expect(at()).toEqual([]);
});

test("a machine is not handed out while another's volume is attached to it, and is as soon as it is not", async () => {
  await withMachines(1);
  await assign('alice');
  await declare(OF_ALICE);
  await is('it is there', 'Volume', 'home', 'True Attached');
  rig.cloud.break('detachVolume', failure('Unavailable', 'the block storage is away'));
  await rig.remove(VMA, 'alice');
  await assign('bob');
  await rig.pass(120_000);
  expect(rig.said(VMA, 'bob').Ready).toMatch(/^False/);
  expect(rig.message(VMA, 'bob')).toContain('VirtualMachine web-1 is ready, but Volume home is still attached to it');
  rig.cloud.break('detachVolume', undefined);
  await assigned('bob');
  expect(at()).toEqual([]);
});

test('but is to the very assignment whose volume that is', async () => {
  await withMachines(1);
  await assign('alice');
  await declare(OF_ALICE);
  await is('it is there', 'Volume', 'home', 'True Attached');
  rig.cloud.break('detachVolume', failure('Unavailable', 'the block storage is away'));
  await rig.remove(VMA, 'alice');
  await rig.until('it is gone', () => rig.find(VMA, 'alice') === undefined);
  await assign('alice');
  await assigned('alice');
  await rig.pass(60_000);
  expect(at()).toEqual(['s1']);
});

test("and with the machine's own volume, whoever is assigned to it", async () => {
  await withMachines(1);
  await declare({ virtualMachineRef: { name: 'web-1' } });
  await is('it is there', 'Volume', 'home', 'True Attached');
  await assign('bob');
  await assigned('bob');
  expect(at()).toEqual(['s1']);
});

test('nor while an attachment was asked for whose outcome is not known', async () => {
  await withMachines(1);
  await assign('alice');
  await assigned('alice');
  rig.cloud.fail('attachVolume', failure('UnknownOutcome'));
  await declare(OF_ALICE);
  await rig.until('it is asked for', () => rig.cloud.count('attachVolume') === 1);
  await rig.remove(VMA, 'alice');
  await assign('bob');
  await rig.pass(15_000);
  expect(rig.said(VMA, 'bob').Ready).toMatch(/^False/);
  // It comes late, and is taken back before anybody else has the machine.
  rig.cloud.volumes.attach('v1', 's1');
  await assigned('bob');
  expect(at()).toEqual([]);
});
