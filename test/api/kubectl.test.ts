import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { stringify } from 'yaml';
import type { Resource } from '../../src/resources/metadata.js';
import { GOOD_MANIFESTS } from '../contract/good-manifests.js';
import { servedApi } from '../support/api-server.js';
import { kubectl } from '../support/kubectl.js';

/** The manifests of the contract, as they stand. */
const SAMPLES = `
apiVersion: v1
kind: Secret
metadata: {name: openstack, namespace: default}
stringData: {username: demo, password: demo-secret, userDomain: Default}
---
apiVersion: dispatcher.dev/v1alpha1
kind: Cloud
metadata: {name: lab}
spec:
  engine: openstack
  endpoint: http://127.0.0.1:5000/v3
  region: RegionOne
  project: {name: demo, domain: Default}
  credentialsRef: {namespace: default, name: openstack}
  observe: {interval: 2s, auditInterval: 60s}
  limits: {inFlight: 64, requestsPerSecond: 200}
---
apiVersion: dispatcher.dev/v1alpha1
kind: VirtualMachine
metadata: {name: web-1, namespace: default}
spec: {cloudRef: {name: lab}, image: cirros-fake, flavor: m1.tiny, networks: [{name: demo-net}], metadata: {role: web}}
`;
/** An application's machines, as the contract has them. */
const STOCK = `
apiVersion: dispatcher.dev/v1alpha1
kind: Recipe
metadata: {name: galaxy, namespace: default}
spec:
  image: cirros-fake
  flavor: m1.tiny
  applications: [galaxy]
  userData: {parameters: [{name: greeting, default: hello}], template: "#cloud-config\\nruncmd: [[echo, '{{ greeting }}']]\\n"}
---
apiVersion: dispatcher.dev/v1alpha1
kind: VirtualMachinePool
metadata: {name: galaxy, namespace: default}
spec: {cloudRef: {name: lab}, recipeRef: {name: galaxy}, replicas: 5, maxSize: 40, reclaim: Recycle, schedules: [{cron: "0 8 * * 1-5", timeZone: Europe/Rome, replicas: 10}]}
---
apiVersion: dispatcher.dev/v1alpha1
kind: VirtualMachineAssignment
metadata: {name: alice, namespace: default}
spec: {user: alice, application: galaxy, poolRef: {name: galaxy}, ttl: 8h, onFailure: Reassign, release: Recycle}
`;
const VM = { kind: 'VirtualMachine', namespace: 'default', name: 'web-1' };
const NOW = '2026-01-02T03:04:05Z';

function manifest(changes: object = {}, metadata: object = {}): string {
  return stringify({
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name: 'web-1', ...metadata },
    spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'tiny', ...changes },
  });
}

const KINDS_USED = [
  'VirtualMachine',
  'VirtualMachinePool',
  'VirtualMachineAssignment',
  'FirewallRule',
  'Volume',
  'Recipe',
  'Cloud',
  'KeyPair',
  'Secret',
  'Event',
];

