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
/** So few calls at once that creates are still under way at each kill. */
const SLOW = { inFlight: 3, requestsPerSecond: 50 };

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
    const declare = (first: number, count: number) =>
      lab.apply(...Array.from({ length: count }, (_, index) => lab.machine(`vm-${first + index}`)));
    await declare(1, MACHINES - KILLS);
    const serversAtKills: number[] = [];
    for (let kill = 0; kill < KILLS; kill += 1) {
      // In each life there is something to make, and it is in the middle of it: it has asked for a server at least.
      await declare(MACHINES - KILLS + kill + 1, 1);
      await eventually(async () => expect(await lab.dispatcher.cloudCalls('createServer')).toBeGreaterThan(0), 30_000, 20);
      await new Promise((resolve) => setTimeout(resolve, chance.number() * 700));
      await lab.dispatcher.kill();
      serversAtKills.push((await lab.servers()).length);
      await lab.dispatcher.start();
      expect(lab.dispatcher.adoptedDatabase).toBe(true);
    }
    process.stdout.write(`servers at the kills: ${serversAtKills.join(' ')}\n`);
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
