import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { z } from 'zod';
import { eventually } from '../../support/eventually.js';
import { Lab, type Machine, PATIENCE_MS } from '../support/lab.js';
import type { NovaServer } from '../support/nova.js';
import { AUTH_URL, describeOnOpenStack, openstack, openstackJson } from '../support/openstack.js';

jest.setTimeout(240_000);

/** The manifest that the README promises to work as it stands; only the endpoint is that of the cloud at hand. */
const CONTRACT = `
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
  endpoint: ${AUTH_URL}
  region: RegionOne
  project: {name: demo, domain: Default}
  credentialsRef: {namespace: default, name: openstack}
  observe: {interval: 2s, auditInterval: 60s}
  limits: {inFlight: 64, requestsPerSecond: 200}
---
apiVersion: dispatcher.dev/v1alpha1
kind: VirtualMachine
metadata: {name: fleet-web-1, namespace: default}
spec: {cloudRef: {name: lab}, image: cirros-fake, flavor: m1.tiny, networks: [{name: demo-net}], metadata: {role: web}}
`;

const DECLARED = { metadata: { role: 'worker' }, tags: ['fleet'] } as const;
const FLEET = Array.from({ length: 50 }, (_, index) => `vm-${index + 1}`);

describeOnOpenStack('A fleet on a real OpenStack', () => {
  let lab: Lab;
  beforeAll(async () => {
    lab = await Lab.open('fleet');
  });
  afterAll(() => lab?.close());

  it('makes of the manifest of the contract, as it stands, a server that runs with its address and metadata', async () => {
    await lab.dispatcher.kubectl(['apply', '-f', '-'], CONTRACT);
    await eventually(
      () => lab.dispatcher.kubectl(['wait', '--for=condition=Ready', 'vm/fleet-web-1', '--timeout=20s']),
      PATIENCE_MS,
    );
    const { status } = await lab.get('web-1');
    const shown = await openstackJson(
      z.looseObject({ id: z.string(), status: z.string(), properties: z.record(z.string(), z.string()), addresses: z.unknown() }),
      'server',
      'show',
      'fleet-web-1',
    );
    expect(shown).toMatchObject({ id: status.id, status: 'ACTIVE', properties: { role: 'web' } });
    expect(shown.addresses).toEqual({ 'demo-net': [status.addresses?.[0]?.address] });
  });

  it('makes 50 machines of one `kubectl apply` with 50 to 55 requests for a server', async () => {
    const before = await lab.dispatcher.cloudCalls('createServer');
    const networks = (index: number) => (index % 10 === 0 ? [{ name: 'demo-net' }] : ('none' as const));
    await lab.apply(
      lab.cloud(),
      ...FLEET.map((name, index) => lab.machine(name, { ...DECLARED, tags: ['fleet'], networks: networks(index) })),
    );
    const machines = await lab.untilConverged(180_000);
    expect(machines).toHaveLength(51);
    expect((await lab.servers()).map(({ status }) => status)).toEqual(machines.map(() => 'ACTIVE'));
    expect((await lab.dispatcher.cloudCalls('createServer')) - before).toBeLessThanOrEqual(55);
  });

  it('puts right what others did to its servers: stopped, renamed, retagged, disowned, deleted', async () => {
    const before = await lab.machines();
    const versions = new Map(before.map(({ metadata }) => [metadata.name, metadata.generation]));
    const idOf = (name: string) => before.find(({ metadata }) => metadata.name === lab.named(name))?.status.id ?? 'none';
    // Each kind of change once by the stock client, two at a time: it is the client that takes the time.
    const byClient: (readonly string[])[] = [
      ['stop', idOf('vm-1')],
      ['set', '--name', 'fleet-somebody-elses', idOf('vm-2')],
      ['set', '--property', 'role=changed', '--property', 'stray=1', idOf('vm-3')],
      ['unset', '--property', 'role', idOf('vm-4')],
      ['set', '--tag', 'stray', idOf('vm-5')],
      ['unset', '--tag', 'fleet', idOf('vm-6')],
      ['unset', ...['installation', 'uid', 'attempt'].flatMap((key) => ['--property', `dispatcher.${key}`]), idOf('vm-7')],
      ['pause', idOf('vm-8')],
      ['delete', idOf('vm-9'), idOf('vm-10')],
    ];
    const ownerTag = (await lab.server('vm-11')).tags.find((tag) => tag.startsWith('dispatcher:')) ?? 'none';
    byClient.push(['unset', '--tag', ownerTag, idOf('vm-11')]);
    await inTurns(2, byClient, (words) => openstack('server', ...words));

    // And many at once, as a faulty script would.
    const actions: ((id: string) => Promise<unknown>)[] = [
      (id) => lab.nova.call('POST', `/servers/${id}/action`, { 'os-stop': null }),
      (id) => lab.nova.call('PUT', `/servers/${id}`, { server: { name: 'fleet-all-alike' } }),
      (id) => lab.nova.call('DELETE', `/servers/${id}/tags`),
      (id) => lab.nova.call('PUT', `/servers/${id}/metadata`, { metadata: {} }),
      (id) => lab.nova.delete(id),
    ];
    await inTurns(4, FLEET.slice(20, 45), (name) =>
      Promise.resolve(actions[Number(name.slice(3)) % actions.length]?.(idOf(name))),
    );
    // Neither metadata nor tags say any more whose this one is: the record knows.
    await lab.nova.call('PUT', `/servers/${idOf('vm-46')}/metadata`, { metadata: {} });
    await lab.nova.call('DELETE', `/servers/${idOf('vm-46')}/tags`);

    await eventually(async () => {
      const servers = new Map((await lab.servers()).map((server) => [server.name, server]));
      const machines = await lab.machines();
      const wrong = machines.flatMap((machine) => differences(machine, servers.get(machine.metadata.name)));
      expect(wrong).toEqual([]);
      expect(servers.size).toBe(51);
    }, 120_000);
    const after = await lab.untilConverged();
    expect(new Map(after.map(({ metadata }) => [metadata.name, metadata.generation]))).toEqual(versions);
    const replaced = after.filter(
      ({ metadata, status }) => status.id !== before.find((one) => one.metadata.uid === metadata.uid)?.status.id,
    );
    expect(replaced.map(({ metadata }) => metadata.name).sort()).toEqual(
      ['vm-9', 'vm-10', 'vm-24', 'vm-29', 'vm-34', 'vm-39', 'vm-44'].map((name) => lab.named(name)).sort(),
    );
  });

  it('loses neither records nor ids nor tokens by kill -9, and finds its PostgreSQL still running', async () => {
    const before = await lab.machines();
    const servers = await lab.servers();
    await lab.dispatcher.kill();
    await lab.dispatcher.start();
    expect(lab.dispatcher.adoptedDatabase).toBe(true);
    // The kubeconfig is the one from before.
    const after = await lab.machines();
    expect(after.map(({ metadata, status }) => [metadata.uid, metadata.generation, status.id])).toEqual(
      before.map(({ metadata, status }) => [metadata.uid, metadata.generation, status.id]),
    );
    await lab.untilConverged();
    expect((await lab.servers()).map(({ id }) => id).sort()).toEqual(servers.map(({ id }) => id).sort());
    expect(await lab.dispatcher.cloudCalls('createServer')).toBe(0);
  });

  it('deletes every server with its record', async () => {
    await lab.deleteAll(120_000);
  });
});

