import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { cloudStatusSchema } from '../../../src/resources/cloud.js';
import { StoreError } from '../../../src/store/errors.js';
import { INSTALLATION, Rig } from '../../support/rig.js';
import { failure } from '../../support/scripted-cloud.js';

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

const said = () => rig.said('Cloud', 'lab');
const status = () => cloudStatusSchema.parse(rig.get('Cloud', 'lab').status);
const CREDENTIALS = { credentialsRef: { namespace: 'default', name: 'login' } };

describe('a Cloud', () => {
  test('is Ready when it was observed whole, and says when and what is there', async () => {
    rig.cloud.put('theirs');
    rig.cloud.put('broken', { state: 'Error' });
    await rig.withReadyMachine();
    await rig.declare('web-2');
    await rig.pass(60_000);
    expect(said()).toEqual({ Ready: 'True Observed' });
    expect(status()).toMatchObject({
      observedGeneration: 1,
      servers: { total: 4, ours: 2, building: 1, error: 1, orphans: 0 },
      quota: { instances: 10, instancesUsed: 1 },
      calls: { failed: 0, throttled: 0 },
    });
    expect(status().calls?.total).toBe(rig.cloud.calls.length);
    expect(rig.world.milliseconds - Date.parse(status().observedAt ?? '')).toBeLessThanOrEqual(60_000);
  });

  test('waits for its first observation, and says so', async () => {
    const gate = rig.cloud.hold('listServers');
    await rig.declareCloud();
    rig.start();
    await rig.pass(10_000);
    expect(said()).toEqual({ Ready: 'False Observing', Reconciling: 'True Observing' });
    gate.open();
    await rig.pass(100);
    expect(said()).toEqual({ Ready: 'True Observed' });
  });

  test.each([
    ['Unavailable', 'Reconciling'],
    ['RateLimited', 'Reconciling'],
    ['Unauthorized', 'Stalled'],
  ] as const)('that answers %s says so with its own words and advice, and heals', async (code, type) => {
    await rig.declareCloud();
    rig.start();
    await rig.pass(1_000);
    rig.cloud.break('listServers', failure(code, 'these are its own words', { status: code === 'RateLimited' ? 429 : 500 }));
    rig.cloud.break('listChanges', failure(code, 'these are its own words', { status: code === 'RateLimited' ? 429 : 500 }));
    await rig.pass(70_000);
    expect(said()).toEqual({ Ready: `False ${code}`, [type]: `True ${code}` });
    expect(rig.message('Cloud', 'lab')).toMatch(/^these are its own words\. To do: /);
    expect(status().lastError?.message).toBe('these are its own words');
    rig.cloud.break('listServers', undefined);
    rig.cloud.break('listChanges', undefined);
    await rig.pass(100_000);
    expect(said()).toEqual({ Ready: 'True Observed' });
    expect(status().lastError).toBeUndefined();
    expect(status().calls?.failed).toBeGreaterThan(2);
    expect(status().calls?.throttled === 0).toBe(code !== 'RateLimited');
  });

  test('with a spec that cannot be read is not connected, names the field, and heals', async () => {
    await rig.declareCloud();
    rig.start();
    await rig.pass(1_000);
    await rig.edit('Cloud', 'lab', { engine: 'abacus' });
    await rig.pass(1_000);
    expect(said()).toEqual({ Ready: 'False InvalidSpec', Stalled: 'True InvalidSpec' });
    expect(rig.message('Cloud', 'lab')).toContain('spec.engine: must be one of');
    expect(rig.cloud.closed).toBe(true);
    await rig.edit('Cloud', 'lab', { engine: 'simulator' });
    await rig.pass(1_000);
    expect(said()).toEqual({ Ready: 'True Observed' });
  });

  test('that is paused is still observed, and says that it is paused', async () => {
    await rig.declareCloud({ paused: true });
    rig.start();
    rig.cloud.put('s9');
    await rig.pass(1_000);
    expect(said()).toEqual({ Ready: 'True Observed', Paused: 'True Declared' });
    expect(status().servers?.total).toBe(1);
    await rig.edit('Cloud', 'lab', { paused: undefined });
    await rig.pass(1_000);
    expect(said()).toEqual({ Ready: 'True Observed' });
  });

  test('is asked for its quota once in five minutes, and is no worse without', async () => {
    rig.cloud.fail('getQuota', failure('Unavailable'));
    await rig.declareCloud();
    rig.start();
    await rig.pass(1_000);
    expect(said()).toEqual({ Ready: 'True Observed' });
    expect(status().quota).toBeUndefined();
    await rig.pass(600_000);
    expect(status().quota?.cores).toBe(20);
    expect(rig.cloud.count('listServers')).toBe(11);
    expect(rig.cloud.count('getQuota')).toBeLessThanOrEqual(4);
  });

  test('takes one write of its status for each audit', async () => {
    await rig.declareCloud();
    rig.start();
    await rig.pass(1_000);
    rig.journal.length = 0;
    await rig.pass(600_000);
    expect(rig.journal.filter((line) => line === 'store: updateStatus Cloud lab')).toHaveLength(10);
  });
});

