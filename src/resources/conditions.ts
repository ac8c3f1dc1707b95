import { z } from 'zod';

const statusValue = z.enum(['True', 'False', 'Unknown']);

/** A condition as in Kubernetes' `metav1.Condition`. */
export const conditionSchema = z.strictObject({
  type: z.string().min(1).max(316),
  status: statusValue,
  observedGeneration: z.int().nonnegative().optional(),
  lastTransitionTime: z.string().max(40),
  reason: z
    .string()
    .min(1)
    .max(1024)
    .regex(/^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$/),
  message: z.string().max(32_768),
});

/** One observed aspect of a resource. */
export type Condition = z.infer<typeof conditionSchema>;

/** A condition as a plan proposes it: the time of its last transition follows from what stood before. */
export interface ProposedCondition {
  readonly type: string;
  readonly status: Condition['status'];
  /** CamelCase, from the kind's own list; programs switch on it. */
  readonly reason: string;
  /** A sentence for a person: what holds, which resource and field, what to do. Never a secret. */
  readonly message: string;
}

/** Not Ready, and why: beside it `Reconciling` while something goes on by itself, or `Stalled` while a person is waited for. */
export function notReady(type: 'Reconciling' | 'Stalled', reason: string, message: string): ProposedCondition[] {
  return [
    { type: 'Ready', status: 'False', reason, message },
    { type, status: 'True', reason, message },
  ];
}

/** Ready or not cannot be said, and why. */
export function unknown(reason: string, message: string): ProposedCondition[] {
  return [
    { type: 'Ready', status: 'Unknown', reason, message },
    { type: 'Reconciling', status: 'True', reason, message },
  ];
}

/**
 * The conditions that a status holds after `proposed` was found to be true at `now`.
 *
 * Follows the kstatus rules: `Reconciling` and `Stalled` stand only while True, so a proposal of them with another
 * status removes them; every other condition stands always. A type of `owned` that is not proposed is removed;
 * conditions of other types (written by others) are kept. `lastTransitionTime` changes only when `status` does.
 * Sorted by type, so equal states are equal values.
 */
export function mergeConditions(
  current: readonly Condition[],
  proposed: readonly ProposedCondition[],
  owned: ReadonlySet<string>,
  observedGeneration: number,
  now: Date,
): Condition[] {
  const before = new Map(current.map((condition) => [condition.type, condition]));
  const kept = current.filter((condition) => !owned.has(condition.type));
  const next = proposed
    .filter(({ type, status }) => status === 'True' || (type !== 'Reconciling' && type !== 'Stalled'))
    .map((condition) => {
      const previous = before.get(condition.type);
      return {
        ...condition,
        observedGeneration,
        lastTransitionTime:
          previous?.status === condition.status ? previous.lastTransitionTime : now.toISOString().replace(/\.\d+Z$/, 'Z'),
      };
    });
  return [...kept, ...next].sort((a, b) => (a.type < b.type ? -1 : 1));
}
