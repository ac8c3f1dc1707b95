import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { poolDraft, recipeDraft } from '../support/pools.js';
import { Rig } from '../support/rig.js';
import { VirtualProcess } from '../support/virtual-environment.js';
import { FakeCloud } from './fake-cloud.js';
import { CALM, FakeDriver } from './fake-driver.js';

const POOL = 'VirtualMachinePool';
const VM = 'VirtualMachine';
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

const numbers = () => rig.get(POOL, 'galaxy').status as { free?: number; total?: number };

test('a pool of 20 whose machines die at random for a day never exceeds maxSize, and never starves', async () => {
  const cloud = new FakeCloud(rig.world);
  const process = new VirtualProcess(rig.world);
  rig.makeDriver = () =>
    new FakeDriver(
      cloud,
      process,
      () => CALM,
      () => undefined,
    );
  let most = 0;
  rig.faults = {
    afterWrite: async (operation, key) => {
      if (operation === 'create' && key.kind === VM) most = Math.max(most, rig.store.everything(VM).length);
      await Promise.resolve();
    },
  };
  await rig.declareCloud();
  rig.start();
  await rig.store.create(recipeDraft({ flavor: 'tiny' }));
  await rig.store.create(poolDraft({ replicas: 20, maxSize: 22 }));
  await rig.until('20 are free', () => rig.find(POOL, 'galaxy')?.status !== undefined && numbers().free === 20, 300_000);
  const end = rig.world.milliseconds + DAY;
  let deaths = 0;
  while (rig.world.milliseconds < end) {
    await rig.pass(rig.world.below(2 * HOUR));
    for (let dying = 1 + rig.world.below(5); dying > 0; dying -= 1) {
      const alive = cloud.alive().filter(({ state }) => state === 'Running');
      const victim = alive[rig.world.below(alive.length)];
      if (!victim) continue;
      deaths += 1;
      if (rig.world.random() < 0.5) cloud.delete(victim.id);
      else cloud.change(victim.id, (server) => Object.assign(server, { state: 'Error', fault: 'its host died' }));
    }
    // An audit, and what it takes to build anew.
    await rig.pass(90_000);
    await rig.until('20 are free again', () => numbers().free === 20, 180_000);
    expect(cloud.alive()).toHaveLength(20);
  }
  expect(deaths).toBeGreaterThan(30);
  expect(most).toBeLessThanOrEqual(22);
  expect(rig.said(POOL, 'galaxy')).toEqual({ Ready: 'True PoolReady' });
  expect(cloud.violations).toEqual([]);
});