describe('credentials', () => {
  test('that are not there are named, and the Cloud heals when they are', async () => {
    await rig.declareCloud(CREDENTIALS);
    rig.start();
    await rig.pass(1_000);
    expect(said()).toEqual({ Ready: 'False CredentialsInvalid', Stalled: 'True CredentialsInvalid' });
    expect(rig.message('Cloud', 'lab')).toBe('spec.credentialsRef: there is no Secret default/login');
    expect(rig.cloud.calls).toEqual([]);
    await rig.declareSecret('login', { password: 'hush' });
    await rig.pass(1_000);
    expect(said()).toEqual({ Ready: 'True Observed' });
  });

  test('that the driver refuses are told in its words, never with a value; a mended Secret heals', async () => {
    const connect = rig.makeDriver;
    rig.makeDriver = (name, spec, values, onCall) => {
      if (values?.password === undefined) throw new Error('the Secret has no password');
      return connect(name, spec, values, onCall);
    };
    const secret = await rig.declareSecret('login', { passwort: 'hush-hush' });
    await rig.declareCloud(CREDENTIALS);
    await rig.declare('web-1');
    rig.start();
    await rig.pass(1_000);
    expect(rig.message('Cloud', 'lab')).toBe('the Secret has no password');
    const data = { password: Buffer.from('hush-hush').toString('base64') };
    await rig.store.update({ ...rig.get('Secret', 'login'), metadata: { ...rig.get('Secret', 'login').metadata }, data });
    await rig.pass(1_000);
    expect(secret.metadata.uid).toBe(rig.get('Secret', 'login').metadata.uid);
    expect(said()).toEqual({ Ready: 'True Observed' });
    expect(rig.status('web-1').id).toBe('s1');
    const told = JSON.stringify([rig.get('Cloud', 'lab'), rig.store.everything('Event'), rig.log.lines]);
    expect(told).not.toContain('hush-hush');
    expect(told).not.toContain(data.password);
  });

  test('that become bad disconnect the Cloud, and its machines say why', async () => {
    const connect = rig.makeDriver;
    rig.makeDriver = (name, spec, values, onCall) => {
      if (values?.password === undefined) throw new Error('the Secret has no password');
      return connect(name, spec, values, onCall);
    };
    await rig.declareSecret('login', { password: 'hush' });
    await rig.declareCloud(CREDENTIALS);
    rig.start();
    await rig.pass(1_000);
    await rig.store.update({ ...rig.get('Secret', 'login'), data: {} });
    await rig.pass(1_000);
    expect(rig.cloud.closed).toBe(true);
    await rig.declare('web-1');
    await rig.pass(1_000);
    expect(rig.said('VirtualMachine', 'web-1').Ready).toBe('Unknown CloudNotReady');
    expect(rig.message('VirtualMachine', 'web-1')).toContain('the Secret has no password');
  });
});

