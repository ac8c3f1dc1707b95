import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { CisternError } from '../../../src/cistern/errors.js';
import { type CloudSpec, cloudStatusSchema } from '../../../src/resources/cloud.js';
import { Rig } from '../../support/rig.js';
import { cisternNode, ScriptedCistern } from '../../support/scripted-cistern.js';

const ENDPOINT = 'http://one.example/api/v1';
const TOKEN = { credentialsRef: { namespace: 'default', name: 'inventory' } };

let rig: Rig;
let cistern: ScriptedCistern;
beforeEach(() => {
  rig = new Rig();
  cistern = new ScriptedCistern();
  cistern.put(cisternNode('s1'), cisternNode('s2', { user: 'bob' }), cisternNode('s3', { faulty: true }));
});
afterEach(async () => {
  await rig.stop();
  expect(cistern.clients.map(({ closed }) => closed)).not.toContain(false);
});

const said = () => rig.said('Cloud', 'lab');
const message = () => rig.message('Cloud', 'lab', 'InventoryReady');
const reported = () => cloudStatusSchema.parse(rig.get('Cloud', 'lab').status).cistern;

async function start(change: Partial<NonNullable<CloudSpec['cistern']>> = {}): Promise<void> {
  await rig.declareCloud({ cistern: { endpoint: ENDPOINT, ...change } });
  rig.start({ makeCistern: cistern.connect });
  await rig.pass(1_000);
}

describe('a Cloud with an inventory', () => {
  test('says that it answers, and what is in it', async () => {
    await start();
    expect(said()).toEqual({ Ready: 'True Observed', InventoryReady: 'True Observed' });
    expect(reported()).toEqual({ observedAt: expect.any(String), nodes: 3, free: 1, faulty: 1 });
  });

  test('that names none any more says nothing of it', async () => {
    await start();
    await rig.edit('Cloud', 'lab', { cistern: undefined });
    await rig.pass(10_000);
    expect(said()).toEqual({ Ready: 'True Observed' });
    expect([reported(), cistern.clients[0]?.closed, cistern.looks]).toEqual([undefined, true, 1]);
  });

  test('is none the worse for an outage, tells it with advice, and when it is over', async () => {
    await start();
    cistern.failure = new CisternError('Unreachable', 'nobody listens');
    await rig.pass(10_000);
    expect(said()).toEqual({ Ready: 'True Observed', InventoryReady: 'False Unreachable' });
    expect(message()).toBe('nobody listens. To do: none: it is tried again until Cistern answers');
    expect(reported()).toMatchObject({ nodes: 3, free: 1, lastError: { message: 'nobody listens' } });
    await rig.pass(120_000);
    expect(message()).toMatch(/answers\. Until it answers, none of its machines is handed out$/);
    cistern.failure = undefined;
    await rig.pass(60_000);
    expect(said()).toEqual({ Ready: 'True Observed', InventoryReady: 'True Observed' });
    expect(reported()).not.toHaveProperty('lastError');
  });

  test('waits for its token, and is never asked without', async () => {
    await start(TOKEN);
    expect(said()).toEqual({ Ready: 'True Observed', InventoryReady: 'False CredentialsInvalid' });
    expect(message()).toBe('spec.cistern.credentialsRef: there is no Secret default/inventory');
    await rig.declareSecret('inventory', { passphrase: 'hush-hush' });
    await rig.pass(1_000);
    expect(message()).toBe('spec.cistern.credentialsRef: Secret default/inventory has no token');
    expect(cistern.clients).toEqual([]);
    const data = { token: Buffer.from('hush-hush\n').toString('base64') };
    await rig.store.update({ ...rig.get('Secret', 'inventory'), data });
    await rig.pass(1_000);
    expect(said()).toEqual({ Ready: 'True Observed', InventoryReady: 'True Observed' });
    expect(cistern.clients.map(({ options }) => options.token)).toEqual(['hush-hush']);
    expect(JSON.stringify([rig.get('Cloud', 'lab'), rig.store.everything('Event'), rig.log.lines])).not.toContain('hush-hush');
  });

  test('holds the Secret of its token, as that of its own credentials', async () => {
    await rig.declareSecret('inventory', { token: 'hush' });
    await start(TOKEN);
    expect(rig.get('Secret', 'inventory').metadata.finalizers).toEqual(['dispatcher.dev/in-use']);
  });

  test('that is not connected itself is asked about its inventory all the same', async () => {
    rig.makeDriver = () => {
      throw new Error('the Secret has no password');
    };
    await start();
    expect(said()).toMatchObject({ Ready: 'False CredentialsInvalid', InventoryReady: 'True Observed' });
  });

  test('whose endpoint is none says so', async () => {
    await start({ endpoint: `${ENDPOINT}?x` });
    expect(said()).toEqual({ Ready: 'True Observed', InventoryReady: 'False InvalidEndpoint' });
    expect(message()).toBe('spec.cistern.endpoint: the endpoint of Cistern has a query');
  });

  test('that goes is asked no more', async () => {
    await start();
    await rig.remove('Cloud', 'lab');
    await rig.pass(20_000);
    expect(rig.find('Cloud', 'lab')).toBeUndefined();
    expect([cistern.clients[0]?.closed, cistern.looks]).toEqual([true, 1]);
  });

  test('takes no write of its status for a look that tells nothing new', async () => {
    await start();
    rig.journal.length = 0;
    await rig.pass(600_000);
    expect(rig.journal.filter((line) => line === 'store: updateStatus Cloud lab')).toHaveLength(10);
  });
});
