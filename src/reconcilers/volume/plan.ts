import type { CloudVolume } from '../../clouds/volume-driver.js';
import type { Volume } from '../../resources/volume.js';
import { attemptOf } from '../ledger.js';
import { FAILURES_TO_STALL, retryDelayMs, soon, type Wait } from '../virtual-machine/verdict.js';
import type { Observation } from './observation.js';
import { planDeletion } from './plan-deletion.js';
import { planPresent } from './plan-present.js';
import type { Step } from './steps.js';
import { connecting, isAlive, isHeld, type Plan, progressing, stalled, steps, type UsableCloud, uncertain } from './verdict.js';

/**
 * What to do next for a Volume, and what to say of it. Pure: same inputs, same plan.
 *
 * The order that keeps it to one volume is that of VirtualMachines: finalizer; ledger entry; create with the owner tag; id into status. After
 * an unknown outcome nothing is made until a complete list that began after the settle time, and then the cloud asked by name, show none of
 * ours. What was usable once may hold data: it is deleted only for a deleted record with deletionPolicy Delete, and never made anew.
 */
export function plan(volume: Volume, observation: Observation, now: Date): Plan {
  const { cloud } = observation;
  const made = planWhile(volume, observation, now);
  if (cloud.kind !== 'usable' || cloud.trouble === undefined || !made.wait || made.conditions.length === 0) return made;
  const [said] = made.conditions;
  return progressing('CloudUnreachable', `${cloud.trouble}. Until it answers again: ${said?.message}`, made.wait);
}

function planWhile(volume: Volume, observation: Observation, now: Date): Plan {
  if (volume.metadata.deletionTimestamp) return planDeletion(volume, observation);
  const { cloud, bound, claimedBy, installation } = observation;
  if (cloud.kind === 'unusable') return uncertain(cloud.reason, cloud.message, { on: 'the Cloud' });
  if (cloud.kind === 'without') return stalled('VolumesUnsupported', cloud.message, { on: 'the Cloud' });
  if (cloud.kind === 'connecting') return connecting(volume, cloud.trouble);
  const { id } = volume.status ?? {};
  if (claimedBy !== undefined)
    return stalled(
      'VolumeClaimed',
      `Volume ${claimedBy} already has the volume that this one would have: delete one of the two; this one's deletion leaves the volume alone`,
    );
  switch (bound.kind) {
    case 'present': {
      const { owner } = bound.volume;
      if (owner && owner.installation !== installation)
        return stalled(
          'TakenOver',
          `volume ${id} bears the owner tag of another installation (${owner.installation}): delete this record, which leaves the volume alone`,
        );
      return planPresent(volume, observation, bound.volume, cloud, now);
    }
    case 'unseen':
      return steps('Observing', [{ kind: 'AskById', id: id ?? '' }]);
    case 'gone':
      if (!observation.askedById) return steps('Observing', [{ kind: 'AskById', id: id ?? '' }]);
      if (volume.status?.builtAt !== undefined)
        return stalled(
          'VolumeLost',
          `volume ${id} is gone from the cloud, and what was on it with it. No empty one is made in its stead: declare a Volume that adopts a copy restored from a backup, or delete this one and declare it anew`,
        );
      return steps('VolumeGone', [{ kind: 'Unbind', id: id ?? '', why: 'it is gone from the cloud before it was usable' }]);
    case 'none':
      return volume.spec.adopt ? planAdoption(volume, observation, now) : planUnbound(volume, observation, cloud, now);
  }
}

