import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { poolDraft, recipeDraft } from '../../support/pools.js';
import { Rig } from '../../support/rig.js';

const POOL = 'VirtualMachinePool';
const HOUR = 3_600_000;

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

const numbers = () => rig.get(POOL, 'galaxy').status as { wanted?: number };

test.each([
  ['skips it in spring', '2026-03-29T00:50:00Z', '2026-03-29T01:00:00Z'],
  ['shows it twice in autumn', '2026-10-25T00:20:00Z', '2026-10-25T00:30:00Z'],
])(
  'a schedule in the hour that changes takes effect once where the clock %s, and a person may overrule it',
  async (_how, begin, fires) => {
    await rig.pass(Date.parse(begin) - rig.world.milliseconds);
    // Without a Cloud nothing is made: what is wanted is told all the same.
    rig.start();
    await rig.store.create(recipeDraft());
    const schedules = [{ cron: '30 2 * * *', timeZone: 'Europe/Rome', replicas: 4 }];
    await rig.store.create(poolDraft({ replicas: 0, schedules }));
    await rig.pass(Date.parse(fires) - rig.world.milliseconds - 1);
    expect(numbers().wanted).toBe(0);
    await rig.pass(1_000);
    expect(numbers().wanted).toBe(4);
    expect(rig.get(POOL, 'galaxy').status).toMatchObject({
      scheduled: { at: fires.replace('Z', '.000Z'), replicas: 4, over: 0 },
    });
    await rig.edit(POOL, 'galaxy', { replicas: 2 });
    await rig.pass(1.2 * HOUR);
    expect(numbers().wanted).toBe(2);
    expect(rig.events('galaxy')).toEqual(['Normal ScheduleTookEffect']);
  },
);
