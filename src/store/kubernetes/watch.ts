import { z } from 'zod';
import { type Environment, sleep } from '../../environment.js';
import { StoreError } from '../errors.js';
import type { Selection, WatchEvent } from '../store.js';
import { storeErrorOf } from './errors.js';
import { list } from './list.js';
import { collectionPath, query, selectorText } from './paths.js';
import type { Requests } from './requests.js';
import { subjectOf, type Wire, wireOf } from './wire.js';

/** The API server ends a watch after so long, so that load spreads over its replicas; at least, and as much more at most. */
const LENGTH_S = 300;
/** A watch that lasted for less than this and told nothing is not opened again at once: something ends it on purpose. */
const SHORT_MS = 1_000;

/** What a watch reads from. */
export interface WatchSource {
  readonly requests: Requests;
  readonly environment: Environment;
}

const lineSchema = z.object({ type: z.enum(['ADDED', 'MODIFIED', 'DELETED', 'BOOKMARK', 'ERROR']), object: z.unknown() });
const TYPES = { ADDED: 'Added', MODIFIED: 'Modified', DELETED: 'Deleted' } as const;
const bookmarkSchema = z.looseObject({ metadata: z.looseObject({ resourceVersion: z.string() }) });
const refusalSchema = z.looseObject({ code: z.int() });

/**
 * The changes of a kind after `from`, or from now on. Watches that the API server ends are continued where they were; one that
 * breaks or is refused ends with a StoreError: the version that was told last is where to go on.
 */
export async function* watch(
  { requests, environment }: WatchSource,
  kind: string,
  from: string | undefined,
  signal: AbortSignal,
  selection: Selection,
): AsyncGenerator<WatchEvent, void, void> {
  if (signal.aborted) return;
  const wire = wireOf(kind);
  const subject = subjectOf('watch', wire, { kind, namespace: selection.namespace ?? '', name: '' });
  try {
    // Without a version, the API server would first tell all that is there.
    let version = from ?? (await list(requests, kind, selection, { limit: 1 }, signal)).resourceVersion;
    while (!signal.aborted) {
      const began = environment.now().getTime();
      let told = false;
      const parameters = {
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: version,
        timeoutSeconds: Math.round(LENGTH_S * (1 + environment.random())),
        labelSelector: selectorText(selection.labels),
      };
      const path = collectionPath(wire, selection.namespace) + query(parameters);
      for await (const line of requests.lines({ method: 'GET', path, ...subject }, signal)) {
        const event = eventOf(line, wire, subject);
        version = event.type === 'Bookmark' ? event.resourceVersion : event.object.metadata.resourceVersion;
        told = true;
        yield event;
        if (signal.aborted) return;
      }
      if (!told && environment.now().getTime() - began < SHORT_MS) await sleep(environment, SHORT_MS, signal);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** @throws StoreError for an ERROR, and for what is no event. */
function eventOf(line: unknown, wire: Wire, subject: ReturnType<typeof subjectOf>): WatchEvent {
  const { data } = lineSchema.safeParse(line);
  if (data?.type === 'BOOKMARK') {
    const bookmark = bookmarkSchema.safeParse(data.object);
    if (bookmark.success) return { type: 'Bookmark', resourceVersion: bookmark.data.metadata.resourceVersion };
  } else if (data?.type === 'ERROR') {
    throw storeErrorOf({ status: refusalSchema.safeParse(data.object).data?.code ?? 500, body: data.object }, subject);
  } else if (data) {
    return { type: TYPES[data.type], object: wire.decode(data.object) };
  }
  throw new StoreError('Unavailable', `${subject.call}: what the API server told is no event`);
}
