import type { CloudVolume } from '../../clouds/volume-driver.js';
import type { Volume } from '../../resources/volume.js';
import { attemptOf } from '../ledger.js';
import type { Observation } from './observation.js';
import type { Step } from './steps.js';
import {
  connecting,
  describePlace,
  detachment,
  isAlive,
  isHeld,
  type Plan,
  planTwins,
  progressing,
  stalled,
  standingAt,
  steps,
  type UsableCloud,
} from './verdict.js';

/**
 * What to do for a record that is to be deleted: nothing while its volume is attached where it is declared. Then, with Retain, the owner tag
 * is taken off and the volume left; with Delete it goes. The finalizer goes last, when no attempt is open. Part of `plan`.
 */
export function planDeletion(record: Volume, observation: Observation): Plan {
  if (!isHeld(record)) return { steps: [], conditions: [] };
  const { cloud, bound, owned, claimedBy } = observation;
  const { id, ledger } = record.status ?? {};
  const nothingKnown = !ledger && id === undefined && owned.length === 0;
  if (nothingKnown) return planUnknown(record, observation);
  if (claimedBy !== undefined) return end();
  if (cloud.kind === 'unusable')
    return progressing(cloud.reason, `${cloud.message}; its volume cannot be let go until that is mended`, { on: 'the Cloud' });
  if (cloud.kind === 'without') return stalled('VolumesUnsupported', cloud.message, { on: 'the Cloud' });
  if (cloud.kind === 'connecting') return connecting(record, cloud.trouble);
  if (bound.kind === 'unseen' || (bound.kind === 'gone' && !observation.askedById))
    return steps('Deleting', [{ kind: 'AskById', id: id ?? '' }]);
  if (bound.kind === 'present' && bound.volume.owner && bound.volume.owner.installation !== observation.installation)
    return end();

  const answer = id === undefined && ledger ? owned.find(({ owner }) => owner?.attempt === ledger.token) : undefined;
  if (answer) return steps('Deleting', [{ kind: 'Bind', id: answer.id, adopted: false }]);
  const open = planOpenAttempt(record, observation, cloud);
  if (open) return open;
  const bounds = bound.kind === 'present' ? [bound.volume] : [];
  const others = [...owned, ...(observation.askedByName ?? [])].filter((other) => other.id !== bounds[0]?.id);
  const present = [...bounds, ...others];
  if (present.length === 0) return end();
  const twins = bound.kind === 'present' ? planTwins(record, observation, bound.volume) : undefined;
  if (twins) return twins;
  const retained = record.spec.deletionPolicy !== 'Delete';
  const attached = planAttached(observation, present, retained);
  if (attached) return attached;
  return retained ? planRetained(present) : planGone(present);
}

/** What is attached is taken only from where nothing declares it any more. A volume to be kept is left where somebody else has put it. */
function planAttached(observation: Observation, present: readonly CloudVolume[], retained: boolean): Plan | undefined {
  const { places, target, confirmed, bound } = observation;
  const busy = present.find(({ state }) => state === 'Attaching' || state === 'Detaching' || state === 'Changing');
  if (busy)
    return progressing('Deleting', `volume ${busy.id} is ${busy.state.toLowerCase()}: it is let go when that has ended`, {
      on: 'the volume',
      moving: true,
    });
  const id = bound.kind === 'present' ? bound.volume.id : undefined;
  const [place] = places;
  if (id === undefined || !place) return undefined;
  const standing = standingAt(place, observation);
  const declared = target !== undefined && !target.gone && standing !== 'unwanted';
  if (declared && !place.going)
    return stalled(
      'InUse',
      `volume ${id} is attached to ${describePlace(place)}: remove spec.attachTo, or delete that machine, and it is let go`,
      { on: 'the attachment' },
    );
  if (place.going)
    return progressing('Detaching', `${describePlace(place)} is being deleted`, { on: 'the server', moving: true });
  if (place.ours) return detachment(id, place, confirmed);
  if (retained) return undefined;
  return stalled(
    'AttachedElsewhere',
    `volume ${id} is attached to ${describePlace(place)}, where nobody declared it and we did not put it: detach it there`,
    { on: 'the volume' },
  );
}

function planRetained(present: readonly CloudVolume[]): Plan {
  const tagged = present.filter((volume) => isAlive(volume) && volume.owner);
  return steps('Retaining', [...tagged.map((volume): Step => ({ kind: 'Disown', id: volume.id })), { kind: 'RemoveFinalizer' }]);
}

function planGone(present: readonly CloudVolume[]): Plan {
  const doomed = present.filter(isAlive);
  if (doomed.length > 0)
    return steps(
      'Deleting',
      doomed.map(
        (volume): Step => ({
          kind: 'Delete',
          id: volume.id,
          why: 'the resource is deleted, and its deletionPolicy is Delete',
        }),
      ),
    );
  return progressing('Deleting', `volume ${present[0]?.id} is being deleted`, { on: 'deletion', moving: true });
}

/** The record knows of no volume: killed before its first attempt, or its status was lost. A Cloud that cannot be asked does not keep it. */
function planUnknown(record: Volume, { cloud, askedByName }: Observation): Plan {
  if (cloud.kind === 'connecting' && cloud.trouble === undefined) return connecting(record, undefined);
  if (cloud.kind === 'usable' && !askedByName) return steps('Deleting', [{ kind: 'AskByName', name: record.metadata.name }]);
  return end();
}

/** An attempt that is not the one of the bound volume may still be under way: whatever comes of it would be nobody's. */
function planOpenAttempt({ status }: Volume, { askedByName }: Observation, cloud: UsableCloud): Plan | undefined {
  const { ledger, attempt } = status ?? {};
  if (!ledger || ledger.token === attempt) return undefined;
  const last = attemptOf(ledger, cloud, { what: 'volume' });
  if (last.kind === 'unsettled')
    return progressing('OutcomeUnknown', last.message, { on: 'the settle time', completeAfter: last.until, moving: true });
  return last.kind === 'closed' || askedByName ? undefined : steps('Deleting', [{ kind: 'AskByName', name: ledger.serverName }]);
}

function end(): Plan {
  return steps('Deleting', [{ kind: 'RemoveFinalizer' }]);
}
