import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { stringify } from 'yaml';
import { z } from 'zod';
import { eventually } from '../../support/eventually.js';
import { simulate } from '../../support/simulator.js';
import { Dispatcher } from '../support/dispatcher.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';
import { ServeProcess } from '../support/serve-process.js';

jest.setTimeout(180_000);

const NAMES = ['web-1', 'web-2', 'db-1'];
const IDS = ['get', 'vm', '-o', 'jsonpath={range .items[*]}{.metadata.name}={.status.id}{"\\n"}{end}'];
const READY = ['wait', 'vm', '--all', '--for=condition=Ready', '--timeout=60s'];

type Kubectl = (...words: string[]) => Promise<string>;

// docs/moving.md, there and back.
describeOnKubernetes('A fleet', () => {
  let cloud: Awaited<ReturnType<typeof simulate>>;
  let dispatcher: Dispatcher;
  let plane: ControlPlane;
  const operator = new ServeProcess();
  const onPostgres: Kubectl = async (...words) => (await dispatcher.kubectl(words)).trim();
  const onKubernetes: Kubectl = (...words) => plane.kubectl(...words);
  const creates = () => cloud.calls()['nova POST /v2.1/servers'] ?? 0;

  beforeAll(async () => {
    cloud = await simulate({ buildTime: 300 });
    [dispatcher, plane] = await Promise.all([Dispatcher.start(), ControlPlane.start()]);
    await plane.installKinds();
    await operator.start(['--plane', 'kubernetes', '--kubeconfig', plane.kubeconfig, '--http', '127.0.0.1:0']);
    await dispatcher.kubectl(['apply', '-f', '-'], manifests(cloud.url));
    await onPostgres(...READY);
  });
  afterAll(async () => {
    await operator.stop();
    await dispatcher?.close();
    await plane?.stop();
    await cloud?.close();
  });

  test.each([
    {
      from: 'PostgreSQL',
      to: 'a cluster',
      kinds: 'secrets,clouds,keypairs,virtualmachines',
      here: onPostgres,
      there: onKubernetes,
    },
    // What its machines need is still there.
    { from: 'a cluster', to: 'PostgreSQL', kinds: 'virtualmachines', here: onKubernetes, there: onPostgres },
  ])(
    'moves from $from to $to with what `kubectl get -o yaml` says, and its machines are the same',
    async ({ kinds, here, there }) => {
      await here(...READY);
      const ids = (await here(...IDS)).split('\n').sort();
      const made = creates();
      expect(ids).toHaveLength(NAMES.length);
      const file = join(plane.directory, 'fleet.yaml');
      await writeFile(file, await here('get', kinds, '--namespace', 'default', '-o', 'yaml'));
      await there('apply', '-f', file);
      await there(...READY);
      expect((await there(...IDS)).split('\n').sort()).toEqual(ids);
      await eventually(async () => expect((await here('get', 'vm')).match(/TakenOver/g)).toHaveLength(NAMES.length), 60_000, 500);
      await here('delete', 'vm', '--all', '--timeout=60s');
      await there(...READY);
      expect((await there(...IDS)).split('\n').sort()).toEqual(ids);
      expect(creates()).toBe(made);
      expect(await standing(cloud)).toEqual([...NAMES].sort());
    },
  );
});

function manifests(endpoint: string): string {
  const inDefault = (kind: string, name: string, rest: object, apiVersion = 'dispatcher.dev/v1alpha1') => ({
    apiVersion,
    kind,
    metadata: { name, namespace: 'default' },
    ...rest,
  });
  const machine = (name: string) => {
    const spec = {
      cloudRef: { name: 'lab' },
      image: 'cirros-fake',
      flavor: 'm1.tiny',
      keyName: 'demo',
      metadata: { role: name },
    };
    return inDefault('VirtualMachine', name, { spec });
  };
  const publicKey = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl demo';
  const cloud = {
    engine: 'openstack',
    endpoint,
    project: { name: 'demo', domain: 'Default' },
    credentialsRef: { namespace: 'default', name: 'openstack' },
    observe: { interval: '1s', auditInterval: '5s' },
  };
  return [
    inDefault('Secret', 'openstack', { stringData: { username: 'demo', password: 'demo-secret', userDomain: 'Default' } }, 'v1'),
    { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'Cloud', metadata: { name: 'lab' }, spec: cloud },
    inDefault('KeyPair', 'demo', { spec: { cloudRef: { name: 'lab' }, publicKey } }),
    ...NAMES.map(machine),
  ]
    .map((manifest) => stringify(manifest))
    .join('---\n');
}

const serversSchema = z.object({ servers: z.array(z.object({ name: z.string() })) });

async function standing(cloud: Awaited<ReturnType<typeof simulate>>): Promise<string[]> {
  const user = await cloud.logIn();
  const { servers } = serversSchema.parse((await user.ask('GET', '/compute/v2.1/servers')).body);
  return servers.map(({ name }) => name).sort();
}
