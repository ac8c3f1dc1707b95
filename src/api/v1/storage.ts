import { z } from 'zod';
import { keyOf, type Resource, resourceName } from '../../resources/metadata.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { type Volume, volumeSpecSchema } from '../../resources/volume.js';
import { isStoreError } from '../../store/errors.js';
import { asVolume } from '../typed.js';
import type { ServedCloud } from './clouds.js';
import { accepted, currentCondition } from './declared.js';
import { V1Error } from './errors.js';
import { exactlyOne, findMachine, namespaceFor, namespaceQuery, nodeName, visible, whichMachine } from './machines.js';
import { askedNamespace } from './namespace.js';
import { type Call, type Operation, operation, operationWithBody, type Reply } from './operation.js';
import { LABELS, takeBack } from './start-stop.js';
import { isGone, waitFor } from './wait.js';

const KIND = 'Volume';
/** Another may write a volume while it is changed. */
const TRIES = 4;

const name = resourceName.describe('The name of the volume, which is that of its declaration.');

const volumeSchema = z.object({
  name: z.string(),
  namespace: z.string(),
  id: z.string().describe("The volume's id in the cloud; '' while there is none."),
  size: z.number().describe('GiB, as declared.'),
  state: z.string().describe('The state that the cloud reports; unknown while there is none.'),
  node: z.string().describe("The server that it is attached to; '' for none."),
  device: z.string().describe("Its name there, as far as the cloud knows; '' for none."),
  ready: z.enum(['True', 'False', 'Unknown']).describe('Whether it is as declared.'),
  reason: z.string(),
  message: z.string(),
});

const done = z.object({ status: z.literal('ok'), result: z.string(), volume: volumeSchema });
const deleted = z.object({ status: z.literal('ok'), result: z.string() });

type Done = z.infer<typeof done>;

const createBody = z.strictObject({
  name,
  size: volumeSpecSchema.shape.sizeGiB.describe('GiB.'),
  node: whichMachine.node.describe('Attached to this server: its id in the cloud. This, hostname, or neither.'),
  hostname: whichMachine.hostname,
});

/** Disks, which are declared as Volumes. */
export const storage: readonly Operation[] = [
  operation({
    methods: ['GET'],
    path: '/storage',
    perCloud: true,
    summary: 'The volumes that are declared in a cloud.',
    answer: z.object({ status: z.literal('ok'), volumes: z.array(volumeSchema) }),
    handle: async (call) => {
      const volumes = (await volumesIn(call, await call.cloud())).map(told);
      return { code: 200, body: { status: 'ok', volumes } };
    },
  }),
  operationWithBody({
    methods: ['POST'],
    path: '/storage',
    perCloud: true,
    summary: 'Declares a volume, and answers when it is there, and attached if a node is named.',
    query: namespaceQuery,
    body: createBody,
    answer: done,
    mayWait: true,
    handle: create,
  }),
  operationWithBody({
    methods: ['PUT'],
    path: '/storage/attach',
    perCloud: true,
    summary: 'Attaches a volume to a machine.',
    body: z.strictObject({ name, ...whichMachine }),
    answer: done,
    mayWait: true,
    handle: attach,
  }),
  operationWithBody({
    methods: ['PUT'],
    path: '/storage/detach',
    perCloud: true,
    summary: 'Detaches a volume from its machine, though that runs.',
    query: namespaceQuery,
    body: z.strictObject({
      name,
      node: whichMachine.node.describe('Where it must be attached. This, hostname, or neither.'),
      hostname: whichMachine.hostname,
    }),
    answer: done,
    mayWait: true,
    handle: detach,
  }),
  operation({
    methods: ['DELETE'],
    path: '/storage/{name}',
    perCloud: true,
    summary: 'Destroys a volume that is attached nowhere, with all that is on it.',
    query: namespaceQuery,
    answer: deleted,
    mayWait: true,
    handle: destroy,
  }),
];

async function create(call: Call, body: z.infer<typeof createBody>): Promise<Reply<Done>> {
  const cloud = await call.cloud();
  const machine = isNamed(body) ? await findMachine(call, cloud, body) : undefined;
  const namespace = machine?.metadata.namespace ?? (await namespaceFor(call, 'create', KIND));
  await call.acts.authorize('create', KIND, namespace);
  const volume = await call.acts.create(KIND, namespace, {
    metadata: { name: body.name, labels: LABELS },
    spec: {
      cloudRef: { name: cloud.cloud },
      sizeGiB: body.size,
      ...(machine && { attachTo: { virtualMachineRef: { name: machine.metadata.name } } }),
    },
  });
  const outcome = await settled(call, volume);
  if (!outcome) return accepted(call, volume, `Volume ${body.name} is declared, and not as declared yet`);
  if ('volume' in outcome) {
    const where = machine ? `, and attached to Node ${nodeName(machine)}` : '';
    return { code: 200, body: { status: 'ok', result: `Volume ${body.name} created${where}`, volume: told(outcome.volume) } };
  }
  // Nobody was ever told of it: nothing is on it.
  if (outcome.refused) await erase(call, volume).catch(unlessLate);
  throw new V1Error(outcome.refused ? 400 : 409, outcome.message);
}

