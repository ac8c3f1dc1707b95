import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { CisternError } from '../../../src/cistern/errors.js';
import { Rig } from '../../support/rig.js';
import { cisternNode, ScriptedCistern } from '../../support/scripted-cistern.js';

const KIND = 'VirtualMachineAssignment';
const DOWN = new CisternError('Unreachable', 'nobody listens');

let rig: Rig;
let cistern: ScriptedCistern;
beforeEach(async () => {
  rig = new Rig();
  cistern = new ScriptedCistern();
  await rig.declareCloud({ cistern: { endpoint: 'http://one.example/api/v1' } });
  await rig.declare('web-1');
  rig.start({ makeCistern: cistern.connect });
  await rig.until('web-1 has a server', () => rig.cloud.servers.has('s1'));
  rig.cloud.put('s1', { state: 'Running' });
  await rig.until('web-1 is Ready', () => rig.said('VirtualMachine', 'web-1').Ready === 'True Running');
});
afterEach(() => rig.stop());

const declare = () =>
  rig.store.create({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: KIND,
    metadata: { name: 'alice', namespace: 'default' },
    spec: { user: 'alice', application: 'galaxy', virtualMachineRef: { name: 'web-1' } },
  });
const ready = () => rig.said(KIND, 'alice').Ready;

test('a machine is given once the inventory lists it as free, and the inventory is told', async () => {
  await declare();
  await rig.pass(20_000);
  expect(ready()).toBe('False InventoryUnknown');
  cistern.put(cisternNode('s1'));
  await rig.pass(6_000);
  expect(ready()).toBe('True Bound');
  expect(cistern.calls).toEqual(['assign host-s1 alice galaxy']);
  await rig.remove(KIND, 'alice');
  await rig.pass(1_000);
  expect(rig.find(KIND, 'alice')).toBeUndefined();
  expect(cistern.calls.slice(1)).toEqual(['release host-s1']);
});

test('an assign whose answer is lost is looked for, and not made twice', async () => {
  cistern.put(cisternNode('s1'));
  await rig.pass(6_000);
  cistern.lost = DOWN;
  await declare();
  await rig.pass(10_000);
  expect([ready(), cistern.calls]).toEqual(['True Bound', ['assign host-s1 alice galaxy']]);
});

test('a machine is not handed out before an inventory that fell silent has agreed', async () => {
  cistern.put(cisternNode('s1'));
  await rig.pass(6_000);
  cistern.failure = DOWN;
  await declare();
  await rig.pass(20_000);
  expect(ready()).toMatch(/^False Inventory/);
  expect(cistern.nodes.get('s1')?.user).toBe('');
  cistern.failure = undefined;
  await rig.pass(31_000);
  expect([ready(), cistern.nodes.get('s1')?.user]).toEqual(['True Bound', 'alice']);
});

test('an assignment that is deleted while it is not known whether the inventory agreed is released there', async () => {
  cistern.put(cisternNode('s1'));
  await rig.pass(6_000);
  cistern.during = () => {
    cistern.failure = DOWN;
    cistern.put(cisternNode('s1', { user: 'alice' }));
  };
  await declare();
  await rig.pass(5_000);
  await rig.remove(KIND, 'alice');
  await rig.pass(5_000);
  expect(rig.find(KIND, 'alice')).toBeDefined();
  cistern.during = () => undefined;
  cistern.failure = undefined;
  await rig.pass(60_000);
  expect([rig.find(KIND, 'alice'), cistern.nodes.get('s1')?.user]).toEqual([undefined, '']);
});

test('a machine that the inventory gives to another at that moment is not handed out', async () => {
  cistern.put(cisternNode('s1'));
  await rig.pass(6_000);
  cistern.during = () => {
    cistern.put(cisternNode('s1', { user: 'carol' }));
    throw new CisternError('Refused', 'carol has it');
  };
  await declare();
  await rig.pass(30_000);
  expect(ready()).toMatch(/^False/);
  expect(cistern.nodes.get('s1')?.user).toBe('carol');
});

test('nothing is handed out by news that are old, and it is as soon as there are others', async () => {
  cistern.put(cisternNode('s1'));
  await rig.pass(6_000);
  cistern.failure = DOWN;
  await rig.pass(120_000);
  await declare();
  await rig.pass(60_000);
  expect([ready(), cistern.calls]).toEqual(['False InventoryUnknown', []]);
  expect(rig.message(KIND, 'alice')).toMatch(
    /^number 1 among .* VirtualMachine web-1 is ready, but the inventory of Cloud lab has not answered since/,
  );
  cistern.failure = undefined;
  await rig.pass(31_000);
  expect(ready()).toBe('True Bound');
});

test('who has a machine keeps it through an outage, and it is given back after that', async () => {
  cistern.put(cisternNode('s1'));
  await rig.pass(6_000);
  await declare();
  await rig.pass(1_000);
  cistern.failure = DOWN;
  await rig.pass(300_000);
  expect(ready()).toBe('True Bound');
  await rig.remove(KIND, 'alice');
  await rig.pass(60_000);
  expect(rig.find(KIND, 'alice')).toBeDefined();
  cistern.failure = undefined;
  await rig.pass(120_000);
  expect([rig.find(KIND, 'alice'), cistern.nodes.get('s1')?.user]).toEqual([undefined, '']);
});

test('a machine that the inventory calls faulty and the cloud does not is told as a disagreement', async () => {
  cistern.put(cisternNode('s1'));
  await rig.pass(6_000);
  await declare();
  await rig.pass(1_000);
  cistern.put(cisternNode('s1', { user: 'alice', faulty: true }));
  await rig.pass(6_000);
  expect(rig.said(KIND, 'alice').ObservationsConflict).toBe('True Disagreement');
});
