import { z } from 'zod';
import { type Assignment, userName } from '../../resources/assignment.js';
import { keyOf, type Resource } from '../../resources/metadata.js';
import { applicationName } from '../../resources/recipe.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import { nodeNumber } from '../node-number.js';
import { asAssignment, asMachine } from '../typed.js';
import { assigned, type Done, done, outcomeOf, whyNotGiven } from '../v1/assign-release.js';
import type { ServedCloud } from '../v1/clouds.js';
import { currentCondition } from '../v1/declared.js';
import { V1Error } from '../v1/errors.js';
import { hostnameOf, machinesIn, nodeName } from '../v1/machines.js';
import { type Call, type Operation, operationWithBody, type Reply } from '../v1/operation.js';
import { namePrefix, takeBack } from '../v1/start-stop.js';
import { type Patience, waitFor } from '../v1/wait.js';
import { cloudOf } from './cloud.js';

const KIND = 'VirtualMachineAssignment';
/** Marks what was declared through the built-in Cistern. */
const LABEL = 'dispatcher.dev/cistern';

const hostname = z.string().min(1).max(255).describe("The name of the VirtualMachine, of its server, or the server's id.");
const assignBody = z.strictObject({
  hostname,
  user: userName.describe('Whom the machine is for.'),
  vm_type: applicationName.describe('The application that it is wanted for.'),
});
const releaseBody = z.strictObject({ hostname });

/** Giving nodes to users, and taking them back. Both may be asked for again: what is so already is answered as done. */
export const assignRelease: readonly Operation[] = [
  operationWithBody({
    methods: ['POST'],
    path: '/vm/assign',
    perCloud: true,
    access: 'always a token',
    summary: 'Gives a node to a user.',
    body: assignBody,
    answer: done,
    handle: assign,
  }),
  operationWithBody({
    methods: ['PUT'],
    path: '/vm/release',
    perCloud: true,
    access: 'always a token',
    summary: 'Takes a node from its user. What becomes of it, the release policy of its assignment says.',
    body: releaseBody,
    answer: done,
    handle: release,
  }),
];

async function assign(call: Call, body: z.infer<typeof assignBody>): Promise<Reply<Done>> {
  const machine = await machineNamed(call, await cloudOf(call), body.hostname);
  const { namespace = '', name, uid } = machine.metadata;
  await call.acts.authorize('create', KIND, namespace);
  const left = patience(call);
  const standing = (await assignmentsOf(call, machine)).find((each) => each.spec.user === body.user && lasts(each));
  const refusal = await whyNotGiven(call, machine, uid, standing?.metadata.uid);
  if (refusal !== undefined) throw new V1Error(409, refusal);
  const spec = { user: body.user, application: body.vm_type, virtualMachineRef: { name }, onFailure: 'Hold' };
  const manifest = { metadata: { generateName: namePrefix(body.user), labels: { [LABEL]: 'true' } }, spec };
  const assignment = standing ?? (await call.acts.create(KIND, namespace, manifest));
  const { store } = call.caller;
  const outcome = await waitFor(store, keyOf(assignment), left(), (now) => outcomeOf(call, assignment, machine, now));
  if (outcome && 'id' in outcome) {
    // It is answered when the list of nodes tells it too: who asks next is not to see a node that is nobody's.
    await waitFor(store, keyOf(machine), left(), (now) => (userOf(now, uid) === body.user ? true : undefined));
    return assigned(outcome.id, outcome.uid);
  }
  // What another request has declared, that one is to answer for.
  if (!standing && (outcome?.remove ?? true)) await takeBack(call, assignment);
  throw new V1Error(outcome?.code ?? 409, outcome?.message ?? (await whyWaiting(call, assignment, machine)));
}

async function release(call: Call, body: z.infer<typeof releaseBody>): Promise<Reply<Done>> {
  const machine = await machineNamed(call, await cloudOf(call), body.hostname);
  const { namespace = '', uid } = machine.metadata;
  await call.acts.authorize('delete', KIND, namespace);
  for (const each of await assignmentsOf(call, machine)) await takeBack(call, each);
  const id_vm = nodeName(machine);
  const free = await waitFor(call.caller.store, keyOf(machine), patience(call)(), (now) =>
    isGivenBack(now, uid) ? true : undefined,
  );
  if (!free) throw new V1Error(503, `Node ${id_vm} is released, and not given back yet`, 1);
  return { code: 200, body: { status: 'ok', id_vm, id: nodeNumber(uid), result: `Node ${id_vm} released` } };
}

/** How long is left of what a request may wait in all. */
function patience({ context, gone }: Call): () => Patience {
  const { environment, waitMs } = context;
  const end = environment.now().getTime() + waitMs;
  return () => ({ environment, waitMs: end - environment.now().getTime(), gone });
}

/**
 * The one machine of a cloud that is meant: by its server's id, else its server's name, else its own. What the caller may not see is not there.
 * @throws V1Error 400 for none, or more than one. ApiError Forbidden for who may see none.
 */
async function machineNamed(call: Call, cloud: ServedCloud, asked: string): Promise<VirtualMachine> {
  const machines = await machinesIn(call, cloud);
  const ways = [({ status }: VirtualMachine) => status?.id, hostnameOf, ({ metadata }: VirtualMachine) => metadata.name];
  const found = ways.map((way) => machines.filter((each) => way(each) === asked)).find(({ length }) => length > 0) ?? [];
  const [first] = found;
  if (!first) throw new V1Error(400, 'no useful node id here');
  if (found.length === 1) return first;
  throw new V1Error(400, `${found.length} nodes are called ${JSON.stringify(asked)}: name one by its server's id`);
}

/** The assignments that have a machine, and those declared here that are to have it. */
async function assignmentsOf({ caller }: Call, { metadata }: VirtualMachine): Promise<Assignment[]> {
  const { items } = await caller.store.list(KIND, { namespace: metadata.namespace ?? '' });
  return items
    .flatMap((each) => asAssignment(each) ?? [])
    .filter((each) =>
      each.status?.virtualMachine ? each.status.virtualMachine.uid === metadata.uid : isFor(each, metadata.name),
    );
}

function isFor({ metadata, spec }: Assignment, machine: string): boolean {
  return spec.virtualMachineRef?.name === machine && metadata.labels?.[LABEL] !== undefined;
}

function lasts({ metadata, status }: Assignment): boolean {
  return !metadata.deletionTimestamp && !status?.ended;
}

/** Who has a machine, as it and its assignment say. */
function userOf(now: Resource | undefined, uid: string): string | undefined {
  return now?.metadata.uid === uid ? asMachine(now)?.status?.assignment?.user : undefined;
}

/** True once nobody has a machine any more, or nobody will have it again. */
function isGivenBack(now: Resource | undefined, uid: string): boolean {
  if (now?.metadata.uid !== uid || now.metadata.deletionTimestamp) return true;
  const machine = asMachine(now);
  return machine !== undefined && machine.spec.claimRef === undefined && machine.status?.assignment === undefined;
}

async function whyWaiting({ caller }: Call, assignment: Resource, machine: VirtualMachine): Promise<string> {
  const now = await caller.store.get(keyOf(assignment));
  const said = now && currentCondition(now, 'Ready')?.message;
  return `Node ${nodeName(machine)} could not be assigned in time${said === undefined ? '' : `: ${said}`}`;
}