async function attach(call: Call, body: { readonly name: string } & Parameters<typeof exactlyOne>[0]): Promise<Reply<Done>> {
  exactlyOne(body);
  const cloud = await call.cloud();
  const machine = await findMachine(call, cloud, body);
  const { namespace = '' } = machine.metadata;
  const wanted = { virtualMachineRef: { name: machine.metadata.name } };
  let before: Volume['spec']['attachTo'];
  const volume = await change(call, await findVolume(call, cloud, body.name, namespace), (found) => {
    before = found.spec.attachTo;
    if (before?.virtualMachineRef?.name === machine.metadata.name) return undefined;
    if (before) throw new V1Error(409, `Volume ${body.name} is attached to ${placeOf(found)}: detach it first`);
    return { ...found.spec, attachTo: wanted };
  });
  const outcome = await settled(call, volume);
  const node = nodeName(machine);
  if (!outcome) return accepted(call, volume, `Volume ${body.name} is to be attached to Node ${node}, and is not yet`);
  if ('volume' in outcome)
    return {
      code: 200,
      body: { status: 'ok', result: `Volume ${body.name} attached to Node ${node}`, volume: told(outcome.volume) },
    };
  if (outcome.refused && !before)
    await change(call, volume, ({ spec: { attachTo: _refused, ...rest } }) => rest).catch(unlessLate);
  throw new V1Error(409, outcome.message);
}

async function detach(call: Call, body: { readonly name: string } & Parameters<typeof exactlyOne>[0]): Promise<Reply<Done>> {
  const cloud = await call.cloud();
  const machine = isNamed(body) ? await findMachine(call, cloud, body) : undefined;
  const found = await findVolume(call, cloud, body.name, machine?.metadata.namespace ?? askedNamespace(call.query));
  const volume = await change(call, found, (now) => {
    const { attachTo, ...rest } = now.spec;
    const elsewhere = machine && !isAttachedTo(now, machine);
    if (elsewhere) throw new V1Error(409, `Volume ${body.name} is not attached to Node ${nodeName(machine)}`);
    if (!attachTo && !now.status?.attachment) throw new V1Error(409, `Volume ${body.name} is not attached`);
    return attachTo && rest;
  });
  const outcome = await settled(call, volume);
  if (!outcome) return accepted(call, volume, `Volume ${body.name} is to be detached, and is not yet`);
  if ('volume' in outcome)
    return { code: 200, body: { status: 'ok', result: `Volume ${body.name} detached`, volume: told(outcome.volume) } };
  throw new V1Error(409, outcome.message);
}

async function destroy(call: Call): Promise<Reply<z.infer<typeof deleted>>> {
  const asked = call.parameters.name ?? '';
  const volume = await findVolume(call, await call.cloud(), asked, askedNamespace(call.query));
  const { namespace = '', labels } = volume.metadata;
  await call.acts.authorize('delete', KIND, namespace, asked);
  if (volume.spec.attachTo ?? volume.status?.attachment)
    throw new V1Error(409, `Volume ${asked} is attached to ${placeOf(volume)}: detach it first`);
  const ours = labels?.['dispatcher.dev/v1'] === LABELS['dispatcher.dev/v1'] && volume.spec.deletionPolicy === undefined;
  if (volume.spec.deletionPolicy !== 'Delete' && !ours) {
    const why = 'it was not made here, or its spec.deletionPolicy is Retain: set that to Delete first';
    throw new V1Error(409, `the Volume ${namespace}/${asked} is not to be destroyed: ${why}`);
  }
  await erase(call, volume);
  if (!(await isGone(call, volume))) return accepted(call, volume, `Volume ${asked} is to be deleted, and is still there`);
  return { code: 200, body: { status: 'ok', result: `Volume ${asked} deleted` } };
}

/** Deletes a declaration so that the volume goes with it. */
async function erase(call: Call, volume: Resource): Promise<void> {
  const read = await change(call, volume, ({ metadata, spec }) =>
    metadata.deletionTimestamp || spec.deletionPolicy === 'Delete' ? undefined : { ...spec, deletionPolicy: 'Delete' as const },
  );
  await takeBack(call, read);
}

/**
 * Changes the spec of a volume as it stands now.
 * @param to the spec that is wanted; undefined: it is as wanted. What it throws ends it.
 * @returns the volume as it was written, or was found to be as wanted.
 */
