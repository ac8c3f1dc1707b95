import type { CloudVolume } from '../../clouds/volume-driver.js';
import type { Volume } from '../../resources/volume.js';
import { condition, FAILURES_TO_STALL, soon } from '../virtual-machine/verdict.js';
import type { Observation } from './observation.js';
import type { Step } from './steps.js';
import {
  describePlace,
  detachment,
  type Plan,
  planTwins,
  progressing,
  stalled,
  standingAt,
  steps,
  type UsableCloud,
} from './verdict.js';

/** What to do for a record whose volume is there. Part of `plan`. */
export function planPresent(record: Volume, observation: Observation, volume: CloudVolume, cloud: UsableCloud, now: Date): Plan {
  const { id, state } = volume;
  const twins = planTwins(record, observation, volume);
  if (twins) return twins;
  const built = record.status?.builtAt !== undefined;
  switch (state) {
    case 'Deleting':
      return progressing('Deleting', `volume ${id} is being deleted`, { on: 'deletion', moving: true });
    case 'Creating':
      return planBuilding(record, observation, volume, cloud, now);
    case 'Error':
      if (built || volume.attachments.length === 0) return planError(record, observation, volume);
      break;
    case 'Unknown':
      return progressing('StateUnknown', `the cloud reports no known state of volume ${id}`, { on: 'the volume' });
  }
  if (!built) return steps('Building', [{ kind: 'NoteBuilt', id }]);
  const corrections = correctionsOf(record, observation, volume);
  if (corrections.length > 0) return steps('Correcting', corrections);
  if (state === 'Attaching' || state === 'Detaching' || state === 'Changing')
    return progressing(state, `volume ${id} is ${state.toLowerCase()}`, { on: 'the volume', moving: true });
  return planAsked(record, observation, volume, cloud) ?? planPlace(record, observation, volume, now);
}

function planBuilding(
  record: Volume,
  { askedById }: Observation,
  { id, createdAt }: CloudVolume,
  cloud: UsableCloud,
  now: Date,
): Plan {
  const deadline = new Date(Date.parse(record.status?.ledger?.at ?? createdAt) + cloud.buildTimeoutMs);
  const building = `volume ${id} is being made`;
  if (record.status?.builtAt !== undefined) return progressing('Building', building, { on: 'the build', moving: true });
  if (now < deadline) return progressing('Building', building, { on: 'the build', moving: true, until: deadline });
  // It may have been built while the cloud could not be observed.
  if (!askedById) return steps('Building', [{ kind: 'AskById', id }]);
  return planFailedBuild(record, id, `it was not made within ${cloud.buildTimeoutMs / 1000} s`);
}

function planError(record: Volume, { askedById }: Observation, { id }: CloudVolume): Plan {
  if (!askedById) return steps('VolumeInError', [{ kind: 'AskById', id }]);
  if (record.status?.builtAt === undefined) return planFailedBuild(record, id, 'the cloud reports it in error, and says no more');
  return stalled(
    'VolumeInError',
    `volume ${id} is in error. It may hold data, so it is left: the cloud's operator can reset its state`,
    { on: 'the volume' },
  );
}

function planFailedBuild({ status }: Volume, id: string, why: string): Plan {
  const removal: Step = { kind: 'Delete', id, why: `its build failed: ${why}` };
  const counted = status?.failures?.id === id;
  const doing = steps('BuildFailed', counted ? [removal] : [{ kind: 'RecordFailure', id, message: why }, removal]);
  if ((status?.failures?.count ?? 0) + (counted ? 0 : 1) < FAILURES_TO_STALL) return doing;
  return { ...stalled('BuildFailed', `builds keep failing, the last one: ${why}`), steps: doing.steps };
}

function correctionsOf({ metadata }: Volume, { installation }: Observation, { id, owner, name }: CloudVolume): Step[] {
  const ours = owner?.installation === installation && owner.uid === metadata.uid;
  return [
    ...(ours ? [] : [{ kind: 'Own', id } as const]),
    ...(name === metadata.name ? [] : [{ kind: 'Rename', id, from: name, to: metadata.name } as const]),
  ];
}

