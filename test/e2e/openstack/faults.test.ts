import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { eventually } from '../../support/eventually.js';
import { conditionOf, Lab } from '../support/lab.js';
import { type Daemon, describeOnOpenStack, mend, service } from '../support/openstack.js';

jest.setTimeout(480_000);

/** What is said while each part is away, in the words of whichever condition says it first. */
const WORDS = {
  keystone: /login: 127\.0\.0\.1:\d+: no (connection|answer)/,
  'nova-api': /(list\w+|\w+Server): 127\.0\.0\.1:\d+: no (connection|answer)|OutcomeUnknown: /,
  // It takes creates in, and loses them: what is seen is an answer that does not come, then a build that does not end.
  rabbitmq: /no answer|OutcomeUnknown: |it was not built within 40 s/,
  // Nova asks it at every detailed list, and waits longer for it than we for Nova.
  'neutron-server': /list\w+: 127\.0\.0\.1:\d+: no answer|list\w+: .*50\d|createServer: .*(no answer|50\d)/,
} satisfies Partial<Record<Daemon, RegExp>>;
const DAEMONS = ['keystone', 'nova-api', 'rabbitmq', 'neutron-server'] as const;
const STEADY = ['steady-1', 'steady-2'];
const RECOVERY_MS = 300_000;

describeOnOpenStack('While a part of OpenStack is away', () => {
  let lab: Lab;
  let steadyIds: readonly (string | undefined)[] = [];
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
    steadyIds = await idsOf(lab, STEADY);
  });
  afterEach(async () => {
    for (const daemon of DAEMONS) await mend(daemon);
  });
  afterAll(() => lab?.close());

  describe.each(DAEMONS)('%s', (daemon) => {
    it.each(['stop', 'freeze'] as const)('%s: it waits, says why, and recovers by itself', async (verb) => {
      made += 1;
      await service(verb, daemon);
      if (daemon === 'keystone') {
        // Nobody misses it while tokens live: a new life needs one.
        await lab.dispatcher.kill();
        await lab.dispatcher.start();
      }
      await lab.apply(
        lab.machine(`new-${made}`),
        lab.machine('steady-1', { powerState: made % 2 === 0 ? 'Running' : 'Stopped' }),
      );
      const said = await eventually(() => wordsLike(lab, WORDS[daemon]), 90_000, 500);
      process.stdout.write(`${daemon}, ${verb}: ${said}\n`);
      await mend(daemon);
      if (daemon === 'rabbitmq') await freeWhatIsStuck(lab);
      expect(await lab.untilConverged(RECOVERY_MS)).toHaveLength(STEADY.length + made);
      expect(await idsOf(lab, STEADY)).toEqual(steadyIds);
    });
  });

  it('goes on with tokens that live for 20 seconds', async () => {
    await service('restart', 'keystone', { TOKEN_TTL: '20' });
    try {
      // A token from before lives on for an hour: a new life asks for one of its own.
      await lab.dispatcher.kill();
      await lab.dispatcher.start();
      await eventually(async () => expect(await lab.dispatcher.cloudCalls('login')).toBeGreaterThanOrEqual(2), 90_000);
      await lab.apply(lab.machine('late-1'), lab.machine('late-2'));
      await eventually(async () => expect(await lab.dispatcher.cloudCalls('login')).toBeGreaterThanOrEqual(4), 120_000);
      await lab.untilConverged();
    } finally {
      await service('restart', 'keystone', { TOKEN_TTL: '3600' });
    }
  });

  it('leaves nothing behind', async () => {
    await lab.deleteAll(120_000);
  });
});

async function idsOf(lab: Lab, names: readonly string[]): Promise<(string | undefined)[]> {
  return Promise.all(names.map(async (name) => (await lab.get(name)).status.id));
}

/** Nova never ends a change whose message RabbitMQ lost, and takes no other: the machine says so, and nova-compute ends it when it starts. */
async function freeWhatIsStuck(lab: Lab): Promise<void> {
  const isStuck = await eventually(
    async () => {
      const ready = conditionOf(await lab.get('steady-1'), 'Ready');
      expect([ready?.status, ready?.reason]).toContainEqual(expect.stringMatching(/^(True|ChangeStuck)$/));
      return ready?.reason === 'ChangeStuck';
    },
    RECOVERY_MS,
    500,
  );
  if (isStuck) await service('restart', 'nova-compute');
}

/** What the Cloud or a machine says of why it is not Ready, if it is like that. @throws while nobody says so. */
async function wordsLike(lab: Lab, wanted: RegExp): Promise<string> {
  const [cloud, machines] = await Promise.all([lab.getCloud(), lab.machines()]);
  const said = [cloud, ...machines].flatMap((resource) => {
    const ready = conditionOf(resource, 'Ready');
    return ready && ready.status !== 'True' ? [`${resource.metadata.name}: ${ready.reason}: ${ready.message}`] : [];
  });
  const found = said.find((words) => wanted.test(words));
  if (found === undefined) throw new Error(`nobody says ${wanted}: ${said.join(' | ') || 'all are Ready'}`);
  return found;
}
