import { expect, jest, test } from '@jest/globals';
import { stringify } from 'yaml';
import { eventually } from '../../support/eventually.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';
import { NAMESPACE, operatorPlane } from '../support/kubernetes-plane.js';
import { ALL_MACHINES, replicasContract } from '../support/replicas.js';
import { asked, granted } from '../support/rights.js';

jest.setTimeout(240_000);

const USER = `system:serviceaccount:${NAMESPACE}:dispatcher`;
const POLICY = stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata', users: [USER] }, { level: 'None' }],
});
const AUDIT = [
  ...['--audit-policy-file', 'DIRECTORY/audit-policy.yaml', '--audit-log-path', 'DIRECTORY/audit.log'],
  ...['--audit-log-mode', 'blocking'],
];

describeOnKubernetes('Two replicas of the operator, with the rights of manifests/rbac and no more,', () => {
  let plane: ControlPlane;
  const { all, cloud, servers } = replicasContract(async () => {
    plane = await ControlPlane.start(AUDIT, { 'audit-policy.yaml': POLICY });
    return operatorPlane(plane);
  });

  test('go on when the API server was killed, and when its history was compacted', async () => {
    await plane.kill('kube-apiserver');
    await plane.restart('kube-apiserver');
    await plane.kubectl('patch', 'vm', 'vm-1', '--type=merge', '-p', '{"spec":{"powerState":"Stopped"}}');
    await plane.kubectl('wait', '--for=jsonpath={.status.state}=Stopped', '--timeout=100s', 'vm/vm-1');
    await plane.forgetHistory();
    await plane.kubectl('patch', 'vm', 'vm-2', '--type=merge', '-p', '{"spec":{"powerState":"Stopped"}}');
    await plane.kubectl('wait', '--for=jsonpath={.status.state}=Stopped', '--timeout=100s', 'vm/vm-2');
    expect(await servers()).toHaveLength(ALL_MACHINES);
  });

  test('put a machine right that somebody stopped, and say so in an Event each time', async () => {
    const user = await cloud().logIn();
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

  test('keep a pool, take back what is released, and what was given to somebody whose assignment vanished unseen', async () => {
    const kind = (what: string, name: string, spec: object) =>
      stringify({ apiVersion: 'dispatcher.dev/v1alpha1', kind: what, metadata: { name, namespace: 'default' }, spec });
    const apply = (...manifests: string[]) => plane.kubectlWith(['apply', '-f', '-'], manifests.join('---\n'));
    const assign = async (name: string, more: object = {}) => {
      await apply(
        kind('VirtualMachineAssignment', name, {
          user: name,
          application: 'galaxy',
          poolRef: { name: 'galaxy' },
          release: 'Delete',
          ...more,
        }),
      );
      await plane.kubectl('wait', '--for=condition=Ready', '--timeout=50s', `vma/${name}`);
      return plane.kubectl('get', `vma/${name}`, '-o', 'jsonpath={.status.virtualMachine.name}');
    };
    const gone = (machine: string) => plane.kubectl('wait', '--for=delete', '--timeout=50s', `vm/${machine}`);
    const made = { image: 'cirros-fake', flavor: 'm1.tiny', networks: [{ name: 'demo-net' }], applications: ['galaxy'] };
    const pool = { cloudRef: { name: 'lab' }, recipeRef: { name: 'galaxy' }, replicas: 1, maxSize: 4, reclaim: 'Delete' };
    await apply(kind('Recipe', 'galaxy', made), kind('VirtualMachinePool', 'galaxy', pool));
    const released = await assign('ann', { ports: [{ from: 22, protocol: 'TCP' }], userCidrs: ['198.51.100.7/32'] });
    await plane.kubectl('wait', '--for=condition=PortsOpen', '--timeout=50s', 'vma/ann');
    const home = {
      cloudRef: { name: 'lab' },
      sizeGiB: 1,
      attachTo: { assignmentRef: { name: 'ann' } },
      deletionPolicy: 'Delete',
    };
    await apply(kind('Volume', 'home', home));
    await plane.kubectl('wait', '--for=condition=Ready', '--timeout=50s', 'vol/home');
    expect(await plane.kubectl('get', 'vol/home', '-o', 'jsonpath={.status.attachment.virtualMachine}')).toBe(released);
    await plane.kubectl('patch', 'vol/home', '--type=merge', '-p', '{"spec":{"attachTo":null}}');
    await plane.kubectl('delete', 'vol/home', '--timeout=50s');
    await plane.kubectl('delete', 'vma/ann', '--timeout=50s');
    await gone(released);
    await plane.kubectl('wait', '--for=delete', '--timeout=50s', 'fw/ann-ports-tcp');
    const abandoned = await assign('bob');
    for (const replica of all) replica.freeze();
    try {
      await plane.kubectl('delete', 'vma/bob', '--wait=false');
      await plane.kubectl('patch', 'vma/bob', '--type=merge', '-p', '{"metadata":{"finalizers":null}}');
    } finally {
      for (const replica of all) replica.thaw();
    }
    await gone(abandoned);
    await plane.kubectl('delete', 'vmpool/galaxy', 'recipe/galaxy', '--timeout=50s');
  });

  test('leave nothing behind when all is deleted, the Cloud and its Secret too', async () => {
    await plane.kubectl('delete', 'vm,keypair', '--all', '--timeout=100s');
    await plane.kubectl('delete', 'cloud/lab', 'secret/openstack', '--timeout=50s');
    expect(await servers()).toEqual([]);
  });

  test('ask for all that they may do, and for nothing that they may not', async () => {
    await Promise.all(all.map((replica) => replica.stop()));
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
