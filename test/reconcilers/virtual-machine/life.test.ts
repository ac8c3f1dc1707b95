import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { INSTALLATION, Rig } from '../../support/rig.js';
import { failure } from '../../support/scripted-cloud.js';

let rig: Rig;
beforeEach(() => {
  rig = new Rig();
});
afterEach(() => rig.stop());

const VM = 'VirtualMachine';
const creates = () => rig.cloud.count('createServer');
const ready = (name = 'web-1') => rig.said(VM, name).Ready;

/** A dispatcher that has seen the Cloud `lab`. */
async function atWork() {
  await rig.declareCloud();
  const running = rig.start();
  await rig.pass(500);
  return running;
}

describe('drift', () => {
  test('of a server that was stopped, renamed, retagged and relabelled behind our back is put right, and told', async () => {
    await rig.withReadyMachine('web-1', { metadata: { role: 'web' }, tags: ['blue'] });
    rig.cloud.put('s1', { state: 'Stopped', name: 'other', metadata: { role: 'x' }, tags: ['red'] });
    await rig.pass(20_000);
    expect(rig.cloud.servers.get('s1')).toMatchObject({
      state: 'Running',
      name: 'web-1',
      metadata: { role: 'web' },
      tags: ['blue'],
    });
    expect(rig.events('web-1').slice(1)).toEqual(['Normal Rename', 'Normal SetMetadata', 'Normal SetTags', 'Normal Start']);
    expect(ready()).toBe('True Running');
  });

  test('of a server that was deleted behind our back is replaced, and told', async () => {
    await rig.withReadyMachine();
    rig.cloud.remove('s1');
    await rig.until('another is bound', () => rig.status('web-1').id === 's2', 20_000);
    expect(rig.status('web-1').ledger?.attempt).toBe(2);
    await rig.pass(1_000);
    expect(rig.events('web-1')).toEqual(['Normal Created x2', 'Warning ServerGone']);
  });

  test('of an owner tag that somebody took away is put back', async () => {
    await rig.withReadyMachine();
    const { owner, ...server } = rig.cloud.put('s1', { ownerTagWhole: false });
    rig.cloud.remove('s1');
    rig.cloud.put('s1', server);
    await rig.pass(20_000);
    expect(rig.cloud.servers.get('s1')?.owner).toEqual(owner);
    expect(creates()).toBe(1);
  });
});

describe('a declaration that changes', () => {
  test('is followed in place where the cloud can', async () => {
    await rig.withReadyMachine();
    await rig.edit(VM, 'web-1', { flavor: 'm1.small', powerState: 'Stopped' });
    await rig.pass(30_000);
    expect(rig.cloud.servers.get('s1')).toMatchObject({ flavorId: '2', state: 'Stopped' });
    expect(ready()).toBe('True Stopped');
    expect(rig.status('web-1')).toMatchObject({ observedGeneration: 2, flavor: { id: '2' } });
  });

  test('is held where only another server could follow it, unless onChange says Replace', async () => {
    await rig.withReadyMachine();
    await rig.edit(VM, 'web-1', { image: 'debian' });
    await rig.pass(10_000);
    expect(rig.said(VM, 'web-1')).toEqual({ Ready: 'False ChangeHeld', Stalled: 'True ChangeHeld' });
    expect(rig.message(VM, 'web-1')).toContain('image changed from cirros to debian');
    await rig.edit(VM, 'web-1', { onChange: 'Replace' });
    await rig.until('the old one is deleted', () => rig.cloud.calls.includes('deleteServer s1'), 10_000);
    rig.cloud.remove('s1');
    await rig.until('the new one is bound', () => rig.status('web-1').id === 's2', 20_000);
    expect(rig.cloud.requests[1]?.imageId).toBe('image-2');
    expect(creates()).toBe(2);
  });
});

