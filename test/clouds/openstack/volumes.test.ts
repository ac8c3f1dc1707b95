import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CloudDriver } from '../../../src/clouds/driver.js';
import type { CloudErrorCode } from '../../../src/clouds/errors.js';
import { volumeState } from '../../../src/clouds/openstack/volumes.js';
import { login, type Reply, type ScriptedCloud, startCloud } from './scripted-cloud.js';

const owner = { installation: 'our-installation', uid: 'uid-1', attempt: 'attempt-1' };
const tag = {
  'dispatcher.installation': 'our-installation',
  'dispatcher.uid': 'uid-1',
  'dispatcher.attempt': 'attempt-1',
};
const LIST = /^GET \/volume\/v3\/project-1\/volumes\/detail\?/;
const ONE = /^GET \/volume\/v3\/project-1\/volumes\/v$/;
const EFFECT = /^(POST|PUT|DELETE) \/(volume|compute)/;
const VERSIONS = /^GET \/volume\/v3\/$/;

let cloud: ScriptedCloud;
let driver: CloudDriver;
beforeEach(async () => {
  cloud = await startCloud({ requestTimeoutMs: 400 });
  driver = cloud.driver;
});
afterEach(() => cloud.close());

const shown = (more: Readonly<Record<string, unknown>> = {}) => ({
  id: 'v',
  name: 'home',
  status: 'available',
  size: 10,
  volume_type: 'fast',
  metadata: { role: 'home', ...tag },
  attachments: [],
  created_at: '2026-11-25T20:03:29.097097',
  ...more,
});
const volume = {
  id: 'v',
  name: 'home',
  state: 'Available',
  sizeGiB: 10,
  type: 'fast',
  owner,
  metadata: { role: 'home' },
  attachments: [],
  createdAt: '2026-11-25T20:03:29Z',
};
const fault = (status: number, kind: string, message: string): Reply => ({ status, body: { [kind]: { code: status, message } } });
const wrongState = fault(400, 'badRequest', 'Invalid volume: Volume status must be available');
const missing = fault(404, 'itemNotFound', 'Volume v could not be found.');
const bodyOf = (pattern: RegExp) => JSON.parse(cloud.requests(pattern).at(-1)?.text ?? '{}');

describe('volumeState', () => {
  it.each([
    ['creating', 'Creating'],
    ['available', 'Available'],
    ['reserved', 'Changing'],
    ['attaching', 'Attaching'],
    ['in-use', 'InUse'],
    ['detaching', 'Detaching'],
    ['extending', 'Changing'],
    ['retyping', 'Changing'],
    ['maintenance', 'Changing'],
    ['backing-up', 'Changing'],
    ['deleting', 'Deleting'],
    ['error', 'Error'],
    ['error_extending', 'Error'],
    ['error_deleting', 'Error'],
    ['a-word-of-the-future', 'Unknown'],
  ] as const)('of %s is %s', (status, expected) => expect(volumeState(status)).toBe(expected));
});

