import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { CloudDriver, CreateServerRequest, Server } from '../../src/clouds/driver.js';
import type { NetworkOwner, Port, SecurityGroup, SecurityGroupTraffic } from '../../src/clouds/network-driver.js';
import type { DriverUnderTest } from './driver.js';
import { DEADLINE_MS, failureOf, until } from './waiting.js';

const MISSING = '00000000-0000-4000-8000-000000000000';
const conflict = { code: 'Conflict' };

/** Every MUST of src/clouds/network-driver.ts, and the ports of src/clouds/driver.ts, asked of a driver on a cloud. */
export function networkDriverContract(name: string, setup: () => Promise<DriverUnderTest>): void {
  describe(`network driver contract: ${name}`, () => {
    let cloud: DriverUnderTest;
    let driver: CloudDriver;
    const servers = new Set<string>();
    const ports = new Set<string>();
    const groups = new Set<string>();

    beforeAll(async () => {
      cloud = await setup();
      driver = cloud.driver;
    }, DEADLINE_MS);
    afterEach(async () => {
      for (const id of servers) await driver.deleteServer(id);
      for (const id of servers) await until(`${id} is gone`, async () => ((await isGone(id)) ? true : undefined));
      for (const id of ports) await driver.deletePort(id);
      for (const id of groups) await driver.deleteSecurityGroup(id);
      for (const made of [servers, ports, groups]) made.clear();
    }, DEADLINE_MS);
    afterAll(async () => cloud.close());

    const isGone = async (id: string) => (await failureOf(driver.getServer(id)))?.code === 'NotFound';
    const ownerOf = (): NetworkOwner => ({ installation: cloud.installation, key: crypto.randomUUID() });
    const makePorts = async (count: number, more: { readonly groupIds?: readonly string[] } = {}): Promise<readonly Port[]> => {
      const owners = Array.from({ length: count }, ownerOf);
      const made = await driver.createPorts(
        owners.map((owner) => ({ name: `contract-${owner.key}`, networkId: cloud.networkId, owner, ...more })),
      );
      for (const { id } of made) ports.add(id);
      expect(made.map(({ owner }) => owner)).toEqual(owners);
      return made;
    };
    const makePort = async (more: { readonly groupIds?: readonly string[] } = {}): Promise<Port> => one(await makePorts(1, more));
    const makeGroups = async (count: number): Promise<readonly SecurityGroup[]> => {
      const owners = Array.from({ length: count }, ownerOf);
      const made = await driver.createSecurityGroups(
        owners.map((owner) => ({ name: `contract-${owner.key}`, description: 'made by the contract suite', owner })),
      );
      for (const { id } of made) groups.add(id);
      expect(made.map(({ owner }) => owner)).toEqual(owners);
      return made;
    };
    const makeGroup = async (): Promise<SecurityGroup> => one(await makeGroups(1));
    const listedPort = async (id: string): Promise<Port | undefined> => (await driver.listPorts()).find((port) => port.id === id);
    const listedGroup = async (id: string): Promise<SecurityGroup | undefined> =>
      (await driver.listSecurityGroups()).find((group) => group.id === id);
    const createServer = async (request: Partial<CreateServerRequest>): Promise<Server> => {
      const server = await driver.createServer(
        {
          name: `contract-${crypto.randomUUID()}`,
          imageId: cloud.imageId,
          flavorId: cloud.flavorId,
          networks: 'none',
          metadata: {},
          tags: [],
          ...request,
        },
        { installation: cloud.installation, uid: crypto.randomUUID(), attempt: crypto.randomUUID() },
      );
      servers.add(server.id);
      return server;
    };
    const running = async (request: Partial<CreateServerRequest>): Promise<Server> => {
      const { id } = await createServer(request);
      return until(`${id} is Running`, async () => {
        const server = await driver.getServer(id);
        if (server.state === 'Error') throw new Error(`${id} is in Error: ${server.fault}`);
        return server.state === 'Running' && server.task === undefined ? server : undefined;
      });
    };

    describe('ports', () => {
      it('are made many in one call, in the order asked, and are listed at once with owner, address and groups', async () => {
        const group = await makeGroup();
        const made = await makePorts(4, { groupIds: [group.id] });
        const listed = await driver.listPorts();
        for (const port of made) {
          expect(port).toMatchObject({ networkId: cloud.networkId, groupIds: [group.id], secured: true });
          expect(port).not.toHaveProperty('serverId');
          expect(port.addresses).toEqual([expect.stringMatching(/^[^/]*[.:][^/]*$/)]);
          expect(listed).toContainEqual(port);
        }
      });

      it('have the default group when none is named, and none when none is to be', async () => {
        const theDefault = (await driver.listSecurityGroups()).find(({ isDefault }) => isDefault);
        expect((await makePort()).groupIds).toEqual([theDefault?.id]);
        expect((await makePort({ groupIds: [] })).groupIds).toEqual([]);
      });

      it('are made all or none: an unknown network or group is Invalid', async () => {
        const owner = ownerOf();
        const good = { name: `contract-${owner.key}`, networkId: cloud.networkId, owner };
        for (const bad of [
          { ...good, networkId: MISSING },
          { ...good, groupIds: [MISSING] },
        ]) {
          expect(await failureOf(driver.createPorts([good, bad]))).toMatchObject({ code: 'Invalid' });
        }
        expect((await driver.listPorts()).filter((port) => port.owner?.key === owner.key)).toEqual([]);
      });

      it('take other groups for all that they have', async () => {
        const [a, b, c] = await makeGroups(3);
        if (!a || !b || !c) throw new Error('too few groups');
        const { id } = await makePort({ groupIds: [a.id] });
        expect([...(await driver.setPortGroups({ id }, [b.id, c.id])).groupIds].sort()).toEqual([b.id, c.id].sort());
        expect([...((await listedPort(id))?.groupIds ?? [])].sort()).toEqual([b.id, c.id].sort());
        expect((await driver.setPortGroups({ id }, [])).groupIds).toEqual([]);
        expect(await failureOf(driver.setPortGroups({ id }, [MISSING]))).toMatchObject(conflict);
        expect(await failureOf(driver.setPortGroups({ id: MISSING }, [a.id]))).toMatchObject({ code: 'NotFound' });
      });

      it('take no other groups once they are otherwise than they were seen', async () => {
        const [a, b] = await makeGroups(2);
        if (!a || !b) throw new Error('too few groups');
        const seen = await makePort({ groupIds: [a.id] });
        const changed = await driver.setPortGroups(seen, [a.id, b.id]);
        expect(await failureOf(driver.setPortGroups(seen, [a.id]))).toMatchObject(conflict);
        expect([...((await listedPort(seen.id))?.groupIds ?? [])].sort()).toEqual([a.id, b.id].sort());
        expect((await driver.setPortGroups(changed, [b.id])).groupIds).toEqual([b.id]);
      });

      it('lose their owner and nothing else when they are disowned; one that is not there is success', async () => {
        const { owner: _, ...rest } = await makePort();
        await driver.disownPort(rest.id);
        expect(await listedPort(rest.id)).toEqual({ ...rest, revision: expect.anything() });
        await driver.disownPort(MISSING);
      });

      it('are gone when they are deleted, which may be done twice', async () => {
        const { id } = await makePort();
        await driver.deletePort(id);
        expect(await listedPort(id)).toBeUndefined();
        await driver.deletePort(id);
      });
    });

    describe('a server', () => {
      it(
        'takes the ports that it is given with their addresses and groups, and leaves them when it goes',
        async () => {
          const group = await makeGroup();
          const port = await makePort({ groupIds: [group.id] });
          const server = await running({ networks: { portIds: [port.id] } });
          expect(server.addresses.map(({ address }) => address)).toEqual(port.addresses);
          expect(await listedPort(port.id)).toEqual({ ...port, serverId: server.id, revision: expect.anything() });
          await driver.deleteServer(server.id);
          await until('it is gone', async () => ((await isGone(server.id)) ? true : undefined));
          const left = await until('the port is free', async () => {
            const found = await listedPort(port.id);
            return found !== undefined && found.serverId === undefined ? found : undefined;
          });
          expect(left).toEqual({ ...port, revision: expect.anything() });
        },
        DEADLINE_MS,
      );

      it(
        'is refused a port that another has, as Conflict, and is not made',
        async () => {
          const [taken, free] = await makePorts(2);
          if (!taken || !free) throw new Error('too few ports');
          const first = await running({ networks: { portIds: [taken.id] } });
          const name = `contract-${crypto.randomUUID()}`;
          for (const portIds of [[taken.id], [free.id, taken.id]])
            expect(await failureOf(createServer({ name, networks: { portIds } }))).toMatchObject(conflict);
          expect(await driver.findServersByName(name)).toEqual([]);
          expect(await listedPort(taken.id)).toMatchObject({ serverId: first.id });
          expect(await listedPort(free.id)).not.toHaveProperty('serverId');
        },
        DEADLINE_MS,
      );

      it('is refused a port or group that is not there, as Invalid', async () => {
        for (const request of [{ networks: { portIds: [MISSING] } }, { networks: [cloud.networkId], groupIds: [MISSING] }])
          expect(await failureOf(createServer(request))).toMatchObject({ code: 'Invalid' });
      });

      it(
        'has the groups that are named on the ports that the cloud makes for it',
        async () => {
          const group = await makeGroup();
          const { id } = await running({ networks: [cloud.networkId], groupIds: [group.id] });
          const its = (await driver.listPorts()).filter((port) => port.serverId === id);
          expect(its).toEqual([expect.objectContaining({ groupIds: [group.id] })]);
          expect(its[0]).not.toHaveProperty('owner');
          expect(await failureOf(driver.deleteSecurityGroup(group.id))).toMatchObject(conflict);
        },
        DEADLINE_MS,
      );

      it(
        'takes a port while it runs, once; not while it is being built',
        async () => {
          const [first, second, third] = await makePorts(3);
          if (!first || !second || !third) throw new Error('too few ports');
          const young = await createServer({});
          const refusal = await failureOf(driver.attachPort(young.id, third.id));
          // A cloud may be quicker than this test.
          if (refusal === undefined) expect(await driver.getServer(young.id)).toMatchObject({ state: 'Running' });
          else expect(refusal).toMatchObject(conflict);
          const server = await running({ networks: { portIds: [first.id] } });
          await driver.attachPort(server.id, second.id);
          expect(await listedPort(second.id)).toMatchObject({ serverId: server.id });
          expect(await failureOf(driver.attachPort(server.id, second.id))).toMatchObject(conflict);
          const other = await running({});
          expect(await failureOf(driver.attachPort(other.id, second.id))).toMatchObject(conflict);
          for (const [serverId, portId] of [
            [server.id, MISSING],
            [MISSING, second.id],
          ] as const)
            expect(await failureOf(driver.attachPort(serverId, portId))).toMatchObject({ code: 'NotFound' });
        },
        DEADLINE_MS,
      );
    });

    describe('security groups', () => {
      it('are made many in one call, in the order asked, and are listed at once with owner and rules', async () => {
        const made = await makeGroups(3);
        const listed = await driver.listSecurityGroups();
        for (const group of made) {
          expect(group).toMatchObject({ name: `contract-${group.owner?.key}`, isDefault: false });
          expect(listed.map(inOrder)).toContainEqual(inOrder(group));
        }
      });

      it('are those of the project, and one of them is the default', async () => {
        expect((await driver.listSecurityGroups()).filter(({ isDefault }) => isDefault)).toHaveLength(1);
      });

      it('are gone when they are deleted, which may be done twice', async () => {
        const { id } = await makeGroup();
        await driver.deleteSecurityGroup(id);
        expect(await listedGroup(id)).toBeUndefined();
        await driver.deleteSecurityGroup(id);
      });
    });

    describe('rules', () => {
      const ingress = { direction: 'Ingress', family: 'IPv4' } as const;
      const all: readonly SecurityGroupTraffic[] = [
        { ...ingress, protocol: 'tcp', from: 22, to: 22, cidr: '198.51.100.7/32' },
        { ...ingress, protocol: 'tcp', from: 8000, to: 8100, cidr: '0.0.0.0/0' },
        { direction: 'Ingress', family: 'IPv6', protocol: 'tcp', from: 8000, to: 8100, cidr: '::/0' },
        { ...ingress, protocol: 'udp', cidr: '10.0.0.0/8' },
        { ...ingress, protocol: 'icmp', from: 8, to: 0, cidr: '0.0.0.0/0' },
        { ...ingress, protocol: 'icmp', from: 3, cidr: '0.0.0.0/0' },
        { direction: 'Ingress', family: 'IPv6', protocol: 'ipv6-icmp', from: 128, to: 0, cidr: '::/0' },
        { direction: 'Egress', family: 'IPv6', protocol: 'udp', from: 53, to: 53, cidr: '2001:db8::/32' },
        { ...ingress, cidr: '192.0.2.0/24' },
      ];

      it('are made many in one call, in the order asked, and read back as they were asked for', async () => {
        const group = await makeGroup();
        const peer = await makeGroup();
        const wanted: readonly SecurityGroupTraffic[] = [...all, { ...ingress, protocol: 'tcp', groupId: peer.id }];
        const made = await driver.createSecurityGroupRules(wanted.map((traffic) => ({ ...traffic, inGroup: group.id })));
        expect(made.map(({ id: _, inGroup: __, ...traffic }) => traffic)).toEqual(wanted);
        expect(new Set(made.map(({ inGroup }) => inGroup))).toEqual(new Set([group.id]));
        const listed = (await listedGroup(group.id))?.rules ?? [];
        for (const { inGroup: _, ...rule } of made) expect(listed).toContainEqual(rule);
        expect(listed).toHaveLength(group.rules.length + made.length);
      });

      it('read back the same however they were asked for', async () => {
        const group = await makeGroup();
        const [everyPort, anybody] = await driver.createSecurityGroupRules([
          { ...ingress, protocol: 'tcp', from: 1, to: 65_535, cidr: '0.0.0.0/0', inGroup: group.id },
          { ...ingress, protocol: 'udp', from: 53, to: 53, inGroup: group.id },
        ]);
        expect(everyPort).toEqual({ id: everyPort?.id, ...ingress, protocol: 'tcp', cidr: '0.0.0.0/0', inGroup: group.id });
        expect(anybody).toMatchObject({ cidr: '0.0.0.0/0' });
      });

      it('are refused as Conflict, all of them, if one is there already or twice among them', async () => {
        const group = await makeGroup();
        const rule = { ...ingress, protocol: 'tcp', from: 22, to: 22, cidr: '0.0.0.0/0', inGroup: group.id } as const;
        const other = { ...rule, from: 80, to: 80 };
        await driver.createSecurityGroupRules([rule]);
        const { cidr: _, ...bare } = rule;
        for (const rules of [[rule], [other, rule], [bare], [other, other]])
          expect(await failureOf(driver.createSecurityGroupRules(rules))).toMatchObject(conflict);
        expect((await listedGroup(group.id))?.rules).toHaveLength(group.rules.length + 1);
      });

      it('are refused as Invalid in or from a group that is not there, and in two groups at once', async () => {
        const [group, other] = await makeGroups(2);
        if (!group || !other) throw new Error('too few groups');
        const rule = { ...ingress, protocol: 'tcp', from: 22, to: 22 } as const;
        for (const rules of [
          [{ ...rule, inGroup: MISSING }],
          [{ ...rule, groupId: MISSING, inGroup: group.id }],
          [
            { ...rule, inGroup: group.id },
            { ...rule, inGroup: other.id },
          ],
        ])
          expect(await failureOf(driver.createSecurityGroupRules(rules))).toMatchObject({ code: 'Invalid' });
      });

      it('are gone when they are deleted, which may be done twice; those that a new group has, too', async () => {
        const group = await makeGroup();
        for (const { id } of group.rules) await driver.deleteSecurityGroupRule(id);
        expect((await listedGroup(group.id))?.rules).toEqual([]);
        await driver.deleteSecurityGroupRule(group.rules[0]?.id ?? MISSING);
      });
    });
  });
}

/** A group with its rules in an order of their own: clouds keep none. */
function inOrder(group: SecurityGroup): SecurityGroup {
  return { ...group, rules: [...group.rules].sort((a, b) => (a.id < b.id ? -1 : 1)) };
}

function one<Item>(items: readonly Item[]): Item {
  const [item] = items;
  if (items.length !== 1 || item === undefined) throw new Error(`one was asked for, ${items.length} came`);
  return item;
}