describe('a deletion', () => {
  test('waits for what is in the Cloud, says by how many, and goes on when it is gone', async () => {
    await rig.withReadyMachine();
    await rig.declare('web-2');
    await rig.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'KeyPair',
      metadata: { name: 'mine', namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, publicKey: 'ssh-ed25519 AAAA' },
    });
    await rig.pass(1_000);
    await rig.remove('Cloud', 'lab');
    await rig.pass(1_000);
    expect(said()).toEqual({ Ready: 'True Observed', Terminating: 'True InUse' });
    expect(rig.message('Cloud', 'lab', 'Terminating')).toBe('2 VirtualMachines and 1 KeyPair in it must be deleted first');
    for (const name of ['web-1', 'web-2']) await rig.remove('VirtualMachine', name);
    await rig.pass(1_000);
    for (const id of ['s1', 's2']) rig.cloud.remove(id);
    await rig.pass(10_000);
    expect(rig.find('VirtualMachine', 'web-1')).toBeUndefined();
    await rig.pass(60_000);
    expect(rig.message('Cloud', 'lab', 'Terminating')).toBe('1 KeyPair in it must be deleted first');
    await rig.remove('KeyPair', 'mine');
    await rig.pass(1_000);
    expect(rig.find('Cloud', 'lab')).toBeUndefined();
    expect(rig.cloud.closed).toBe(true);
  });

  test('of a Cloud in use goes on after a restart: its servers are still deleted through it', async () => {
    await rig.withReadyMachine();
    await rig.remove('Cloud', 'lab');
    await rig.pass(1_000);
    await rig.stop();
    rig.start();
    await rig.pass(1_000);
    await rig.remove('VirtualMachine', 'web-1');
    await rig.until('the deletion is asked for', () => rig.cloud.calls.includes('deleteServer s1'), 5_000);
    rig.cloud.remove('s1');
    await rig.until('the Cloud is gone', () => rig.find('Cloud', 'lab') === undefined, 10_000);
  });

  test('lets no new machine be made', async () => {
    await rig.withReadyMachine();
    await rig.remove('Cloud', 'lab');
    await rig.declare('web-2');
    await rig.pass(60_000);
    expect(rig.said('VirtualMachine', 'web-2').Ready).toBe('Unknown CloudTerminating');
    expect(rig.cloud.count('createServer')).toBe(1);
  });

  test('of a Cloud that nothing names is at once', async () => {
    await rig.declareCloud();
    rig.start();
    await rig.pass(1_000);
    expect(rig.get('Cloud', 'lab').metadata.finalizers).toEqual(['dispatcher.dev/in-use']);
    await rig.remove('Cloud', 'lab');
    await rig.pass(100);
    expect(rig.find('Cloud', 'lab')).toBeUndefined();
    const { length } = rig.cloud.calls;
    await rig.pass(120_000);
    expect(rig.cloud.calls).toHaveLength(length);
  });
});

