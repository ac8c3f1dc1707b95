import { expect, test } from '@jest/globals';
import express from 'express';
import { cisternApi } from '../../../src/api/cistern/app.js';
import { serveHttp } from '../../../src/api/serve.js';
import { ownCallers } from '../../../src/api/v1/own-callers.js';
import { CisternClient } from '../../../src/cistern/client.js';
import { cloudReader } from '../../../src/commands/serving/cloud-reader.js';
import { driverFactory } from '../../../src/commands/serving/drivers.js';
import { startDispatcher } from '../../../src/dispatcher.js';
import { systemEnvironment } from '../../../src/environment.js';
import { TOKENS } from '../../support/api-server.js';
import { eventually } from '../../support/eventually.js';
import { silentLog } from '../../support/log.js';
import { MemoryStore } from '../../support/memory-store.js';
import { vmDraft } from '../../support/resources.js';
import { simulate } from '../../support/simulator.js';

test('a node goes from hand to hand while real reconcilers stand behind it', async () => {
  const environment = systemEnvironment;
  const store = new MemoryStore(environment);
  const simulator = await simulate();
  const makeDriver = driverFactory({ environment, log: silentLog, installation: 'one', simulatorUrl: simulator.url });
  const dispatcher = startDispatcher({ store, environment, log: silentLog, installation: 'one', makeDriver });
  const resourceApiUrl = () => 'https://127.0.0.1:5443';
  const clouds = cloudReader((cloud) => dispatcher.connection(cloud));
  const common = { environment, log: silentLog, version: '0.0.0-test', resourceApiUrl, clouds };
  const login = { logIn: () => Promise.reject(new Error('nobody logs in here')) };
  const api = cisternApi({ ...common, callers: ownCallers({ store, tokens: TOKENS, environment, open: false }), login });
  const server = await serveHttp(express().use('/cistern/api/v1', api), { host: '127.0.0.1', port: 0 });
  const endpoint = `${server.url}/cistern/api/v1`;
  const client = new CisternClient({ endpoint, cloud: 'lab', token: 'admin-token', environment });
  try {
    const spec = { engine: 'simulator', observe: { interval: '100ms', auditInterval: '5s' } };
    await store.create({ apiVersion: 'dispatcher.dev/v1alpha1', kind: 'Cloud', metadata: { name: 'lab' }, spec });
    await store.create(vmDraft('one', {}, { image: 'cirros-fake' }));
    const one = { hostname: 'one', vmType: 'galaxy' };
    const listed = async () => (await client.nodes()).map(({ hostname, user, status }) => [hostname, user, status]);
    await eventually(async () => expect(await listed()).toEqual([['one', '', 'FREE']]));
    await client.assign({ ...one, user: 'alice' });
    await client.assign({ ...one, user: 'alice' });
    expect(await listed()).toEqual([['one', 'alice', 'ASSIGNED']]);
    await expect(client.assign({ ...one, user: 'bob' })).rejects.toThrow(/is assigned to another$/);
    await client.release('one');
    await eventually(async () => expect(await listed()).toEqual([['one', '', 'FREE']]));
    await client.assign({ ...one, user: 'bob' });
    expect(await listed()).toEqual([['one', 'bob', 'ASSIGNED']]);
  } finally {
    client.close();
    await server.close(0);
    await dispatcher.stop();
    await simulator.close();
  }
});
