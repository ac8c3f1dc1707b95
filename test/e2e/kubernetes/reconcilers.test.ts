import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { driverFactory } from '../../../src/commands/serving/drivers.js';
import { type Dispatcher, startDispatcher } from '../../../src/dispatcher.js';
import { systemEnvironment as environment } from '../../../src/environment.js';
import { type KubernetesStore, openKubernetesStore } from '../../../src/store/kubernetes/open.js';
import { eventually } from '../../support/eventually.js';
import { captureLog } from '../../support/log.js';
import { simulate } from '../../support/simulator.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';

const SAMPLES = join(import.meta.dirname, '../../../manifests/samples');
const MACHINES = 40;

// The reconcilers of the other plane, on custom resources: they know of no difference, and nor must those who declare.
describeOnKubernetes('on a real API server, the reconcilers', () => {
  const { log, lines } = captureLog();
  let plane: ControlPlane;
  let store: KubernetesStore;
  let dispatcher: Dispatcher;
  let cloud: Awaited<ReturnType<typeof simulate>>;

  beforeAll(async () => {
    plane = await ControlPlane.start();
    await plane.installKinds();
    cloud = await simulate({ buildTime: 500 });
    store = await openKubernetesStore({ kubeconfig: plane.kubeconfig, environment });
    const installation = store.installationId;
    const makeDriver = driverFactory({ environment, log, installation, simulatorUrl: cloud.url });
    dispatcher = startDispatcher({ store, environment, log, installation, makeDriver });
  }, 120_000);
  afterAll(async () => {
    await dispatcher?.stop();
    await store?.close();
    await cloud?.close();
    await plane?.stop();
  });

  /** The servers that stand in the cloud, each with its name. */
  async function servers(): Promise<string[]> {
    const user = await cloud.logIn();
    const { body } = await user.ask('GET', '/compute/v2.1/servers');
    return (body as { servers: { name: string }[] }).servers.map(({ name }) => name).sort();
  }

  test('make the samples as declared: applied with strict validation, server-side', async () => {
    await plane.kubectl('apply', '--server-side', '--validate=strict', '-f', SAMPLES);
    await plane.kubectl('wait', '--for=condition=Ready', '--timeout=50s', 'vm', '--all');
    expect(await servers()).toEqual(['db-1', 'web-1', 'web-2', 'web-3', 'worker-1']);
    expect(await plane.kubectl('get', 'vm', 'db-1')).toMatch(/NAME +READY +REASON +STATE.*\ndb-1 +True +Stopped/);
    expect(await plane.kubectl('get', 'clouds,keypairs', '-A')).toMatch(/simulated +simulator +True[\s\S]*demo +True/);
  });

  test('make exactly one server for each of many machines, though the API server is killed meanwhile', async () => {
    const manifests = Array.from({ length: MACHINES }, (_, index) => ({
      ...{ apiVersion: 'dispatcher.dev/v1alpha1', kind: 'VirtualMachine' },
      metadata: { name: `many-${index}`, namespace: 'default', labels: { app: 'many' } },
      spec: { cloudRef: { name: 'simulated' }, image: 'cirros-fake', flavor: 'm1.tiny', networks: 'none' },
    }));
    await Promise.all(manifests.map((manifest) => store.create(manifest)));
    await eventually(async () => expect((await servers()).length).toBeGreaterThan(8));
    await plane.kill('kube-apiserver');
    await plane.restart('kube-apiserver');
    // An outcome that was lost with the API server is waited for as long as the Cloud's settle time: half a minute.
    await plane.kubectl('wait', '--for=condition=Ready', '--timeout=120s', 'vm', '-l', 'app=many');
    const many = (await servers()).filter((name) => name.startsWith('many-'));
    expect(many).toHaveLength(MACHINES);
    expect(new Set(many).size).toBe(MACHINES);
  }, 180_000);

  test('follow changes by kubectl, tell of them in Events, and leave nothing when all is deleted', async () => {
    const stopped = JSON.stringify({ spec: { powerState: 'Stopped' } });
    await plane.kubectl('patch', 'vm', 'web-1', '--type=merge', '-p', stopped);
    await eventually(async () => expect(await plane.kubectl('get', 'vm', 'web-1')).toMatch(/web-1 +True +Stopped/), 30_000, 500);
    await eventually(async () => {
      const told = await plane.kubectl('describe', 'vm', 'web-1');
      for (const reason of ['Created', 'Stop']) expect(told).toMatch(new RegExp(`Normal +${reason} +.* dispatcher `));
    });
    await plane.kubectl('delete', 'vm', '--all', '--timeout=50s');
    await plane.kubectl('delete', '-f', SAMPLES, '--ignore-not-found', '--timeout=50s');
    expect(await servers()).toEqual([]);
  }, 120_000);

  test('never wrote what the CustomResourceDefinitions refuse', () => {
    expect(lines.filter((line) => JSON.stringify(line).includes('"code":"Invalid"'))).toEqual([]);
  });
});
