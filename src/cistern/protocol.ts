import { z } from 'zod';

/** A VM as a Cistern knows it. What Cistern did not tell is the empty string. */
export interface CisternNode {
  /** Cistern's own id for it. */
  readonly id: string;
  /** The cloud's id of the server (`id_vm`). Never empty. */
  readonly serverId: string;
  /** What Cistern calls it in assign and release. */
  readonly hostname: string;
  /** Whose it is; empty if nobody's. */
  readonly user: string;
  readonly recipe: string;
  /** What its user runs on it, where Cistern tells. */
  readonly application?: string;
  /** Cistern's word for its state, such as `FREE`. */
  readonly status: string;
  readonly faulty: boolean;
  /** When its user was last seen to be active, where Cistern tells. */
  readonly lastActivity?: Date;
}

/** What an assign or a release that was carried out answers. What Cistern did not tell is the empty string. */
export interface CisternReceipt {
  /** The cloud's id of the server. */
  readonly serverId: string;
  /** Cistern's own words. */
  readonly result: string;
}

/** True if the node can be given to somebody: sound, nobody's, and in no other state that Cistern has a word for. */
export function isFree({ faulty, user, status }: CisternNode): boolean {
  return !faulty && user === '' && (status === '' || /^free$/i.test(status));
}

/** Text, where numbers may stand for it, and it may be null or missing. */
const text = z
  .union([z.string(), z.number()])
  .nullish()
  .transform((value) => String(value ?? '').trim());

const nodeSchema = z
  .object({
    id: text,
    id_vm: text,
    hostname: text,
    user: text,
    recipe: text,
    application: text,
    status_desc: text,
    // An addition of ours: one that cannot be read is none.
    last_activity: z.iso.datetime({ offset: true }).optional().catch(undefined),
  })
  .transform(
    (node): CisternNode => ({
      id: node.id,
      serverId: node.id_vm,
      hostname: node.hostname,
      user: node.user,
      recipe: node.recipe,
      ...(node.application === '' ? {} : { application: node.application }),
      status: node.status_desc,
      faulty: /fault/i.test(node.status_desc),
      ...(node.last_activity === undefined ? {} : { lastActivity: new Date(node.last_activity) }),
    }),
  );

/** The answer to a list. Nodes that have no server yet are left out. `{}` is how a Cistern says that there are none; a missing key says nothing. */
export const nodesAnswer = z
  .object({
    status: z.literal('ok'),
    nodes: z.union([z.array(nodeSchema), z.strictObject({}).transform((): CisternNode[] => [])]),
  })
  .transform(({ nodes }) => nodes.filter(({ serverId }) => serverId !== ''));

/** The answer to an assign or a release. */
export const receiptAnswer = z
  .object({ status: z.literal('ok'), id_vm: text, result: text })
  .transform((answer): CisternReceipt => ({ serverId: answer.id_vm, result: answer.result }));

/** What a Cistern answers, with whatever HTTP status, to what it does not do. */
export const errorAnswer = z.object({ status: z.literal('error'), message: text }).transform(({ message }) => message);

/** Nodes of `all` (asked with faulty ones) that `active` (asked afterwards, without) lacks: each is faulty, or has gone in between. */
export function missingFrom(active: readonly CisternNode[], all: readonly CisternNode[]): readonly CisternNode[] {
  const listed = new Set(active.map(({ serverId }) => serverId));
  return all.filter(({ serverId }) => !listed.has(serverId));
}

/**
 * One list from those that Cistern gave: the active ones, and those that it left out of them and still lists among all, which are faulty.
 * @param afterwards the list of all, asked after `active`. @param missing see {@link missingFrom}
 */
export function withFaulty(
  active: readonly CisternNode[],
  missing: readonly CisternNode[],
  afterwards: readonly CisternNode[],
): readonly CisternNode[] {
  const suspected = new Set(missing.map(({ serverId }) => serverId));
  const faulty = afterwards.filter(({ serverId }) => suspected.has(serverId)).map((node) => ({ ...node, faulty: true }));
  return [...active, ...faulty];
}
