import { z } from 'zod';
import { userName } from '../../resources/assignment.js';
import { keyOf, type Resource } from '../../resources/metadata.js';
import type { Pool } from '../../resources/pool.js';
import { applicationName, recipeSpecSchema } from '../../resources/recipe.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { isStoreError } from '../../store/errors.js';
import { cisternNodes, isFaulty } from '../cistern-node.js';
import { nodeNumber } from '../node-number.js';
import { asAssignment, asMachine, asPool } from '../typed.js';
import type { ServedCloud } from './clouds.js';
import { accepted, currentCondition } from './declared.js';
import { V1Error } from './errors.js';
import {
  exactlyOne,
  findMachine,
  machinesIn,
  namespaceFor,
  namespaceQuery,
  nodeName,
  whichMachine,
  whyKept,
} from './machines.js';
import { type Call, failing, type Operation, operationWithBody, type Reply } from './operation.js';
import { isGoing, LABELS, namePrefix, takeBack } from './start-stop.js';
import { waitFor } from './wait.js';

const KIND = 'VirtualMachineAssignment';
/** Another may write an assignment while its release is set. */
const TRIES = 4;

const emulate = z.boolean().optional().describe('True: everything is checked, and nothing is done.');

const assignBody = z.strictObject({
  user: userName.describe('Whom the machine is for.'),
  vm_type: applicationName.describe('The application that it is wanted for.'),
  ...whichMachine,
  emulate,
});

const releaseBody = z.strictObject({ ...whichMachine, emulate });

/** What is answered when a machine was given or taken. */
export const done = z.object({
  status: z.literal('ok'),
  id_vm: z.string().describe("The server's id in the cloud."),
  id: z.int().positive().describe("The node's number."),
  result: z.string(),
});
/** {@link done}. */
export type Done = z.infer<typeof done>;

/** Giving machines to users, and taking them back. */
export const assignRelease: readonly Operation[] = [
  operationWithBody({
    methods: ['PUT'],
    path: '/vm/action/assign',
    perCloud: true,
    summary: 'Gives a machine to a user: the one that is named, or any free one for that vm_type.',
    query: namespaceQuery,
    body: assignBody,
    answer: done,
    mayWait: true,
    handle: assign,
  }),
  operationWithBody({
    methods: ['PUT'],
    path: '/vm/action/release',
    perCloud: true,
    summary: 'Takes a machine from its user, and destroys it.',
    body: releaseBody,
    answer: done,
    mayWait: true,
    handle: release,
  }),
  failing(
    { methods: ['PUT'], path: '/vm/action/{action}', perCloud: true, summary: 'Any other action is not implemented.' },
    () => new V1Error(501, 'Not implemented: the actions are assign and release'),
  ),
];

async function assign(call: Call, body: z.infer<typeof assignBody>): Promise<Reply<Done>> {
  const cloud = await call.cloud();
  const { user, vm_type: application } = body;
  const named = (body.node ?? body.hostname) ? await findMachine(call, cloud, body) : undefined;
  const namespace = named?.metadata.namespace ?? (await namespaceFor(call, 'create', KIND));
  await call.acts.authorize('create', KIND, namespace);
  const refusal = named && (await whyNotGiven(call, named, named.metadata.uid));
  if (refusal !== undefined) throw new V1Error(409, refusal);
  const stock = named ? undefined : await stockFor(call, cloud, namespace, application);
  const manifest = {
    metadata: { generateName: namePrefix(user), labels: LABELS },
    spec: {
      user,
      application,
      ...(named && { virtualMachineRef: { name: named.metadata.name } }),
      ...(stock?.poolRef && { poolRef: stock.poolRef }),
    },
  };
  if (body.emulate) {
    await call.acts.create(KIND, namespace, manifest, { dryRun: true });
    const free = named ?? (await freeOf(call, cloud, stock?.pools ?? []));
    if (!free) throw new V1Error(409, `no node is free for the vm_type ${JSON.stringify(application)}`);
    return assigned(nodeName(free), free.metadata.uid);
  }
  const assignment = await call.acts.create(KIND, namespace, manifest);
  const { store } = call.caller;
  const outcome = await waitFor(store, keyOf(assignment), { ...call.context, gone: call.gone }, (now) =>
    outcomeOf(call, assignment, named, now),
  );
  if (!outcome) return accepted(call, assignment, `no node could be assigned to ${JSON.stringify(user)} yet`);
  if ('id' in outcome) return assigned(outcome.id, outcome.uid);
  if (outcome.remove) await takeBack(call, assignment);
  throw new V1Error(outcome.code ?? 409, outcome.message);
}

