import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Resource } from '../../../src/resources/metadata.js';
import { failureOf } from '../../support/v1-client.js';
import { V1Door } from '../../support/v1-door.js';

const KIND = 'Volume';
const KEY = { kind: KIND, namespace: 'default', name: 'data' };
const LABELS = { labels: { 'dispatcher.dev/v1': 'true' } };
const LAB = { cloudRef: { name: 'lab' }, sizeGiB: 1 };

let door: V1Door;
beforeEach(async () => {
  door = await V1Door.open();
  await door.machine('web');
  await door.machine('db');
});
afterEach(() => door.close());

const send = (method: string, path: string, body?: object) => door.client(method, path, body && { body });
const data = async () => (await door.specs(KIND)).data;
/** Reports a volume as attached where it is declared to be. */
const obey = (resource: Resource) => {
  if (resource.kind !== KIND || resource.metadata.deletionTimestamp) return;
  const { attachTo } = Object(resource.spec);
  const name: string | undefined = attachTo?.virtualMachineRef.name;
  const attachment = name && { virtualMachine: name, serverId: `s-${name}`, device: '/dev/vdb' };
  return door.report(
    resource,
    { Ready: 'True' },
    { id: 'v-1', state: 'Available', sizeGiB: 1, ...(attachment && { attachment }) },
  );
};
const refuse = (resource: Resource) =>
  resource.kind === KIND ? door.report(resource, { Ready: 'False', Stalled: 'True' }) : undefined;

