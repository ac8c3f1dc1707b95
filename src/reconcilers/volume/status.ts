import { CLOUD_ERRORS, type CloudError } from '../../clouds/errors.js';
import type { CloudVolume } from '../../clouds/volume-driver.js';
import { mergeConditions, type ProposedCondition } from '../../resources/conditions.js';
import { sameJson } from '../../resources/same-json.js';
import type { Volume, VolumeStatus } from '../../resources/volume.js';
import { clip } from '../virtual-machine/status.js';
import { condition } from '../virtual-machine/verdict.js';
import type { Observation } from './observation.js';
import { describeStep, type Step } from './steps.js';

/** The conditions that this reconciler writes; others are left alone. */
const OWNED: ReadonlySet<string> = new Set(['Ready', 'Reconciling', 'Stalled']);

/** The status with what the cloud says of the bound volume, and where it is. */
export function withObservation(status: VolumeStatus, { bound, places }: Observation): VolumeStatus {
  if (bound.kind === 'gone') return withoutAttachment(status);
  if (bound.kind !== 'present') return status;
  const { state, sizeGiB, type } = bound.volume;
  const { failures, attachment: before, ...rest } = status;
  const place = places.find(({ serverId }) => serverId === before?.serverId) ?? places.find(({ ours }) => ours);
  const asked = before?.askedAt !== undefined && place === undefined ? before : undefined;
  const machine = place?.machine ?? (place?.serverId === before?.serverId ? before?.virtualMachine : undefined);
  const attachment = place && {
    ...(machine === undefined ? {} : { virtualMachine: machine }),
    serverId: place.serverId,
    ...(place.device === undefined ? {} : { device: place.device }),
  };
  return {
    ...rest,
    ...(failures && status.builtAt === undefined ? { failures } : {}),
    state,
    sizeGiB,
    ...(type === undefined ? {} : { type }),
    ...((attachment ?? asked) ? { attachment: attachment ?? asked } : {}),
  };
}

/** The status without an attachment: there is none, and none is on its way. */
export function withoutAttachment({ attachment: _before, ...status }: VolumeStatus): VolumeStatus {
  return status;
}

/**
 * The status after a volume was bound. One that was adopted, or found without the ledger of its attempt, counts as used: it may hold data.
 * @param token for the ledger of a volume that bears no attempt.
 */
export function withBound(status: VolumeStatus, volume: CloudVolume, now: Date, token: string): VolumeStatus {
  const { ledger } = status;
  const attempt = volume.owner?.attempt || (ledger?.token ?? token);
  if (ledger) return { ...status, id: volume.id, attempt };
  const at = now.toISOString();
  const entry = { attempt: 1, token: attempt, serverName: volume.name, specHash: '', at };
  return { ...status, id: volume.id, attempt, ledger: entry, builtAt: at };
}

/** The status after the bound volume, which was never usable, was found gone: its attempt is closed, so that another may be made. */
export function withoutVolume(status: VolumeStatus, why: string): VolumeStatus {
  const { id, state, sizeGiB, type, attachment, attempt, ledger, ...rest } = status;
  if (!ledger) return rest;
  const closes = attempt === undefined || attempt === ledger.token;
  return { ...rest, ledger: closes ? { ...ledger, closed: clip(`volume ${id}: ${why}`) } : ledger };
}

/** The status with those conditions, for the present generation. */
export function withConditions(
  { metadata, status }: Pick<Volume, 'metadata' | 'status'>,
  proposed: readonly ProposedCondition[],
  now: Date,
): VolumeStatus {
  const { generation } = metadata;
  const clipped = proposed.map((one) => ({ ...one, message: clip(one.message) }));
  const conditions = mergeConditions(status?.conditions ?? [], clipped, OWNED, generation, now);
  return { ...status, observedGeneration: generation, conditions };
}

/** What is said when a step failed: the cloud's own words, and what a person may do. */
export function failureConditions(step: Step, error: CloudError): ProposedCondition[] {
  const { advice, retry } = CLOUD_ERRORS[error.code];
  const message = clip(`could not ${describeStep(step)}: ${error.message}. To do: ${advice}`);
  const type = retry === 'change' ? 'Stalled' : 'Reconciling';
  return [condition('Ready', 'False', error.code, message), condition(type, 'True', error.code, message)];
}

/** True if two statuses say the same, the time of the observation aside. */
export function sameStatus(a: VolumeStatus | undefined, b: VolumeStatus): boolean {
  return a !== undefined && sameJson({ ...a, observedAt: undefined }, { ...b, observedAt: undefined });
}
