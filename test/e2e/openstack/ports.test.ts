import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals';
import { Chance } from '../../../src/clouds/simulator/model/chance.js';
import type { VirtualMachineSpec } from '../../../src/resources/virtual-machine.js';
import { eventually } from '../../support/eventually.js';
import { Lab, LOOK_EVERY_MS, PATIENCE_MS } from '../support/lab.js';
import { LossyProxy } from '../support/lossy-proxy.js';
import { AUTH_URL, describeOnOpenStack, mend, openstack, service } from '../support/openstack.js';
import { deletePort, ownPorts } from '../support/ports.js';

jest.setTimeout(480_000);

const NET: Partial<VirtualMachineSpec> = { networks: [{ name: 'demo-net' }], onChange: 'Replace' };
const LOSSY = 8;
const FROZEN = 5;
const KILLS = 4;
const FROZEN_MS = 30_000;

describeOnOpenStack('The ports of machines on a real OpenStack', () => {
  let lab: Lab;
  let proxy: LossyProxy;
  const seed = Number(process.env.SEED ?? 1 + Math.floor(Math.random() * 2 ** 31));
  const chance = new Chance(Math.random, seed);

  beforeAll(async () => {
    process.stdout.write(`lost replies and kills of seed ${seed}; SEED=${seed} repeats them\n`);
    proxy = await LossyProxy.start();
    // Shorter than anybody should set them, so that what is lost is given up and made anew within the test.
    lab = await Lab.open('port', {
      endpoint: proxy.through(AUTH_URL),
      observe: { interval: '1s', auditInterval: '10s', settleTime: '15s' },
      requestTimeout: '8s',
      orphans: { gracePeriod: '5s' },
    });
  });
  afterEach(async () => {
    proxy.loses = () => false;
    await mend('neutron-server');
  });
  afterAll(async () => {
    await lab?.close();
    for (const { id } of await ownPorts('port-')) await deletePort(id);
    await proxy?.close();
  });

  it('keep the address when the server is replaced', async () => {
    await lab.apply(lab.machine('kept', NET));
    const before = await lab.until('kept', { status: 'True' });
    const [port] = before.status.ports ?? [];
    expect(before.status.ports).toEqual([{ ...port, address: expect.stringMatching(/^\d+\.\d+\.\d+\.\d+$/) }]);
    await lab.change('kept', { userData: '#cloud-config\n' });
    const after = await lab.until('kept', { status: 'True' });
    expect(after.status.id).not.toBe(before.status.id);
    expect(after.status.ports).toEqual(before.status.ports);
    expect((await lab.server('kept')).addresses).toEqual({ 'demo-net': [expect.objectContaining({ addr: port?.address })] });
  });

  it('are given back when the client takes one off its server, and made anew when it deletes one', async () => {
    const { status } = await lab.get('kept');
    const [port] = status.ports ?? [];
    await openstack('server', 'remove', 'port', status.id ?? '', port?.id ?? '');
    await eventually(
      async () => expect(await addresses(lab)).toEqual({ [lab.named('kept')]: port?.address }),
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
    expect((await lab.get('kept')).status.ports).toEqual(status.ports);
    await openstack('port', 'delete', port?.id ?? '');
    const replaced = await eventually(
      async () => {
        const machine = await lab.get('kept');
        const [another] = machine.status.ports ?? [];
        expect(another?.id).not.toBe(port?.id);
        expect(await addresses(lab)).toEqual({ [lab.named('kept')]: another?.address });
        return machine;
      },
      PATIENCE_MS,
      LOOK_EVERY_MS,
    );
    expect(replaced.status.id).toBe(status.id);
    const events = await lab.dispatcher.kubectl(['get', 'events', '-o', 'jsonpath={.items[*].reason}']);
    expect(events).toContain('PortReplaced');
  });

  it(`hold ${LOSSY} machines to one server each, though most replies about servers and ports are lost`, async () => {
    proxy.loses = (method, path) => method === 'POST' && /\/(servers|ports|os-interface)$/.test(path) && chance.number() < 0.6;
    const watch = watchForTwins(lab);
    await lab.apply(...Array.from({ length: LOSSY }, (_, index) => lab.machine(`lossy-${index}`, NET)));
    await eventually(() => expect(proxy.lost).toBeGreaterThan(LOSSY / 2), PATIENCE_MS);
    const machines = await lab.untilConverged(300_000);
    proxy.loses = () => false;
    process.stdout.write(`replies lost: ${proxy.lost}\n`);
    expect(await watch.stop()).toEqual([]);
    await allHaveTheirPorts(machines);
  });

  it(`stay with their servers when Neutron is frozen for ${FROZEN_MS / 1000} s during creates, and the process killed ${KILLS} times`, async () => {
    const watch = watchForTwins(lab);
    await lab.apply(...Array.from({ length: FROZEN }, (_, index) => lab.machine(`frozen-${index}`, NET)));
    await new Promise((resolve) => setTimeout(resolve, chance.number() * 1_500));
    await service('freeze', 'neutron-server');
    for (let kill = 0; kill < KILLS; kill += 1) {
      await new Promise((resolve) => setTimeout(resolve, (chance.number() * FROZEN_MS) / KILLS));
      await lab.dispatcher.kill();
      await lab.dispatcher.start();
    }
    await service('thaw', 'neutron-server');
    const machines = await lab.untilConverged(300_000);
    expect(await watch.stop()).toEqual([]);
    await allHaveTheirPorts(machines);
  });

  it('are gone with their machines, and so are those that nobody has', async () => {
    await lab.deleteAll(180_000);
    await eventually(async () => expect(await ownPorts('port-')).toEqual([]), 180_000, LOOK_EVERY_MS);
  });
});

/** The addresses that the suite's servers have by their own ports, by the server's name. */
async function addresses(lab: Lab): Promise<Record<string, string>> {
  const [servers, ports] = await Promise.all([lab.servers(), ownPorts('port-')]);
  return Object.fromEntries(
    ports.flatMap(({ serverId, address }) => servers.filter(({ id }) => id === serverId).map(({ name }) => [name, address])),
  );
}

/** Each machine has just the ports that its status names, on its own server; whatever else was made is collected. */
async function allHaveTheirPorts(machines: Awaited<ReturnType<Lab['machines']>>): Promise<void> {
  await eventually(
    async () => {
      const declared = machines.flatMap(({ metadata, status }) =>
        (status.ports ?? []).map(({ id }) => `${metadata.name} ${status.id} ${id}`),
      );
      expect(declared).toHaveLength(machines.length);
      const there = (await ownPorts('port-')).map(({ id, name, serverId }) => `${name} ${serverId} ${id}`);
      expect(there.sort()).toEqual(declared.sort());
    },
    180_000,
    LOOK_EVERY_MS,
  );
}

/** Looks all the time for records with two servers that are ACTIVE. */
function watchForTwins(lab: Lab): { stop(): Promise<string[]> } {
  const twins = new Set<string>();
  let running = true;
  const look = async () => {
    while (running) {
      const servers = await lab.servers().catch(() => []);
      const active = servers.filter(({ status }) => status === 'ACTIVE').map(({ metadata }) => metadata['dispatcher.uid'] ?? '');
      for (const [index, uid] of active.entries()) if (active.indexOf(uid) < index) twins.add(uid);
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  };
  const looking = look();
  return {
    stop: async () => {
      running = false;
      await looking;
      return [...twins];
    },
  };
}