describe('adoption', () => {
  test('takes the one server of that name, tags it, and creates nothing', async () => {
    await atWork();
    rig.cloud.put('old', { name: 'legacy' });
    await rig.declare('web-1', { adopt: { name: 'legacy' }, hostname: 'legacy' });
    await rig.until('it is Ready', () => rig.find(VM, 'web-1')?.status !== undefined && ready() === 'True Running', 120_000);
    const { uid } = rig.get(VM, 'web-1').metadata;
    expect(rig.status('web-1').id).toBe('old');
    expect(rig.cloud.servers.get('old')?.owner).toMatchObject({ installation: INSTALLATION, uid });
    expect(creates()).toBe(0);
    await rig.pass(1_000);
    expect(rig.events('web-1')[0]).toBe('Normal Adopted');
  });

  test('waits for a server that is not there yet', async () => {
    await atWork();
    await rig.declare('web-1', { adopt: { id: 'old' }, hostname: 'legacy' });
    await rig.pass(20_000);
    expect(rig.said(VM, 'web-1')).toEqual({ Ready: 'False AdoptionNotFound', Stalled: 'True AdoptionNotFound' });
    rig.cloud.put('old', { name: 'legacy' });
    await rig.until('it is Ready', () => ready() === 'True Running', 60_000);
    expect(creates()).toBe(0);
  });

  test('of one server by two records goes to one of them, and the other says by whom', async () => {
    await atWork();
    rig.cloud.put('old', { name: 'legacy' });
    await rig.declare('first', { adopt: { id: 'old' }, hostname: 'legacy' });
    await rig.declare('second', { adopt: { id: 'old' }, hostname: 'legacy' });
    await rig.pass(60_000);
    const bound = ['first', 'second'].filter((name) => rig.status(name).id === 'old' && ready(name) === 'True Running');
    expect(bound).toHaveLength(1);
    const other = bound[0] === 'first' ? 'second' : 'first';
    expect(ready(other)).toMatch(/^False (ServerClaimed|AdoptionConflict)$/);
    const { uid } = rig.get(VM, bound[0] ?? '').metadata;
    expect(rig.cloud.servers.get('old')?.owner?.uid).toBe(uid);
    rig.journal.length = 0;
    await rig.pass(120_000);
    expect(rig.journal.filter((line) => /set|create|delete/.test(line))).toEqual([]);
  });
});

describe('management: Observe', () => {
  test('changes nothing, and shows what it would do', async () => {
    await atWork();
    rig.cloud.put('old', { name: 'legacy', state: 'Stopped' });
    await rig.declare('web-1', { adopt: { id: 'old' }, hostname: 'legacy', management: 'Observe' });
    await rig.pass(20_000);
    expect(ready()).toBe('False WouldChange');
    expect(rig.status('web-1').plan?.map(({ step }) => step)).toContain('Start');
    expect(rig.cloud.calls.filter((call) => !/^(list|get)/.test(call))).toEqual([]);
    expect(rig.get(VM, 'web-1').metadata.finalizers ?? []).toEqual([]);
  });
});

