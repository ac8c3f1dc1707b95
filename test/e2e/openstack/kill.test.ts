import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { Chance } from '../../../src/clouds/simulator/model/chance.js';
import { eventually } from '../../support/eventually.js';
import { Lab } from '../support/lab.js';
import { describeOnOpenStack } from '../support/openstack.js';

jest.setTimeout(300_000);

const MACHINES = 50;
const KILLS = 20;
/** Short, to keep the test short: each attempt that a kill leaves open waits so long. An accepted create appears here in under 2 s. */
const SETTLE = '10s';
/** So slow that the creates are still going on at the last kill. */
const SLOW = { inFlight: 2, requestsPerSecond: 4 };

describeOnOpenStack('A dispatcher that is killed again and again', () => {
  let lab: Lab;
  const observe = { interval: '1s', auditInterval: '10s', settleTime: SETTLE };
  beforeAll(async () => {
    lab = await Lab.open('kill', { observe, limits: SLOW });
  });
  afterAll(() => lab?.close());

  it(`by SIGKILL at ${KILLS} random moments while ${MACHINES} machines are made, makes exactly ${MACHINES} servers, each with its record`, async () => {
    const seed = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 2 ** 31));
    const chance = new Chance(Math.random, seed);
    process.stdout.write(`kill -9 at moments of seed ${seed}; SEED=${seed} repeats them\n`);
    await lab.apply(...Array.from({ length: MACHINES }, (_, index) => lab.machine(`vm-${index + 1}`)));
    const serversAtKills: number[] = [];
    for (let kill = 0; kill < KILLS; kill += 1) {
      // It is in the middle of its work: this life has made a server at least.
      await eventually(async () => expect((await lab.servers()).length).toBeGreaterThan(serversAtKills.at(-1) ?? 0), 60_000, 50);
      await new Promise((resolve) => setTimeout(resolve, chance.number() * 500));
      serversAtKills.push((await lab.servers()).length);
      await lab.dispatcher.kill();
      await lab.dispatcher.start();
      expect(lab.dispatcher.adoptedDatabase).toBe(true);
    }
    process.stdout.write(`servers at the kills: ${serversAtKills.join(' ')}\n`);
    expect(serversAtKills.at(-1)).toBeLessThan(MACHINES);
    await lab.apply(lab.cloud({ observe }));
    const machines = await lab.untilConverged(180_000);
    expect(machines).toHaveLength(MACHINES);
    expect(new Set(machines.map(({ status }) => status.id)).size).toBe(MACHINES);
  });

  it('deletes all of them, though it is killed while it does, and nothing is left', async () => {
    await lab.dispatcher.kubectl(['delete', 'vm', '--all', '--wait=false']);
    await eventually(async () => expect((await lab.servers()).length).toBeLessThan(MACHINES));
    await lab.dispatcher.kill();
    await lab.dispatcher.start();
    await lab.untilEmpty(120_000);
  });
});