/** The answer that a machine was given. @param uid the machine's. */
export function assigned(idVm: string, uid: string): Reply<Done> {
  return { code: 200, body: { status: 'ok', id_vm: idVm, id: nodeNumber(uid), result: `Node ${idVm} assigned` } };
}

/** Why nothing is given while Cistern cannot be reached: the service of 2015 answered 503 then. */
const INVENTORY_AWAY = 'InventoryUnreachable';

/** What has come of an assignment: the server and the machine's uid, or why nothing does, and whether it is to be taken back. */
export type Outcome =
  | { readonly id: string; readonly uid: string }
  | { readonly remove: boolean; readonly message: string; readonly code?: 503 };

/** What has come of an assignment; undefined while that is open. */
export async function outcomeOf(
  call: Call,
  declared: Resource,
  named: VirtualMachine | undefined,
  now: Resource | undefined,
): Promise<Outcome | undefined> {
  const { uid } = declared.metadata;
  if (now?.metadata.uid !== uid) return { remove: false, message: 'the assignment was deleted meanwhile' };
  const status = asAssignment(now)?.status;
  const ready = currentCondition(now, 'Ready');
  if (ready?.status === 'True' && status?.virtualMachine && status.id !== undefined)
    return { id: status.id, uid: status.virtualMachine.uid };
  if (status?.ended) return { remove: true, message: `the assignment has ended: ${status.ended.why}` };
  const stalled = currentCondition(now, 'Stalled');
  if (stalled?.status === 'True') return { remove: true, message: `${stalled.reason}: ${stalled.message}` };
  if (ready?.reason === INVENTORY_AWAY) return { remove: true, message: ready.message, code: 503 };
  if (!named) return undefined;
  const resource = await call.caller.store.get(keyOf(named));
  const refusal = await whyNotGiven(call, resource && asMachine(resource), named.metadata.uid, uid);
  return refusal === undefined ? undefined : { remove: true, message: refusal };
}

/**
 * Why a machine cannot be given to somebody; undefined if it can, now or later.
 * @param uid the machine that is meant.
 * @param own the uid of the assignment that it is to be given to, if that is declared.
 */
export async function whyNotGiven(
  call: Call,
  machine: VirtualMachine | undefined,
  uid: string,
  own?: string,
): Promise<string | undefined> {
  if (machine?.metadata.uid !== uid || machine.metadata.deletionTimestamp) return 'the node is gone, or being deleted';
  const what = `Node ${nodeName(machine)}`;
  if (isFaulty(machine)) return `${what} is faulty`;
  const claim = machine.spec.claimRef;
  if (!claim || claim.uid === own) return undefined;
  const holder = await call.caller.store.get({ kind: KIND, namespace: machine.metadata.namespace ?? '', name: claim.name });
  return holder?.metadata.uid === claim.uid ? `${what} is assigned to another` : undefined;
}

interface Stock {
  /** The pools of the cloud whose recipe serves the application. */
  readonly pools: readonly Pool[];
  /** Where other clouds serve it too: the pool to take from. */
  readonly poolRef: { readonly name: string } | undefined;
}

