import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { poolDraft, recipeDraft } from '../../support/pools.js';
import { Rig } from '../../support/rig.js';

let rig: Rig;
beforeEach(async () => {
  rig = new Rig();
  await rig.declareCloud();
  rig.start();
  await rig.pass(500);
});
afterEach(() => rig.stop());

test('a Recipe that can be used says so, and by which pools it is', async () => {
  await rig.store.create(recipeDraft());
  await rig.pass(500);
  expect(rig.said('Recipe', 'galaxy')).toEqual({ Ready: 'True RecipeReady' });
  expect(rig.get('Recipe', 'galaxy').status).not.toHaveProperty('usedBy');
  await rig.store.create(poolDraft({ replicas: 0 }));
  await rig.pass(500);
  expect(rig.get('Recipe', 'galaxy').status).toMatchObject({ usedBy: ['galaxy'] });
  await rig.remove('VirtualMachinePool', 'galaxy');
  await rig.pass(5_000);
  expect(rig.find('VirtualMachinePool', 'galaxy')).toBeUndefined();
  expect(rig.get('Recipe', 'galaxy').status).not.toHaveProperty('usedBy');
});

test('a Recipe that cannot be used says which field is wrong, until it is mended', async () => {
  await rig.store.create(recipeDraft({ userData: { template: '{{ greeting }}' } }));
  await rig.pass(500);
  expect(rig.said('Recipe', 'galaxy')).toEqual({ Ready: 'False TemplateUndeclared', Stalled: 'True TemplateUndeclared' });
  expect(rig.message('Recipe', 'galaxy')).toContain('spec.userData.template: no parameter declares "greeting"');
  await rig.edit('Recipe', 'galaxy', { userData: { parameters: [{ name: 'greeting' }], template: '{{ greeting }}' } });
  await rig.pass(500);
  expect(rig.said('Recipe', 'galaxy')).toEqual({ Ready: 'True RecipeReady' });
});

test('a Recipe that nothing changes is written once', async () => {
  await rig.store.create(recipeDraft());
  await rig.pass(500);
  rig.journal.length = 0;
  await rig.pass(1_800_000);
  expect(rig.journal.filter((line) => line.includes('Recipe'))).toEqual([]);
});