describe('rows that a person wrote by hand', () => {
  test('with a bad spec are said to be stalled, naming the fields, and heal when they are mended', async () => {
    await atWork();
    await rig.declare('web-1', { powerState: 'Off', surprise: 1 });
    await rig.pass(1_000);
    expect(rig.said(VM, 'web-1')).toEqual({ Ready: 'False InvalidSpec', Stalled: 'True InvalidSpec' });
    expect(rig.message(VM, 'web-1')).toContain('spec.powerState: must be one of "Running", "Stopped", got "Off"');
    expect(rig.message(VM, 'web-1')).toContain('unknown field "spec.surprise"');
    expect(creates()).toBe(0);
    rig.journal.length = 0;
    await rig.pass(60_000);
    expect(rig.journal.filter((line) => line.includes(VM))).toEqual([]);
    await rig.edit(VM, 'web-1', { powerState: 'Running', surprise: undefined });
    await rig.pass(1_000);
    expect(rig.status('web-1').id).toBe('s1');
  });

  test('with a spec that became bad keep their server, and lose it when they are deleted', async () => {
    await rig.withReadyMachine();
    const { metadata } = rig.get(VM, 'web-1');
    const held = {
      ...rig.get(VM, 'web-1'),
      metadata: { ...metadata, finalizers: [...(metadata.finalizers ?? []), 'example.com/kept'] },
    };
    await rig.store.update({ ...held, spec: { cloudRef: { name: 'lab' }, image: 7, flavor: 'm1.tiny' } });
    await rig.pass(5_000);
    expect(ready()).toBe('False InvalidSpec');
    expect(rig.cloud.servers.has('s1')).toBe(true);
    await rig.remove(VM, 'web-1');
    await rig.until('its deletion is asked for', () => rig.cloud.calls.includes('deleteServer s1'), 10_000);
    rig.cloud.remove('s1');
    await rig.until('our finalizer is gone', () => rig.get(VM, 'web-1').metadata.finalizers?.length === 1, 20_000);
    expect(rig.get(VM, 'web-1').spec).toEqual({ cloudRef: { name: 'lab' }, image: 7, flavor: 'm1.tiny' });
  });

  test.each([
    ['garbage', { id: 7, conditions: 'none', nonsense: {} }],
    ['nothing', undefined],
  ])('a status that somebody replaced with %s is found again by the owner tag', async (_reason, status) => {
    await rig.withReadyMachine();
    await rig.store.updateStatus({ ...rig.get(VM, 'web-1'), status });
    await rig.until(
      'it is bound again',
      () => {
        const found = rig.get(VM, 'web-1').status;
        return typeof found === 'object' && found !== null && 'id' in found && found.id === 's1' && ready() === 'True Running';
      },
      60_000,
    );
    await rig.pass(120_000);
    expect(creates()).toBe(1);
    expect(rig.cloud.calls.some((call) => call.startsWith('deleteServer'))).toBe(false);
  });
});

describe('what a machine waits for', () => {
  test('user data of a Secret: waits for it, holds a change of it, and boots with what it says', async () => {
    await atWork();
    await rig.declare('web-1', { userDataFrom: { secretRef: { name: 'boot', key: 'script' } }, onChange: 'Replace' });
    await rig.pass(5_000);
    expect(ready()).toBe('False ReferenceNotFound');
    expect(rig.message(VM, 'web-1')).toBe('spec.userDataFrom: there is no Secret default/boot');
    const secret = await rig.declareSecret('boot', { other: 'x' });
    await rig.pass(1_000);
    expect(rig.message(VM, 'web-1')).toBe('spec.userDataFrom: Secret default/boot has no key script');
    const data = (text: string) => ({ script: Buffer.from(text).toString('base64') });
    const second = await rig.store.update({ ...secret, data: data('#!one') });
    await rig.pass(1_000);
    expect(rig.cloud.requests[0]?.userData).toBe('#!one');
    rig.cloud.put('s1', { state: 'Running' });
    await rig.until('it is Ready', () => ready() === 'True Running', 10_000);
    await rig.store.update({ ...second, data: data('#!two') });
    await rig.until('it is replaced', () => rig.cloud.calls.includes('deleteServer s1'), 5_000);
    rig.cloud.remove('s1');
    await rig.until('another is asked for', () => creates() === 2, 20_000);
    expect(rig.cloud.requests[1]?.userData).toBe('#!two');
    const everything = JSON.stringify([rig.get(VM, 'web-1'), rig.store.everything('Event'), rig.log.lines]);
    for (const secretText of ['#!one', '#!two']) expect(everything).not.toContain(secretText);
  });

  test('a KeyPair that becomes Ready wakes the machines that boot with it', async () => {
    await atWork();
    await rig.declare('web-1', { keyName: 'mine' });
    await rig.pass(1_000);
    expect(ready()).toBe('False ReferenceNotFound');
    await rig.pass(6_000);
    await rig.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'KeyPair',
      metadata: { name: 'mine', namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, publicKey: 'ssh-ed25519 AAAA me@here' },
    });
    await rig.pass(500);
    expect(rig.cloud.requests[0]?.keyName).toBe('mine');
  });

  test('an image that is not there yet is found soon after it is', async () => {
    await atWork();
    await rig.declare('web-1', { image: 'fresh' });
    await rig.pass(1_000);
    expect(rig.message(VM, 'web-1')).toBe('spec.image: no image has the name or id "fresh"');
    rig.cloud.images = [{ id: 'image-9', name: 'fresh', usable: true }];
    await rig.until('it is asked for', () => creates() === 1, 20_000);
  });
});

