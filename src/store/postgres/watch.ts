import type pg from 'pg';
import type { Environment } from '../../environment.js';
import type { Resource } from '../../resources/metadata.js';
import { matches } from '../selectors.js';
import type { Selection, WatchEvent } from '../store.js';
import { readChanges } from './changes.js';
import { type Feed, toChange } from './feed.js';
import type { Change } from './history.js';
import type { SecretCodec } from './secrets.js';

/** Rows read at once by a watch that is behind the history. */
const READ_LIMIT = 500;
/** How often a watch is told how far it is, if nothing else is. */
const BOOKMARK_MS = 30_000;

/** What a watch reads from. */
export interface WatchSource {
  readonly feed: Feed;
  readonly pool: pg.Pool;
  readonly secrets: SecretCodec;
  readonly environment: Environment;
}

/**
 * The changes of a kind after `from`. While the history in memory reaches back to where the watch is, it reads that, else
 * the database; so a slow reader costs no memory, and one that is too slow for the database too ends with Expired.
 * A bookmark comes as soon as all is told that stood when the watch began, and then from time to time.
 */
export async function* watch(
  { feed, pool, secrets, environment }: WatchSource,
  kind: string,
  from: number,
  signal: AbortSignal,
  selection: Selection,
): AsyncGenerator<WatchEvent> {
  let position = from;
  // The version from which on the watch has followed the history: before it, previous states are not known.
  let joined: number | undefined;
  let bookmarked = -1;
  let bookmarkDue = environment.now().getTime();
  while (!signal.aborted) {
    const history = await feed.history(kind);
    let upTo: number;
    let changes: readonly Change[];
    if (position < history.start || position > history.position) {
      const read = await readChanges(pool, [kind], position, READ_LIMIT);
      changes = read.rows.map((row) => ({ ...toChange(row, secrets), since: -1 }));
      upTo = read.upTo;
      joined = undefined;
    } else {
      joined ??= position;
      changes = history.after(position);
      upTo = history.position;
    }
    for (const change of changes) {
      const event = eventOf(change, position, joined, selection);
      position = change.version;
      if (event) yield event;
      if (signal.aborted) return;
    }
    position = Math.max(position, upTo);
    if (history.position > position || position < history.start) continue;
    if (environment.now().getTime() >= bookmarkDue && position > bookmarked) {
      bookmarked = position;
      bookmarkDue = environment.now().getTime() + BOOKMARK_MS;
      yield { type: 'Bookmark', resourceVersion: String(position) };
      continue; // More may have come while the reader was busy with it.
    }
    await history.changed(environment, Math.max(0, bookmarkDue - environment.now().getTime()), signal);
  }
}

/** A change as a watch sees it that has been told all up to `position`, or undefined if it does not concern it. */
function eventOf(
  change: Change,
  position: number,
  joined: number | undefined,
  { namespace, labels = [] }: Selection,
): WatchEvent | undefined {
  const { object, deleted } = change;
  if (namespace !== undefined && object.metadata.namespace !== namespace) return undefined;
  const previous = joined !== undefined && change.since >= joined ? change.previous : undefined;
  const known = previous === undefined ? {} : { previous };
  const isChosen = matches(object.metadata.labels, labels);
  const isNew = previous === undefined && change.createdVersion > position;
  // Where it is not known whether it was chosen, it is taken for so: a deletion told in vain does no harm.
  const wasChosen = previous ? matches(previous.metadata.labels, labels) : !isNew;
  if (isChosen && !deleted) return wasChosen ? { type: 'Modified', object, ...known } : { type: 'Added', object };
  if (!wasChosen) return undefined;
  return { type: 'Deleted', object: deleted || !previous ? object : withVersionOf(previous, object), ...known };
}

function withVersionOf(resource: Resource, later: Resource): Resource {
  return { ...resource, metadata: { ...resource.metadata, resourceVersion: later.metadata.resourceVersion } };
}