/** What of a server is not as its record declares it. */
function differences({ metadata, status }: Machine, server: NovaServer | undefined): string[] {
  const { name } = metadata;
  if (!server) return [`${name}: no server bears this name`];
  const declared = name === 'fleet-web-1' ? { metadata: { role: 'web' }, tags: [] } : DECLARED;
  const ours = { 'dispatcher.uid': metadata.uid, ...declared.metadata };
  const wrong: string[] = [];
  if (server.id !== status.id) wrong.push(`${name}: bound to ${status.id}, and ${server.id} bears its name`);
  if (server.status !== 'ACTIVE' || server.task !== null) wrong.push(`${name}: ${server.status} ${server.task}`);
  const { 'dispatcher.installation': installation, 'dispatcher.attempt': attempt, ...rest } = server.metadata;
  if (!installation || !attempt || !same(rest, ours)) wrong.push(`${name}: metadata ${JSON.stringify(server.metadata)}`);
  const ownerTags = server.tags.filter((tag) => tag.startsWith(`dispatcher:${metadata.uid}`));
  const others = server.tags.filter((tag) => !tag.startsWith('dispatcher:'));
  if (ownerTags.length !== 1 || !same(others, declared.tags)) wrong.push(`${name}: tags ${server.tags.join(' ')}`);
  return wrong;
}

function same(a: unknown, b: unknown): boolean {
  const sorted = (value: unknown) => JSON.stringify(Object.entries(value ?? {}).sort(([x], [y]) => (x < y ? -1 : 1)));
  return sorted(a) === sorted(b);
}

/** Runs `work` on all of them, so many at a time. @throws the first failure. */
async function inTurns<T>(width: number, all: readonly T[], work: (one: T) => Promise<unknown>): Promise<void> {
  const left = [...all];
  const worker = async () => {
    for (let one = left.shift(); one !== undefined; one = left.shift()) await work(one);
  };
  await Promise.all(Array.from({ length: width }, worker));
}