describe('its Cloud', () => {
  test('that does not exist is named, and its appearance heals', async () => {
    rig.start();
    await rig.declare('web-1');
    await rig.pass(1_000);
    expect(rig.said(VM, 'web-1')).toEqual({ Ready: 'Unknown CloudNotFound', Reconciling: 'True CloudNotFound' });
    expect(rig.message(VM, 'web-1')).toBe('spec.cloudRef.name: there is no Cloud lab');
    await rig.declareCloud();
    await rig.pass(1_000);
    expect(rig.status('web-1').id).toBe('s1');
  });

  test('that is paused changes nothing, and goes on when it is not', async () => {
    await rig.withReadyMachine();
    await rig.edit('Cloud', 'lab', { paused: true });
    await rig.pass(1_000);
    expect(ready()).toBe('Unknown CloudPaused');
    rig.cloud.put('s1', { state: 'Stopped' });
    await rig.declare('web-2');
    await rig.remove(VM, 'web-1');
    await rig.pass(120_000);
    expect(rig.cloud.calls.filter((call) => /^(create|delete|start)/.test(call))).toEqual(['createServer web-1']);
    await rig.edit('Cloud', 'lab', { paused: undefined });
    await rig.pass(1_000);
    expect(rig.cloud.calls).toContain('deleteServer s1');
    expect(rig.cloud.calls).toContain('createServer web-2');
  });

  test('that does not allow the namespace is left alone', async () => {
    await rig.declareCloud({ allowedNamespaces: ['other'] });
    rig.start();
    await rig.declare('web-1');
    await rig.pass(2_000);
    expect(ready()).toBe('Unknown NamespaceNotAllowed');
    expect(rig.message(VM, 'web-1')).toBe('Cloud lab does not allow the namespace default');
    expect(creates()).toBe(0);
    await rig.edit('Cloud', 'lab', { allowedNamespaces: ['other', 'default'] });
    await rig.pass(1_000);
    expect(creates()).toBe(1);
  });

  test('that does not answer is said, with its own words, and what was Ready stays bound', async () => {
    await rig.withReadyMachine();
    rig.cloud.break('listServers', failure('Unavailable', 'the API is down'));
    rig.cloud.break('listChanges', failure('Unavailable', 'the API is down'));
    await rig.declare('web-2');
    await rig.pass(20_000);
    expect(rig.status('web-1').id).toBe('s1');
    expect(ready()).toBe('True Running');
  });
});

describe('a restart', () => {
  test('leaves Ready standing before the first observation, and repeats nothing after it', async () => {
    await rig.withReadyMachine();
    await rig.stop();
    const before = rig.get(VM, 'web-1');
    const gate = rig.cloud.hold('listServers');
    rig.start();
    await rig.pass(120_000);
    expect(rig.get(VM, 'web-1')).toEqual(before);
    gate.open();
    await rig.pass(5_000);
    expect(rig.get(VM, 'web-1')).toEqual(before);
    expect(rig.cloud.calls.filter((call) => /^(create|delete|set|start|stop)/.test(call))).toEqual(['createServer web-1']);
  });

  test('finds out that a server went while nobody looked', async () => {
    await rig.withReadyMachine();
    await rig.stop();
    rig.cloud.remove('s1');
    rig.start();
    await rig.until('another is bound', () => rig.status('web-1').id === 's2', 5_000);
  });

  test('finds it out too when the cloud did not answer at first', async () => {
    await rig.withReadyMachine();
    await rig.stop();
    rig.cloud.remove('s1');
    rig.cloud.fail('listServers', failure('Unavailable'));
    rig.cloud.fail('listServers', failure('Unavailable'));
    rig.start();
    await rig.until('another is bound', () => rig.status('web-1').id === 's2', 30_000);
  });

  test('says of a new machine that the cloud is not observed yet', async () => {
    await rig.declareCloud();
    const gate = rig.cloud.hold('listServers');
    rig.start();
    await rig.declare('web-1');
    await rig.pass(1_000);
    expect(rig.said(VM, 'web-1')).toEqual({ Ready: 'False Observing', Reconciling: 'True Observing' });
    expect(creates()).toBe(0);
    gate.open();
    await rig.pass(1_000);
    expect(creates()).toBe(1);
  });
});

