import { join } from 'node:path';
import { afterAll, describe, expect, jest, test } from '@jest/globals';
import { stringify } from 'yaml';
import { z } from 'zod';
import { v1Contract } from '../../contract/v1.js';
import { eventually } from '../../support/eventually.js';
import { failureOf, type V1Client, v1Client } from '../../support/v1-client.js';
import { v1Cloud } from '../../support/v1-world.js';
import { ControlPlane, describeOnKubernetes } from '../support/kubernetes.js';
import { asked } from '../support/rights.js';
import { ServeProcess } from '../support/serve-process.js';

jest.setTimeout(240_000);

const NAMESPACE = 'dispatcher-system';
const userOf = (namespace: string, name: string) => `system:serviceaccount:${namespace}:${name}`;
const OPERATOR = userOf(NAMESPACE, 'dispatcher');
const PLAIN = userOf('default', 'plain');
const POLICY = stringify({
  apiVersion: 'audit.k8s.io/v1',
  kind: 'Policy',
  omitStages: ['RequestReceived'],
  rules: [{ level: 'Metadata', users: [OPERATOR, PLAIN] }, { level: 'None' }],
});
const AUDIT = [
  ...['--audit-policy-file', 'DIRECTORY/audit-policy.yaml', '--audit-log-path', 'DIRECTORY/audit.log'],
  ...['--audit-log-mode', 'blocking'],
];
/** Each with a role of Kubernetes in a namespace, or in all; `clouds`: and the role to read Clouds. */
const CALLERS = [
  { name: 'admin', role: 'edit', clouds: true },
  { name: 'agent', role: 'edit', namespace: 'default', clouds: true },
  { name: 'viewer', role: 'view', clouds: true },
  { name: 'stranger', role: 'edit', namespace: 'elsewhere', clouds: true },
  { name: 'plain', role: 'edit', namespace: 'default', clouds: false },
  { name: 'reader', role: 'view', namespace: 'default', clouds: false },
  { name: 'powerless', clouds: false },
] as const;
type Name = (typeof CALLERS)[number]['name'];

const servingSchema = z.object({ http: z.string() });
const imagesSchema = z.object({ images: z.array(z.object({ id: z.string() })).min(1) });
const flavorsSchema = z.object({ flavors: z.array(z.object({ id: z.string() })).min(1) });
const startedSchema = z.object({ nodes: z.object({ id: z.string(), name: z.string() }) });

