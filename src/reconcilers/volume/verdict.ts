import type { CloudVolume } from '../../clouds/volume-driver.js';
import { notReady, type ProposedCondition, unknown } from '../../resources/conditions.js';
import type { Volume } from '../../resources/volume.js';
import type { Wait } from '../virtual-machine/verdict.js';
import type { CloudFacts, Observation, Place } from './observation.js';
import { describeStep, type Step } from './steps.js';

/** Kept on a Volume from before its first attempt until its volume is confirmed gone, or left. */
export const FINALIZER = 'dispatcher.dev/volume';

/** The Cloud, when something may be concluded from it. */
export type UsableCloud = Extract<CloudFacts, { kind: 'usable' }>;

/** What would be done, and what holds now. Only the first step is sure: plans are made anew after it. */
export interface Plan {
  readonly steps: readonly Step[];
  readonly conditions: readonly ProposedCondition[];
  readonly wait?: Wait;
}

/** True while the record holds back its own deletion. */
export function isHeld({ metadata }: Volume): boolean {
  return metadata.finalizers?.includes(FINALIZER) ?? false;
}

/** True for a volume that is not on its way out. */
export function isAlive({ state }: CloudVolume): boolean {
  return state !== 'Deleting';
}

/** A plan that does something: progress, under that reason. */
export function steps(reason: string, list: readonly Step[]): Plan {
  const [first] = list;
  return { steps: list, conditions: notReady('Reconciling', reason, first ? describeStep(first) : reason) };
}

/** A plan that waits while something moves on. */
export function progressing(reason: string, message: string, wait: Wait): Plan {
  return { steps: [], conditions: notReady('Reconciling', reason, message), wait };
}

/** A plan that waits for a person. */
export function stalled(reason: string, message: string, wait: Wait = { on: 'a change of the declaration' }): Plan {
  return { steps: [], conditions: notReady('Stalled', reason, message), wait };
}

/** A plan that waits for something that must be there before anything can be said or done. */
export function uncertain(reason: string, message: string, wait: Wait): Plan {
  return { steps: [], conditions: unknown(reason, message), wait };
}

/** The plan before the first complete lists. What was said of this generation is left standing. */
export function connecting({ metadata, status }: Volume, trouble: string | undefined): Plan {
  const wait = { on: 'observation' };
  if (status?.observedGeneration === metadata.generation && !metadata.deletionTimestamp)
    return { steps: [], conditions: [], wait };
  if (trouble !== undefined) return progressing('CloudUnreachable', trouble, wait);
  return progressing('Observing', 'waiting for the first complete list of the volumes in the cloud', wait);
}

/** Where a volume is, against where it is declared to be. `unclear`: the declared machine has no server now, and this may be its last. */
export function standingAt(place: Place, { target }: Pick<Observation, 'target'>): 'wanted' | 'unwanted' | 'unclear' {
  if (!target) return 'unwanted';
  if (target.serverId !== undefined) return place.serverId === target.serverId ? 'wanted' : 'unwanted';
  if (target.machine === undefined) return 'unwanted';
  if (place.machine === target.machine) return 'wanted';
  return place.machine === undefined ? 'unclear' : 'unwanted';
}

/** A place as a person finds it. */
export function describePlace({ machine, serverId }: Place): string {
  return machine === undefined ? `server ${serverId}` : `VirtualMachine ${machine} (server ${serverId})`;
}

/** Takes the volume from there, once the store has confirmed that it is not declared to be there. */
export function detachment(id: string, { serverId, machine }: Place, confirmed: boolean): Plan {
  const step: Step = { kind: 'Detach', id, serverId, machine };
  const plan = steps('Detaching', [step]);
  return confirmed ? plan : { ...plan, steps: [{ kind: 'Confirm' }, step] };
}

/**
 * What to do with others that bear this record's tag and are of other attempts: nobody was ever given one. One of the same attempt is a copy
 * that somebody made, and not ours to judge. Undefined: there is none.
 */
export function planTwins({ status }: Volume, { owned }: Observation, { id, owner }: CloudVolume): Plan | undefined {
  const attempt = owner?.attempt ?? status?.attempt;
  const twins = owned.filter(
    (other) =>
      other.id !== id &&
      other.owner?.attempt !== attempt &&
      other.attachments.length === 0 &&
      (other.state === 'Available' || other.state === 'Error'),
  );
  if (twins.length === 0) return undefined;
  const why = `a twin, never used: this record has volume ${id}`;
  return steps(
    'DeletingTwin',
    twins.map((twin): Step => ({ kind: 'Delete', id: twin.id, why })),
  );
}