describe('stock kubectl', () => {
  let api: Awaited<ReturnType<typeof servedApi>>;
  let run: ReturnType<typeof kubectl>;

  beforeAll(async () => {
    api = await servedApi();
    run = kubectl(api.kubeconfig, api.directory);
  });
  afterAll(() => api.close());
  beforeEach(async () => {
    for (const kind of KINDS_USED) {
      const { items } = await api.store.list(kind);
      for (const { metadata } of items)
        await api.store.delete({ kind, namespace: metadata.namespace ?? '', name: metadata.name });
    }
  });

  /** Runs kubectl, which must succeed, and returns what it printed. */
  const ok = async (args: readonly string[], input?: string, environment?: Record<string, string>) => {
    const ran = await run(args, input, environment);
    expect({ args, ...ran, stdout: '' }).toEqual({ args, code: 0, stdout: '', stderr: '' });
    return ran.stdout;
  };
  const vm = async (): Promise<Resource> => {
    const found = await api.store.get(VM);
    if (!found) throw new Error('web-1 is not there');
    return found;
  };
  const setReady = async (status: 'True' | 'False', state = 'ACTIVE') => {
    const condition = { type: 'Ready', status, lastTransitionTime: NOW, reason: 'AsDeclared', message: 'all is well' };
    const addresses = [{ network: 'demo-net', address: '10.0.0.7', type: 'Fixed' }];
    await api.store.updateStatus({ ...(await vm()), status: { conditions: [condition], state, addresses, id: 'server-1' } });
  };
  const event = (name: string, reason: string, about: Resource) =>
    api.store.create({
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name, namespace: 'default' },
      involvedObject: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        name: about.metadata.name,
        namespace: 'default',
        uid: about.metadata.uid,
      },
      reason,
      message: `${reason} it was`,
      type: 'Normal',
      firstTimestamp: NOW,
      lastTimestamp: NOW,
      count: 1,
      source: { component: 'dispatcher' },
    });

  test('apply takes a List, as `get -o yaml` of several writes one, and refuses what is wrong in it by name', async () => {
    const list = (...items: string[]) =>
      `apiVersion: v1\nkind: List\nitems:\n${items.map((item) => `- ${item.replaceAll('\n', '\n  ')}`).join('\n')}`;
    const [first, second] = [manifest(), manifest({}, { name: 'web-2' })].map((text) => text.trim());
    expect(await ok(['apply', '-f', '-'], list(first ?? '', second ?? ''))).toMatch(/web-1 created\n.*web-2 created/);
    const refused = await run(['apply', '-f', '-'], list(manifest({ colour: 'red' }, { name: 'web-3' }).trim()));
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('unknown field "spec.colour"') });
  });

  test('apply creates what the manifests declare, and a second time finds them unchanged', async () => {
    expect(await ok(['apply', '-f', '-'], SAMPLES)).toBe(
      'secret/openstack created\ncloud.dispatcher.dev/lab created\nvirtualmachine.dispatcher.dev/web-1 created\n',
    );
    const secret = await api.store.get({ kind: 'Secret', namespace: 'default', name: 'openstack' });
    expect(secret?.data).toMatchObject({ password: Buffer.from('demo-secret').toString('base64') });
    expect(secret).not.toHaveProperty('stringData');
    const { resourceVersion } = (await vm()).metadata;
    expect(await ok(['apply', '-f', '-'], SAMPLES)).toMatch(/lab unchanged\n.*web-1 unchanged\n$/);
    expect((await vm()).metadata.resourceVersion).toBe(resourceVersion);
  });

  test('firewall rules and volumes are taken as they are written, and a volume is held to what it can hold', async () => {
    const all = Object.values(GOOD_MANIFESTS).join('---\n');
    const said = await ok(['apply', '--validate=strict', '-f', '-'], all);
    expect(said.match(/ created$/gm)).toHaveLength(Object.keys(GOOD_MANIFESTS).length);
    expect(await ok(['apply', '--validate=strict', '-f', '-'], all)).not.toMatch(/created|configured/);
    const change = (spec: object) => ['patch', 'vol/alice-home', '--type=merge', '-p', JSON.stringify({ spec })];
    expect((await run(change({ sizeGiB: 9 }))).stderr).toContain('spec.sizeGiB: cannot be made less');
    expect((await run(change({ type: 'fast' }))).stderr).toContain('spec.type: cannot be changed');
    expect((await run(change({ cloudRef: { name: 'other' } }))).stderr).toContain('spec.cloudRef: cannot be changed');
    expect(await ok(change({ sizeGiB: 11, attachTo: null }))).toContain('patched');
    expect((await run(['patch', 'fw/web', '--type=merge', '-p', '{"spec":{"cloudRef":{"name":"other"}}}'])).stderr).toContain(
      'spec.cloudRef: cannot be changed',
    );
  });

  test('pools, assignments and recipes are applied, shown, and scaled', async () => {
    expect(await ok(['apply', '--validate=strict', '-f', '-'], STOCK)).toMatch(
      /recipe\S+galaxy created\n.*pool\S+galaxy created\n.*assignment\S+alice created\n$/,
    );
    expect(await ok(['get', 'vmpool,vma,recipe', '-o', 'name'])).toBe(
      'virtualmachinepool.dispatcher.dev/galaxy\nvirtualmachineassignment.dispatcher.dev/alice\nrecipe.dispatcher.dev/galaxy\n',
    );
    const wanted = async () =>
      Object((await api.store.get({ kind: 'VirtualMachinePool', namespace: 'default', name: 'galaxy' }))?.spec).replicas;
    expect(await ok(['scale', 'vmpool', 'galaxy', '--replicas=3'])).toBe('virtualmachinepool.dispatcher.dev/galaxy scaled\n');
    expect(await wanted()).toBe(3);
    await ok(['scale', 'vmpool/galaxy', '--replicas=0', '--current-replicas=3']);
    expect(await wanted()).toBe(0);
    expect((await run(['scale', 'vmpool/galaxy', '--replicas=4', '--current-replicas=3'])).stderr).toContain('was 0');
    expect((await run(['scale', 'vmpool/galaxy', '--replicas=4', '--resource-version=1'])).stderr).toContain(
      'Expected resource version',
    );
    expect((await run(['scale', 'vmpool/galaxy', '--replicas=41'])).stderr).toContain(
      'spec.replicas: replicas and standby together',
    );
    expect(await wanted()).toBe(0);
    // There is no autoscaler here to make; what the command reads first is there.
    expect(await ok(['autoscale', 'vmpool/galaxy', '--max=5', '--dry-run=client', '-o', 'name'])).toContain('/galaxy');
    expect((await run(['scale', 'vma/alice', '--replicas=1'])).stderr).toContain('could not find the requested resource');
  });

  test('apply changes what is changed and removes what is no longer declared', async () => {
    await ok(['apply', '-f', '-'], manifest({ powerState: 'Stopped', metadata: { role: 'web', tier: 'a' } }));
    expect(await ok(['apply', '-f', '-'], manifest({ metadata: { role: 'db' } }))).toMatch(/configured/);
    const { spec, metadata } = await vm();
    expect(spec).toEqual({ cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'tiny', metadata: { role: 'db' } });
    expect(metadata.generation).toBe(2);
  });

  test('apply of a Secret merges as Kubernetes does', async () => {
    const secret = (data: object) => stringify({ apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, data });
    await ok(['apply', '-f', '-'], secret({ a: 'YQ==', b: 'Yg==' }));
    await ok(['apply', '-f', '-'], secret({ a: 'YQ==', c: 'Yw==' }));
    expect((await api.store.get({ kind: 'Secret', namespace: 'default', name: 's' }))?.data).toEqual({ a: 'YQ==', c: 'Yw==' });
  });

  test('get shows a table with the kind’s columns, and wide more of them', async () => {
    await ok(['apply', '-f', '-'], manifest());
    await setReady('True');
    const [head = '', row = ''] = (await ok(['get', 'vm'])).split('\n');
    expect(head.split(/\s+/)).toEqual(['NAME', 'READY', 'REASON', 'STATE', 'ADDRESS', 'CLOUD', 'AGE']);
    expect(row.split(/\s+/).slice(0, 6)).toEqual(['web-1', 'True', 'AsDeclared', 'ACTIVE', '10.0.0.7', 'lab']);
    const wide = await ok(['get', 'virtualmachines', '-A', '-o', 'wide']);
    expect(wide).toMatch(
      /^NAMESPACE +NAME .* ID +IMAGE +FLAVOR +USER +MESSAGE\ndefault +web-1 .* server-1 +cirros +tiny +all is well\n$/,
    );
  });

  test.each([
    ['name', /^virtualmachine\.dispatcher\.dev\/web-1\n$/],
    ['jsonpath={.items[0].spec.image}', /^cirros$/],
    ['yaml', /\n {2}spec:\n {4}cloudRef:\n {6}name: lab\n/],
    ['json', /"kind": "VirtualMachine"/],
    ['custom-columns=IMAGE:.spec.image', /^IMAGE\ncirros\n$/],
  ])('get -o %s', async (output, expected) => {
    await ok(['apply', '-f', '-'], manifest());
    expect(await ok(['get', 'vm', '-o', output])).toMatch(expected);
  });

  test('get chooses by labels and fields, and asks in pages', async () => {
    for (const role of ['web', 'db', 'db']) {
      await ok(['create', '-f', '-'], manifest({}, { name: undefined, generateName: 'vm-', labels: { role } }));
    }
    const count = async (...args: string[]) => (await ok(['get', 'vm', '-o', 'name', ...args])).split('\n').length - 1;
    expect(await count('-l', 'role=db')).toBe(2);
    expect(await count('-l', 'role in (web),role!=db')).toBe(1);
    expect(await count('--chunk-size=1')).toBe(3);
    const [name = ''] = (await ok(['get', 'vm', '-o', 'jsonpath={.items[*].metadata.name}'])).split(' ');
    expect(await count('--field-selector', `metadata.name=${name}`)).toBe(1);
  });

  test('get -w follows changes until the server drains', async () => {
    const other = await servedApi();
    const watcher = kubectl(other.kubeconfig, other.directory);
    const apply = (text: string) => watcher(['apply', '-f', '-'], text);
    expect((await apply(manifest())).code).toBe(0);
    const watching = watcher(['get', 'vm', '-w', '-o', 'custom-columns=IMAGE:.spec.image', '--no-headers']);
    await other.store.watched('VirtualMachine');
    await apply(manifest({ image: 'debian' }));
    await other.close();
    expect((await watching).stdout).toBe('cirros\ndebian\n');
  });

  test('describe shows the resource and its events, and no others', async () => {
    await ok(['apply', '-f', '-'], `${manifest()}---\n${manifest({}, { name: 'web-2' })}`);
    await event('web-1.1', 'ServerCreated', await vm());
    const other = await api.store.get({ ...VM, name: 'web-2' });
    if (other) await event('web-2.1', 'Unrelated', other);
    const text = await ok(['describe', 'vm', 'web-1']);
    expect(text).toMatch(/Image: +cirros/);
    expect(text).toMatch(/Normal +ServerCreated .* dispatcher +ServerCreated it was/);
    expect(text).not.toContain('Unrelated');
  });

  test('events lists what happened to a resource', async () => {
    await ok(['apply', '-f', '-'], manifest());
    await event('web-1.1', 'ServerCreated', await vm());
    expect(await ok(['events', '--for', 'vm/web-1'])).toMatch(
      /Normal +ServerCreated +VirtualMachine\/web-1 +ServerCreated it was/,
    );
    expect(await ok(['get', 'events'])).toMatch(/LAST SEEN .*\n.*ServerCreated/);
  });

  describe('apply --server-side', () => {
    const serverSide = (manager: string, ...more: string[]) => [
      'apply',
      '--server-side',
      '--field-manager',
      manager,
      ...more,
      '-f',
      '-',
    ];
    const owners = async () => (await vm()).metadata.managedFields?.map(({ manager, operation }) => `${manager} ${operation}`);

    test('creates, changes, and removes what its manager no longer declares', async () => {
      expect(await ok(serverSide('ann'), manifest({ powerState: 'Stopped', metadata: { role: 'web', tier: 'a' } }))).toMatch(
        /serverside-applied/,
      );
      const { resourceVersion } = (await vm()).metadata;
      await ok(serverSide('ann'), manifest({ powerState: 'Stopped', metadata: { role: 'web', tier: 'a' } }));
      expect((await vm()).metadata.resourceVersion).toBe(resourceVersion);
      await ok(serverSide('ann'), manifest({ image: 'debian', metadata: { role: 'web' } }));
      expect((await vm()).spec).toEqual({
        cloudRef: { name: 'lab' },
        image: 'debian',
        flavor: 'tiny',
        metadata: { role: 'web' },
      });
      expect(await owners()).toEqual(['ann Apply']);
    });

    test('refuses to change what another manager set, until it is forced', async () => {
      await ok(serverSide('ann'), manifest());
      const refused = await run(serverSide('bob'), manifest({ image: 'debian' }));
      expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('conflict with "ann"') });
      expect(refused.stderr).toContain('.spec.image');
      expect((await vm()).spec).toMatchObject({ image: 'cirros' });
      await ok(serverSide('bob', '--force-conflicts'), manifest({ image: 'debian' }));
      expect((await vm()).spec).toMatchObject({ image: 'debian' });
      // Now the image is Bob's alone: what Ann declares of it is a conflict, and what she leaves out stays.
      expect((await run(serverSide('ann'), manifest())).stderr).toContain('conflict with "bob"');
    });

    test('shares what both declare alike, and keeps it until both let go', async () => {
      await ok(serverSide('ann'), manifest({ keyName: 'k' }));
      await ok(serverSide('bob'), manifest({ keyName: 'k' }));
      await ok(serverSide('ann'), manifest());
      expect((await vm()).spec).toMatchObject({ keyName: 'k' });
      await ok(serverSide('bob'), manifest());
      expect((await vm()).spec).not.toHaveProperty('keyName');
    });

    test('knows what was changed without applying', async () => {
      await ok(serverSide('ann'), manifest());
      await ok(['patch', 'vm', 'web-1', '--type', 'merge', '-p', '{"spec":{"image":"debian"}}', '--field-manager', 'hand']);
      expect(await owners()).toEqual(['ann Apply', 'hand Update']);
      expect((await run(serverSide('ann'), manifest())).stderr).toContain('conflict with "hand"');
    });

    test('takes over what kubectl applied on its own side', async () => {
      await ok(['apply', '-f', '-'], manifest({ keyName: 'k' }));
      await ok(['apply', '--server-side', '-f', '-'], manifest({ image: 'debian' }));
      await ok(['apply', '--server-side', '-f', '-'], manifest({ image: 'fedora' }));
      expect((await vm()).spec).toEqual({ cloudRef: { name: 'lab' }, image: 'fedora', flavor: 'tiny' });
    });

    test('conflicts with what stood before the first apply', async () => {
      await ok(['create', '-f', '-'], manifest());
      expect((await run(serverSide('ann'), manifest({ image: 'debian' }))).stderr).toContain(
        'conflict with "before-first-apply"',
      );
    });

    test('finalizers are owned one by one', async () => {
      await ok(serverSide('ann'), manifest({}, { finalizers: ['a.dev/a'] }));
      await ok(serverSide('bob'), manifest({}, { finalizers: ['b.dev/b'] }));
      expect((await vm()).metadata.finalizers).toEqual(['a.dev/a', 'b.dev/b']);
      await ok(serverSide('ann'), manifest());
      expect((await vm()).metadata.finalizers).toEqual(['b.dev/b']);
      await ok(['patch', 'vm', 'web-1', '--type=merge', '-p', '{"metadata":{"finalizers":null}}']);
    });

    test('a dry run and a diff keep nothing', async () => {
      await ok(serverSide('ann', '--dry-run=server'), manifest());
      expect(await api.store.get(VM)).toBeUndefined();
      await ok(serverSide('ann'), manifest());
      const { code, stdout } = await run(
        ['diff', '--server-side', '--field-manager', 'ann', '-f', '-'],
        manifest({ image: 'debian' }),
      );
      expect({ code, stdout }).toEqual({ code: 1, stdout: expect.stringContaining('+  image: debian') });
      expect((await vm()).spec).toMatchObject({ image: 'cirros' });
    });

    test('a Secret’s text becomes its data', async () => {
      const secret = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 's' }, stringData: { a: 'text' } };
      await ok(serverSide('ann'), stringify(secret));
      expect((await api.store.get({ kind: 'Secret', namespace: 'default', name: 's' }))?.data).toEqual({ a: 'dGV4dA==' });
    });
  });

  test('diff shows what apply would do and does not do it', async () => {
    await ok(['apply', '-f', '-'], manifest());
    const { code, stdout, stderr } = await run(['diff', '-f', '-'], manifest({ image: 'debian' }));
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' });
    expect(stdout).toMatch(/\n- {2}image: cirros\n/);
    expect(stdout).toMatch(/\n\+ {2}image: debian\n/);
    expect((await vm()).spec).toMatchObject({ image: 'cirros' });
    expect(await ok(['diff', '-f', '-'], manifest())).toBe('');
  });

  test('edit changes the resource through an editor', async () => {
    await ok(['create', '-f', '-'], manifest());
    const editor = join(api.directory, 'editor.sh');
    await writeFile(editor, '#!/bin/sh\nsed -i "s/image: cirros/image: debian/" "$1"\n');
    await chmod(editor, 0o755);
    expect(await ok(['edit', 'vm', 'web-1'], '', { KUBE_EDITOR: editor })).toMatch(/edited/);
    expect((await vm()).spec).toMatchObject({ image: 'debian' });
  });

  test.each([
    ['merge', '{"spec":{"image":"debian","networks":"none"}}'],
    ['json', '[{"op":"replace","path":"/spec/image","value":"debian"},{"op":"add","path":"/spec/networks","value":"none"}]'],
  ])('patch --type %s', async (type, patch) => {
    await ok(['create', '-f', '-'], manifest());
    expect(await ok(['patch', 'vm', 'web-1', '--type', type, '-p', patch])).toMatch(/patched/);
    expect((await vm()).spec).toMatchObject({ image: 'debian', networks: 'none' });
  });

  test('patch of the status subresource leaves the spec', async () => {
    await ok(['create', '-f', '-'], manifest());
    const patch = '{"spec":{"image":"debian"},"status":{"id":"server-9"}}';
    await ok(['patch', 'vm', 'web-1', '--type', 'merge', '--subresource', 'status', '-p', patch]);
    expect(await vm()).toMatchObject({ spec: { image: 'cirros' }, status: { id: 'server-9' }, metadata: { generation: 1 } });
  });

  test('label and annotate set and remove', async () => {
    await ok(['create', '-f', '-'], manifest());
    await ok(['label', 'vm', 'web-1', 'role=web']);
    await ok(['annotate', 'vm', 'web-1', 'note=a longer text']);
    expect((await vm()).metadata).toMatchObject({
      labels: { role: 'web' },
      annotations: { note: 'a longer text' },
      generation: 1,
    });
    await ok(['label', 'vm', 'web-1', 'role-']);
    expect((await vm()).metadata.labels ?? {}).toEqual({});
  });

  test('create --dry-run=server checks and keeps nothing', async () => {
    expect(await ok(['create', '--dry-run=server', '-f', '-'], manifest())).toMatch(/created \(server dry run\)/);
    expect(await api.store.get(VM)).toBeUndefined();
    const bad = await run(['create', '--dry-run=server', '-f', '-'], manifest({ image: 7 }));
    expect(bad.stderr).toMatch(/spec\.image: must be a string, got 7/);
  });

  test('create namespace, secret and what is in them', async () => {
    await ok(['create', 'namespace', 'team']);
    await ok(['create', 'secret', 'generic', 'keys', '-n', 'team', '--from-literal=a=secret text']);
    const secret = await api.store.get({ kind: 'Secret', namespace: 'team', name: 'keys' });
    expect(secret?.data).toEqual({ a: Buffer.from('secret text').toString('base64') });
    expect(await ok(['describe', 'secret', 'keys', '-n', 'team'])).toMatch(/a: +11 bytes/);
    await ok(['delete', 'namespace', 'team']);
    expect(await api.store.get({ kind: 'Secret', namespace: 'team', name: 'keys' })).toBeUndefined();
  });

  test('an unknown field is refused by name; with --validate=warn it is dropped', async () => {
    const strict = await run(['create', '-f', '-'], manifest({ imagee: 'x' }));
    expect(strict.stderr).toMatch(/unknown field "spec\.imagee"/);
    const warned = await run(['create', '--validate=warn', '-f', '-'], manifest({ imagee: 'x' }));
    expect(warned).toMatchObject({ code: 0, stderr: expect.stringContaining('Warning: unknown field "spec.imagee"') });
    expect((await vm()).spec).not.toHaveProperty('imagee');
  });

  test('replace, and a conflict', async () => {
    await ok(['create', '-f', '-'], manifest());
    const { resourceVersion } = (await vm()).metadata;
    await ok(['replace', '-f', '-'], manifest({ image: 'debian' }, { resourceVersion }));
    const stale = await run(['replace', '-f', '-'], manifest({ image: 'fedora' }, { resourceVersion }));
    expect(stale.stderr).toMatch(/^Error from server \(Conflict\)/);
    expect((await vm()).spec).toMatchObject({ image: 'debian' });
  });

  test('delete, by name, by label and all', async () => {
    for (const name of ['a', 'b', 'c', 'd']) {
      await ok(['create', '-f', '-'], manifest({}, { name, labels: { odd: String(name === 'a' || name === 'c') } }));
    }
    await ok(['delete', 'vm', 'd']);
    await ok(['delete', 'vm', '-l', 'odd=true']);
    expect((await api.store.list('VirtualMachine')).items.map(({ metadata }) => metadata.name)).toEqual(['b']);
    await ok(['delete', 'vm', '--all']);
    expect((await api.store.list('VirtualMachine')).items).toEqual([]);
    const absent = await run(['delete', 'vm', 'd']);
    expect(absent.stderr).toMatch(/^Error from server \(NotFound\): virtualmachines\.dispatcher\.dev "d" not found/);
  });

  test('wait --for=condition=Ready returns when the condition stands', async () => {
    await ok(['create', '-f', '-'], manifest());
    const waiting = run(['wait', '--for=condition=Ready', 'vm/web-1', '--timeout=20s']);
    await api.store.watched('VirtualMachine');
    await setReady('False', 'BUILD');
    await setReady('True');
    expect(await waiting).toMatchObject({ code: 0, stdout: 'virtualmachine.dispatcher.dev/web-1 condition met\n' });
  });

  test('wait --for=delete returns when the finalizer goes', async () => {
    await ok(['create', '-f', '-'], manifest({}, { finalizers: ['dispatcher.dev/server'] }));
    await ok(['delete', 'vm', 'web-1', '--wait=false']);
    expect((await vm()).metadata.deletionTimestamp).toBeDefined();
    const waiting = run(['wait', '--for=delete', 'vm/web-1', '--timeout=20s']);
    await api.store.watched('VirtualMachine');
    await ok(['patch', 'vm', 'web-1', '--type=json', '-p', '[{"op":"remove","path":"/metadata/finalizers"}]']);
    expect(await waiting).toMatchObject({ code: 0 });
    expect(await api.store.get(VM)).toBeUndefined();
  });

  test('explain tells what a field is for', async () => {
    expect(await ok(['explain', 'vm.spec.networks'])).toMatch(/networks <.*>[\s\S]*The networks it has an address on, or none/);
    expect(await ok(['explain', 'vm.spec.cloudRef.name'])).toMatch(/FIELD: name <string>/);
    const all = await ok(['explain', 'virtualmachine', '--recursive']);
    expect(all).toMatch(/ {2}spec\t<Object> -required-\n/);
    expect(all).toMatch(/\n {4}powerState\t<string>\n/);
    expect(await ok(['explain', 'secret.data'])).toMatch(/map\[string\]string/);
  });

  test('api-resources and api-versions list what is served', async () => {
    expect(await ok(['api-resources', '--api-group=dispatcher.dev'])).toMatch(
      /virtualmachines +vm,vms +dispatcher.dev\/v1alpha1 +true +VirtualMachine/,
    );
    expect(await ok(['api-versions'])).toMatch(/dispatcher\.dev\/v1alpha1\n[\s\S]*v1\n/);
    await ok(['create', '-f', '-'], manifest());
    expect(await ok(['get', 'dispatcher', '-o', 'name'])).toBe('virtualmachine.dispatcher.dev/web-1\n');
  });

  test('auth whoami, can-i and version', async () => {
    expect(await ok(['auth', 'whoami'])).toMatch(/Username +admin/);
    expect(await ok(['auth', 'can-i', 'delete', 'vm'])).toBe('yes\n');
    // On its standard error a kubectl of another minor version warns of that.
    const { code, stdout } = await run(['version']);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(/Server Version: v1\.\d+\.0\+dispatcher/) });
  });
});