/** No volume is bound: find the one that is ours, or make one. */
function planUnbound(volume: Volume, observation: Observation, cloud: UsableCloud, now: Date): Plan {
  const { ledger } = volume.status ?? {};
  const known = [...observation.owned, ...(observation.askedByName ?? [])];
  const found = likeliest(known.filter(isAlive));
  if (found) return steps('Binding', [{ kind: 'Bind', id: found.id, adopted: false }]);
  if (known.length > 0)
    return progressing('Deleting', 'waiting until the volume before this one is gone', { on: 'deletion', moving: true });

  const attempt = attemptOf(ledger, cloud, { held: observation.held, what: 'volume', now });
  if (ledger && attempt.kind === 'unsent') return steps('Creating', [{ kind: 'Create', name: ledger.serverName }]);
  if (attempt.kind === 'unsettled')
    return progressing('OutcomeUnknown', attempt.message, { on: 'the settle time', completeAfter: attempt.until, moving: true });
  if (ledger && attempt.kind === 'settled') {
    if (!observation.askedByName) return steps('OutcomeUnknown', [{ kind: 'AskByName', name: ledger.serverName }]);
  } else if (!ledger && !observation.fresh && isHeld(volume) && !observation.askedByName) {
    // A finalizer without a ledger: killed between the two, or a status that was lost with the attempt in it.
    return steps('Observing', [{ kind: 'AskByName', name: volume.metadata.name }]);
  }
  return planCreation(volume, observation, now);
}

/** Nothing of ours is there: make it, if it may be made now. */
function planCreation(volume: Volume, { type }: Observation, now: Date): Plan {
  const { failures, ledger } = volume.status ?? {};
  if (failures) {
    const due = new Date(Date.parse(failures.at) + retryDelayMs(failures.count));
    if (now < due) return afterFailures(failures, { on: 'the time of the next attempt', until: due });
  }
  if (!type) return steps('Creating', [{ kind: 'ResolveType' }]);
  if (type.kind === 'missing')
    return stalled('ReferenceNotFound', `spec.type: ${type.message}`, { on: 'the volume type', until: soon(now) });
  const attempt: Step = { kind: 'RecordAttempt', attempt: (ledger?.attempt ?? 0) + 1 };
  return steps('Creating', [...holding(volume), attempt, { kind: 'Create', name: volume.metadata.name }]);
}

function afterFailures({ count, message: last }: { count: number; message: string }, wait: Wait): Plan {
  const message = `${count} builds failed in a row, the last one: ${last}`;
  return count < FAILURES_TO_STALL ? progressing('BuildFailed', message, wait) : stalled('BuildFailed', message, wait);
}

function planAdoption(volume: Volume, observation: Observation, now: Date): Plan {
  const { adoptable, installation, hasRecord } = observation;
  const { adopt } = volume.spec;
  const wanted = adopt?.id === undefined ? `the name "${adopt?.name}"` : `the id ${adopt.id}`;
  const [match, ...others] = adoptable.filter(isAlive);
  const wait = { on: 'the volume to adopt', until: soon(now) };
  // It may have been made since the last list.
  if (!match && adopt?.id !== undefined && !observation.askedById) return steps('Observing', [{ kind: 'AskById', id: adopt.id }]);
  if (!match && adopt?.name !== undefined && !observation.askedByName)
    return steps('Observing', [{ kind: 'AskByName', name: adopt.name }]);
  if (!match) return stalled('AdoptionNotFound', `spec.adopt: 0 volumes have ${wanted}: exactly one must`, wait);
  if (others.length > 0)
    return stalled(
      'AdoptionAmbiguous',
      `spec.adopt: ${others.length + 1} volumes have ${wanted}: exactly one must; adopt one by its id`,
      wait,
    );
  const { owner } = match;
  // One that was left behind with our tag, and whose record is gone, may be taken up again.
  if (owner && owner.uid !== volume.metadata.uid && (owner.installation !== installation || hasRecord(owner.uid)))
    return stalled(
      'AdoptionConflict',
      `spec.adopt: volume ${match.id} bears the owner tag of another resource (uid ${owner.uid} of installation ${owner.installation})`,
      wait,
    );
  return steps('Adopting', [...holding(volume), { kind: 'Bind', id: match.id, adopted: true }]);
}

function holding(volume: Volume): Step[] {
  return isHeld(volume) ? [] : [{ kind: 'AddFinalizer' }];
}

/** The one that somebody uses; then the one that was made first; one in error only if there is no other. */
function likeliest(volumes: readonly CloudVolume[]): CloudVolume | undefined {
  const rank = ({ attachments, state, createdAt, id }: CloudVolume) =>
    `${attachments.length > 0 ? 0 : 1} ${state === 'Error' ? 1 : 0} ${createdAt} ${id}`;
  return volumes.toSorted((a, b) => (rank(a) < rank(b) ? -1 : 1))[0];
}
