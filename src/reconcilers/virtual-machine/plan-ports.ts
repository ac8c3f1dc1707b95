import type { Server } from '../../clouds/driver.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Observation, PortFact, PortsView } from './observation.js';
import { isOwnedBy } from './owner.js';
import type { Step, WantedPort } from './steps.js';
import { type Plan, progressing, serverName, soon, stalled, steps } from './verdict.js';

/** What a record says of a port of its own. */
type NamedPort = NonNullable<NonNullable<VirtualMachine['status']>['ports']>[number];

/** True for a record that has ports of ours, or is to have them. */
export function usesPorts({ spec, status }: Pick<VirtualMachine, 'spec' | 'status'>): boolean {
  return (Array.isArray(spec.networks) && !spec.adopt) || (status?.ports ?? []).length > 0;
}

/**
 * What becomes of a record's ports before a server is asked for: a plan that goes first, or the steps that lead to the ports which the
 * create is handed. Every attempt is handed the same ones, and a cloud gives a port to one server only.
 *
 * Nothing is made before a complete list that began after all that may have made ports: those of a process that was killed are in it.
 * @param networks what spec.networks stands for in the cloud.
 */
export function planPorts(
  vm: VirtualMachine,
  observation: Observation,
  networks: 'none' | readonly string[] | undefined,
  now: Date,
): Plan | readonly Step[] {
  const wanted = typeof networks === 'object' ? networks : [];
  const named = vm.status?.ports ?? [];
  if (wanted.length === 0 && named.length === 0) return [];
  const { ports } = observation;
  const unseen = named.filter((port) => !factOf(port.id, ports)).map(({ at }) => at);
  const after = latest([ports.unsureSince, ...[vm.status?.ledger?.at, ...unseen].flatMap((at) => (at ? justAfter(at) : []))]);
  if (!isListed(ports, after)) return listing(ports, after);

  const chosen = choose(wanted, named, ports);
  const taken = chosen.flatMap(({ fact }) => (fact && isHeld(fact) ? [fact] : []));
  if (taken.length > 0) {
    // It may be a server of an earlier attempt, which no list has shown yet.
    const name = vm.status?.ledger?.serverName ?? serverName(vm);
    return observation.askedByName ? portTaken(taken, now) : steps('Observing', [{ kind: 'AskByName', name }]);
  }
  const kept = new Set(chosen.flatMap(({ fact }) => fact?.port.id ?? []));
  const surplus = named.flatMap(({ id }) => (kept.has(id) ? [] : (factOf(id, ports) ?? []))).filter((fact) => !isHeld(fact));
  const deletion: Step[] =
    surplus.length > 0
      ? [{ kind: 'DeletePorts', ids: surplus.map(({ port }) => port.id), why: 'its network is not declared any more' }]
      : [];
  const list = chosen.map(({ network, fact }): WantedPort => ({ network, ...(fact ? { id: fact.port.id } : {}) }));
  if (list.some(({ id }) => id === undefined)) return [...deletion, { kind: 'MakePorts', ports: list }];
  const left = named.filter(({ id }) => !surplus.some(({ port }) => port.id === id));
  const same = list.length === left.length && list.every(({ id }, index) => id === left[index]?.id);
  return same ? deletion : [...deletion, { kind: 'KeepPorts', ports: list }];
}

/** What is said of declared networks where the cloud has no network service: before any name is looked up in it. */
export function withoutNetworks({ spec }: VirtualMachine, { ports }: Observation, now: Date): Plan | undefined {
  if (!Array.isArray(spec.networks) || !ports.trouble?.lacking) return undefined;
  return stalled(
    'NetworkUnsupported',
    `spec.networks: ${ports.trouble.message}: take the field out, or declare a Cloud that has one`,
    { on: 'the network service of the cloud', until: soon(now) },
  );
}

/**
 * What is to be put right of the ports of a server that is there and runs, or has run: undefined if nothing is, as far as is known. Two
 * creates at the same moment can both be accepted; the one that loses may take the port off the other.
 */
