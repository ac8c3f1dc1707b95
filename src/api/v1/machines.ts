import { z } from 'zod';
import type { Resource } from '../../resources/metadata.js';
import { labelName } from '../../resources/metadata.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Verb } from '../auth/roles.js';
import { asMachine } from '../typed.js';
import type { ServedCloud } from './clouds.js';
import { V1Error } from './errors.js';
import { askedNamespace, DEFAULT_NAMESPACE } from './namespace.js';
import type { Call } from './operation.js';

/** How a machine is named: by exactly one of the two. */
export const whichMachine = {
  node: z.string().min(1).max(255).optional().describe("The server's id in the cloud. This or hostname."),
  hostname: z.string().min(1).max(255).optional().describe("The server's name, or its id. This or node."),
};

/** One of {@link whichMachine}. */
export interface Which {
  readonly node?: string | undefined;
  readonly hostname?: string | undefined;
}

/** @throws V1Error 400 unless exactly one of the two is there. */
export function exactlyOne({ node, hostname }: Which): void {
  if ((node === undefined) !== (hostname === undefined)) return;
  throw new V1Error(400, "Some key doesn't validate the schema - exactly one of node and hostname must be given");
}

/**
 * The resources of a kind that the caller may see, in all namespaces or those of the caller's roles.
 * @throws ApiError Forbidden for who may see none.
 */
export async function visible(call: Call, kind: string): Promise<readonly Resource[]> {
  const { store, namespaces } = call.caller;
  if (await call.acts.may('list', kind)) return (await store.list(kind)).items;
  const allowed = await Promise.all(namespaces.map((namespace) => call.acts.may('list', kind, namespace)));
  const seen = namespaces.filter((_, index) => allowed[index]);
  if (seen.length === 0) throw call.acts.forbidden('list', kind, namespaces[0] ?? DEFAULT_NAMESPACE);
  const lists = await Promise.all(seen.map((namespace) => store.list(kind, { namespace })));
  return lists.flatMap(({ items }) => items);
}

/** The machines of a cloud that the caller may see. @throws ApiError Forbidden for who may see none. */
export async function machinesIn(call: Call, { cloud }: ServedCloud): Promise<readonly VirtualMachine[]> {
  const all = await visible(call, 'VirtualMachine');
  return all.flatMap((resource) => {
    const machine = asMachine(resource);
    return machine?.spec.cloudRef.name === cloud ? [machine] : [];
  });
}

/**
 * The one machine of a cloud that is meant. What the caller may not see is not there.
 * @throws V1Error 400 "no useful node id here" for none, or saying how many bear the hostname. ApiError Forbidden for who may see none.
 */
export async function findMachine(call: Call, cloud: ServedCloud, which: Which): Promise<VirtualMachine> {
  exactlyOne(which);
  const { node, hostname } = which;
  const machines = await machinesIn(call, cloud);
  const byId = machines.filter(({ status }) => status?.id !== undefined && status.id === (node ?? hostname));
  const all = byId.length > 0 || node !== undefined ? byId : machines.filter((machine) => hostnameOf(machine) === hostname);
  // One that is on its way out stands in no other's way.
  const staying = all.filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  const found = staying.length > 0 ? staying : all;
  const [first] = found;
  if (!first) throw new V1Error(400, 'no useful node id here');
  if (found.length === 1) return first;
  const ids = found.map((machine) => nodeName(machine)).join(', ');
  throw new V1Error(
    400,
    `${found.length} nodes have the hostname ${JSON.stringify(hostname ?? node)}: name one by its id: ${ids}`,
  );
}

/** The server's name. */
export function hostnameOf({ metadata, spec }: VirtualMachine): string {
  return spec.hostname ?? metadata.name;
}

/** What answers call a machine: the server's id, or its name while there is none. */
export function nodeName(machine: VirtualMachine): string {
  return machine.status?.id ?? hostnameOf(machine);
}

/**
 * Where something is declared that is in no namespace yet: the query parameter `namespace`, else the first namespace of the caller's roles
 * in which that may be done; `default` for a role that is for all.
 * @throws V1Error 400 for what is no name of a namespace.
 */
export async function namespaceFor(call: Call, verb: Verb, kind: string): Promise<string> {
  const asked = askedNamespace(call.query);
  if (asked !== undefined) return asked;
  for (const namespace of [...call.caller.namespaces, DEFAULT_NAMESPACE])
    if (await call.acts.may(verb, kind, namespace)) return namespace;
  return DEFAULT_NAMESPACE;
}

/** For the query of operations that declare. */
export const namespaceQuery = z.object({
  namespace: labelName
    .optional()
    .describe("Where it is declared. Default: the first namespace of the caller's role; default for a role in all."),
});

/** Why a machine whose declaration were deleted would not be destroyed; undefined if it would. Pure. */
export function whyKept({ spec, metadata }: VirtualMachine): string | undefined {
  const kept = spec.protected
    ? 'spec.protected is true'
    : spec.paused
      ? 'spec.paused is true'
      : spec.management === 'Observe'
        ? 'spec.management is Observe'
        : spec.deletionPolicy === 'Orphan'
          ? 'spec.deletionPolicy is Orphan'
          : undefined;
  return kept && `the VirtualMachine ${metadata.namespace}/${metadata.name} is not to be destroyed: its ${kept}`;
}
