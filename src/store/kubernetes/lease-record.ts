import { z } from 'zod';
import { microTime } from './micro-time.js';

/** The part of a coordination.k8s.io/v1 Lease that decides who holds it. Other fields are kept as they are. */
export const leaseSpecSchema = z.looseObject({
  holderIdentity: z.string().nullish(),
  leaseDurationSeconds: z.number().nullish(),
  acquireTime: z.string().nullish(),
  renewTime: z.string().nullish(),
  leaseTransitions: z.number().nullish(),
});
/** See {@link leaseSpecSchema}. */
export type LeaseSpec = z.infer<typeof leaseSpecSchema>;

/** A lease as it stands, and when, by this process's own clock, it was first seen to stand so. Milliseconds. */
export interface Sighting {
  readonly spec: LeaseSpec;
  readonly at: number;
}

/**
 * A look at a lease. As client-go does, time counts from when this process saw it change: the times in it are of the holder's
 * clock, which may be wrong by any amount. So a candidate that has just started waits for a whole duration.
 */
export function look(before: Sighting | undefined, spec: LeaseSpec, now: number): Sighting {
  return before && isSame(before.spec, spec) ? before : { spec, at: now };
}

/** Whether `holder` may take it: it is its own, nobody's, or was not renewed for as long as its holder asked for. */
export function mayTake({ spec, at }: Sighting, holder: string, now: number): boolean {
  return !spec.holderIdentity || spec.holderIdentity === holder || now - at >= (spec.leaseDurationSeconds ?? 0) * 1_000;
}

/** It as `holder` takes or renews it. Each new holder raises the number; `floor` is one that it must exceed in any case. */
export function taken(spec: LeaseSpec, holder: string, durationMs: number, now: Date, floor = 0): LeaseSpec {
  const isOwn = spec.holderIdentity === holder;
  const time = microTime(now);
  return {
    ...spec,
    holderIdentity: holder,
    leaseDurationSeconds: Math.max(1, Math.ceil(durationMs / 1_000)),
    acquireTime: isOwn ? (spec.acquireTime ?? time) : time,
    renewTime: time,
    leaseTransitions: isOwn ? (spec.leaseTransitions ?? 0) : Math.max(spec.leaseTransitions ?? 0, floor) + 1,
  };
}

/** It as its holder gives it up. The number stays. */
export function givenUp(spec: LeaseSpec, now: Date): LeaseSpec {
  return { ...spec, holderIdentity: '', leaseDurationSeconds: 1, renewTime: microTime(now) };
}

function isSame(a: LeaseSpec, b: LeaseSpec): boolean {
  return (
    a.holderIdentity === b.holderIdentity &&
    a.renewTime === b.renewTime &&
    a.acquireTime === b.acquireTime &&
    a.leaseTransitions === b.leaseTransitions &&
    a.leaseDurationSeconds === b.leaseDurationSeconds
  );
}
