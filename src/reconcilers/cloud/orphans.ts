import type { Server } from '../../clouds/driver.js';
import type { CloudSpec } from '../../resources/cloud.js';
import { milliseconds } from '../../resources/duration.js';

/** What may become of servers and ports that bear our tag while no record has them. */
export interface OrphanPolicy {
  readonly policy: 'Delete' | 'Report';
  readonly graceMs: number;
  /** Deletions in an hour at most. */
  readonly perHour: number;
}

/** How long an orphan has been seen, by this process. */
export interface OrphanSighting {
  readonly since: Date;
  /** Complete observations that listed it. */
  readonly scans: number;
}

/** What is remembered from one look to the next. */
export interface OrphanMemory {
  readonly sightings: ReadonlyMap<string, OrphanSighting>;
  /** When orphans were deleted, in the last hour. */
  readonly deletions: readonly Date[];
}

/** Complete observations that must have listed an orphan before it is deleted. */
const SCANS = 3;
const HOUR_MS = 3_600_000;

/**
 * Which orphans are to be deleted after a complete observation. Pure.
 *
 * A server is an orphan while it bears this installation's tag and no record has its uid; a port, while no server has it besides, or its
 * record has a server and names other ports. It is deleted only when it was one in three
 * complete observations in a row and for the grace period, so that a store that was restored, or lost for a while, costs nothing.
 *
 * @param orphans the orphans of that observation; the caller has checked them against a whole list of the records, made after it.
 */
export function planOrphans<Orphan extends { readonly id: string; readonly state?: Server['state'] }>(
  memory: OrphanMemory,
  orphans: readonly Orphan[],
  policy: OrphanPolicy,
  now: Date,
): { readonly memory: OrphanMemory; readonly doomed: readonly Orphan[] } {
  const sightings = new Map(
    orphans.map(({ id }) => {
      const before = memory.sightings.get(id);
      return [id, { since: before?.since ?? now, scans: (before?.scans ?? 0) + 1 }];
    }),
  );
  const recent = memory.deletions.filter((at) => now.getTime() - at.getTime() < HOUR_MS);
  const ripe = orphans.filter(({ id, state }) => {
    const sighting = sightings.get(id);
    if (!sighting || state === 'Deleting') return false;
    return sighting.scans >= SCANS && now.getTime() - sighting.since.getTime() >= policy.graceMs;
  });
  const doomed = policy.policy === 'Delete' ? ripe.slice(0, Math.max(0, policy.perHour - recent.length)) : [];
  return { memory: { sightings, deletions: [...recent, ...doomed.map(() => now)] }, doomed };
}

/** What a Cloud declares of its orphans, with the defaults that its schema tells. */
export function policyOf({ orphans }: CloudSpec): OrphanPolicy {
  return {
    policy: orphans?.policy ?? 'Delete',
    graceMs: milliseconds(orphans?.gracePeriod ?? '10m'),
    perHour: orphans?.perHour ?? 20,
  };
}