describe('servers with our tag and no record', () => {
  const orphan = (id: string, uid = `gone-${id}`) =>
    rig.cloud.put(id, { owner: { installation: INSTALLATION, uid, attempt: 'token' } });
  const deleted = () => rig.cloud.calls.filter((call) => call.startsWith('deleteServer')).map((call) => call.slice(13));
  const orphans = (policy: object) => rig.declareCloud({ orphans: policy });

  test('are deleted after three whole observations and the grace period, and told', async () => {
    await orphans({ gracePeriod: '150s' });
    orphan('s1');
    rig.cloud.put('theirs');
    rig.cloud.put('other', { owner: { installation: 'another', uid: 'x', attempt: 'y' } });
    rig.start();
    await rig.pass(125_000);
    expect(rig.cloud.count('listServers')).toBe(3);
    expect(deleted()).toEqual([]);
    expect(status().servers?.orphans).toBe(1);
    await rig.pass(60_000);
    expect(deleted()).toEqual(['s1']);
    await rig.pass(1_000);
    expect(rig.events('lab')).toEqual(['Warning DeletingOrphan']);
    expect(rig.eventMessages('lab')[0]).toContain('s1');
  });

  test('without a grace period are deleted at the third observation, not before', async () => {
    await orphans({ gracePeriod: '0s' });
    orphan('s1');
    rig.start();
    await rig.pass(119_000);
    expect(deleted()).toEqual([]);
    await rig.pass(2_000);
    expect(deleted()).toEqual(['s1']);
  });

  test('that were not orphans in between are counted anew', async () => {
    await orphans({ gracePeriod: '0s' });
    orphan('s1');
    rig.start();
    await rig.pass(90_000);
    rig.cloud.remove('s1');
    await rig.pass(60_000);
    orphan('s1');
    await rig.pass(90_000);
    expect(deleted()).toEqual([]);
    await rig.pass(60_000);
    expect(deleted()).toEqual(['s1']);
  });

  test('are deleted under an hourly cap', async () => {
    await orphans({ gracePeriod: '0s', perHour: 2 });
    for (let index = 0; index < 5; index += 1) orphan(`s${index}`);
    rig.start();
    await rig.pass(3_500_000);
    expect(deleted()).toEqual(['s0', 's1']);
    await rig.pass(400_000);
    expect(deleted()).toHaveLength(4);
  });

  test('are only counted where the policy is Report, or the Cloud is paused', async () => {
    await orphans({ gracePeriod: '0s', policy: 'Report' });
    orphan('s1');
    rig.start();
    await rig.pass(600_000);
    expect(status().servers?.orphans).toBe(1);
    expect(deleted()).toEqual([]);
    await rig.edit('Cloud', 'lab', { orphans: { gracePeriod: '0s' }, paused: true });
    await rig.pass(600_000);
    expect(deleted()).toEqual([]);
  });

  test('are left while the records cannot be listed whole', async () => {
    await orphans({ gracePeriod: '0s' });
    rig.start();
    await rig.pass(1_000);
    orphan('s1');
    rig.faults = {
      beforeRead: (operation, { kind }) => {
        if (operation === 'list' && kind === 'VirtualMachine') throw new StoreError('Unavailable', 'the store is away');
      },
    };
    await rig.pass(600_000);
    expect(deleted()).toEqual([]);
    rig.faults = {};
    await rig.pass(180_000);
    expect(deleted()).toEqual(['s1']);
  });

  test('whose record appeared meanwhile are saved by the list of the records, though the cache lags', async () => {
    await orphans({ gracePeriod: '0s' });
    rig.start();
    await rig.pass(1_000);
    let open = () => undefined as undefined;
    const held = new Promise<void>((resolve) => {
      open = () => void resolve();
    });
    rig.faults = { beforeRead: (operation) => (operation === 'watch' ? held : undefined) };
    rig.store.breakWatches('VirtualMachine');
    await rig.pass(1_000);
    const { metadata } = await rig.declare('web-1', { paused: true });
    orphan('s1', metadata.uid);
    await rig.pass(600_000);
    expect(deleted()).toEqual([]);
    expect(status().servers?.orphans).toBe(0);
    open();
  });

  test('that cannot be deleted now are tried again', async () => {
    await orphans({ gracePeriod: '0s' });
    orphan('s1');
    rig.cloud.fail('deleteServer', failure('Unavailable'));
    rig.start();
    await rig.pass(240_000);
    expect(deleted().length).toBeGreaterThanOrEqual(2);
    expect(rig.cloud.servers.get('s1')?.state).toBe('Deleting');
    expect(said()).toEqual({ Ready: 'True Observed' });
  });
});
