import type { Server } from '../../clouds/driver.js';
import { CLOUD_ERRORS, type CloudError } from '../../clouds/errors.js';
import { mergeConditions, type ProposedCondition } from '../../resources/conditions.js';
import { sameJson } from '../../resources/same-json.js';
import type { VirtualMachine, VirtualMachineStatus } from '../../resources/virtual-machine.js';
import type { Assignee } from './assignee.js';
import type { UserData } from './observation.js';
import { describeStep, type Step } from './steps.js';
import { condition, networksOf, type Plan } from './verdict.js';

/** The conditions that this reconciler writes; others are left alone. */
const OWNED: ReadonlySet<string> = new Set(['Ready', 'Reconciling', 'Stalled']);
const LONGEST_TEXT = 2048;

/** Text cut to what a status field takes. */
export function clip(text: string): string {
  return text.length > LONGEST_TEXT ? `${text.slice(0, LONGEST_TEXT - 1)}…` : text;
}

/** The status with what the cloud says of the bound server. */
export function withServer(status: VirtualMachineStatus, server: Server, asOf: Date): VirtualMachineStatus {
  const { failures, ...rest } = status;
  const built = (server.state === 'Running' || server.state === 'Stopped') && server.task === undefined;
  return {
    ...(built ? rest : status),
    state: server.state,
    addresses: server.addresses.slice(0, 64).map((address) => ({ ...address })),
    ...(built && !status.builtAt ? { builtAt: asOf.toISOString() } : {}),
    ...(server.imageId ? { image: { ...(status.image?.id === server.imageId ? status.image : {}), id: server.imageId } } : {}),
    ...flavorOf(status, server),
  };
}

/** Clouds tell the id or the name; what was known of the other is kept while it fits. */
function flavorOf(
  { flavor: known }: VirtualMachineStatus,
  { flavorId, flavorName }: Server,
): Pick<VirtualMachineStatus, 'flavor'> {
  const fits = known && (flavorId === undefined ? known.name === flavorName : known.id === flavorId);
  const id = flavorId ?? (fits ? known.id : flavorName);
  const name = flavorName ?? (fits ? known.name : undefined);
  return id === undefined ? {} : { flavor: { id, ...(name === undefined ? {} : { name }) } };
}

/**
 * The status after a server was bound. What it was made with is known of the attempt in the ledger only; of an adopted server, or one that an
 * earlier attempt made, just what the cloud shows: the rest counts as declared.
 */
export function withBound(vm: VirtualMachine, server: Server, adopted: boolean, userData: UserData): VirtualMachineStatus {
  const status = vm.status ?? {};
  const known = !adopted && server.owner !== undefined && server.owner.attempt === status.applied?.attempt;
  const asDeclared = {
    networks: networksOf(vm),
    keyName: server.keyName ?? (adopted ? (vm.spec.keyName ?? '') : ''),
    ...(userData.kind === 'found' ? { userDataHash: userData.hash } : {}),
    ...rebuildsOf(vm.spec),
  };
  const applied = {
    ...(known ? status.applied : asDeclared),
    // A server whose metadata was taken away is known by its tag, which bears no attempt.
    ...(server.owner?.attempt ? { attempt: server.owner.attempt } : {}),
    ...(server.imageId ? { imageId: server.imageId } : {}),
  };
  return { ...status, id: server.id, applied };
}

/** The rebuilds that a new server counts as having seen. */
export function rebuildsOf({ rebuilds }: VirtualMachine['spec']): { rebuilds?: number } {
  return rebuilds === undefined ? {} : { rebuilds };
}

/** The status without a rebuild that was asked for: it has begun, or was refused. */
export function withoutRebuild({ rebuild: _asked, ...status }: VirtualMachineStatus): VirtualMachineStatus {
  return status;
}

/** The status after a rebuild has begun: nothing that was on the disk is there any more. */
export function withRebuilt(
  { rebuild: _asked, builtAt: _before, ...status }: VirtualMachineStatus,
  number: number,
): VirtualMachineStatus {
  return { ...status, applied: { ...status.applied, rebuilds: number } };
}

/** The status with who has the machine. */
export function withAssignee(
  { assignment: _before, ...status }: VirtualMachineStatus,
  assignee: Assignee | undefined,
): VirtualMachineStatus {
  return assignee ? { ...status, assignment: { ...assignee } } : status;
}

/** The status after the bound server was found gone: its attempt is closed, so that another may be made. */
export function withoutServer(status: VirtualMachineStatus, why: string): VirtualMachineStatus {
  const { id, state, addresses, firewall, builtAt, applied, ledger, rebuild, ...rest } = status;
  if (!ledger) return rest;
  const closes = applied?.attempt === undefined || applied.attempt === ledger.token;
  return { ...rest, ledger: closes ? { ...ledger, closed: clip(`server ${id}: ${why}`) } : ledger };
}

/**
 * The status as it is to be written: with the plan's conditions, and with the plan itself where it is not about to be followed.
 * `observedAt` moves only along with something else, so that audits write nothing.
 */
export function withPlan(vm: VirtualMachine, plan: Plan, now: Date): VirtualMachineStatus {
  const { plan: _shown, ...status } = withConditions(vm, plan.conditions, now);
  if (plan.steps.length === 0) return status;
  return { ...status, plan: plan.steps.slice(0, 32).map((step) => ({ step: step.kind, detail: clip(describeStep(step)) })) };
}

/** The status with those conditions, for the present generation. */
export function withConditions(
  vm: Pick<VirtualMachine, 'metadata' | 'status'>,
  proposed: readonly ProposedCondition[],
  now: Date,
): VirtualMachineStatus {
  const { generation } = vm.metadata;
  const clipped = proposed.map((one) => ({ ...one, message: clip(one.message) }));
  const conditions = mergeConditions(vm.status?.conditions ?? [], clipped, OWNED, generation, now);
  return { ...vm.status, observedGeneration: generation, conditions };
}

/** What is said when a step failed: the cloud's own words, and what a person may do. */
export function failureConditions(step: Step, error: CloudError): ProposedCondition[] {
  const { advice, retry } = CLOUD_ERRORS[error.code];
  const message = clip(`could not ${describeStep(step)}: ${error.message}. To do: ${advice}`);
  const type = retry === 'change' ? 'Stalled' : 'Reconciling';
  return [condition('Ready', 'False', error.code, message), condition(type, 'True', error.code, message)];
}

/** True if two statuses say the same, the time of the observation aside. */
export function sameStatus(a: VirtualMachineStatus | undefined, b: VirtualMachineStatus): boolean {
  return a !== undefined && sameJson({ ...a, observedAt: undefined }, { ...b, observedAt: undefined });
}
