import type { Environment } from '../../environment.js';
import { keyOf, type Resource, type ResourceKey } from '../../resources/metadata.js';
import { isStoreError } from '../../store/errors.js';
import type { Store } from '../../store/store.js';
import type { Call } from './operation.js';

/** How a wait is bounded. */
export interface Patience {
  readonly environment: Environment;
  readonly waitMs: number;
  /** Aborted when nobody waits for the answer any more. */
  readonly gone: AbortSignal;
}

/**
 * Waits until a resource is as wanted.
 *
 * @param look is shown the resource as it stands, after each change of it, and when the time is up; undefined when it is gone. What it
 *   finds ends the wait.
 * @returns what was found, or undefined if it was not in time, or nobody waits any more.
 */
export async function waitFor<Found>(
  store: Store,
  { kind, namespace, name }: ResourceKey,
  { environment, waitMs, gone }: Patience,
  look: (resource: Resource | undefined) => Promise<Found | undefined> | Found | undefined,
): Promise<Found | undefined> {
  const ending = new AbortController();
  const end = () => ending.abort();
  const cancel = environment.after(waitMs, end);
  gone.addEventListener('abort', end, { once: true });
  if (gone.aborted) end();
  try {
    // The list before the watch tells from where to watch; what it says is looked at first.
    while (!ending.signal.aborted) {
      const { resourceVersion } = await store.list(kind, { namespace }, { limit: 1 });
      const found = await look(await store.get({ kind, namespace, name }));
      if (found !== undefined) return found;
      try {
        for await (const event of store.watch(kind, resourceVersion, ending.signal, { namespace })) {
          if (event.type === 'Bookmark' || event.object.metadata.name !== name) continue;
          const seen = await look(event.type === 'Deleted' ? undefined : event.object);
          if (seen !== undefined) return seen;
        }
      } catch (error) {
        // Too much has happened since: it is looked at anew.
        if (!isStoreError(error, 'Expired')) throw error;
      }
    }
    // What it depends on beside the resource may have changed since it was last shown.
    return gone.aborted ? undefined : await look(await store.get({ kind, namespace, name }));
  } finally {
    end();
    cancel();
    gone.removeEventListener('abort', end);
  }
}

/** Waits until a resource is gone: true, or undefined as {@link waitFor}. Another of its name does not count. */
export function isGone({ caller, context, gone }: Call, resource: Resource): Promise<true | undefined> {
  return waitFor(caller.store, keyOf(resource), { ...context, gone }, (now) =>
    now?.metadata.uid === resource.metadata.uid ? undefined : true,
  );
}
