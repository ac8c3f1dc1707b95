import { z } from 'zod';
import { keyOf, type Resource } from '../../resources/metadata.js';
import { virtualMachineSpecSchema } from '../../resources/virtual-machine.js';
import { isStoreError } from '../../store/errors.js';
import { asMachine } from '../typed.js';
import type { ServedCloud } from './clouds.js';
import { accepted, currentCondition } from './declared.js';
import { V1Error } from './errors.js';
import { findMachine, namespaceFor, namespaceQuery, nodeName, whichMachine, whyKept } from './machines.js';
import { type Node, nodeOf, nodeSchema, serverOf } from './nodes.js';
import { type Call, type Operation, operationWithBody, type Reply } from './operation.js';
import { waitFor } from './wait.js';

/** Labels that mark what was declared through v1. */
export const LABELS = { 'dispatcher.dev/v1': 'true' };
/** What a name that the store makes may begin with, so that it can be a host name. */
const LONGEST_PREFIX = 50;

const text = z.string().min(1).max(255);

const startBody = z.strictObject({
  name: text.describe('The host name. Two starts with one name are two machines.'),
  image: text.describe('The id of an image.'),
  size: text.describe('The id of a flavor.'),
  keyname: text.optional().describe('The name of a key pair in the cloud.'),
  metadata: z.record(z.string(), z.string()).optional().describe("The server's metadata in the cloud."),
});

const done = z.object({ status: z.literal('ok'), result: z.string() });

/** Starting and stopping machines, which is declaring them and taking the declaration back. */
export const startStop: readonly Operation[] = [
  operationWithBody({
    methods: ['POST'],
    path: '/vm/start',
    perCloud: true,
    summary: 'Declares a machine, and answers when the cloud has given it an id.',
    query: namespaceQuery,
    body: startBody,
    answer: z.object({ status: z.literal('ok'), nodes: nodeSchema }),
    mayWait: true,
    handle: start,
  }),
  operationWithBody({
    methods: ['PUT'],
    path: '/vm/stop',
    perCloud: true,
    summary: 'Destroys a machine: deletes its declaration, and answers when its server is on its way out.',
    body: z.strictObject(whichMachine),
    answer: done,
    mayWait: true,
    handle: stop,
  }),
];

async function start(call: Call, body: z.infer<typeof startBody>): Promise<Reply<{ status: 'ok'; nodes: Node }>> {
  const namespace = await namespaceFor(call, 'create', 'VirtualMachine');
  await call.acts.authorize('create', 'VirtualMachine', namespace);
  const cloud = await call.cloud();
  const { clouds } = call.context;
  const { store } = call.caller;
  if (!(await clouds.has(cloud.cloud, 'image', body.image))) throw new V1Error(400, 'no useful image id here');
  if (!(await clouds.has(cloud.cloud, 'flavor', body.size))) throw new V1Error(400, 'no useful size id here');
  const machine = await call.acts.create('VirtualMachine', namespace, {
    metadata: { generateName: namePrefix(body.name), labels: LABELS },
    spec: {
      cloudRef: { name: cloud.cloud },
      image: body.image,
      flavor: body.size,
      ...(virtualMachineSpecSchema.shape.hostname.safeParse(body.name).success && { hostname: body.name }),
      ...(body.keyname !== undefined && { keyName: body.keyname }),
      ...(body.metadata && { metadata: body.metadata }),
    },
  });
  const outcome = await waitFor(store, keyOf(machine), { ...call.context, gone: call.gone }, (now) =>
    outcomeOf(cloud, machine, now),
  );
  if (!outcome) return accepted(call, machine, `Node ${JSON.stringify(body.name)} is declared, and has no server yet`);
  if ('node' in outcome) return { code: 200, body: { status: 'ok', nodes: outcome.node } };
  if (outcome.remove) await takeBack(call, machine);
  throw new V1Error(outcome.remove ? 400 : 409, outcome.message);
}

type Outcome = { readonly node: Node } | { readonly remove: boolean; readonly message: string };

/** What has come of a machine that was declared; undefined while that is open. Pure. */
function outcomeOf(cloud: ServedCloud, declared: Resource, now: Resource | undefined): Outcome | undefined {
  if (now?.metadata.uid !== declared.metadata.uid) return { remove: false, message: 'the declaration was deleted meanwhile' };
  const machine = asMachine(now);
  const server = machine && serverOf(machine);
  if (server) return { node: nodeOf(server, cloud, machine) };
  const stalled = currentCondition(now, 'Stalled');
  return stalled?.status === 'True' ? { remove: true, message: `${stalled.reason}: ${stalled.message}` } : undefined;
}

async function stop(call: Call, which: z.infer<z.ZodObject<typeof whichMachine>>): Promise<Reply<z.infer<typeof done>>> {
  const machine = await findMachine(call, await call.cloud(), which);
  const { namespace = '', name, uid } = machine.metadata;
  await call.acts.authorize('delete', 'VirtualMachine', namespace, name);
  const kept = whyKept(machine);
  if (kept !== undefined) throw new V1Error(409, kept);
  await call.acts.remove(machine);
  const done = await waitFor(call.caller.store, keyOf(machine), { ...call.context, gone: call.gone }, (now) =>
    isGoing(now, uid) ? true : undefined,
  );
  if (!done) return accepted(call, machine, `Node ${nodeName(machine)} is to be deleted, and still there`);
  return { code: 200, body: { status: 'ok', result: `Node ${nodeName(machine)} deleted` } };
}

/** True once the server of a machine that is being deleted is gone, or the cloud is at it. Pure. */
export function isGoing(now: Resource | undefined, uid: string): boolean {
  if (now?.metadata.uid !== uid) return true;
  const { state } = asMachine(now)?.status ?? {};
  return now.metadata.deletionTimestamp !== undefined && (state === 'Deleting' || state === 'Deleted');
}

/** Deletes what was declared by this request, and can come to nothing. Another may have done so before. */
export async function takeBack(call: Call, declared: Resource): Promise<void> {
  await call.acts.remove(declared).catch((error: unknown) => {
    if (!isStoreError(error, 'NotFound') && !isStoreError(error, 'Conflict')) throw error;
  });
}

/** The beginning of a name that the store makes, from what a client calls a thing: a label of DNS with a "-" at its end. Pure. */
export function namePrefix(name: string): string {
  const label = name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, LONGEST_PREFIX)
    .replace(/-+$/, '');
  return `${label === '' ? 'vm' : label}-`;
}