describeOnKubernetes('API v1 of an operator with the rights of manifests/rbac', () => {
  const process = new ServeProcess((line) => lines.push(JSON.stringify(line)));
  const lines: string[] = [];
  const tokens: Partial<Record<Name, string>> = {};
  let plane: ControlPlane;
  let url: string;
  const tokenOf = (name: Name) => ({ token: tokens[name] ?? '' });
  const as = (name: Name): V1Client => v1Client(url, tokens[name]);
  const apply = (manifest: object) => plane.kubectlWith(['apply', '-f', '-'], stringify(manifest));

  /** Makes a caller, and waits until the role that it is given is whole: Kubernetes adds our rights to its own roles by and by. */
  async function make(caller: (typeof CALLERS)[number]): Promise<void> {
    const { name, clouds } = caller;
    const who = `--serviceaccount=default:${name}`;
    await plane.kubectl('create', 'serviceaccount', name);
    if (clouds) await plane.kubectl('create', 'clusterrolebinding', `v1-${name}-clouds`, '--clusterrole=dispatcher-clouds', who);
    if ('role' in caller) {
      const role = `--clusterrole=${caller.role}`;
      if ('namespace' in caller) await plane.kubectl('create', 'rolebinding', `v1-${name}`, role, who, '-n', caller.namespace);
      else await plane.kubectl('create', 'clusterrolebinding', `v1-${name}`, role, who);
      const verb = caller.role === 'edit' ? 'create' : 'list';
      const where = 'namespace' in caller ? ['-n', caller.namespace] : ['-A'];
      await eventually(
        () => plane.kubectl('auth', 'can-i', verb, 'virtualmachines.dispatcher.dev', `--as=${userOf('default', name)}`, ...where),
        60_000,
        500,
      );
    }
    tokens[name] = await plane.kubectl('create', 'token', name);
  }

  v1Contract(
    async () => {
      plane = await ControlPlane.start(AUDIT, { 'audit-policy.yaml': POLICY });
      await plane.installKinds();
      await plane.kubectl('create', 'namespace', NAMESPACE);
      await plane.kubectl('create', 'namespace', 'elsewhere');
      await plane.kubectl('apply', '-f', join(import.meta.dirname, '../../../manifests/rbac'));
      await Promise.all(CALLERS.map(make));
      const kubeconfig = await plane.kubeconfigOfServiceAccount(NAMESPACE, 'dispatcher');
      await apply(v1Cloud({ engine: 'simulator', observe: { interval: '500ms', auditInterval: '5s' } }));
      url = servingSchema.parse(
        await process.start([
          '--plane',
          'kubernetes',
          '--kubeconfig',
          kubeconfig,
          '--http',
          '127.0.0.1:0',
          '--log-level',
          'trace',
        ]),
      ).http;
      const world = { url, cloud: 'lab', engine: 'simulator', image: 'cirros-fake', size: 'm1.tiny', prefix: '' };
      const [admin, agent, viewer, stranger] = (['admin', 'agent', 'viewer', 'stranger'] as const).map(tokenOf);
      if (!admin || !agent || !viewer || !stranger) throw new Error('a caller is missing');
      return {
        ...world,
        patienceMs: 30_000,
        users: { admin, agent, viewer, stranger },
        declare: async (manifest) => void (await apply(manifest)),
        remove: async (manifest) => void (await plane.kubectlWith(['delete', '-f', '-', '--wait=false'], stringify(manifest))),
        close: async () => undefined,
      };
    },
    { passwords: false, elsewhere: '?namespace=elsewhere' },
  );
  afterAll(async () => {
    await process.stop();
    await plane?.stop();
  }, 120_000);

  describe('shows and does for each what the cluster lets each', () => {
    const start = async () => {
      const agent = as('agent');
      const [image] = imagesSchema.parse((await agent('GET', '/images')).body).images;
      const [flavor] = flavorsSchema.parse((await agent('GET', '/flavors')).body).flavors;
      return { body: { name: 'rights', image: image?.id, size: flavor?.id } };
    };

    test('who only views may not start; who may nothing may not see', async () => {
      const sending = await start();
      for (const name of ['reader', 'powerless'] as const)
        expect(failureOf(await as(name)('POST', '/vm/start', sending))).toEqual({
          code: 403,
          message: expect.stringContaining(`User "${userOf('default', name)}" cannot create resource "virtualmachines"`),
        });
      expect((await as('reader')('GET', '/nodes')).code).toBe(200);
      for (const path of ['/nodes', '/vm/status', '/monitor/list', '/images', '/cloud'])
        expect(failureOf(await as('powerless')('GET', path)).code).toBe(403);
      expect(failureOf(await as('agent')('GET', '/monitor/list?namespace=elsewhere')).code).toBe(403);
      expect((await as('admin')('GET', '/monitor/list?namespace=elsewhere')).code).toBe(200);
      expect(failureOf(await as('agent')('GET', '/monitor/list?namespace=..')).code).toBe(400);
    });

    test('Clouds are read by who may read Clouds; a machine is started without', async () => {
      for (const path of ['/cloud', '/images', '/flavors', '/tenants'])
        expect(failureOf(await as('plain')('GET', path))).toEqual({
          code: 403,
          message: expect.stringMatching(/"clouds" in API group "dispatcher.dev" at the cluster scope/),
        });
      const before = (await plane.read('audit.log')).length;
      const sending = await start();
      const { id } = startedSchema.parse((await as('plain')('POST', '/vm/start', sending)).body).nodes;
      await eventually(async () => {
        const stopped = await as('plain')('PUT', '/vm/stop', { body: { node: id } });
        expect(stopped.body).toEqual({ status: 'ok', result: `Node ${id} deleted` });
      }, 30_000);
      const log = (await plane.read('audit.log')).slice(before);
      expect(asked(log, PLAIN, []).rights).toEqual(
        expect.arrayContaining([
          'create authorization.k8s.io/selfsubjectaccessreviews',
          'create dispatcher.dev/virtualmachines',
          'delete dispatcher.dev/virtualmachines',
          'watch dispatcher.dev/virtualmachines',
        ]),
      );
      const own = asked(log, OPERATOR, []);
      expect(own.refused).toEqual([]);
      // It finalizes, reports and leads; none of what was asked for is its doing.
      expect(own.rights.filter((right) => /^(get|list|create|delete) /.test(right) && !/leases|events/.test(right))).toEqual([]);
    });

    test('a token of an account that is gone is no token any more', async () => {
      expect((await as('reader')('PUT', '/test/start')).code).toBe(200);
      await plane.kubectl('delete', 'serviceaccount', 'reader');
      await eventually(async () => expect((await as('reader')('PUT', '/test/start')).code).toBe(401), 30_000, 500);
    });

    test('the built-in Cistern is served beside it', async () => {
      const nodes = (token: string | undefined) =>
        fetch(`${url}/cistern/api/v1/nodes/lab`, { headers: token === undefined ? {} : { 'X-Auth-Token': token } });
      expect(await (await nodes(tokens.agent)).json()).toMatchObject({ status: 'ok' });
      expect((await nodes(undefined)).status).toBe(401);
    });

    test('no token stands in the log', () => {
      const log = lines.join('\n');
      expect(log).not.toBe('');
      for (const token of Object.values(tokens)) expect(log).not.toContain(token);
    });
  });
});
