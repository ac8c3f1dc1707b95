import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { Rig } from '../../support/rig.js';
import { failure } from '../../support/scripted-cloud.js';

let rig: Rig;
beforeEach(async () => {
  rig = new Rig();
  await rig.declareCloud();
  rig.start();
  await rig.pass(500);
});
afterEach(() => rig.stop());

const KEY = 'ssh-ed25519 AAAAone me@here';
const OTHER = 'ssh-ed25519 AAAAtwo me@here';
const said = (name = 'mine') => rig.said('KeyPair', name);
const calls = () => rig.cloud.calls.filter((call) => /KeyPair/.test(call));
const changes = () => calls().filter((call) => call !== 'listKeyPairs');

async function declare(name = 'mine', spec: Record<string, unknown> = {}): Promise<void> {
  await rig.store.create({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'KeyPair',
    metadata: { name, namespace: 'default' },
    spec: { cloudRef: { name: 'lab' }, publicKey: KEY, ...spec },
  });
  await rig.pass(500);
}

/** Somebody else puts a key pair there. */
function there(publicKey: string, name = 'mine'): void {
  rig.cloud.keyPairs = [...rig.cloud.keyPairs.filter((one) => one.name !== name), { name, publicKey, fingerprint: 'theirs' }];
}

describe('a KeyPair', () => {
  test('is imported, held, and told', async () => {
    await declare();
    expect(rig.cloud.keyPairs).toMatchObject([{ name: 'mine', publicKey: KEY }]);
    expect(said()).toEqual({ Ready: 'True Imported' });
    expect(rig.get('KeyPair', 'mine')).toMatchObject({
      metadata: { finalizers: ['dispatcher.dev/key-pair'] },
      status: { observedGeneration: 1, fingerprint: 'fingerprint of AAAAone' },
    });
    expect(rig.events('mine')).toEqual(['Normal Imported']);
  });

  test('is held before it is imported', async () => {
    rig.journal.length = 0;
    await declare();
    expect(rig.journal.filter((line) => /KeyPair/.test(line) && !/list/.test(line))).toEqual([
      'store: update KeyPair mine',
      'cloud: createKeyPair mine',
      'store: updateStatus KeyPair mine',
    ]);
  });

  test('writes and asks nothing more than one list in five minutes while nothing changes', async () => {
    await declare();
    rig.journal.length = 0;
    await rig.pass(900_000);
    const done = rig.journal.filter((line) => /KeyPair/.test(line));
    expect(done.filter((line) => line !== 'cloud: listKeyPairs')).toEqual([]);
    expect(done.length).toBeGreaterThanOrEqual(2);
    expect(done.length).toBeLessThanOrEqual(6);
  });

  test.each([
    ['the same', KEY],
    ['the same with another comment', 'ssh-ed25519 AAAAone somebody@else'],
    ['the same with a line end', `${KEY}\n`],
  ])('whose key is there already, %s, takes it as its own', async (_reason, publicKey) => {
    there(publicKey);
    await declare();
    expect(said()).toEqual({ Ready: 'True Imported' });
    expect(changes()).toEqual([]);
    await rig.remove('KeyPair', 'mine');
    await rig.pass(500);
    expect(changes()).toEqual(['deleteKeyPair mine']);
  });

  test("leaves somebody else's key alone, says so, and heals when it goes; its deletion leaves it too", async () => {
    there(OTHER);
    await declare();
    await declare('doomed');
    expect(said()).toEqual({ Ready: 'False NameTaken', Stalled: 'True NameTaken' });
    expect(rig.message('KeyPair', 'mine')).toContain('a key pair named mine with another key');
    expect(changes()).toEqual(['createKeyPair doomed']);
    there(OTHER, 'doomed');
    await rig.pass(31_000);
    await rig.remove('KeyPair', 'doomed');
    await rig.pass(500);
    expect(rig.find('KeyPair', 'doomed')).toBeUndefined();
    expect(changes()).toEqual(['createKeyPair doomed']);
    rig.cloud.keyPairs = [];
    await rig.pass(400_000);
    expect(said()).toEqual({ Ready: 'True Imported' });
  });

  test('whose declared key changes is replaced where it was ours', async () => {
    await declare();
    await rig.edit('KeyPair', 'mine', { publicKey: OTHER });
    await rig.pass(500);
    expect(changes()).toEqual(['createKeyPair mine', 'deleteKeyPair mine', 'createKeyPair mine']);
    expect(rig.cloud.keyPairs).toMatchObject([{ publicKey: OTHER }]);
    expect(said()).toEqual({ Ready: 'True Imported' });
    expect(rig.get('KeyPair', 'mine').status).toMatchObject({ observedGeneration: 2, fingerprint: 'fingerprint of AAAAtwo' });
  });

  test('whose replacement failed half way is imported when it can be', async () => {
    await declare();
    rig.cloud.fail('createKeyPair', failure('Unavailable'));
    await rig.edit('KeyPair', 'mine', { publicKey: OTHER });
    await rig.pass(60_000);
    expect(rig.cloud.keyPairs).toMatchObject([{ publicKey: OTHER }]);
    expect(said()).toEqual({ Ready: 'True Imported' });
  });

  test('that was deleted in the cloud is imported again', async () => {
    await declare();
    rig.cloud.keyPairs = [];
    await rig.pass(310_000);
    expect(rig.cloud.keyPairs).toHaveLength(1);
  });

  test('whose import is refused says why in the words of the cloud', async () => {
    rig.cloud.break('createKeyPair', failure('Invalid', 'Keypair data is invalid'));
    await declare();
    await rig.pass(60_000);
    expect(said()).toEqual({ Ready: 'False Invalid', Stalled: 'True Invalid' });
    expect(rig.message('KeyPair', 'mine')).toContain('Keypair data is invalid');
    expect(changes()).toEqual(['createKeyPair mine']);
  });

  test('whose import had its effect but no answer is found, and not imported twice', async () => {
    rig.cloud.fail('createKeyPair', failure('UnknownOutcome'), { afterEffect: true });
    await declare();
    await rig.pass(60_000);
    expect(said()).toEqual({ Ready: 'True Imported' });
    expect(changes()).toEqual(['createKeyPair mine']);
  });

  test('with a bad spec says so and is left alone', async () => {
    await declare('mine', { publicKey: 'not a key' });
    expect(said()).toEqual({ Ready: 'False InvalidSpec', Stalled: 'True InvalidSpec' });
    expect(rig.message('KeyPair', 'mine')).toContain('spec.publicKey: must be one public key in OpenSSH format');
    expect(calls()).toEqual([]);
  });

  test('costs no list of its own, however many there are', async () => {
    for (let index = 0; index < 30; index += 1) there(KEY, `key-${index}`);
    const drafts = Array.from({ length: 30 }, (_, index) => ({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'KeyPair',
      metadata: { name: `key-${index}`, namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, publicKey: KEY },
    }));
    await Promise.all(drafts.map((draft) => rig.store.create(draft)));
    await rig.pass(2_000);
    expect(drafts.map(({ metadata }) => said(metadata.name).Ready)).toEqual(drafts.map(() => 'True Imported'));
    expect(calls()).toEqual(['listKeyPairs']);
  });
});