/** Where machines for an application come from. @throws V1Error 400 if no pool of the cloud serves it. */
async function stockFor(call: Call, { cloud, name }: ServedCloud, namespace: string, application: string): Promise<Stock> {
  const { store } = call.caller;
  const [pools, recipes] = await Promise.all([
    store.list('VirtualMachinePool', { namespace }),
    store.list('Recipe', { namespace }),
  ]);
  const serving = new Set(
    recipes.items
      .filter(({ spec }) => recipeSpecSchema.safeParse(spec).data?.applications.includes(application))
      .map(({ metadata }) => metadata.name),
  );
  const useful = pools.items
    .flatMap((resource) => asPool(resource) ?? [])
    .filter(({ spec }) => serving.has(spec.recipeRef?.name ?? ''));
  const own = useful.filter(({ spec }) => spec.cloudRef.name === cloud);
  const [best] = own.toSorted((a, b) => (b.status?.free ?? 0) - (a.status?.free ?? 0));
  if (!best) {
    const where = `the cloud ${JSON.stringify(name)} in the namespace ${namespace}`;
    throw new V1Error(400, `no useful node id here: no pool of ${where} serves the vm_type ${JSON.stringify(application)}`);
  }
  return { pools: own, poolRef: own.length === useful.length ? undefined : { name: best.metadata.name } };
}

async function freeOf(call: Call, cloud: ServedCloud, pools: readonly Pool[]): Promise<VirtualMachine | undefined> {
  const uids = new Set(pools.map(({ metadata }) => metadata.uid));
  const machines = (await machinesIn(call, cloud)).filter(({ metadata }) =>
    metadata.ownerReferences?.some(({ uid }) => uids.has(uid)),
  );
  const nodes = cisternNodes({ machines, pools: [], recipes: [], assignments: [] }, cloud.name);
  const free = nodes.find(({ status_desc }) => status_desc === 'FREE');
  return machines.find(({ status }) => free !== undefined && status?.id === free.id_vm);
}

async function release(call: Call, body: z.infer<typeof releaseBody>): Promise<Reply<Done>> {
  exactlyOne(body);
  const { store } = call.caller;
  const machine = await findMachine(call, await call.cloud(), body);
  const { namespace = '', uid } = machine.metadata;
  const { items } = await store.list(KIND, { namespace });
  const holders = items.filter((each) => asAssignment(each)?.status?.virtualMachine?.uid === uid);
  for (const verb of ['update', 'delete'] as const)
    for (const each of holders) await call.acts.authorize(verb, KIND, namespace, each.metadata.name);
  if (holders.length === 0) throw new V1Error(409, `Node ${nodeName(machine)} is not assigned`);
  const kept = whyKept(machine);
  if (kept !== undefined) throw new V1Error(409, kept);
  const id_vm = nodeName(machine);
  const answer = { status: 'ok', id_vm, id: nodeNumber(uid), result: `Node ${id_vm} released and deleted` } as const;
  if (body.emulate) return { code: 200, body: answer };
  for (const each of holders) await end(call, each);
  const gone = await waitFor(store, keyOf(machine), { ...call.context, gone: call.gone }, (now) =>
    isGoing(now, uid) ? true : undefined,
  );
  return gone ? { code: 200, body: answer } : accepted(call, machine, `Node ${id_vm} is released, and not deleted yet`);
}

/** Deletes an assignment so that its machine goes with it. */
async function end(call: Call, assignment: Resource): Promise<void> {
  for (let [read, tries]: [Resource | undefined, number] = [assignment, 1]; ; tries++) {
    const spec = read?.metadata.uid === assignment.metadata.uid ? asAssignment(read)?.spec : undefined;
    // Another has ended it meanwhile.
    if (!read || !spec) return;
    try {
      if (spec.release !== 'Delete') await call.acts.update(read, { spec: { ...spec, release: 'Delete' } });
      return await takeBack(call, read);
    } catch (error) {
      if (!isStoreError(error, 'Conflict') || tries >= TRIES) throw error;
      read = await call.caller.store.get(keyOf(assignment));
    }
  }
}