describe('deletion', () => {
  const server = () => rig.cloud.servers.get('s1');
  test('asks for the end of the server, waits until it is gone, and lets the record go', async () => {
    await rig.withReadyMachine();
    await rig.remove(VM, 'web-1');
    await rig.pass(30_000);
    expect(server()?.state).toBe('Deleting');
    expect(ready()).toBe('False Deleting');
    rig.cloud.remove('s1');
    await rig.until('the record is gone', () => rig.find(VM, 'web-1') === undefined, 5_000);
    expect(rig.cloud.count('deleteServer')).toBe(1);
    expect(rig.events('web-1')).toEqual(['Normal Created', 'Normal Delete']);
  });

  test('of a record that never had a server takes no call', async () => {
    await atWork();
    await rig.declare('web-1', { image: 'none' });
    await rig.pass(1_000);
    await rig.remove(VM, 'web-1');
    await rig.pass(500);
    expect(rig.find(VM, 'web-1')).toBeUndefined();
    expect(rig.cloud.calls.filter((call) => /delete|find|getServer/.test(call))).toEqual([]);
  });

  test('during an attempt of unknown outcome waits, and takes the server with it that comes late', async () => {
    rig.cloud.fail('createServer', failure('UnknownOutcome'));
    await atWork();
    await rig.declare('web-1');
    await rig.pass(1_000);
    const { uid } = rig.get(VM, 'web-1').metadata;
    const attempt = rig.status('web-1').ledger?.token ?? '';
    await rig.remove(VM, 'web-1');
    await rig.pass(20_000);
    expect(rig.said(VM, 'web-1').Ready).toBe('False OutcomeUnknown');
    rig.cloud.put('late', { name: 'web-1', state: 'Building', owner: { installation: INSTALLATION, uid, attempt } });
    await rig.until('its deletion is asked for', () => rig.cloud.calls.includes('deleteServer late'), 20_000);
    rig.cloud.remove('late');
    await rig.until('the record is gone', () => rig.find(VM, 'web-1') === undefined, 60_000);
  });

  test('while its server is asked for takes that with it, and waits no longer than until it is gone', async () => {
    const gate = rig.cloud.hold('createServer');
    await atWork();
    await rig.declare('web-1');
    await rig.until('its server is asked for', () => rig.cloud.calls.includes('createServer web-1'), 5_000);
    await rig.remove(VM, 'web-1');
    gate.open();
    await rig.until('its deletion is asked for', () => rig.cloud.calls.includes('deleteServer s1'), 5_000);
    rig.cloud.remove('s1');
    await rig.until('the record is gone', () => rig.find(VM, 'web-1') === undefined, 5_000);
  });

  test('with deletionPolicy Orphan leaves the server, without our tag, and nobody deletes it later', async () => {
    await rig.withReadyMachine('web-1', { deletionPolicy: 'Orphan' });
    await rig.edit('Cloud', 'lab', { orphans: { gracePeriod: '1s' } });
    await rig.remove(VM, 'web-1');
    await rig.until('the record is gone', () => rig.find(VM, 'web-1') === undefined, 10_000);
    await rig.pass(600_000);
    expect(server()?.state).toBe('Running');
    expect(server()?.owner).toBeUndefined();
  });

  test('is refused while it is protected', async () => {
    await rig.withReadyMachine('web-1', { protected: true });
    await rig.remove(VM, 'web-1');
    await rig.pass(60_000);
    expect(rig.said(VM, 'web-1')).toEqual({ Ready: 'False Protected', Stalled: 'True Protected' });
    expect(server()?.state).toBe('Running');
    await rig.edit(VM, 'web-1', { protected: false });
    await rig.pass(500);
    expect(server()?.state).toBe('Deleting');
  });
});
