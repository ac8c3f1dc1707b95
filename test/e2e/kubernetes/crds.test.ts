import { readdirSync, readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { parse } from 'yaml';
import { z } from 'zod';
import { KINDS } from '../../../src/resources/registry.js';
import {
  assignment,
  BAD_MANIFESTS,
  collectionOf,
  firewallRule,
  pool,
  TAKEN_BY_KUBERNETES,
  virtualMachine,
  volume,
} from '../../contract/bad-manifests.js';
import { GOOD_MANIFESTS } from '../../contract/good-manifests.js';
import { apiClient, type Sending } from '../../support/api-client.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';

const MANIFESTS = join(import.meta.dirname, '../../../manifests');
const own = KINDS.filter(({ group }) => group !== '');

describeOnKubernetes('the CustomResourceDefinitions on a real API server', () => {
  let plane: ControlPlane;
  let api: Api;

  /** kubectl, which must succeed, and to which the API server must have nothing to remark. */
  const quietly = (...words: string[]) => plane.kubectl('--warnings-as-errors', ...words);

  beforeAll(async () => {
    plane = await ControlPlane.start();
    api = await apiOf(plane);
    await quietly('apply', '--server-side', '-k', join(MANIFESTS, 'crds'));
    await quietly('wait', '--for=condition=Established', 'crd', '--all', '--timeout=60s');
  });
  afterAll(async () => {
    await api?.close();
    await plane?.stop();
  });

  test('can be applied again by any kubectl, and are those that the chart brings', async () => {
    const folder = join(MANIFESTS, 'chart/crds');
    expect(await quietly('apply', '--server-side', '-f', folder)).not.toMatch(/created/);
    await quietly('apply', '--server-side', '-k', join(MANIFESTS, 'crds'));
    for (const name of readdirSync(folder))
      expect(readFileSync(join(folder, name), 'utf8')).toBe(readFileSync(join(MANIFESTS, 'crds', name), 'utf8'));
  });

  test('are structural, and their names are taken', async () => {
    for (const { plural, group } of own) {
      const text = await quietly('get', 'crd', `${plural}.${group}`, '-o', 'jsonpath={.status.conditions}');
      const conditions: { type: string; status: string }[] = JSON.parse(text);
      expect(conditions.filter(({ status }) => status === 'True').map(({ type }) => type)).toEqual(
        expect.arrayContaining(['NamesAccepted', 'Established']),
      );
      expect(conditions.map(({ type }) => type)).not.toContain('NonStructuralSchema');
    }
  });

  test('take every sample, applied by the client and by the server, once and again', async () => {
    const samples = ['-R', '-f', join(MANIFESTS, 'samples')];
    expect(await quietly('apply', '--validate=strict', ...samples)).toMatch(/virtualmachine.dispatcher.dev\/web-1 created/);
    // But for Secrets: the text of stringData is never what the server holds.
    expect(await quietly('apply', '--validate=strict', ...samples)).not.toMatch(/dispatcher.dev.* (created|configured)/);
    await quietly('apply', '--server-side', '--force-conflicts', '--validate=strict', ...samples);
    const all = await quietly('get', 'dispatcher', '-A', '-o', 'name');
    for (const { singular } of own) expect(all).toContain(`${singular}.dispatcher.dev/`);
  });

  test('give each kind its columns and its short names', async () => {
    for (const { plural, shortNames, printerColumns, namespaced } of own) {
      for (const name of [plural, ...shortNames]) {
        const [header = ''] = (await quietly('get', name, '-A', '-o', 'wide')).split('\n');
        const expected = printerColumns.map((column) => column.name.toUpperCase());
        expect(header.trim().split(/\s{2,}/)).toEqual([...(namespaced ? ['NAMESPACE'] : []), 'NAME', ...expected]);
      }
    }
  });

  test('explain a value of several types', async () => {
    const text = await quietly('explain', 'virtualmachine.spec.networks');
    expect(text).toContain('or none');
    expect(text).toContain('-required-');
  });

  test.each(Object.entries(GOOD_MANIFESTS))('take %s', async (_reason, text) => {
    const words = ['--warnings-as-errors', 'apply', '--validate=strict', '--dry-run=server', '-f', '-'];
    expect(await plane.kubectlWith(words, text)).toMatch(/ created \(server dry run\)$/);
  });

  test.each(BAD_MANIFESTS)('refuse $reason', async ({ manifest, field }) => {
    const path = `${collectionOf(manifest)}?fieldValidation=Strict`;
    const reply = await api.send(path, { method: 'POST', body: manifest });
    const { kind, message = '' } = reply.status();
    expect({ kind, refused: reply.code === 400 || reply.code === 422 }).toEqual({ kind: 'Status', refused: true });
    // What is no JSON for the type at all (400) is told in Go's words; else the field stands there, or the map that it is a key of.
    const fields = [field, field.replace(/(\[[^\]]*\]|\.[^.[]*)$/, '')];
    if (reply.code === 422)
      expect(fields.filter((name) => message.includes(`${name}:`) || message.includes(`"${name}"`))).not.toEqual([]);
  });

  test.each(TAKEN_BY_KUBERNETES)('take $reason: $why', async ({ manifest, becomes }) => {
    const path = `${collectionOf(manifest)}?fieldValidation=Strict&dryRun=All`;
    const reply = await api.send(path, { method: 'POST', body: manifest });
    expect(reply.code).toBe(201);
    expect(reply.json()).toEqual({ ...manifest, ...becomes, metadata: expect.objectContaining({ name: 'bad' }) });
  });

  test('of what was refused, nothing is there', async () => {
    for (const path of new Set(BAD_MANIFESTS.map(({ manifest }) => collectionOf(manifest)))) {
      const reply = await api.send(`${path}?fieldSelector=metadata.name%3Dbad`);
      expect(reply.json()).toMatchObject({ items: [] });
    }
  });

  test('hold a machine to its cloud, whoever asks', async () => {
    const path = collectionOf(virtualMachine());
    const created = await api.send(path, { method: 'POST', body: virtualMachine({}, { name: 'stands' }) });
    expect(created.code).toBe(201);
    const change = (body: object) => api.send(`${path}/stands`, { method: 'PATCH', body, type: 'application/merge-patch+json' });
    const refused = await change({ spec: { cloudRef: { name: 'other' } } });
    expect(refused.code).toBe(422);
    expect(refused.status().details?.causes?.map(({ field }) => field)).toContain('spec.cloudRef');
    expect((await change({ spec: { powerState: 'Stopped' } })).code).toBe(200);
  });

  test.each([
    {
      reason: 'a pool to its cloud, and to nothing else',
      manifest: pool({}, 'stands'),
      refused: { cloudRef: { name: 'other' } },
      field: 'spec.cloudRef',
      taken: { recipeRef: { name: 'other' }, replicas: 4, standby: 0 },
    },
    { reason: 'an assignment to its user', manifest: assignment({}, 'stands'), refused: { user: 'bob' }, field: 'spec.user' },
    {
      reason: 'an assignment to its application',
      manifest: assignment({}, 'for'),
      refused: { application: 'rstudio' },
      field: 'spec.application',
    },
    {
      reason: 'an assignment to any pool to no pool of its own',
      manifest: assignment({}, 'anywhere'),
      refused: { poolRef: { name: 'a' } },
      field: 'spec.poolRef',
    },
    {
      reason: 'an assignment to its selector',
      manifest: assignment({ selector: { matchLabels: { role: 'web' } } }, 'chosen'),
      refused: { selector: { matchLabels: { role: 'db' } } },
      field: 'spec.selector',
      taken: { ttl: '1h', priority: 5, release: 'Keep' },
    },
    {
      reason: 'an assignment to its machine',
      manifest: assignment({ virtualMachineRef: { name: 'a' } }, 'fixed'),
      refused: { virtualMachineRef: null },
      field: 'spec.virtualMachineRef',
    },
    {
      reason: 'an assignment to no port',
      manifest: assignment({ ports: [{ from: 22, protocol: 'TCP' }], userCidrs: ['192.0.2.0/24'] }, 'opened'),
      refused: { userCidrs: null },
      field: 'spec.userCidrs',
      taken: { ports: null, userCidrs: null },
    },
    {
      reason: 'a rule to its cloud, and to nothing else',
      manifest: firewallRule({}, 'stands'),
      refused: { cloudRef: { name: 'other' } },
      field: 'spec.cloudRef',
      taken: {
        virtualMachineRef: null,
        selector: { matchLabels: { app: 'web' } },
        direction: 'Egress',
        protocol: 'UDP',
        ports: [{ from: 53 }],
        cidrs: null,
        peerRef: { name: 'stands' },
      },
    },
    {
      reason: 'a volume to its cloud',
      manifest: volume({}, 'there'),
      refused: { cloudRef: { name: 'other' } },
      field: 'spec.cloudRef',
    },
    {
      reason: 'a volume to what it can hold',
      manifest: volume({ sizeGiB: 10 }, 'full'),
      refused: { sizeGiB: 9 },
      field: 'spec.sizeGiB',
      taken: { sizeGiB: 11, attachTo: { virtualMachineRef: { name: 'web-1' } }, deletionPolicy: 'Delete' },
    },
    {
      reason: 'a volume to its type',
      manifest: volume({ type: 'fast' }, 'fast'),
      refused: { type: null },
      field: 'spec.type',
    },
    {
      reason: 'a volume that was made to what was made',
      manifest: volume({}, 'made'),
      refused: { adopt: { name: 'other' } },
      field: 'spec.adopt',
    },
  ])('hold $reason, whoever asks', async ({ manifest, refused, field, taken = {} }) => {
    const path = collectionOf(manifest);
    expect((await api.send(path, { method: 'POST', body: manifest })).code).toBe(201);
    const change = (spec: object) =>
      api.send(`${path}/${manifest.metadata.name}`, { method: 'PATCH', body: { spec }, type: 'application/merge-patch+json' });
    const reply = await change(refused);
    expect(reply.code).toBe(422);
    expect(reply.status().details?.causes?.map((cause) => cause.field)).toContain(field);
    expect((await change(taken)).code).toBe(200);
  });

  test('scale a pool, within its bounds', async () => {
    const path = `${collectionOf(pool())}/scaled`;
    await api.send(collectionOf(pool()), { method: 'POST', body: pool({}, 'scaled') });
    expect((await api.send(`${path}/scale`)).json()).toMatchObject({
      kind: 'Scale',
      spec: { replicas: 2 },
      status: { replicas: 0 },
    });
    const scale = (replicas: number) =>
      api.send(`${path}/scale`, { method: 'PATCH', body: { spec: { replicas } }, type: 'application/merge-patch+json' });
    expect((await scale(5)).code).toBe(422);
    expect((await scale(4)).code).toBe(200);
  });

  test('keep a status that is none out', async () => {
    const path = `${collectionOf(virtualMachine())}/web-1/status`;
    const patch = (status: object) => api.send(path, { method: 'PATCH', body: { status }, type: 'application/merge-patch+json' });
    expect((await patch({ id: 7 })).code).toBe(422);
    expect((await patch({ id: 'server-7' })).code).toBe(200);
  });
});

type Api = Awaited<ReturnType<typeof apiOf>>;

const kubeconfigSchema = z.looseObject({
  clusters: z.tuple([
    z.looseObject({ cluster: z.looseObject({ server: z.string(), 'certificate-authority-data': z.base64() }) }),
  ]),
  users: z.tuple([z.looseObject({ user: z.looseObject({ token: z.string() }) })]),
});

/** A client that sends what kubectl would not, as the administrator. */
async function apiOf(plane: ControlPlane) {
  const { clusters, users } = kubeconfigSchema.parse(parse(await readFile(plane.kubeconfig, 'utf8')));
  const { server, 'certificate-authority-data': ca } = clusters[0].cluster;
  const client = apiClient(server, Buffer.from(ca, 'base64').toString());
  const { token } = users[0].user;
  return { send: (path: string, sending: Sending = {}) => client.send(path, { ...sending, token }), close: client.close };
}
