import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { Cache } from '../../../src/controllers/cache.js';
import { EventRecorder } from '../../../src/controllers/events.js';
import { elect } from '../../../src/controllers/leases.js';
import { systemEnvironment as environment } from '../../../src/environment.js';
import type { Resource } from '../../../src/resources/metadata.js';
import { type KubernetesStore, openKubernetesStore } from '../../../src/store/kubernetes/open.js';
import type { Draft, Lease } from '../../../src/store/store.js';
import { eventually } from '../../support/eventually.js';
import { silentLog as log } from '../../support/log.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';

// What the contract of a store cannot say of a real API server: faults, rights, other writers, other clients.
describeOnKubernetes('on a real API server', () => {
  let plane: ControlPlane;
  let store: KubernetesStore;
  const ending: Array<() => unknown> = [];

  beforeAll(async () => {
    plane = await ControlPlane.start();
    store = await openKubernetesStore({ kubeconfig: plane.kubeconfig, environment });
  }, 120_000);
  afterEach(async () => {
    for (const end of ending.splice(0)) await end();
  });
  afterAll(async () => {
    await store?.close();
    await plane?.stop();
  });

  /** A cache of VirtualMachines, kept until the test ends. */
  function follow(): Cache {
    const cache = new Cache({ store, kind: 'VirtualMachine', environment, log, pageSize: 7 });
    const stop = new AbortController();
    const ended = cache.run(stop.signal);
    ending.push(() => {
      stop.abort();
      return ended;
    });
    return cache;
  }

  /** The versions of all VirtualMachines by name: of the cache, or as they stand. */
  const versions = (resources: readonly Resource[]) =>
    Object.fromEntries(resources.map(({ metadata }) => [metadata.name, metadata.resourceVersion]).sort());
  const standing = async () => versions((await store.list('VirtualMachine')).items);

  test('kinds that are not installed yet: it says what to apply, and goes on by itself when they are', async () => {
    const apply = expect.stringMatching(/virtualmachines\.dispatcher\.dev .* kubectl apply --server-side -f manifests\/crds/);
    const missing = { code: 'Unavailable', message: apply };
    await expect(store.get({ kind: 'VirtualMachine', namespace: 'default', name: 'web' })).rejects.toMatchObject(missing);
    await expect(store.list('VirtualMachine')).rejects.toMatchObject(missing);
    await expect(store.create(machine('web'))).rejects.toMatchObject(missing);
    const cache = follow();
    await plane.installKinds();
    await cache.whenSynced(AbortSignal.timeout(60_000));
    await store.create(machine('web'));
    await eventually(() => expect(cache.size).toBe(1));
  });

  test('a cache outlives a killed API server and a forgotten history, and misses nothing', async () => {
    const cache = follow();
    await cache.whenSynced(AbortSignal.timeout(60_000));
    for (let index = 0; index < 20; index++) await store.create(machine(`before-${index}`));
    await plane.kill('kube-apiserver');
    await expect(store.list('VirtualMachine')).rejects.toMatchObject({ code: 'Unavailable' });
    await plane.restart('kube-apiserver');
    await eventually(async () => {
      await store.create(machine('between'));
    });
    await store.delete({ kind: 'VirtualMachine', namespace: 'default', name: 'before-3' });
    await eventually(async () => expect(versions(cache.list())).toEqual(await standing()), 60_000, 200);
    await plane.forgetHistory();
    await eventually(() => store.delete({ kind: 'VirtualMachine', namespace: 'default', name: 'before-4' }));
    await eventually(async () => expect(versions(cache.list())).toEqual(await standing()), 60_000, 200);
    expect(Object.keys(versions(cache.list()))).toEqual(expect.arrayContaining(['before-0', 'between']));
  }, 180_000);

  test('a right that is missing is named, and nothing is taken for absent', async () => {
    const other = await openKubernetesStore({ kubeconfig: plane.kubeconfigOf('dispatcher'), environment }).catch(
      (error: unknown) => error,
    );
    expect(other).toMatchObject({
      code: 'Forbidden',
      message: expect.stringMatching(/"dispatcher" cannot get resource "namespaces"/),
    });
  });

  test('a status is one word: what others wrote into it goes with the next report, for good; its fields are ours', async () => {
    const made = await store.create(machine('shared'));
    const ready = condition('Ready');
    const reported = await store.updateStatus({
      ...made,
      status: { state: 'BUILD', conditions: [ready], applied: { image: 'a' } },
    });
    const theirs = {
      state: 'WRONG',
      id: 'theirs',
      conditions: [condition('Backup'), condition('Stalled')],
      applied: { image: 'b', keyName: 'c' },
    };
    const patch = ['--subresource=status', '--type=merge', '-p', JSON.stringify({ status: theirs })];
    await plane.kubectl('patch', 'vm', 'shared', ...patch);
    await expect(store.updateStatus({ ...reported, status: { state: 'ACTIVE' } })).rejects.toMatchObject({ code: 'Conflict' });
    const patched = await store.get({ kind: 'VirtualMachine', namespace: 'default', name: 'shared' });
    expect(patched?.status).toEqual(theirs);
    const status = { state: 'ACTIVE', conditions: [condition('Backup'), ready], applied: { image: 'a' } };
    const dry = await store.updateStatus({ ...machine('shared'), status }, { dryRun: true });
    expect(dry.status).toEqual(status);
    const written = await store.updateStatus({ ...machine('shared'), status });
    expect(written.status).toEqual(status);
    expect(await store.updateStatus({ ...written, status })).toEqual(written);
    const managed = await plane.kubectl(
      'get',
      'vm',
      'shared',
      '-o',
      'jsonpath={.metadata.managedFields[?(@.subresource=="status")]}',
      '--show-managed-fields',
    );
    expect(managed).toMatch(/"manager":"dispatcher","operation":"Apply"/);
    expect(managed).not.toMatch(/f:id|Stalled|f:keyName/);
    const { conditions: _conditions, ...rest } = status;
    expect((await store.updateStatus({ ...written, status: { ...rest, conditions: [ready] } })).status).toEqual({
      ...rest,
      conditions: [ready],
    });
  });

  test('Events are shown by kubectl, repeats as one', async () => {
    const recorder = new EventRecorder({ store, environment, log, component: 'dispatcher', instance: 'replica-1' });
    const made = await store.create(machine('talked-of'));
    const cloud = await store.create(cloudDraft('lab'));
    const refused = { type: 'Warning', reason: 'Refused', message: 'the cloud refused it' } as const;
    for (let count = 0; count < 3; count++) {
      recorder.record(made, refused);
      await recorder.flush(AbortSignal.timeout(10_000));
    }
    recorder.record(cloud, { type: 'Normal', reason: 'Reachable', message: 'it answers', action: 'Observe' });
    await recorder.flush(AbortSignal.timeout(10_000));
    expect(await plane.kubectl('describe', 'vm', 'talked-of')).toMatch(
      /Warning +Refused +.*x3 over .* dispatcher +the cloud refused it/,
    );
    expect(await plane.kubectl('describe', 'cloud', 'lab')).toMatch(/Normal +Reachable +.* dispatcher +it answers/);
    expect(await plane.kubectl('get', 'events')).toContain('the cloud refused it');
  });

  test('of two who run for leadership one leads; when it dies without a word, the other does, under a higher number', async () => {
    const leaders = new Set<string>();
    const terms: Lease[] = [];
    let most = 0;
    const run = async (holder: string) => {
      const own = await openKubernetesStore({ kubeconfig: plane.kubeconfig, environment, namespace: 'kube-system' });
      const stop = new AbortController();
      const ended = elect(
        {
          ...{ leases: own.leases, name: 'dispatcher', holder, environment, log, durationMs: 3_000 },
          onStarted: async (signal, lease) => {
            leaders.add(holder);
            most = Math.max(most, leaders.size);
            terms.push(lease);
            await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
            leaders.delete(holder);
          },
        },
        stop.signal,
      );
      ending.push(async () => {
        stop.abort();
        await ended;
        await own.close();
      });
      return own;
    };
    const stores = new Map([
      ['a', await run('a')],
      ['b', await run('b')],
    ]);
    await eventually(() => expect(terms).toHaveLength(1));
    const [first] = terms;
    // Neither renews nor releases any more, as if it were gone.
    await stores.get(first?.holder ?? '')?.close();
    await eventually(() => expect(terms).toHaveLength(2), 30_000);
    const [, second] = terms;
    expect(second?.holder).not.toBe(first?.holder);
    expect(second?.transitions).toBeGreaterThan(first?.transitions ?? 0);
    expect(await plane.kubectl('get', 'lease', 'dispatcher', '-n', 'kube-system', '-o', 'jsonpath={.spec.holderIdentity}')).toBe(
      second?.holder,
    );
    expect(most).toBe(1);
  });
});

function machine(name: string): Draft {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name, namespace: 'default' },
    spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'm1.tiny' },
  };
}

function cloudDraft(name: string): Draft {
  return { apiVersion: 'dispatcher.dev/v1alpha1', kind: 'Cloud', metadata: { name }, spec: { engine: 'simulator' } };
}

function condition(type: string) {
  return { type, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z', reason: 'Because', message: '' };
}
