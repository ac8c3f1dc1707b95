import { z } from 'zod';
import type { Resource } from '../../resources/metadata.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { cisternNodeSchema } from '../cistern-node.js';
import { nodeNumber } from '../node-number.js';
import { cisternNodesIn } from './cistern-nodes.js';
import type { Named } from './cloud-reader.js';
import type { ServedCloud } from './clouds.js';
import { currentCondition } from './declared.js';
import { findMachine, hostnameOf, machinesIn, whichMachine } from './machines.js';
import { nodeOf, nodeSchema, provided, stateName } from './nodes.js';
import { type Call, checked, type Operation, operation } from './operation.js';

const ok = z.literal('ok');
const named = z.object({ id: z.string(), name: z.string(), ...provided });
const flavor = z.object({
  id: z.string(),
  name: z.string(),
  ram: z.number().describe('MiB.'),
  cpu: z.number(),
  disk: z.number().describe('GiB.'),
  ...provided,
});
const monitored = z.object({
  id: z.int().positive().describe("The node's number."),
  id_vm: z.string().describe("The server's id; '' while there is none."),
  hostname: z.string(),
  cloud: z.string(),
  state: z.string().describe("Libcloud's name of the server's state; unknown while there is none."),
  ready: z.enum(['True', 'False', 'Unknown']).describe('Whether the server is as declared.'),
  reason: z.string(),
  message: z.string(),
  observed_at: z.string().optional().describe('When what is said of the server was true: RFC 3339.'),
  user: z.string().describe("Whom it is assigned to; '' for nobody."),
  namespace: z.string(),
  name: z.string().describe('The name of the VirtualMachine.'),
});

/** Everything that only tells. */
export const reads: readonly Operation[] = [
  operation({
    methods: ['GET'],
    path: '/cloud',
    summary: 'The clouds that are served.',
    answer: z.object({
      status: ok,
      served_cloud: z.array(z.object({ name: z.string(), type: z.string().describe('The engine.'), host: z.string() })),
    }),
    handle: async (call) => {
      await call.acts.authorize('list', 'Cloud');
      const clouds = (await call.clouds()).map(({ name, engine, host }) => ({ name, type: engine, host }));
      return { code: 200, body: { status: 'ok', served_cloud: clouds } };
    },
  }),
  operation({
    methods: ['GET'],
    path: '/nodes',
    perCloud: true,
    summary:
      "The servers of a cloud's project: all of them for a role in all namespaces, else those declared in the caller's namespaces.",
    answer: z.object({
      status: ok,
      nodes: z.array(nodeSchema),
      observed_at: z.string().describe('When they were all listed last.'),
    }),
    handle: async (call) => {
      const cloud = await call.cloud();
      const machines = new Map((await machinesIn(call, cloud)).map((machine) => [machine.status?.id, machine]));
      const { servers, observedAt } = call.context.clouds.servers(cloud.cloud);
      const seesAll = await call.acts.may('list', 'VirtualMachine');
      const nodes = servers
        .filter(({ id }) => seesAll || machines.has(id))
        .map((each) => nodeOf(each, cloud, machines.get(each.id)));
      return { code: 200, body: { status: 'ok', nodes, observed_at: observedAt.toISOString() } };
    },
  }),
  operation({
    methods: ['GET'],
    path: '/images',
    perCloud: true,
    summary: 'The images of a cloud.',
    answer: z.object({ status: ok, images: z.array(named) }),
    handle: async (call) => {
      const cloud = await readableCloud(call);
      const images = (await call.context.clouds.images(cloud.cloud)).map(of(cloud));
      return { code: 200, body: { status: 'ok', images } };
    },
  }),
  ...['/flavors', '/sizes'].map((path) =>
    operation({
      methods: ['GET'],
      path,
      perCloud: true,
      summary: 'The flavors of a cloud.',
      answer: z.object({ status: ok, flavors: z.array(flavor) }),
      handle: async (call) => {
        const cloud = await readableCloud(call);
        const flavors = (await call.context.clouds.flavors(cloud.cloud)).map((each) => {
          const { id, name, provider, cloud_type } = of(cloud)(each);
          return { id, name, ram: each.ramMiB, cpu: each.cpus, disk: each.diskGiB, provider, cloud_type };
        });
        return { code: 200, body: { status: 'ok', flavors } };
      },
    }),
  ),
  operation({
    methods: ['GET'],
    path: '/tenants',
    perCloud: true,
    summary: 'The projects that the user of a cloud may use.',
    answer: z.object({ status: ok, tenants: z.array(named) }),
    handle: async (call) => {
      const cloud = await readableCloud(call);
      const tenants = (await call.context.clouds.projects(cloud.cloud)).map(of(cloud));
      return { code: 200, body: { status: 'ok', tenants } };
    },
  }),
  operation({
    methods: ['GET'],
    path: '/vm/status',
    perCloud: true,
    summary: 'The nodes that are free or assigned; {} where there are none. Faulty ones are left out.',
    answer: z.object({ status: ok, nodes: z.union([z.array(cisternNodeSchema), z.strictObject({})]) }),
    handle: async (call) => {
      const nodes = (await cisternNodesIn(call, await call.cloud())).filter(({ status_desc }) => status_desc !== 'FAULTY');
      return { code: 200, body: { status: 'ok', nodes: nodes.length === 0 ? {} : nodes } };
    },
  }),
  operation({
    methods: ['GET'],
    path: '/monitor/list',
    perCloud: true,
    summary: 'What is declared in a cloud, and how it stands.',
    answer: z.object({ status: ok, machines: z.array(monitored) }),
    handle: async (call) => {
      const cloud = await call.cloud();
      const machines = (await machinesIn(call, cloud)).map((machine) => monitor(machine, cloud));
      return { code: 200, body: { status: 'ok', machines } };
    },
  }),
  operation({
    methods: ['GET'],
    path: '/monitor/status',
    perCloud: true,
    summary: 'How one machine stands.',
    query: z.object(whichMachine),
    answer: z.object({ status: ok, machine: monitored }),
    handle: async (call) => {
      const cloud = await call.cloud();
      const which = checked(z.object(whichMachine), Object.fromEntries(call.query));
      return { code: 200, body: { status: 'ok', machine: monitor(await findMachine(call, cloud, which), cloud) } };
    },
  }),
];

async function readableCloud(call: Call): Promise<ServedCloud> {
  const cloud = await call.cloud();
  await call.acts.authorize('get', 'Cloud', '', cloud.cloud);
  return cloud;
}

function of({ engine }: ServedCloud) {
  return ({ id, name }: Named) => ({ id, name, provider: engine, cloud_type: engine });
}

function monitor(machine: VirtualMachine, cloud: ServedCloud): z.infer<typeof monitored> {
  const { metadata, status } = machine;
  const resource: Resource = machine;
  const ready = currentCondition(resource, 'Ready');
  return {
    id: nodeNumber(metadata.uid),
    id_vm: status?.id ?? '',
    hostname: hostnameOf(machine),
    cloud: cloud.name,
    state: stateName(status?.state),
    ready: ready?.status ?? 'Unknown',
    reason: ready?.reason ?? 'Pending',
    message: ready?.message ?? 'nothing is known of this declaration yet',
    ...(status?.observedAt !== undefined && { observed_at: status.observedAt }),
    user: status?.assignment?.user ?? '',
    namespace: metadata.namespace ?? '',
    name: metadata.name,
  };
}
