import { type CisternNode, isFree } from '../../cistern/protocol.js';
import { FAULTY_ANNOTATION, type VirtualMachine } from '../../resources/virtual-machine.js';
import type { Opinion } from '../pool/standing.js';
import type { Holder, InventoryView } from './view.js';

/** What is known of a machine in the inventory of its Cloud: facts only. */
export type Sight =
  /** The Cloud names no inventory. */
  | { readonly kind: 'undeclared' }
  /** It names one, or may do so, and that one is not looked at. `why`: a sentence. */
  | { readonly kind: 'unconnected'; readonly why: string }
  | {
      readonly kind: 'connected';
      /** What the last look told of the machine's server, and what was noted since. */
      readonly node: CisternNode | undefined;
      /** When the last complete look began; undefined before the first. */
      readonly observedAt: Date | undefined;
      /** True if that is too long ago to hand anything out by. */
      readonly stale: boolean;
      /** True if an assign of that server had no known outcome, and no look since has told. */
      readonly doubted: boolean;
    };

/** What the inventory of a machine's Cloud, or a person on its behalf, says of it. Pure. */
export function viewOf(vm: VirtualMachine, sight: Sight): InventoryView {
  const seen = seenOf(vm, sight);
  const faulty = vm.metadata.annotations?.[FAULTY_ANNOTATION];
  if (faulty === undefined) return seen;
  return { ...seen, opinion: { kind: 'faulty', why: faulty.trim() || `the annotation ${FAULTY_ANNOTATION} is set` } };
}

/** Why nothing is known of a machine in the inventory of its Cloud; undefined if that lists it, or there is none. Pure. */
export function whyUnseen(vm: VirtualMachine, sight: Sight): string | undefined {
  if (sight.kind === 'undeclared') return undefined;
  if (sight.kind === 'unconnected') return sight.why;
  const cloud = vm.spec.cloudRef.name;
  const id = vm.status?.id;
  if (id === undefined) return 'it has no server yet that an inventory could list';
  if (sight.node) return undefined;
  if (!sight.observedAt || sight.stale) return silent(cloud, sight.observedAt);
  return `the inventory of Cloud ${cloud} does not list its server ${id}`;
}

function seenOf(vm: VirtualMachine, sight: Sight): InventoryView {
  const why = whyUnseen(vm, sight);
  if (why !== undefined) return { opinion: { kind: 'unknown', why }, holder: { kind: 'unknown', why }, activeAt: undefined };
  if (sight.kind !== 'connected' || !sight.node)
    return { opinion: { kind: 'none' }, holder: { kind: 'none' }, activeAt: undefined };
  const cloud = vm.spec.cloudRef.name;
  const { node } = sight;
  const outdated = outdatedBy(cloud, node.serverId, sight);
  return { opinion: opinionOf(cloud, node, outdated), holder: holderOf(node, outdated), activeAt: node.lastActivity };
}

function outdatedBy(
  cloud: string,
  serverId: string,
  { observedAt, stale, doubted }: Extract<Sight, { kind: 'connected' }>,
): Unknown | undefined {
  if (stale) return { kind: 'unknown', why: silent(cloud, observedAt) };
  if (!doubted) return undefined;
  return {
    kind: 'unknown',
    why: `the inventory of Cloud ${cloud} has not told yet whether it gave server ${serverId} to anybody`,
  };
}

type Unknown = Extract<Opinion, { kind: 'unknown' }>;

/** @param outdated what is said instead of that a machine is free, if what is known is too old for that. */
function opinionOf(cloud: string, node: CisternNode, outdated: Unknown | undefined): Opinion {
  const { faulty, status, user } = node;
  if (faulty) return { kind: 'faulty', why: `it is listed as faulty there${status === '' ? '' : ` ("${status}")`}` };
  if (user !== '') return { kind: 'taken', user };
  if (outdated) return outdated;
  if (isFree(node)) return { kind: 'free' };
  return { kind: 'unknown', why: `the inventory of Cloud ${cloud} says "${status}" of its server ${node.serverId}` };
}

function holderOf({ user }: CisternNode, outdated: Unknown | undefined): Holder {
  return user === '' ? (outdated ?? { kind: 'nobody' }) : { kind: 'user', user };
}

function silent(cloud: string, observedAt: Date | undefined): string {
  const since = observedAt === undefined ? 'yet' : `since ${observedAt.toISOString()}`;
  return `the inventory of Cloud ${cloud} has not answered ${since}`;
}
