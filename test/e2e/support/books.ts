import { stringify } from 'yaml';
import { z } from 'zod';
import { cisternNodeSchema } from '../../../src/api/cistern-node.js';
import { assignmentSpecSchema, assignmentStatusSchema } from '../../../src/resources/assignment.js';
import { virtualMachineSpecSchema, virtualMachineStatusSchema } from '../../../src/resources/virtual-machine.js';
import type { Dispatcher } from './dispatcher.js';

const metadata = z.object({ name: z.string(), uid: z.string(), labels: z.record(z.string(), z.string()).default({}) });
const machinesSchema = z.object({
  items: z.array(z.object({ metadata, spec: virtualMachineSpecSchema, status: virtualMachineStatusSchema.default({}) })),
});
const assignmentsSchema = z.object({
  items: z.array(z.object({ metadata, spec: assignmentSpecSchema, status: assignmentStatusSchema.default({}) })),
});
const nodesSchema = z.object({ nodes: z.union([z.array(cisternNodeSchema), z.strictObject({}).transform(() => [])]) });

type Machine = z.infer<typeof machinesSchema>['items'][number];

/** A VirtualMachineAssignment as kubectl tells it. */
export type Assigned = z.infer<typeof assignmentsSchema>['items'][number];

/** All VirtualMachines of a Dispatcher in the namespace default. */
export async function machinesOf(dispatcher: Dispatcher): Promise<Machine[]> {
  return machinesSchema.parse(JSON.parse(await dispatcher.kubectl(['get', 'vm', '-o', 'json']))).items;
}

/** All VirtualMachineAssignments of a Dispatcher in the namespace default. */
export async function assignmentsOf(dispatcher: Dispatcher): Promise<Assigned[]> {
  return assignmentsSchema.parse(JSON.parse(await dispatcher.kubectl(['get', 'vma', '-o', 'json']))).items;
}

/** The status and reason of a condition, `True Bound`; undefined where it is not there. */
export function saidOf({ status }: Pick<Assigned | Machine, 'status'>, condition: string): string | undefined {
  const found = status.conditions?.find(({ type }) => type === condition);
  return found && `${found.status} ${found.reason}`;
}

/** Declares with kubectl. */
export async function apply(dispatcher: Dispatcher, ...manifests: readonly object[]): Promise<void> {
  if (manifests.length === 0) return;
  await dispatcher.kubectl(['apply', '-f', '-'], manifests.map((manifest) => stringify(manifest)).join('---\n'));
}

/** A plain HTTP client of the built-in Cistern of a Dispatcher, for its Cloud `lab`. */
export function cisternOf(dispatcher: Dispatcher, token: string) {
  const call = async (method: string, path: string, body?: object) => {
    const reply = await fetch(`${dispatcher.http}/cistern/api/v1${path}`, {
      method,
      headers: { 'x-auth-token': token, 'content-type': 'application/json' },
      ...(body && { body: JSON.stringify(body) }),
    });
    return { code: reply.status, body: (await reply.json()) as unknown };
  };
  return {
    assign: (hostname: string, user: string) => call('POST', '/vm/assign/lab', { hostname, user, vm_type: 'galaxy' }),
    release: (hostname: string) => call('PUT', '/vm/release/lab', { hostname }),
    /** The nodes that are free or assigned. */
    nodes: async () => nodesSchema.parse((await call('GET', '/nodes/lab')).body).nodes,
  };
}

/**
 * What an operator does for a Dispatcher that is another's inventory: a record that watches each of the other's servers once that is
 * ready, and none of servers that are gone, nor an assignment that was for one of these.
 */
export async function keepBooks(owner: Dispatcher, inventory: Dispatcher): Promise<void> {
  const [owned, watching] = await Promise.all([machinesOf(owner), machinesOf(inventory)]);
  const gone = watching.filter((record) => saidOf(record, 'Ready') === 'False AdoptedServerGone');
  for (const record of gone) {
    const { name } = record.metadata;
    await inventory.kubectl(['delete', 'vm', name, '--ignore-not-found']);
    const stranded = (await assignmentsOf(inventory)).filter(({ spec }) => spec.virtualMachineRef?.name === name);
    for (const { metadata } of stranded) await inventory.kubectl(['delete', 'vma', metadata.name, '--ignore-not-found']);
  }
  const known = new Set(watching.map(({ spec }) => spec.adopt?.id));
  const unknown = owned.filter((vm) => saidOf(vm, 'Ready')?.startsWith('True') && !known.has(vm.status.id));
  await apply(inventory, ...unknown.map(watcher));
}

function watcher({ metadata, spec, status }: Machine): object {
  const { cloudRef, image, flavor, networks } = spec;
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name: `vm-${status.id}`, namespace: 'default' },
    spec: { cloudRef, image, flavor, networks, hostname: metadata.name, management: 'Observe', adopt: { id: status.id } },
  };
}