/** An attachment that was written down and is not there: it may be asked for now, or may still come, or will not. */
function planAsked(record: Volume, observation: Observation, { id, state }: CloudVolume, cloud: UsableCloud): Plan | undefined {
  const { attachment } = record.status ?? {};
  if (attachment?.askedAt === undefined) return undefined;
  const { serverId, askedAt } = attachment;
  if (observation.places.some((place) => place.serverId === serverId)) return undefined;
  const { target, intended, confirmed } = observation;
  if (intended === serverId) {
    if (target?.serverId !== serverId || target.obstacle || state !== 'Available' || observation.places.length > 0)
      return steps('Attaching', [{ kind: 'ForgetAttachment', serverId }]);
    const step: Step = { kind: 'Attach', id, serverId, machine: target.machine ?? '' };
    return steps('Attaching', confirmed ? [step] : [{ kind: 'Confirm' }, step]);
  }
  const settled = new Date(Date.parse(askedAt) + cloud.settleMs);
  if (cloud.completeAt >= settled) return steps('Attaching', [{ kind: 'ForgetAttachment', serverId }]);
  const message = `server ${serverId} was asked to take volume ${id}, and may still do so until ${settled.toISOString()}`;
  return progressing('OutcomeUnknown', message, { on: 'the settle time', completeAfter: settled, moving: true });
}

/** A volume that could be changed now: where it is, its size, and where it shall be. */
function planPlace(record: Volume, observation: Observation, volume: CloudVolume, now: Date): Plan {
  const { places, target, confirmed, cannotGrow } = observation;
  const { sizeGiB } = record.spec;
  const { id, state } = volume;
  const unwanted = places.filter((place) => standingAt(place, observation) === 'unwanted');
  const leaving = unwanted.find(({ ours, going }) => ours && !going);
  if (leaving) return detachment(id, leaving, confirmed);
  const going = unwanted.find((place) => place.going);
  if (going)
    return progressing('Detaching', `${describePlace(going)} is being deleted, and then has volume ${id} no more`, {
      on: 'the server',
      moving: true,
    });
  const inUse = state !== 'Available';
  if (volume.sizeGiB < sizeGiB && cannotGrow === undefined)
    return steps('Growing', [{ kind: 'Extend', id, from: volume.sizeGiB, to: sizeGiB, inUse }]);

  const [foreign] = unwanted;
  if (foreign)
    return stalled(
      'AttachedElsewhere',
      `volume ${id} is attached to ${describePlace(foreign)}, where nobody declared it and we did not put it: detach it there`,
      { on: 'the volume' },
    );
  const attached = places.find(({ serverId }) => serverId === target?.serverId);
  if (target && !attached) {
    const { obstacle } = target;
    if (obstacle?.lasting) return stalled(obstacle.reason, obstacle.message, { on: 'what spec.attachTo names' });
    if (obstacle) return progressing(obstacle.reason, obstacle.message, { on: 'the machine', until: soon(now) });
    if (inUse)
      return stalled('AttachedElsewhere', `the cloud says that volume ${id} is in use, and names no server that has it`, {
        on: 'the volume',
      });
    const { serverId = '', machine = '' } = target;
    return steps('Attaching', [{ kind: 'RecordAttachment', serverId, machine }]);
  }
  if (volume.sizeGiB > sizeGiB)
    return stalled(
      'ShrinkRefused',
      `spec.sizeGiB is ${sizeGiB}, and volume ${id} has ${volume.sizeGiB} GiB: a volume does not shrink; set spec.sizeGiB to ${volume.sizeGiB}`,
    );
  if (cannotGrow !== undefined)
    return stalled(
      'GrowsWhenDetached',
      `volume ${id} has ${volume.sizeGiB} GiB and grows to ${sizeGiB} GiB as soon as it is attached nowhere: ${cannotGrow}`,
    );
  return {
    steps: [],
    conditions: [
      attached
        ? condition('Ready', 'True', 'Attached', `volume ${id} is attached to ${describePlace(attached)}, as declared`)
        : condition('Ready', 'True', 'Available', `volume ${id} is there and attached nowhere, as declared`),
    ],
  };
}
