import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { stringify } from 'yaml';
import { z } from 'zod';
import { eventually } from '../../support/eventually.js';
import { simulate } from '../../support/simulator.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';
import { asked, granted } from '../support/rights.js';
import { ServeProcess } from '../support/serve-process.js';

jest.setTimeout(240_000);

const NAMESPACE = 'dispatcher-system';
const USER = `system:serviceaccount:${NAMESPACE}:dispatcher`;
const MACHINES = 100;
const POLICY = stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata', users: [USER] }, { level: 'None' }],
});
const AUDIT = ['--audit-policy-file', 'DIRECTORY/audit-policy.yaml', '--audit-log-path', 'DIRECTORY/audit.log'];
const AUDIT_BLOCKING = ['--audit-log-mode', 'blocking'];

const serversSchema = z.object({
  servers: z.array(z.object({ id: z.string(), name: z.string(), metadata: z.record(z.string(), z.string()) })),
});

describeOnKubernetes('Two replicas of the operator, with the rights of manifests/rbac and no more,', () => {
  let plane: ControlPlane;
  let cloud: Awaited<ReturnType<typeof simulate>>;
  let kubeconfig: string;
  const replicas = [new ServeProcess(), new ServeProcess()] as const;

  const start = (replica: ServeProcess) =>
    replica.start(['--plane', 'kubernetes', '--kubeconfig', kubeconfig, '--http', '127.0.0.1:0']);
  const apply = async (...manifests: readonly object[]) => {
    const file = join(plane.directory, 'manifests.yaml');
    await writeFile(file, manifests.map((manifest) => stringify(manifest)).join('---\n'));
    await plane.kubectl('apply', '--server-side', '--validate=strict', '-f', file);
  };
  const servers = async () => {
    const user = await cloud.logIn();
    return serversSchema.parse((await user.ask('GET', '/compute/v2.1/servers/detail')).body).servers;
  };
  const leader = async () => {
    const holder = await plane.kubectl('-n', NAMESPACE, 'get', 'lease', 'dispatcher', '-o', 'jsonpath={.spec.holderIdentity}');
    const found = replicas.find(({ log }) => log.some(({ msg, holder: mine }) => msg === 'leadership gained' && mine === holder));
    if (!found) throw new Error(`no replica is ${holder}`);
    return found;
  };

  beforeAll(async () => {
    plane = await ControlPlane.start([...AUDIT, ...AUDIT_BLOCKING], { 'audit-policy.yaml': POLICY });
    await plane.installKinds();
    await plane.kubectl('create', 'namespace', NAMESPACE);
    await plane.kubectl('apply', '-f', join(import.meta.dirname, '../../../manifests/rbac'));
    kubeconfig = await plane.kubeconfigOfServiceAccount(NAMESPACE, 'dispatcher');
    cloud = await simulate({ buildTime: 1000, latency: 20 });
    await Promise.all(replicas.map(start));
    await apply(
      {
        apiVersion: 'v1',
        kind: 'Secret',
        metadata: { name: 'openstack', namespace: 'default' },
        stringData: { username: 'demo', password: 'demo-secret', userDomain: 'Default' },
      },
      {
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: 'Cloud',
        metadata: { name: 'lab' },
        spec: {
          engine: 'openstack',
          endpoint: cloud.url,
          project: { name: 'demo', domain: 'Default' },
          credentialsRef: { namespace: 'default', name: 'openstack' },
          observe: { interval: '1s', auditInterval: '5s', settleTime: '10s' },
          limits: { inFlight: 8, requestsPerSecond: 40 },
        },
      },
      {
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: 'KeyPair',
        metadata: { name: 'demo', namespace: 'default' },
        spec: {
          cloudRef: { name: 'lab' },
          publicKey: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl demo',
        },
      },
    );
    await plane.kubectl('wait', '--for=condition=Ready', '--timeout=50s', 'cloud/lab', 'keypair/demo');
  });
  afterAll(async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    await cloud?.close();
    await plane?.stop();
  });

  test(`make exactly ${MACHINES} servers, though the one that works is killed in the middle of it`, async () => {
    const machines = Array.from({ length: MACHINES }, (_, index) => ({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachine',
      metadata: { name: `vm-${index + 1}`, namespace: 'default' },
      spec: { cloudRef: { name: 'lab' }, image: 'cirros-fake', flavor: 'm1.tiny', networks: 'none', keyName: 'demo' },
    }));
    const killed = await leader();
    const declared = apply(...machines);
    await eventually(async () => expect((await servers()).length).toBeGreaterThan(10), 60_000, 50);
    await killed.kill();
    const made = (await servers()).length;
    expect(made).toBeLessThan(MACHINES);
    await declared;
    await plane.kubectl('wait', '--for=condition=Ready', '--timeout=150s', 'vm', '--all');
    const uids = await plane.kubectl('get', 'vm', '-o', 'jsonpath={range .items[*]}{.metadata.uid}={.status.id}{"\\n"}{end}');
    const owned = (await servers()).map(({ id, metadata }) => `${metadata['dispatcher.uid']}=${id}`);
    expect(owned.sort()).toEqual(uids.split('\n').sort());
    expect(owned).toHaveLength(MACHINES);
    process.stdout.write(`killed when ${made} of ${MACHINES} were made\n`);
    await start(killed);
  });

  test('go on when the API server was killed, and when its history was compacted', async () => {
    await plane.kill('kube-apiserver');
    await plane.restart('kube-apiserver');
    await plane.kubectl('patch', 'vm', 'vm-1', '--type=merge', '-p', '{"spec":{"powerState":"Stopped"}}');
    await plane.kubectl('wait', '--for=jsonpath={.status.state}=Stopped', '--timeout=100s', 'vm/vm-1');
    await plane.forgetHistory();
    await plane.kubectl('patch', 'vm', 'vm-2', '--type=merge', '-p', '{"spec":{"powerState":"Stopped"}}');
    await plane.kubectl('wait', '--for=jsonpath={.status.state}=Stopped', '--timeout=100s', 'vm/vm-2');
    expect(await servers()).toHaveLength(MACHINES);
  });

  test('put a machine right that somebody stopped, and say so in an Event each time', async () => {
    const user = await cloud.logIn();
    for (const times of [1, 2]) {
      const id = (await servers()).find(({ name }) => name === 'vm-3')?.id;
      await user.ask('POST', `/compute/v2.1/servers/${id}/action`, { 'os-stop': null });
      await eventually(
        async () => {
          const said = await plane.kubectl(
            'get',
            'events',
            '--field-selector',
            'reason=Start,involvedObject.name=vm-3',
            '-o',
            'json',
          );
          expect(said).toMatch(new RegExp(times === 1 ? '"reason": "Start"' : '"count": 2'));
        },
        60_000,
        500,
      );
      await plane.kubectl('wait', '--for=jsonpath={.status.state}=Running', '--timeout=50s', 'vm/vm-3');
    }
  });

  test('leave nothing behind when all is deleted, the Cloud and its Secret too', async () => {
    await plane.kubectl('delete', 'vm,keypair', '--all', '--timeout=100s');
    await plane.kubectl('delete', 'cloud/lab', 'secret/openstack', '--timeout=50s');
    expect(await servers()).toEqual([]);
  });

  test('ask for all that they may do, and for nothing that they may not', async () => {
    await Promise.all(replicas.map((replica) => replica.stop()));
    const rights = await granted('cluster-role.yaml', 'role.yaml');
    const { rights: used, refused } = asked(
      await plane.read('audit.log'),
      USER,
      rights.filter((right) => right.includes('=')),
    );
    expect(refused.filter((right) => !rights.includes(right))).toEqual([]);
    expect(used).toEqual(rights);
  });
});