describe('its deletion', () => {
  test('takes the key pair out of the cloud, then lets the record go, and is told', async () => {
    await declare();
    await rig.remove('KeyPair', 'mine');
    await rig.pass(500);
    expect(rig.cloud.keyPairs).toEqual([]);
    expect(rig.find('KeyPair', 'mine')).toBeUndefined();
    expect(rig.events('mine')).toEqual(['Normal Imported', 'Normal Delete']);
  });

  test('with Orphan leaves it there', async () => {
    await declare('mine', { deletionPolicy: 'Orphan' });
    await rig.remove('KeyPair', 'mine');
    await rig.pass(500);
    expect(rig.cloud.keyPairs).toHaveLength(1);
    expect(rig.find('KeyPair', 'mine')).toBeUndefined();
  });

  test('waits while the cloud refuses', async () => {
    await declare();
    rig.cloud.break('deleteKeyPair', failure('Unavailable'));
    await rig.remove('KeyPair', 'mine');
    await rig.pass(10_000);
    expect(rig.get('KeyPair', 'mine').metadata.finalizers).toHaveLength(1);
    expect(said()).toEqual({ Ready: 'False Unavailable', Reconciling: 'True Unavailable' });
    rig.cloud.break('deleteKeyPair', undefined);
    await rig.pass(60_000);
    expect(rig.find('KeyPair', 'mine')).toBeUndefined();
    expect(rig.cloud.keyPairs).toEqual([]);
  });

  test('takes with it what was imported, though the status of that was lost', async () => {
    await declare();
    await rig.store.updateStatus({ ...rig.get('KeyPair', 'mine'), status: {} });
    await rig.remove('KeyPair', 'mine');
    await rig.pass(5_000);
    expect(rig.cloud.keyPairs).toEqual([]);
    expect(rig.find('KeyPair', 'mine')).toBeUndefined();
  });

  test('of one whose Cloud never was is at once', async () => {
    await declare('mine', { cloudRef: { name: 'nowhere' } });
    expect(said()).toEqual({ Ready: 'Unknown CloudNotFound', Reconciling: 'True CloudNotFound' });
    await rig.remove('KeyPair', 'mine');
    await rig.pass(10_000);
    expect(rig.find('KeyPair', 'mine')).toBeUndefined();
  });
});

describe('its Cloud', () => {
  test.each([
    ['that is paused', { paused: true }, 'CloudPaused', { paused: undefined }],
    [
      'that does not allow its namespace',
      { allowedNamespaces: ['other'] },
      'NamespaceNotAllowed',
      { allowedNamespaces: undefined },
    ],
  ])('%s is not touched, for no import and no deletion', async (_reason, forbids, reason, allows) => {
    await declare('old');
    await rig.edit('Cloud', 'lab', forbids);
    await declare();
    await rig.remove('KeyPair', 'old');
    await rig.pass(30_000);
    expect(said()).toEqual({ Ready: `Unknown ${reason}`, Reconciling: `True ${reason}` });
    expect(changes()).toEqual(['createKeyPair old']);
    await rig.edit('Cloud', 'lab', allows);
    await rig.pass(1_000);
    expect(changes().sort()).toEqual(['createKeyPair mine', 'createKeyPair old', 'deleteKeyPair old']);
  });

  test('that is not connected yet after a restart leaves Ready standing', async () => {
    await declare();
    await rig.stop();
    const before = rig.get('KeyPair', 'mine');
    const gate = rig.cloud.hold('listKeyPairs');
    rig.start();
    await rig.pass(60_000);
    expect(rig.get('KeyPair', 'mine')).toEqual(before);
    gate.open();
    await rig.pass(10_000);
    expect(rig.get('KeyPair', 'mine')).toEqual(before);
  });
});
