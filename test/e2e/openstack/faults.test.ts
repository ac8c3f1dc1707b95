import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { eventually } from '../../support/eventually.js';
import { conditionOf, Lab } from '../support/lab.js';
import { type Daemon, describeOnOpenStack, mend, service } from '../support/openstack.js';

jest.setTimeout(300_000);

/** Reasons that say nothing of a fault: what any machine goes through. */
const QUIET: ReadonlySet<string> = new Set(['Creating', 'Building', 'Observing', 'Binding', 'Running', 'Changing', 'Correcting']);
const DAEMONS: readonly Daemon[] = ['keystone', 'nova-api', 'rabbitmq', 'neutron-server'];
const PATIENCE_MS = 240_000;

describeOnOpenStack('While a part of OpenStack is away', () => {
  let lab: Lab | undefined;
  let made = 0;

  beforeAll(async () => {
    // Shorter than anybody should set them, so that what is lost is given up and made anew within the test.
    lab = await Lab.open('fault', {
      observe: { interval: '1s', auditInterval: '10s', settleTime: '15s' },
      buildTimeout: '40s',
      requestTimeout: '5s',
    });
    await lab.apply(lab.machine('steady-1'), lab.machine('steady-2', { networks: [{ name: 'demo-net' }] }));
    await lab.untilConverged();
  });
  afterEach(async () => {
    for (const daemon of DAEMONS) await mend(daemon);
  });
  afterAll(() => lab?.close());

  describe.each(DAEMONS)('%s', (daemon) => {
    it.each(['stop', 'freeze'] as const)('%s: it waits, says why, and recovers by itself', async (verb) => {
      if (!lab) throw new Error('no lab');
      const here = lab;
      made += 1;
      await service(verb, daemon);
      if (daemon === 'keystone') {
        // Nobody misses it while tokens live: a new life needs one.
        await here.dispatcher.kill();
        await here.dispatcher.start();
      }
      await here.apply(
        here.machine(`new-${made}`),
        here.machine(`steady-1`, { powerState: made % 2 === 0 ? 'Running' : 'Stopped' }),
      );
      const said = await eventually(() => troubles(here), 60_000, 500);
      await mend(daemon);
      const machines = await here.untilConverged(PATIENCE_MS);
      expect(machines).toHaveLength(2 + made);
      console.log(`${daemon} ${verb}: ${said.join(' | ')}`);
    });
  });

  it('goes on with tokens that live for 20 seconds', async () => {
    if (!lab) throw new Error('no lab');
    const here = lab;
    await service('restart', 'keystone', { TOKEN_TTL: '20' });
    try {
      // A token from before lives on for an hour: a new life asks for one of its own.
      await here.dispatcher.kill();
      await here.dispatcher.start();
      await eventually(async () => expect(await here.dispatcher.cloudCalls('login')).toBeGreaterThanOrEqual(2), 90_000);
      await here.apply(here.machine('late-1'), here.machine('late-2'));
      await eventually(async () => expect(await here.dispatcher.cloudCalls('login')).toBeGreaterThanOrEqual(4), 120_000);
      await here.untilConverged();
    } finally {
      await service('restart', 'keystone', { TOKEN_TTL: '3600' });
    }
  });

  it('leaves nothing behind', async () => {
    await lab?.deleteAll(120_000);
  });
});

/** What the Cloud and the machines say is wrong, in words. @throws while nothing is said. */
async function troubles(lab: Lab): Promise<string[]> {
  const [cloud, machines] = await Promise.all([lab.getCloud(), lab.machines()]);
  const said = [cloud, ...machines].flatMap((resource) => {
    const ready = conditionOf(resource, 'Ready');
    if (!ready || ready.status === 'True' || QUIET.has(ready.reason)) return [];
    return [`${resource.metadata.name}: ${ready.reason}: ${ready.message}`];
  });
  expect(said).not.toEqual([]);
  return said;
}
