import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { CloudDriver, CreateServerRequest, OwnerTag, Server, ServerState } from '../../src/clouds/driver.js';
import { CloudError, type CloudErrorCode } from '../../src/clouds/errors.js';
import { DEADLINE_MS, failureOf, until } from './waiting.js';

/** A cloud with a driver on it, for {@link driverContract}. */
export interface DriverUnderTest {
  readonly driver: CloudDriver;
  /** A usable image and two flavors that a server of the project can have. All ids. */
  readonly imageId: string;
  readonly flavorId: string;
  readonly otherFlavorId: string;
  /** A network of the project with a subnet, the only one it has. */
  readonly networkId: string;
  /** The project logged in to. */
  readonly projectId: string;
  readonly installation: string;
  close(): Promise<void>;
}

/** Every MUST of src/clouds/driver.ts, asked of a driver on a cloud. */
export function driverContract(name: string, setup: () => Promise<DriverUnderTest>): void {
  describe(`driver contract: ${name}`, () => {
    let cloud: DriverUnderTest;
    let driver: CloudDriver;
    const made = new Set<string>();

    beforeAll(async () => {
      cloud = await setup();
      driver = cloud.driver;
    }, DEADLINE_MS);
    afterEach(async () => {
      for (const id of made) await driver.deleteServer(id);
      for (const id of made) await until(`${id} is gone`, async () => ((await isGone(id)) ? true : undefined));
      made.clear();
    }, DEADLINE_MS);
    afterAll(async () => cloud.close());

    const isGone = async (id: string) => (await failureOf(driver.getServer(id)))?.code === 'NotFound';
    const ownerOf = (): OwnerTag => ({
      installation: cloud.installation,
      uid: crypto.randomUUID(),
      attempt: crypto.randomUUID(),
    });
    const requestFor = (request: Partial<CreateServerRequest>): CreateServerRequest => ({
      name: `contract-${crypto.randomUUID()}`,
      imageId: cloud.imageId,
      flavorId: cloud.flavorId,
      networks: 'none',
      metadata: {},
      tags: [],
      ...request,
    });
    const create = async (request: Partial<CreateServerRequest> = {}, owner = ownerOf()): Promise<Server> => {
      const server = await driver.createServer(requestFor(request), owner);
      made.add(server.id);
      return server;
    };
    const reach = (id: string, state: ServerState): Promise<Server> =>
      until(`${id} is ${state}`, async () => {
        const server = await driver.getServer(id);
        if (server.state === 'Error' && state !== 'Error') throw new Error(`${id} is in Error: ${server.fault}`);
        return server.state === state && server.task === undefined ? server : undefined;
      });
    const running = async (request: Partial<CreateServerRequest> = {}, owner = ownerOf()): Promise<Server> =>
      reach((await create(request, owner)).id, 'Running');
    const listed = async (id: string): Promise<Server | undefined> =>
      (await driver.listServers()).servers.find((server) => server.id === id);

    describe('creating', () => {
      it('answers with id, name, owner and state Building', async () => {
        const owner = ownerOf();
        const server = await create({ name: 'contract-answer' }, owner);
        expect(server).toMatchObject({ name: 'contract-answer', owner, state: 'Building' });
        expect(server.id).not.toBe('');
      });

      it(
        'lists the server at once with its owner, metadata and tags, and without the marks of the owner tag',
        async () => {
          const owner = ownerOf();
          const { id, name } = await create({ metadata: { role: 'web', 'a b': 'ü' }, tags: ['blue', 'green'] }, owner);
          const server = await listed(id);
          expect(server).toMatchObject({ id, name, owner, ownerTagWhole: true, metadata: { role: 'web', 'a b': 'ü' } });
          expect(Object.keys(server?.metadata ?? {}).sort()).toEqual(['a b', 'role']);
          expect([...(server?.tags ?? [])].sort()).toEqual(['blue', 'green']);
        },
        DEADLINE_MS,
      );

      it(
        'shows image, flavor, times and state of a finished server',
        async () => {
          const { id } = await running({ networks: [cloud.networkId] });
          const flavor = (await driver.listFlavors()).find((candidate) => candidate.id === cloud.flavorId);
          const server = await driver.getServer(id);
          expect(server).toMatchObject({ state: 'Running', imageId: cloud.imageId });
          expect([server.flavorId, server.flavorName]).toEqual(
            expect.arrayContaining([server.flavorId === undefined ? flavor?.name : cloud.flavorId]),
          );
          expect(Date.parse(server.createdAt)).not.toBeNaN();
          expect(server.addresses).toEqual([expect.objectContaining({ type: 'Fixed', address: expect.stringMatching(/[.:]/) })]);
        },
        DEADLINE_MS,
      );

      it(
        'gives no address with networks none, and takes the one network there is when none is named',
        async () => {
          const none = await running({ networks: 'none' });
          expect((await driver.getServer(none.id)).addresses).toEqual([]);
          const { networks: _, ...unnamed } = requestFor({});
          const chosen = await driver.createServer(unnamed, ownerOf());
          made.add(chosen.id);
          expect((await reach(chosen.id, 'Running')).addresses).toHaveLength(1);
        },
        DEADLINE_MS,
      );

      it(
        'hands over a key pair and user data',
        async () => {
          const keyName = `contract-${crypto.randomUUID()}`;
          await driver.createKeyPair(keyName, PUBLIC_KEY);
          try {
            const { id } = await create({ keyName, userData: '#cloud-config\nhostname: ü\n' });
            expect(await listed(id)).toMatchObject({ keyName });
          } finally {
            await driver.deleteKeyPair(keyName);
          }
        },
        DEADLINE_MS,
      );

      const missing = '00000000-0000-4000-8000-000000000000';
      it.each<{ reason: string; request: Partial<CreateServerRequest> }>([
        { reason: 'an unknown image', request: { imageId: missing } },
        { reason: 'an unknown flavor', request: { flavorId: missing } },
        { reason: 'an unknown network', request: { networks: [missing] } },
        { reason: 'an unknown key pair', request: { keyName: 'contract-no-such-key' } },
      ])('refuses $reason as Invalid, and makes nothing', async ({ request }) => {
        const name = `contract-${crypto.randomUUID()}`;
        expect(await failureOf(driver.createServer(requestFor({ ...request, name }), ownerOf()))).toMatchObject({
          code: 'Invalid',
        });
        expect(await driver.findServersByName(name)).toEqual([]);
      });

      it('sends nothing once its signal is aborted', async () => {
        const name = `contract-${crypto.randomUUID()}`;
        expect(await failureOf(driver.createServer(requestFor({ name }), ownerOf(), AbortSignal.abort()))).toBeInstanceOf(
          CloudError,
        );
        expect(await driver.findServersByName(name)).toEqual([]);
      });
    });

    describe('listing', () => {
      it(
        'misses no accepted server while others are being built, and tells none twice',
        async () => {
          const accepted = new Set<string>();
          const creating = Promise.all(
            Array.from({ length: 8 }, async () => {
              accepted.add((await create()).id);
            }),
          );
          let finished = false;
          const done = creating.finally(() => {
            finished = true;
          });
          do {
            const before = [...accepted];
            const ids = (await driver.listServers()).servers.map((server) => server.id);
            expect(ids).toEqual(expect.arrayContaining(before));
            expect(new Set(ids).size).toBe(ids.length);
          } while (!finished);
          await done;
          for (const id of accepted) await reach(id, 'Running');
          expect((await driver.listServers()).servers.map((server) => server.id)).toEqual(expect.arrayContaining([...accepted]));
        },
        DEADLINE_MS,
      );

      it(
        'tells changes since a watermark, deletions among them, and leaves the deleted out of the list',
        async () => {
          const { watermark } = await driver.listServers();
          const { id } = await running();
          const changes = await driver.listChanges(watermark);
          expect(changes.servers.find((server) => server.id === id)).toMatchObject({ state: 'Running' });
          await driver.deleteServer(id);
          const deleted = await until('the deletion is told', async () => {
            const { servers } = await driver.listChanges(changes.watermark);
            return servers.find((server) => server.id === id && server.state === 'Deleted');
          });
          expect(deleted.owner).toBeUndefined();
          expect(deleted.metadata).toEqual({});
          expect(await listed(id)).toBeUndefined();
        },
        DEADLINE_MS,
      );

      it(
        'finds servers by exactly their name, at once',
        async () => {
          const name = `contract-${crypto.randomUUID()}.a+(b)`;
          const first = await create({ name });
          await create({ name: name.replace('.', 'x') });
          await create({ name: `${name}-2` });
          expect((await driver.findServersByName(name)).map((server) => server.id)).toEqual([first.id]);
          const twin = await create({ name });
          const found = (await driver.findServersByName(name)).map((server) => server.id);
          expect(found.sort()).toEqual([first.id, twin.id].sort());
        },
        DEADLINE_MS,
      );
    });

    describe('what is not there', () => {
      const id = '00000000-0000-4000-8000-000000000000';
      const owner: OwnerTag = { installation: 'i', uid: 'u', attempt: 'a' };
      it.each<{ method: string; call: () => Promise<unknown> }>([
        { method: 'getServer', call: () => driver.getServer(id) },
        { method: 'startServer', call: () => driver.startServer(id) },
        { method: 'stopServer', call: () => driver.stopServer(id) },
        { method: 'rebootServer', call: () => driver.rebootServer(id, 'Soft') },
        { method: 'rebuildServer', call: () => driver.rebuildServer(id, cloud.imageId) },
        { method: 'resizeServer', call: () => driver.resizeServer(id, cloud.otherFlavorId) },
        { method: 'confirmResize', call: () => driver.confirmResize(id) },
        { method: 'resumeServer', call: () => driver.resumeServer(id, 'Paused') },
        { method: 'renameServer', call: () => driver.renameServer(id, 'contract') },
        { method: 'setServerMetadata', call: () => driver.setServerMetadata(id, {}, owner) },
        { method: 'setServerTags', call: () => driver.setServerTags(id, [], owner) },
      ])('is NotFound to $method', async ({ call }) => {
        expect(await failureOf(call())).toMatchObject({ code: 'NotFound' });
      });

      it('is success to deleteServer and deleteKeyPair', async () => {
        await driver.deleteServer(id);
        await driver.deleteKeyPair('contract-no-such-key');
      });

      it(
        'a server can be deleted twice, even while it is being built',
        async () => {
          const server = await create();
          await driver.deleteServer(server.id);
          await driver.deleteServer(server.id);
          await until('it is gone', async () => ((await isGone(server.id)) ? true : undefined));
          await driver.deleteServer(server.id);
        },
        DEADLINE_MS,
      );
    });

    describe('changing', () => {
      it(
        'stops, starts and reboots; refuses as Conflict what the state does not allow',
        async () => {
          const { id } = await running();
          expect(await failureOf(driver.startServer(id))).toMatchObject(conflict);
          expect(await failureOf(driver.confirmResize(id))).toMatchObject(conflict);
          expect(await failureOf(driver.resumeServer(id, 'Suspended'))).toMatchObject(conflict);
          await driver.stopServer(id);
          await reach(id, 'Stopped');
          expect(await failureOf(driver.stopServer(id))).toMatchObject(conflict);
          await driver.startServer(id);
          await reach(id, 'Running');
          await driver.rebootServer(id, 'Soft');
          await reach(id, 'Running');
          await driver.rebootServer(id, 'Hard');
          await reach(id, 'Running');
        },
        DEADLINE_MS,
      );

      it(
        'renames, and the new name is found at once',
        async () => {
          const { id } = await running();
          const name = `contract-${crypto.randomUUID()}`;
          await driver.renameServer(id, name);
          expect(await driver.getServer(id)).toMatchObject({ name });
          expect((await driver.findServersByName(name)).map((server) => server.id)).toEqual([id]);
        },
        DEADLINE_MS,
      );

      it(
        'makes metadata and tags exactly what is asked for, and keeps the owner tag',
        async () => {
          const owner = ownerOf();
          const { id } = await running({ metadata: { role: 'web', old: '1' }, tags: ['blue'] }, owner);
          await driver.setServerMetadata(id, { role: 'db' }, owner);
          await driver.setServerTags(id, ['green', 'red'], owner);
          const server = await listed(id);
          expect(server).toMatchObject({ owner, ownerTagWhole: true });
          expect(server?.metadata).toEqual({ role: 'db' });
          expect([...(server?.tags ?? [])].sort()).toEqual(['green', 'red']);
          await driver.setServerMetadata(id, {}, owner);
          await driver.setServerTags(id, [], owner);
          expect(await listed(id)).toMatchObject({ owner, ownerTagWhole: true, metadata: {}, tags: [] });
        },
        DEADLINE_MS,
      );

      it(
        'still knows whose it is when metadata or tags were removed, says that the tag is not whole, and can mend it',
        async () => {
          const owner = ownerOf();
          const { id } = await running({}, owner);
          await driver.setServerMetadata(id, {}, undefined);
          const { installation, uid } = owner;
          expect(await listed(id)).toMatchObject({ owner: { installation, uid }, ownerTagWhole: false });
          await driver.setServerMetadata(id, {}, owner);
          expect(await listed(id)).toMatchObject({ owner, ownerTagWhole: true });
          await driver.setServerTags(id, [], undefined);
          expect(await listed(id)).toMatchObject({ owner, ownerTagWhole: false });
          await driver.setServerMetadata(id, {}, undefined);
          const released = await listed(id);
          expect(released).toMatchObject({ id, ownerTagWhole: false });
          expect(released?.owner).toBeUndefined();
        },
        DEADLINE_MS,
      );

      it(
        'resizes, waits to be told to keep it, and then has the other flavor',
        async () => {
          const { id } = await running();
          const before = await driver.getServer(id);
          await driver.resizeServer(id, cloud.otherFlavorId);
          await reach(id, 'AwaitingConfirmation');
          expect(await failureOf(driver.stopServer(id))).toMatchObject(conflict);
          await driver.confirmResize(id);
          const after = await reach(id, 'Running');
          expect([after.flavorId, after.flavorName]).not.toEqual([before.flavorId, before.flavorName]);
        },
        DEADLINE_MS,
      );

      it(
        'rebuilds in place: id, owner, metadata, tags and addresses stay',
        async () => {
          const owner = ownerOf();
          const { id } = await running({ networks: [cloud.networkId], metadata: { role: 'web' }, tags: ['blue'] }, owner);
          const before = await driver.getServer(id);
          await driver.rebuildServer(id, cloud.imageId);
          const after = await reach(id, 'Running');
          const { name, createdAt, metadata, tags, addresses } = before;
          expect(after).toMatchObject({ id, name, createdAt, owner, metadata, tags, addresses, ownerTagWhole: true });
        },
        DEADLINE_MS,
      );
    });

    describe('what servers are made from', () => {
      it('lists images, flavors, networks and projects', async () => {
        const image = (await driver.listImages()).find((candidate) => candidate.id === cloud.imageId);
        expect(image).toMatchObject({ usable: true, name: expect.stringMatching(/./) });
        const flavors = await driver.listFlavors();
        expect(flavors.map((flavor) => flavor.id)).toEqual(expect.arrayContaining([cloud.flavorId, cloud.otherFlavorId]));
        for (const flavor of flavors) expect(Math.min(flavor.cpus, flavor.ramMiB)).toBeGreaterThan(0);
        expect((await driver.listNetworks()).map((network) => network.id)).toContain(cloud.networkId);
        expect((await driver.listProjects()).map((project) => project.id)).toContain(cloud.projectId);
      });

      it('tells the quota and what of it is used', async () => {
        const before = await driver.getQuota();
        await running();
        const after = await driver.getQuota();
        expect(after.instancesUsed).toBe(before.instancesUsed + 1);
        expect(after.coresUsed).toBeGreaterThan(before.coresUsed);
        expect(after.ramUsedMiB).toBeGreaterThan(before.ramUsedMiB);
        for (const limit of [after.instances, after.cores, after.ramMiB]) expect(limit).toBeGreaterThanOrEqual(-1);
      }, 90_000);

      it('makes a key pair once, lists it, and deletes it', async () => {
        const name = `contract-${crypto.randomUUID()}`;
        try {
          expect(await driver.createKeyPair(name, PUBLIC_KEY)).toMatchObject({ name, publicKey: PUBLIC_KEY });
          expect(await driver.listKeyPairs()).toContainEqual(expect.objectContaining({ name, publicKey: PUBLIC_KEY }));
          expect(await failureOf(driver.createKeyPair(name, PUBLIC_KEY))).toMatchObject(conflict);
          expect(await failureOf(driver.createKeyPair(`${name}-2`, 'no key'))).toMatchObject({ code: 'Invalid' });
        } finally {
          await driver.deleteKeyPair(name);
        }
        expect((await driver.listKeyPairs()).map((keyPair) => keyPair.name)).not.toContain(name);
        await driver.deleteKeyPair(name);
      });
    });
  });
}

const conflict: { code: CloudErrorCode } = { code: 'Conflict' };

/** An ed25519 key of nobody. */
const PUBLIC_KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKb0Y6XvI0s0pN2m8m7mJ0dQm0o3eW8q4o3m8Q2x9yZB contract';
