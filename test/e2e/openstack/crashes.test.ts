import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { Lab } from '../support/lab.js';
import { describeOnOpenStack } from '../support/openstack.js';

jest.setTimeout(420_000);

const FLEET = Array.from({ length: 50 }, (_, index) => `vm-${index + 1}`);
const KILLS = 20;
/** The longest life between two kills: about as long as ten servers take. */
const LONGEST_LIFE_MS = 3_000;

describeOnOpenStack('A dispatcher that is killed', () => {
  let lab: Lab | undefined;
  beforeAll(async () => {
    // The settle time is shorter than anybody should set it, so that what is in doubt is settled within the test.
    lab = await Lab.open('crash', { observe: { interval: '1s', auditInterval: '10s', settleTime: '10s' } });
  });
  afterAll(() => lab?.close());

  it(`${KILLS} times with SIGKILL at random moments, while it makes 50 machines, makes exactly 50 servers, each owned`, async () => {
    if (!lab) throw new Error('no lab');
    await lab.apply(...FLEET.map((name) => lab?.machine(name) ?? {}));
    const lives: number[] = [];
    for (let kill = 1; kill <= KILLS; kill += 1) {
      const life = Math.floor(Math.random() * LONGEST_LIFE_MS);
      lives.push(life);
      await new Promise((resolve) => setTimeout(resolve, life));
      await lab.dispatcher.kill();
      await lab.dispatcher.start();
    }
    console.log(`killed after so many milliseconds of each life: ${lives.join(' ')}`);
    const machines = await lab.untilConverged(240_000);
    expect(machines).toHaveLength(50);
    const servers = await lab.servers();
    expect(servers.map(({ status }) => status)).toEqual(FLEET.map(() => 'ACTIVE'));
    expect(new Set(servers.map(({ metadata }) => metadata['dispatcher.uid'])).size).toBe(50);
  });

  it('leaves nothing behind when all are deleted, killed once more meanwhile', async () => {
    if (!lab) throw new Error('no lab');
    await lab.dispatcher.kubectl(['delete', 'vm', '--all', '--wait=false']);
    await lab.dispatcher.kill();
    await lab.dispatcher.start();
    await lab.deleteAll(120_000);
  });
});