describe('volumes', () => {
  it('are listed to the last page, each once, in a version of cinder alone that is asked for once', async () => {
    const all = ['a', 'b', 'c', 'd', 'e'];
    cloud.on(LIST, ({ path }) => {
      const marker = new URL(path, 'http://cloud').searchParams.get('marker');
      const from = marker === null ? 0 : all.indexOf(marker) + 1;
      const links = from + 2 < all.length ? { volumes_links: [{ rel: 'next', href: 'x' }] } : {};
      return { status: 200, body: { volumes: all.slice(from, from + 2).map((id) => shown({ id })), ...links } };
    });
    expect((await driver.listVolumes()).map(({ id }) => id)).toEqual(all);
    await driver.listVolumes();
    expect(cloud.count(LIST)).toBe(6);
    expect(cloud.count(VERSIONS)).toBe(1);
    for (const { headers } of cloud.requests(LIST)) expect(headers['openstack-api-version']).toBe('volume 3.42');
  });

  it.each([
    { reason: 'one at rest', more: {}, read: volume },
    {
      reason: 'one that a server has',
      more: {
        status: 'in-use',
        attachments: [
          { server_id: 's', device: '/dev/vdb' },
          { server_id: 't', device: null },
        ],
      },
      read: { ...volume, state: 'InUse', attachments: [{ serverId: 's', device: '/dev/vdb' }, { serverId: 't' }] },
    },
  ])('are read: $reason', async ({ more, read }) => {
    cloud.on(ONE, { status: 200, body: { volume: shown(more) } });
    expect(await driver.getVolume('v')).toEqual(read);
  });

  it('of nobody have no owner, and a name and type need not be', async () => {
    cloud.on(ONE, { status: 200, body: { volume: shown({ name: null, volume_type: null, metadata: {} }) } });
    const { owner: _, type: __, ...rest } = volume;
    expect(await driver.getVolume('v')).toEqual({ ...rest, name: '', metadata: {} });
  });

  it('are found by exactly their name, whatever else the cloud gives', async () => {
    cloud.on(LIST, { status: 200, body: { volumes: [shown(), shown({ id: 'w', name: 'home-2' })] } });
    expect((await driver.findVolumesByName('home')).map(({ id }) => id)).toEqual(['v']);
    expect(cloud.requests(LIST)[0]?.path).toContain('name=home');
  });

  it('are made by one call, the owner tag too', async () => {
    cloud.on(/^POST .*\/volumes$/, { status: 202, body: { volume: shown({ status: 'creating', metadata: tag }) } });
    expect(await driver.createVolume({ name: 'home', sizeGiB: 10, type: 'fast' }, owner)).toMatchObject({
      state: 'Creating',
      owner,
    });
    expect(bodyOf(/^POST .*\/volumes$/)).toEqual({ volume: { name: 'home', size: 10, volume_type: 'fast', metadata: tag } });
    await driver.createVolume({ name: 'home', sizeGiB: 10 }, owner);
    expect(bodyOf(/^POST .*\/volumes$/).volume).not.toHaveProperty('volume_type');
  });

  it('get an owner beside other metadata, and lose it without them', async () => {
    const METADATA = /\/volumes\/v\/metadata$/;
    cloud.on(METADATA, { status: 200, body: { metadata: { role: 'home', ...tag } } });
    await driver.setVolumeOwner('v', owner);
    expect(cloud.requests(METADATA)).toMatchObject([{ method: 'POST', text: JSON.stringify({ metadata: tag }) }]);
    await driver.setVolumeOwner('v', undefined);
    expect(cloud.requests(METADATA).at(-1)).toMatchObject({
      method: 'PUT',
      text: JSON.stringify({ metadata: { role: 'home' } }),
    });
  });

  it('grow while a server has them only where cinder can', async () => {
    cloud.on(VERSIONS, { status: 200, body: { versions: [{ id: 'v3.0', version: '3.41', min_version: '3.0' }] } });
    cloud.on(/^POST .*\/action$/, { status: 202 });
    await expect(driver.extendVolume('v', 11, true)).rejects.toMatchObject({ code: 'Unsupported' });
    expect(cloud.count(EFFECT)).toBe(0);
    await driver.extendVolume('v', 11, false);
    expect(bodyOf(/action$/)).toEqual({ 'os-extend': { new_size: 11 } });
    expect(cloud.requests(/action$/)[0]?.headers['openstack-api-version']).toBe('volume 3.41');
  });
});

interface Case {
  readonly what: keyof typeof calls;
  readonly reason: string;
  readonly reply: Reply;
  /** What the volume is when it is looked at after a refusal. */
  readonly now?: Readonly<Record<string, unknown>> | 'gone';
  readonly code: CloudErrorCode | 'success';
}
const calls = {
  createVolume: () => driver.createVolume({ name: 'home', sizeGiB: 10 }, owner),
  deleteVolume: () => driver.deleteVolume('v'),
  extendVolume: () => driver.extendVolume('v', 11, true),
  renameVolume: () => driver.renameVolume('v', 'other'),
  setVolumeOwner: () => driver.setVolumeOwner('v', owner),
  attachVolume: () => driver.attachVolume('s', 'v'),
  detachVolume: () => driver.detachVolume('s', 'v'),
};
const on = (server: string) => ({ attachments: [{ server_id: server }] });