export function planPortsPresent(vm: VirtualMachine, observation: Observation, server: Server, now: Date): Plan | undefined {
  const { ports } = observation;
  const { ports: named = [], builtAt } = vm.status ?? {};
  if (named.length === 0) return planLostPorts(vm, observation, server);
  if (builtAt === undefined || ports.completeAt === undefined) return undefined;
  const standing = named.map((port) => ({ port, standing: standingOf(port, ports) }));
  const list = standing.map(
    ({ port, standing: how }): WantedPort => ({ network: port.network, ...(how === 'gone' ? {} : { id: port.id }) }),
  );
  if (list.some(({ id }) => id === undefined)) {
    if (!isListed(ports, ports.unsureSince)) return listing(ports, ports.unsureSince);
    if (observation.groups.kind === 'pending') return firewallPending(observation.groups.message, now);
    const instead = standing.flatMap(({ port, standing: how }) => (how === 'gone' ? [port.address ?? port.id] : []));
    const spare = spares(named, ports);
    const adopted = list.map((one) => (one.id === undefined ? { ...one, ...spare(one.network) } : one));
    return steps('PortGone', [{ kind: 'MakePorts', ports: adopted, instead }]);
  }
  const facts = named.flatMap(({ id }) => factOf(id, ports) ?? []);
  const off = facts.filter(({ port, asOf }) => port.serverId !== server.id && asOf >= new Date(builtAt));
  const free = off.filter((fact) => !isHeld(fact));
  if (free.length > 0)
    return steps(
      'Correcting',
      free.map(({ port }): Step => ({ kind: 'AttachPort', id: server.id, port: port.id })),
    );
  const twins = off.filter(({ holder }) => typeof holder === 'object' && isOurs(vm, observation, holder));
  if (twins.length > 0)
    return progressing('Deleting', 'waiting until the server that has its port is gone', { on: 'deletion', moving: true });
  return off.length > 0 ? portTaken(off, now) : undefined;
}

/** The list of ports that tells whether a server got its own: undefined if that is known. `now`: when it is seen to be built. */
export function confirmation({ status }: VirtualMachine, { ports }: Observation, server: Server, now: Date): Date | undefined {
  const since = new Date(status?.builtAt ?? now);
  const times = (status?.ports ?? []).flatMap((named): Date[] => {
    const fact = factOf(named.id, ports);
    if (fact) return fact.port.serverId !== server.id && fact.asOf < since ? [since] : [];
    return standingOf(named, ports) === 'unseen' ? [latest([since, justAfter(named.at)]) ?? since] : [];
  });
  return latest(times);
}

/**
 * What becomes of the ports of a record that is deleted, once its servers are gone: a plan that goes first, or the steps. A port on a server
 * that is not the record's stays: that server was moved, or is somebody's.
 */
export function planPortsDeletion(vm: VirtualMachine, observation: Observation): Plan | readonly Step[] {
  const { ports } = observation;
  const { known } = ports;
  if ((!usesPorts(vm) && known.length === 0) || ports.trouble?.lacking) return [];
  if (!isListed(ports, ports.unsureSince)) return listing(ports, ports.unsureSince);
  const unseen = (vm.status?.ports ?? []).filter((port) => !factOf(port.id, ports) && standingOf(port, ports) === 'unseen');
  const free = known.filter(({ holder }) => typeof holder !== 'object' || isOurs(vm, observation, holder));
  const ids = [...free.map(({ port }) => port.id), ...unseen.map(({ id }) => id)];
  return ids.length > 0 ? [{ kind: 'DeletePorts', ids, why: 'the resource is deleted' }] : [];
}

/** What becomes of the ports of a record whose server is to stay: those on it lose our owner tag, others go. */
export function planPortsOrphaned(vm: VirtualMachine, observation: Observation): Plan | readonly Step[] {
  const { ports } = observation;
  if ((!usesPorts(vm) && ports.known.length === 0) || ports.trouble?.lacking) return [];
  if (!isListed(ports, ports.unsureSince)) return listing(ports, ports.unsureSince);
  const owned = ports.known.filter(({ port }) => port.owner);
  const ids = (held: boolean) => owned.filter((fact) => isHeld(fact) === held).map(({ port }) => port.id);
  const [staying, going] = [ids(true), ids(false)];
  return [
    ...(staying.length > 0 ? [{ kind: 'DisownPorts', ids: staying } as const] : []),
    ...(going.length > 0 ? [{ kind: 'DeletePorts', ids: going, why: 'no server has them' } as const] : []),
  ];
}

