import type { Environment } from '../environment.js';
import { keyOf, type Resource, type ResourceKey } from '../resources/metadata.js';
import type { Change } from './cache.js';
import type { Controller } from './controller.js';
import type { Lane } from './queue.js';

/** How long after a status that somebody else wrote its resource is looked at: two who differ must not race. Milliseconds. */
export const STATUS_DELAY_MS = 2_000;

/** What was declared while nobody looked goes before what has been looked at since it was declared. */
export function laneOf({ metadata, status }: Resource): Lane {
  const seen = typeof status === 'object' && status !== null && Reflect.get(status, 'observedGeneration') === metadata.generation;
  return seen ? 'resync' : 'change';
}

/** A change of the declaration is looked at now; a status that somebody else wrote, in a while: two who differ must not race. */
export function followOwnKind(controller: Controller, change: Change): void {
  const { previous, current, own } = change;
  // A reconciler that writes its own resource knows of it. One that writes another's declaration makes work for the other.
  if (own && isSameWish(change)) return;
  const sameDeclaration =
    previous !== undefined &&
    current !== undefined &&
    previous.metadata.generation === current.metadata.generation &&
    JSON.stringify({ ...previous.metadata, resourceVersion: '' }) ===
      JSON.stringify({ ...current.metadata, resourceVersion: '' }) &&
    'spec' in current &&
    previous.status !== current.status;
  if (sameDeclaration) controller.enqueueAfter(keyOfChange(change), STATUS_DELAY_MS);
  else controller.enqueue(keyOfChange(change));
}

function keyOfChange({ previous, current }: Change): ResourceKey {
  const resource = current ?? previous;
  if (!resource) throw new RangeError('a change without a resource');
  return keyOf(resource);
}

/** Leaves out what this process wrote itself, and changes of nothing but the status of a Cloud. */
export function unlessOwn(keys: (resource: Resource) => ResourceKey[]): (change: Change) => ResourceKey[] {
  return ({ previous, current, own }) => {
    const resource = current ?? previous;
    const onlyStatus =
      previous && current && previous.metadata.generation === current.metadata.generation && previous.kind === 'Cloud';
    return own || !resource || onlyStatus ? [] : keys(resource);
  };
}

/** Leaves out changes of nothing but a status. */
export function unlessStatus(keys: (change: Change) => ResourceKey[]): (change: Change) => ResourceKey[] {
  return (change) => (isSameWish(change) ? [] : keys(change));
}

/** True if a change is not one of what is declared, or of whether it is to go. */
export function isSameWish({ previous, current }: Change): boolean {
  return (
    previous?.metadata.uid === current?.metadata.uid &&
    previous?.metadata.generation === current?.metadata.generation &&
    previous?.metadata.deletionTimestamp === current?.metadata.deletionTimestamp
  );
}

/** Calls `work` once for each value, when the changes that are told just now have all been told. */
export function batched(environment: Environment, work: (value: string) => void): (value: string) => void {
  const waiting = new Set<string>();
  return (value) => {
    if (waiting.has(value)) return;
    waiting.add(value);
    environment.after(0, () => {
      waiting.delete(value);
      work(value);
    });
  };
}
