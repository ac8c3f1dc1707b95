import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { CloudDriver, OwnerTag } from '../../src/clouds/driver.js';
import type { CloudVolume, CreateVolumeRequest, VolumeState } from '../../src/clouds/volume-driver.js';
import type { DriverUnderTest } from './driver.js';
import { DEADLINE_MS, failureOf, until } from './waiting.js';

const MISSING = '00000000-0000-4000-8000-000000000000';
const conflict = { code: 'Conflict' };

/** Every MUST of src/clouds/volume-driver.ts, asked of a driver on a cloud. */
export function volumeDriverContract(name: string, setup: () => Promise<DriverUnderTest>): void {
  describe(`volume driver contract: ${name}`, () => {
    let cloud: DriverUnderTest;
    let driver: CloudDriver;
    const servers = new Set<string>();
    const volumes = new Set<string>();

    beforeAll(async () => {
      cloud = await setup();
      driver = cloud.driver;
    }, DEADLINE_MS);
    afterEach(async () => {
      for (const id of servers) await driver.deleteServer(id);
      for (const id of servers) {
        await until(`server ${id} is gone`, async () => (isNotFound(await failureOf(driver.getServer(id))) ? true : undefined));
      }
      for (const id of volumes) await remove(id);
      for (const made of [servers, volumes]) made.clear();
    }, DEADLINE_MS);
    afterAll(async () => cloud.close());

    const ownerOf = (): OwnerTag => ({
      installation: cloud.installation,
      uid: crypto.randomUUID(),
      attempt: crypto.randomUUID(),
    });
    const create = async (request: Partial<CreateVolumeRequest> = {}, owner = ownerOf()): Promise<CloudVolume> => {
      const volume = await driver.createVolume({ name: `contract-${crypto.randomUUID()}`, sizeGiB: 1, ...request }, owner);
      volumes.add(volume.id);
      return volume;
    };
    const reach = (id: string, state: VolumeState): Promise<CloudVolume> =>
      until(`${id} is ${state}`, async () => {
        const volume = await driver.getVolume(id);
        if (volume.state === 'Error') throw new Error(`${id} is in Error`);
        return volume.state === state ? volume : undefined;
      });
    const available = async (request: Partial<CreateVolumeRequest> = {}, owner = ownerOf()): Promise<CloudVolume> =>
      reach((await create(request, owner)).id, 'Available');
    /** Tried until the volume is in a state for it, and then until it is gone. */
    const remove = (id: string): Promise<true> =>
      until(`volume ${id} is gone`, async () => {
        const failure = await failureOf(driver.deleteVolume(id));
        if (failure !== undefined && failure.code !== 'Conflict') throw failure;
        return isNotFound(await failureOf(driver.getVolume(id))) ? true : undefined;
      });
    const createServer = async (): Promise<string> => {
      const { id } = await driver.createServer(
        {
          name: `contract-${crypto.randomUUID()}`,
          imageId: cloud.imageId,
          flavorId: cloud.flavorId,
          networks: 'none',
          metadata: {},
          tags: [],
        },
        ownerOf(),
      );
      servers.add(id);
      return id;
    };
    const runningServer = async (): Promise<string> => {
      const id = await createServer();
      return until(`${id} is Running`, async () => ((await driver.getServer(id)).state === 'Running' ? id : undefined));
    };

    it(
      'makes a volume that is listed at once with its owner, and becomes Available',
      async () => {
        const owner = ownerOf();
        const made = await create({ name: 'contract-made', sizeGiB: 2 }, owner);
        expect(made).toMatchObject({ name: 'contract-made', sizeGiB: 2, owner, metadata: {}, attachments: [] });
        expect((await driver.listVolumes()).find(({ id }) => id === made.id)).toMatchObject({ owner, sizeGiB: 2 });
        const ready = await reach(made.id, 'Available');
        expect(ready).toMatchObject({ name: 'contract-made', owner, metadata: {}, attachments: [] });
        expect(ready.createdAt).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
      },
      DEADLINE_MS,
    );

    it(
      'lists all pages, each volume once, and finds those of exactly one name',
      async () => {
        const name = `contract-${crypto.randomUUID()}`;
        const made = [await create({ name }), await create({ name }), await create({ name: `${name}-2` }), await create()];
        const ids = (await driver.listVolumes()).map(({ id }) => id);
        expect(ids).toEqual(expect.arrayContaining(made.map(({ id }) => id)));
        expect(new Set(ids).size).toBe(ids.length);
        const named = (await driver.findVolumesByName(name)).map(({ id }) => id);
        expect(named.sort()).toEqual(
          made
            .slice(0, 2)
            .map(({ id }) => id)
            .sort(),
        );
        for (const { id } of made) await reach(id, 'Available');
      },
      DEADLINE_MS,
    );

    it('makes volumes of the types that it lists, by name or id, and refuses another as Invalid', async () => {
      const [type] = await driver.listVolumeTypes();
      if (type === undefined) throw new Error('the cloud has no volume type');
      for (const given of [type.name, type.id]) expect(await create({ type: given })).toMatchObject({ type: type.name });
      const refused = { name: `contract-${crypto.randomUUID()}`, sizeGiB: 1, type: 'contract-no-such-type' };
      expect(await failureOf(driver.createVolume(refused, ownerOf()))).toMatchObject({ code: 'Invalid' });
      expect(await driver.findVolumesByName(refused.name)).toEqual([]);
    });

    it(
      'renames, and writes and takes off the owner tag, which leaves all else',
      async () => {
        const owner = ownerOf();
        const { id } = await available({}, owner);
        const name = `contract-${crypto.randomUUID()}`;
        await driver.renameVolume(id, name);
        await driver.setVolumeOwner(id, undefined);
        expect(await driver.getVolume(id)).toMatchObject({ name, metadata: {} });
        expect(await driver.getVolume(id)).not.toHaveProperty('owner');
        const other = ownerOf();
        await driver.setVolumeOwner(id, other);
        expect(await driver.getVolume(id)).toMatchObject({ name, owner: other, metadata: {} });
      },
      DEADLINE_MS,
    );

    it(
      'attaches to one server, moves to another, and does both again without harm',
      async () => {
        const { id } = await available();
        const [first, second] = [await runningServer(), await runningServer()];
        await driver.attachVolume(first, id);
        const attached = await reach(id, 'InUse');
        expect(attached.attachments).toEqual([expect.objectContaining({ serverId: first })]);
        await driver.attachVolume(first, id);
        expect(await failureOf(driver.attachVolume(second, id))).toMatchObject(conflict);
        await driver.detachVolume(second, id);
        expect(await driver.getVolume(id)).toMatchObject({ state: 'InUse' });
        expect(await failureOf(driver.deleteVolume(id))).toMatchObject(conflict);

        await driver.detachVolume(first, id);
        await driver.detachVolume(first, id);
        expect(await reach(id, 'Available')).toMatchObject({ attachments: [] });
        await driver.detachVolume(first, id);
        await driver.attachVolume(second, id);
        expect((await reach(id, 'InUse')).attachments).toEqual([expect.objectContaining({ serverId: second })]);
      },
      DEADLINE_MS,
    );

    it(
      'frees a volume whose server is deleted, and lists it all the while',
      async () => {
        const { id } = await available();
        const server = await runningServer();
        await driver.attachVolume(server, id);
        await reach(id, 'InUse');
        await driver.deleteServer(server);
        expect(await reach(id, 'Available')).toMatchObject({ attachments: [] });
        await driver.detachVolume(server, id);
      },
      DEADLINE_MS,
    );

    it(
      'refuses as Conflict to attach to a server that is being built',
      async () => {
        const { id } = await available();
        const server = await createServer();
        const refusal = await failureOf(driver.attachVolume(server, id));
        // A cloud may be quicker than this test.
        if (refusal === undefined) expect(await driver.getServer(server)).toMatchObject({ state: 'Running' });
        else {
          expect(refusal).toMatchObject(conflict);
          expect(await driver.getVolume(id)).toMatchObject({ state: 'Available' });
        }
      },
      DEADLINE_MS,
    );

    it(
      'grows, in use or not, and never shrinks',
      async () => {
        const { id } = await available();
        await driver.extendVolume(id, 2, false);
        expect(await until('it has grown', async () => grown(await driver.getVolume(id), 2))).toBe('Available');
        const server = await runningServer();
        await driver.attachVolume(server, id);
        await reach(id, 'InUse');
        await driver.extendVolume(id, 3, true);
        expect(await until('it has grown', async () => grown(await driver.getVolume(id), 3))).toBe('InUse');
        for (const size of [1, 3])
          expect(await failureOf(driver.extendVolume(id, size, true))).toMatchObject({ code: 'Invalid' });
        expect(await driver.getVolume(id)).toMatchObject({ sizeGiB: 3 });
      },
      DEADLINE_MS,
    );

    it(
      'deletes, which may be done twice',
      async () => {
        const { id } = await available();
        await driver.deleteVolume(id);
        await driver.deleteVolume(id);
        await until('it is gone', async () => (isNotFound(await failureOf(driver.getVolume(id))) ? true : undefined));
        await driver.deleteVolume(id);
        expect((await driver.listVolumes()).map((volume) => volume.id)).not.toContain(id);
      },
      DEADLINE_MS,
    );

    it('says NotFound of what is not there', async () => {
      const server = await createServer();
      for (const call of [
        () => driver.getVolume(MISSING),
        () => driver.extendVolume(MISSING, 2, false),
        () => driver.renameVolume(MISSING, 'contract'),
        () => driver.setVolumeOwner(MISSING, ownerOf()),
        () => driver.setVolumeOwner(MISSING, undefined),
        () => driver.attachVolume(MISSING, MISSING),
      ])
        expect(await failureOf(call())).toMatchObject({ code: 'NotFound' });
      await driver.detachVolume(server, MISSING);
      await driver.detachVolume(MISSING, MISSING);
    });
  });
}

function isNotFound(failure: { readonly code: string } | undefined): boolean {
  return failure?.code === 'NotFound';
}

/** The state of a volume that has that size and rests. */
function grown(volume: CloudVolume, sizeGiB: number): VolumeState | undefined {
  if (volume.state === 'Error') throw new Error(`${volume.id} is in Error`);
  return volume.sizeGiB === sizeGiB && volume.state !== 'Changing' ? volume.state : undefined;
}