describe('POST /storage', () => {
  test('declares a volume', async () => {
    door.react = obey;
    const reply = await send('POST', '/storage', { name: 'data', size: 5 });
    expect({ code: reply.code, body: reply.body }).toEqual({
      code: 200,
      body: {
        status: 'ok',
        result: 'Volume data created',
        volume: {
          name: 'data',
          namespace: 'default',
          id: 'v-1',
          size: 5,
          state: 'Available',
          node: '',
          device: '',
          ready: 'True',
          reason: 'Tested',
          message: 'Ready is True',
        },
      },
    });
    expect(await data()).toEqual({ ...LAB, sizeGiB: 5 });
  });

  test.each([[{ node: 's-web' }], [{ hostname: 'web' }]])('with %j declares it attached', async (which) => {
    door.react = obey;
    const reply = await send('POST', '/storage/lab', { name: 'data', size: 1, ...which });
    expect(reply.body).toMatchObject({
      result: 'Volume data created, and attached to Node s-web',
      volume: { node: 's-web', device: '/dev/vdb' },
    });
    expect(await data()).toEqual({ ...LAB, attachTo: { virtualMachineRef: { name: 'web' } } });
  });

  test('that is not there in time is 202, and stands', async () => {
    const reply = await send('POST', '/storage', { name: 'data', size: 1 });
    expect(reply.body).toMatchObject({
      status_code: 202,
      message: expect.stringMatching(/^Volume data is declared, and not as declared yet; see Volume default\/data/),
      look_at: expect.stringContaining('/namespaces/default/volumes/data'),
    });
    expect(await data()).toEqual(LAB);
  });

  test('that cannot come to be is refused with its reason, and leaves nothing, in the cloud neither', async () => {
    const policies: unknown[] = [];
    door.react = async (resource) => {
      policies.push(Object(resource.spec).deletionPolicy);
      await refuse(resource);
    };
    expect(failureOf(await send('POST', '/storage', { name: 'data', size: 1 }))).toEqual({
      code: 400,
      message: 'Tested: Stalled is True',
    });
    expect(await data()).toBeUndefined();
    expect(policies).toContain('Delete');
  });

  test('of a name that is taken is refused', async () => {
    await door.declare(KIND, 'data', LAB);
    expect(failureOf(await send('POST', '/storage', { name: 'data', size: 1 })).code).toBe(409);
  });

  test.each([
    ['no name', { name: undefined }, 'name'],
    ['a name that no declaration can have', { name: 'My Data' }, 'name'],
    ['no size', { size: undefined }, 'size'],
    ['size 0', { size: 0 }, 'size'],
    ['half a GiB', { size: 0.5 }, 'size'],
    ['a size that is text', { size: '1' }, 'size'],
    ['both node and hostname', { node: 's-web', hostname: 'web' }, 'exactly one of node and hostname'],
    ['an unknown key', { type: 'fast' }, 'type'],
  ])('%s does not validate', async (_what, change, key) => {
    const { code, message } = failureOf(await send('POST', '/storage', { name: 'data', size: 1, ...change }));
    expect({ code, message }).toEqual({ code: 400, message: expect.stringMatching(/^Some key doesn't validate the schema - /) });
    expect(message).toContain(key);
  });
});

describe('PUT /storage/attach', () => {
  test('attaches, and again is once', async () => {
    await door.declare(KIND, 'data', LAB);
    door.react = obey;
    const reply = await send('PUT', '/storage/attach', { name: 'data', node: 's-web' });
    expect(reply.body).toMatchObject({ result: 'Volume data attached to Node s-web', volume: { node: 's-web' } });
    expect((await send('PUT', '/storage/attach/lab', { name: 'data', hostname: 'web' })).code).toBe(200);
    expect(door.mutations).toEqual([`update ${KIND} 200`]);
    expect(failureOf(await send('PUT', '/storage/attach', { name: 'data', node: 's-db' }))).toEqual({
      code: 409,
      message: 'Volume data is attached to Node s-web: detach it first',
    });
  });

  test('of one that follows an assignment is refused', async () => {
    await door.declare(KIND, 'data', { ...LAB, attachTo: { assignmentRef: { name: 'alice' } } });
    expect(failureOf(await send('PUT', '/storage/attach', { name: 'data', node: 's-web' }))).toEqual({
      code: 409,
      message: 'Volume data is attached to the machine of the VirtualMachineAssignment alice: detach it first',
    });
  });

  test('that cannot come to be is refused with its reason, and taken back', async () => {
    await door.declare(KIND, 'data', LAB);
    door.react = refuse;
    expect(failureOf(await send('PUT', '/storage/attach', { name: 'data', node: 's-web' }))).toEqual({
      code: 409,
      message: 'Tested: Stalled is True',
    });
    expect(await data()).toEqual(LAB);
  });

  test('is written on top of what another has written meanwhile', async () => {
    await door.declare(KIND, 'data', LAB);
    const both = await Promise.all([
      send('PUT', '/storage/attach', { name: 'data', node: 's-web' }),
      send('PUT', '/storage/attach', { name: 'data', node: 's-db' }),
    ]);
    expect(both.map(({ code }) => code).sort()).toEqual([202, 409]);
  });

  test.each([
    ['attach', { name: 'absent', node: 's-web' }, 'no useful volume name here'],
    ['attach', { name: 'data', node: 'absent' }, 'no useful node id here'],
    ['attach', { name: 'data' }, /exactly one of node and hostname/],
    ['attach', { node: 's-web' }, /- name: /],
    ['detach', { name: 'absent' }, 'no useful volume name here'],
    ['detach', { name: 'data', node: 'absent' }, 'no useful node id here'],
    ['detach', { name: 'data', force: true }, /- .*force/],
  ])('%s of %j is refused', async (action, body, message) => {
    await door.declare(KIND, 'data', LAB);
    expect(failureOf(await send('PUT', `/storage/${action}`, body))).toEqual({
      code: 400,
      message: typeof message === 'string' ? message : expect.stringMatching(message),
    });
  });
});

describe('PUT /storage/detach', () => {
  test('detaches from the machine that is named, or from any', async () => {
    for (const which of [{}, { node: 's-web' }, { hostname: 'web' }]) {
      const name = `data-${Object.keys(which)[0] ?? 'any'}`;
      await door.declare(KIND, name, { ...LAB, attachTo: { virtualMachineRef: { name: 'web' } } });
      door.react = obey;
      const reply = await send('PUT', '/storage/detach', { name, ...which });
      expect(reply.body).toMatchObject({ status: 'ok', result: `Volume ${name} detached`, volume: { node: '' } });
      expect((await door.specs(KIND))[name]).toEqual(LAB);
    }
  });

  test('from another machine, or of one that is attached nowhere, is refused', async () => {
    await door.declare(KIND, 'data', { ...LAB, attachTo: { virtualMachineRef: { name: 'web' } } });
    await door.declare(KIND, 'free', LAB);
    const refused = async (body: object) => failureOf(await send('PUT', '/storage/detach', body));
    expect(await refused({ name: 'data', node: 's-db' })).toEqual({
      code: 409,
      message: 'Volume data is not attached to Node s-db',
    });
    expect(await refused({ name: 'free' })).toEqual({ code: 409, message: 'Volume free is not attached' });
    expect(await data()).toHaveProperty('attachTo');
  });

  test('that is not done in time is 202, and asked again waits again', async () => {
    const volume = await door.declare(KIND, 'data', { ...LAB, attachTo: { virtualMachineRef: { name: 'web' } } });
    await door.report(volume, { Ready: 'True' }, { attachment: { virtualMachine: 'web', serverId: 's-web' } });
    for (const _time of [1, 2]) expect((await send('PUT', '/storage/detach', { name: 'data' })).code).toBe(202);
    expect(await data()).toEqual(LAB);
  });
});

describe('DELETE /storage/{name}', () => {
  test('destroys what was made here: that is declared before it is deleted', async () => {
    await door.declare(KIND, 'data', LAB, LABELS);
    const reply = await send('DELETE', '/storage/data');
    expect({ code: reply.code, body: reply.body }).toEqual({ code: 200, body: { status: 'ok', result: 'Volume data deleted' } });
    expect(await data()).toBeUndefined();
    expect(door.mutations).toEqual([`update ${KIND} 200`, `delete ${KIND} 200`]);
  });

  test('and what its declaration says may be destroyed', async () => {
    await door.declare(KIND, 'data', { ...LAB, deletionPolicy: 'Delete' });
    expect((await send('DELETE', '/storage/data/lab')).code).toBe(200);
    expect(door.mutations).toEqual([`delete ${KIND} 200`]);
  });

  test.each([
    ['made elsewhere, and kept by default', {}, {}],
    ['made elsewhere, and to be kept', { deletionPolicy: 'Retain' }, {}],
    ['made here, and to be kept since somebody said so', { deletionPolicy: 'Retain' }, LABELS],
  ])('of one that was %s is refused', async (_which, spec, metadata) => {
    await door.declare(KIND, 'data', { ...LAB, ...spec }, metadata);
    expect(failureOf(await send('DELETE', '/storage/data'))).toEqual({
      code: 409,
      message: expect.stringMatching(/^the Volume default\/data is not to be destroyed: /),
    });
    expect(await data()).toEqual({ ...LAB, ...spec });
  });

  test.each([
    ['declared to be attached', { attachTo: { virtualMachineRef: { name: 'web' } } }, undefined, 'the VirtualMachine web'],
    ['still attached', {}, { serverId: 's-web' }, 'Node s-web'],
  ])('of one that is %s is refused: detach it first', async (_how, spec, attachment, where) => {
    const volume = await door.declare(KIND, 'data', { ...LAB, ...spec }, LABELS);
    if (attachment) await door.report(volume, { Ready: 'False' }, { attachment });
    expect(failureOf(await send('DELETE', '/storage/data'))).toEqual({
      code: 409,
      message: `Volume data is attached to ${where}: detach it first`,
    });
    expect(await data()).not.toHaveProperty('deletionPolicy');
  });

  test('that is not done in time is 202', async () => {
    await door.declare(KIND, 'data', LAB, { ...LABELS, finalizers: ['dispatcher.dev/volume'] });
    expect((await send('DELETE', '/storage/data')).code).toBe(202);
    expect(await door.store.get(KEY)).toMatchObject({ spec: { deletionPolicy: 'Delete' } });
  });

  test('of what is not there is refused, in another cloud too', async () => {
    await door.declare(KIND, 'data', { ...LAB, cloudRef: { name: 'other' } });
    for (const name of ['data', 'absent', 'a%2Fb'])
      expect(failureOf(await send('DELETE', `/storage/${name}`))).toEqual({ code: 400, message: 'no useful volume name here' });
  });
});

test('GET /storage tells of the volumes of the cloud', async () => {
  const volume = await door.declare(KIND, 'data', LAB);
  await door.report(
    volume,
    { Ready: 'True' },
    { id: 'v-1', state: 'InUse', attachment: { serverId: 's-web', device: '/dev/vdb' } },
  );
  await door.declare(KIND, 'new', { ...LAB, sizeGiB: 3 });
  const asked = await door.declare(KIND, 'asked', LAB);
  await door.report(asked, { Ready: 'False' }, { id: 'v-2', attachment: { serverId: 's-web', askedAt: '2026-01-01T00:00:00Z' } });
  await door.declare(KIND, 'elsewhere', { ...LAB, cloudRef: { name: 'other' } });
  const { volumes } = Object((await send('GET', '/storage')).body);
  expect(volumes).toEqual([
    expect.objectContaining({ name: 'asked', id: 'v-2', node: '', ready: 'False' }),
    expect.objectContaining({
      name: 'data',
      id: 'v-1',
      size: 1,
      state: 'InUse',
      node: 's-web',
      device: '/dev/vdb',
      ready: 'True',
    }),
    expect.objectContaining({ name: 'new', id: '', size: 3, state: 'unknown', node: '', ready: 'Unknown', reason: 'Pending' }),
  ]);
});