describe('a refusal', () => {
  const overLimit = {
    status: 413,
    body: { overLimit: { code: 413, message: 'VolumeSizeExceedsAvailableQuota', retryAfter: '0' } },
  };
  const notAttached = fault(404, 'itemNotFound', 'Instance s is not attached to volume v');
  const cases: readonly Case[] = [
    { what: 'createVolume', reason: 'a quota of cinder', reply: overLimit, code: 'Quota' },
    {
      what: 'createVolume',
      reason: 'an unknown type',
      reply: fault(404, 'itemNotFound', 'Volume type with name x could not be found.'),
      code: 'Invalid',
    },
    { what: 'deleteVolume', reason: 'what is not there', reply: missing, code: 'success' },
    { what: 'deleteVolume', reason: 'one that is going', reply: wrongState, now: { status: 'deleting' }, code: 'success' },
    { what: 'deleteVolume', reason: 'one that went meanwhile', reply: wrongState, now: 'gone', code: 'success' },
    { what: 'deleteVolume', reason: 'one in use', reply: wrongState, now: { status: 'in-use', ...on('s') }, code: 'Conflict' },
    { what: 'extendVolume', reason: 'a state that does not allow it', reply: wrongState, code: 'Conflict' },
    {
      what: 'extendVolume',
      reason: 'one that is as large',
      reply: fault(400, 'badRequest', 'Invalid input received: New size for extend must be greater than current size.'),
      code: 'Invalid',
    },
    { what: 'renameVolume', reason: 'what is not there', reply: missing, code: 'NotFound' },
    { what: 'setVolumeOwner', reason: 'what is not there', reply: missing, code: 'NotFound' },
    {
      what: 'attachVolume',
      reason: 'one that this server has',
      reply: wrongState,
      now: { status: 'in-use', ...on('s') },
      code: 'success',
    },
    {
      what: 'attachVolume',
      reason: 'one that another has',
      reply: wrongState,
      now: { status: 'in-use', ...on('t') },
      code: 'Conflict',
    },
    { what: 'attachVolume', reason: 'one that has gone', reply: wrongState, now: 'gone', code: 'Conflict' },
    { what: 'attachVolume', reason: 'what is not there', reply: missing, code: 'NotFound' },
    {
      what: 'attachVolume',
      reason: 'a server being built',
      reply: fault(409, 'conflictingRequest', "Cannot 'attach_volume' instance s while it is in vm_state building"),
      now: {},
      code: 'Conflict',
    },
    { what: 'detachVolume', reason: 'one that it does not have', reply: notAttached, code: 'success' },
    {
      what: 'detachVolume',
      reason: 'one that is on its way off',
      reply: wrongState,
      now: { status: 'detaching', ...on('s') },
      code: 'success',
    },
    { what: 'detachVolume', reason: 'one that is off by now', reply: wrongState, now: { status: 'available' }, code: 'success' },
    {
      what: 'detachVolume',
      reason: 'one whose server is being deleted',
      reply: fault(409, 'conflictingRequest', "Cannot 'detach_volume' instance s while it is in vm_state deleted"),
      now: { status: 'available' },
      code: 'success',
    },
    { what: 'detachVolume', reason: 'one that went meanwhile', reply: wrongState, now: 'gone', code: 'success' },
    {
      what: 'detachVolume',
      reason: 'one that is on its way on',
      reply: wrongState,
      now: { status: 'attaching' },
      code: 'Conflict',
    },
  ];
  it.each(cases)('of $what for $reason is $code, and it is sent once', async ({ what, reply, now, code }) => {
    cloud.on(EFFECT, reply);
    cloud.on(ONE, now === 'gone' ? missing : { status: 200, body: { volume: shown(now) } });
    if (code === 'success') await calls[what]();
    else await expect(calls[what]()).rejects.toMatchObject({ name: 'CloudError', code });
    expect(cloud.count(EFFECT)).toBe(1);
  });

  it('is not explained by a guess when the volume cannot be looked at', async () => {
    cloud.on(EFFECT, wrongState);
    cloud.on(ONE, 'reset');
    await expect(driver.deleteVolume('v')).rejects.toMatchObject({ code: 'Unavailable' });
  });
});

describe('a lost reply', () => {
  it.each(Object.entries(calls))('of %s is UnknownOutcome', async (_, call) => {
    cloud.on(EFFECT, 'reset');
    await expect(call()).rejects.toMatchObject({ code: 'UnknownOutcome' });
    expect(cloud.count(EFFECT)).toBe(1);
  });

  it('of a page is Unavailable, never a part of the list', async () => {
    cloud.on(LIST, { status: 200, body: { volumes: [shown()], volumes_links: [{ rel: 'next' }] } });
    cloud.on(/marker=v/, missing);
    await expect(driver.listVolumes()).rejects.toMatchObject({ code: 'Unavailable' });
  });

  it('of the version document is asked for again by the next call', async () => {
    cloud.on(ONE, { status: 200, body: { volume: shown() } });
    cloud.on(VERSIONS, 'reset');
    await expect(driver.getVolume('v')).rejects.toMatchObject({ code: 'Unavailable' });
    cloud.on(VERSIONS, { status: 200, body: { versions: [{ id: 'v3.0', version: '3.70', min_version: '3.0' }] } });
    expect(await driver.getVolume('v')).toEqual(volume);
  });
});

describe('a cloud without cinder', () => {
  it('says so in every method', async () => {
    cloud.on(/^POST \/identity/, login(cloud.endpoint, 't', 3_600_000, ['volumev3']));
    const reads = [
      () => driver.listVolumes(),
      () => driver.findVolumesByName('home'),
      () => driver.getVolume('v'),
      () => driver.listVolumeTypes(),
    ];
    for (const call of [...Object.values(calls), ...reads]) {
      await expect(call()).rejects.toMatchObject({ code: 'Unsupported', message: expect.stringContaining('no volume service') });
    }
    expect(cloud.count(/\/(volume|compute)\//)).toBe(0);
  });
});
