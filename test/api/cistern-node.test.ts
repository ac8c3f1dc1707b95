import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { cisternNodes } from '../../src/api/cistern-node.js';
import { nodeNumber } from '../../src/api/node-number.js';
import { asAssignment, asMachine, asPool } from '../../src/api/typed.js';
import type { Resource } from '../../src/resources/metadata.js';

function resource(kind: string, name: string, spec: object, status: object = {}, metadata: object = {}): Resource {
  const made = { uid: `uid-${name}`, resourceVersion: '1', generation: 1, creationTimestamp: '2026-01-01T00:00:00Z' };
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind,
    metadata: { name, namespace: 'default', ...made, ...metadata },
    spec,
    status,
  };
}

const at = '2026-01-01T00:00:00Z';
const READY = [{ type: 'Ready', status: 'True', reason: 'Running', message: '', observedGeneration: 1, lastTransitionTime: at }];
const RUNNING = { id: 's1', state: 'Running', builtAt: at, observedGeneration: 1, conditions: READY };
const SPEC = { cloudRef: { name: 'lab' }, image: 'i', flavor: 'f' };
const CLAIM = { name: 'a', uid: 'uid-a', epoch: 1 };
const ASSIGNED = { assignment: { name: 'a', user: 'ann', application: 'galaxy' } };
const POOLED = {
  ownerReferences: [
    { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'VirtualMachinePool', name: 'p', uid: 'uid-p', controller: true },
  ],
};

function nodesOf(spec: object = {}, status: object = {}, metadata: object = {}) {
  const machine = asMachine(resource('VirtualMachine', 'web', { ...SPEC, ...spec }, { ...RUNNING, ...status }, metadata));
  const pool = asPool(
    resource('VirtualMachinePool', 'p', { cloudRef: { name: 'lab' }, recipeRef: { name: 'r' }, replicas: 1, maxSize: 1 }),
  );
  const bound = { virtualMachine: { name: 'web', uid: 'uid-web' }, activeAt: at };
  const assignment = asAssignment(resource('VirtualMachineAssignment', 'a', { user: 'ann', application: 'galaxy' }, bound));
  if (!machine || !pool || !assignment) throw new Error('a resource of the test is not valid');
  const recipes = [resource('Recipe', 'r', {})];
  return cisternNodes({ machines: [machine], pools: [pool], recipes, assignments: [assignment] }, 'fake_driver');
}

describe('a machine as a node of Cistern', () => {
  test('a free one in no pool', () => {
    const free = { status: 1, status_desc: 'FREE', recipe: '', recipe_id: 0, user: '' };
    expect(nodesOf()).toEqual([{ id: nodeNumber('uid-web'), id_vm: 's1', hostname: 'web', cloud: 'fake_driver', ...free }]);
  });

  test('one that somebody has, of a pool with a recipe', () => {
    const recipe = { recipe: 'r', recipe_id: nodeNumber('uid-r') };
    expect(nodesOf({ claimRef: CLAIM }, ASSIGNED, POOLED)).toMatchObject([
      { status: 2, status_desc: 'ASSIGNED', user: 'ann', last_activity: at, ...recipe },
    ]);
  });

  test.each([
    ['whom a person calls faulty', {}, {}, { annotations: { 'dispatcher.dev/faulty': 'no disk' } }],
    ['whose server failed after it had run', {}, { state: 'Error' }, {}],
    ['that somebody has and that failed', { claimRef: CLAIM }, { ...ASSIGNED, state: 'Error' }, {}],
  ])('faulty: one %s', (_what, spec, status, metadata) => {
    expect(nodesOf(spec, status, metadata)).toMatchObject([{ status: 3, status_desc: 'FAULTY' }]);
  });

  test.each([
    ['has no server', {}, { id: undefined }, {}],
    ['was never seen up', {}, { builtAt: undefined }, {}],
    ['is on its way out', {}, {}, { deletionTimestamp: at }],
    ['is still to be given back', { claimRef: CLAIM }, {}, {}],
    ['stands by', { powerState: 'Stopped' }, {}, {}],
    ['is being changed', {}, {}, { generation: 2 }],
    ['is not ready', {}, { conditions: [] }, {}],
  ])('not told: one that %s', (_what, spec, status, metadata) => {
    expect(nodesOf(spec, status, metadata)).toEqual([]);
  });

  test('numbers are whole, positive and exact in JSON, and the same for the same uid', () => {
    fc.assert(
      fc.property(fc.uuid(), fc.uuid(), (one, two) => {
        const number = nodeNumber(one);
        expect(Number.isSafeInteger(number) && number > 0).toBe(true);
        expect(nodeNumber(one)).toBe(number);
        expect(one === two || nodeNumber(two) !== number).toBe(true);
      }),
    );
  });
});