async function change(call: Call, volume: Resource, to: (found: Volume) => Volume['spec'] | undefined): Promise<Resource> {
  for (let tries = 1; ; tries++) {
    const read = await call.caller.store.get(keyOf(volume));
    const found = read?.metadata.uid === volume.metadata.uid ? asVolume(read) : undefined;
    if (!read || !found) throw new V1Error(409, 'the declaration was deleted meanwhile');
    const spec = to(found);
    if (!spec) return read;
    try {
      return await call.acts.update(read, { spec });
    } catch (error) {
      if (!isStoreError(error, 'Conflict') || tries >= TRIES) throw error;
    }
  }
}

/** What has come of a volume: `refused` if it stands, and can come to nothing. */
type Outcome = { readonly volume: Volume } | { readonly refused: boolean; readonly message: string };

/** Waits until a volume is as declared, or cannot be; undefined: neither in time. */
function settled(call: Call, declared: Resource): Promise<Outcome | undefined> {
  const { uid, generation } = declared.metadata;
  return waitFor<Outcome>(call.caller.store, keyOf(declared), { ...call.context, gone: call.gone }, (now) => {
    const volume = now?.metadata.uid === uid ? asVolume(now) : undefined;
    if (!volume || volume.metadata.deletionTimestamp) return { refused: false, message: 'the declaration was deleted meanwhile' };
    if (volume.metadata.generation < generation) return undefined;
    if (currentCondition(volume, 'Ready')?.status === 'True') return { volume };
    const stalled = currentCondition(volume, 'Stalled');
    return stalled?.status === 'True' ? { refused: true, message: `${stalled.reason}: ${stalled.message}` } : undefined;
  });
}

/** The volumes of a cloud that the caller may see. @throws ApiError Forbidden for who may see none. */
async function volumesIn(call: Call, { cloud }: ServedCloud): Promise<readonly Volume[]> {
  const all = await visible(call, KIND);
  return all.flatMap((resource) => {
    const volume = asVolume(resource);
    return volume?.spec.cloudRef.name === cloud ? [volume] : [];
  });
}

/** @throws V1Error 400 for none of that name, or several of them in several namespaces. */
async function findVolume(call: Call, cloud: ServedCloud, asked: string, namespace: string | undefined): Promise<Volume> {
  const found = (await volumesIn(call, cloud)).filter(
    ({ metadata }) => metadata.name === asked && (namespace === undefined || metadata.namespace === namespace),
  );
  const [first] = found;
  if (!first) throw new V1Error(400, 'no useful volume name here');
  if (found.length === 1) return first;
  const where = found.map(({ metadata }) => metadata.namespace).join(', ');
  throw new V1Error(400, `${found.length} volumes have the name ${JSON.stringify(asked)}: name one by ?namespace=, of ${where}`);
}

function isNamed({ node, hostname }: Parameters<typeof exactlyOne>[0]): boolean {
  return node !== undefined || hostname !== undefined;
}

function isAttachedTo({ spec, status }: Volume, { metadata, status: seen }: VirtualMachine): boolean {
  const { virtualMachineRef, assignmentRef } = spec.attachTo ?? {};
  if (virtualMachineRef) return virtualMachineRef.name === metadata.name;
  if (assignmentRef && seen?.assignment?.name === assignmentRef.name) return true;
  return status?.attachment !== undefined && status.attachment.serverId === seen?.id;
}

/** Where a volume is, or is to be, attached. */
function placeOf({ spec, status }: Volume): string {
  const { virtualMachineRef, assignmentRef } = spec.attachTo ?? {};
  if (status?.attachment) return `Node ${status.attachment.serverId}`;
  if (virtualMachineRef) return `the VirtualMachine ${virtualMachineRef.name}`;
  return `the machine of the VirtualMachineAssignment ${assignmentRef?.name}`;
}

/** A volume as answers tell of it. Pure. */
function told(volume: Volume): z.infer<typeof volumeSchema> {
  const { metadata, spec, status } = volume;
  const ready = currentCondition(volume, 'Ready');
  // What was only asked for is not there yet.
  const attachment = status?.attachment?.askedAt === undefined ? status?.attachment : undefined;
  return {
    name: metadata.name,
    namespace: metadata.namespace ?? '',
    id: status?.id ?? '',
    size: spec.sizeGiB,
    state: status?.state ?? 'unknown',
    node: attachment?.serverId ?? '',
    device: attachment?.device ?? '',
    ready: ready?.status ?? 'Unknown',
    reason: ready?.reason ?? 'Pending',
    message: ready?.message ?? 'nothing is known of this declaration yet',
  };
}

function unlessLate(error: unknown): void {
  if (!(error instanceof V1Error) && !isStoreError(error, 'Conflict')) throw error;
}