/** What is said while a rule is for a machine whose security group is not there yet. */
export function firewallPending(message: string, now: Date): Plan {
  return progressing('FirewallPending', message, { on: 'firewall rules', until: soon(now) });
}

/** A status that was lost, or left behind with another installation: the ports on the server bear an owner tag. */
function planLostPorts(vm: VirtualMachine, observation: Observation, server: Server): Plan | undefined {
  if (!usesPorts(vm)) return undefined;
  const own = observation.ports.known.filter(({ port }) => port.owner && port.serverId === server.id);
  if (own.length === 0) return undefined;
  const list = own.map(({ port }): WantedPort => ({ network: port.networkId, id: port.id }));
  return steps('Observing', [{ kind: 'KeepPorts', ports: list }]);
}

/** For each network the port that the record names; else one that was made for it and that nothing has. */
function choose(
  wanted: readonly string[],
  named: readonly NamedPort[],
  ports: PortsView,
): { network: string; fact: PortFact | undefined }[] {
  const own = named.flatMap(({ id }) => factOf(id, ports) ?? []);
  const spare = spares(named, ports);
  return wanted.map((network) => {
    const index = own.findIndex(({ port }) => port.networkId === network);
    const [fact] = index < 0 ? [] : own.splice(index, 1);
    return { network, fact: fact ?? factOf(spare(network)?.id ?? '', ports) };
  });
}

/** Hands out, one after another, the ports that bear our owner tag, that no server has, and that the record does not name. */
function spares(named: readonly NamedPort[], { known }: PortsView): (network: string) => { readonly id: string } | undefined {
  const left = known.filter((fact) => !isHeld(fact) && !named.some(({ id }) => id === fact.port.id));
  return (network) => {
    const index = left.findIndex(({ port }) => port.networkId === network);
    const [fact] = index < 0 ? [] : left.splice(index, 1);
    return fact && { id: fact.port.id };
  };
}

function factOf(id: string, { known }: PortsView): PortFact | undefined {
  return known.find(({ port }) => port.id === id);
}

function standingOf({ id, at }: NamedPort, ports: PortsView): 'there' | 'gone' | 'unseen' {
  if (factOf(id, ports)) return 'there';
  if (ports.gone.includes(id)) return 'gone';
  return ports.completeAt && ports.completeAt >= justAfter(at) ? 'gone' : 'unseen';
}

function isHeld({ holder }: PortFact): boolean {
  return holder !== undefined && holder !== 'gone';
}

function isOurs({ metadata }: VirtualMachine, { installation }: Observation, holder: Server): boolean {
  return isOwnedBy(holder, { installation, uid: metadata.uid });
}

function portTaken([fact]: readonly PortFact[], now: Date): Plan {
  const { id, addresses, serverId } = fact?.port ?? {};
  return stalled(
    'PortTaken',
    `port ${id} (${addresses?.join(', ')}) of this resource is on server ${serverId}, which is not its own: take it off there, or delete the port`,
    { on: 'the port', until: soon(now) },
  );
}

function isListed({ completeAt }: PortsView, after: Date | undefined): boolean {
  return completeAt !== undefined && (after === undefined || completeAt >= after);
}

function listing({ trouble }: PortsView, after: Date | undefined): Plan {
  const wait = { on: 'a list of ports', portsAfter: after ?? new Date(0), moving: true };
  if (trouble) return progressing('CloudUnreachable', trouble.message, wait);
  return progressing('Observing', 'waiting for a complete list of the ports in the cloud', wait);
}

/** A list that begins in the same millisecond may have begun before. */
function justAfter(at = ''): Date {
  return new Date((Date.parse(at) || 0) + 1);
}

function latest(times: readonly (Date | undefined)[]): Date | undefined {
  const known = times.flatMap((time) => time?.getTime() ?? []);
  return known.length > 0 ? new Date(Math.max(...known)) : undefined;
}
