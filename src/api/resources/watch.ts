import { once } from 'node:events';
import { apiVersionOf } from '../../resources/kind.js';
import type { Resource } from '../../resources/metadata.js';
import type { WatchEvent } from '../../store/store.js';
import type { Call } from './call.js';
import { ApiError, badRequest, statusOf, toApiError } from './errors.js';
import { detailsOf } from './paths.js';
import { flag, integer } from './query.js';
import { type Chosen, chosenBy, find, includeObject, showOne } from './read.js';
import { matchesFields } from './selectors.js';
import { tableOf } from './table.js';

/** Without timeoutSeconds a watch lasts between this and twice this, so that watchers do not come back all at once. */
const LASTING_SECONDS = 1800;

type Change = Extract<WatchEvent, { object: Resource }>;
type Sent = 'ADDED' | 'MODIFIED' | 'DELETED';

/**
 * Answers a watch: one JSON object a line, until the client goes, the time is up or the server drains. A failure on the way,
 * such as a version that is too old, is told as an ERROR event with a Status, and ends it.
 *
 * @throws ApiError before anything was sent, if the request itself is at fault.
 */
export async function watch(call: Call): Promise<void> {
  const { response, query, accepted, context, target } = call;
  if (accepted.encoding !== 'json') throw new ApiError('NotAcceptable', 'a watch is served as application/json only');
  const chosen = chosenBy(query, target);
  const initial = initialEvents(query);
  const bookmarks = flag(query, 'allowWatchBookmarks');
  const seconds = integer(query, 'timeoutSeconds') || LASTING_SECONDS * (1 + context.environment.random());
  includeObject(query);

  const ending = new AbortController();
  const end = () => ending.abort();
  const stopTimer = context.environment.after(seconds * 1000, end);
  response.once('close', end);
  context.draining.addEventListener('abort', end, { once: true });
  if (context.draining.aborted) end();
  try {
    response.writeHead(200, { 'Content-Type': 'application/json', 'Cache-Control': 'no-cache, private' });
    response.flushHeaders();
    await stream(call, chosen, initial, bookmarks, ending.signal);
  } catch (error) {
    const failure = toApiError(error, detailsOf(target));
    if (failure.reason === 'InternalError') context.log.error({ err: error, kind: target.definition.kind }, 'watch failed');
    if (!ending.signal.aborted) response.write(`${JSON.stringify({ type: 'ERROR', object: statusOf(failure) })}\n`);
  } finally {
    stopTimer();
    context.draining.removeEventListener('abort', end);
    ending.abort();
    response.end();
  }
}

/** Whether what stands is told first (without a version, as in Kubernetes, or by sendInitialEvents), and its end marked. */
function initialEvents(query: URLSearchParams): {
  readonly send: boolean;
  readonly mark: boolean;
  readonly from: string | undefined;
} {
  const version = query.get('resourceVersion') ?? '';
  if (version !== '' && !/^\d{1,32}$/.test(version)) {
    throw badRequest('resourceVersion', `"${version.slice(0, 64)}" is not a resourceVersion`);
  }
  const asked = flag(query, 'sendInitialEvents');
  if (asked && query.get('resourceVersionMatch') !== 'NotOlderThan') {
    throw badRequest('resourceVersionMatch', 'sendInitialEvents needs resourceVersionMatch=NotOlderThan');
  }
  const refused = query.get('sendInitialEvents') === 'false';
  const fromAny = version === '' || version === '0';
  return { send: asked || (fromAny && !refused), mark: asked, from: fromAny ? undefined : version };
}

async function stream(
  call: Call,
  chosen: Chosen,
  initial: ReturnType<typeof initialEvents>,
  bookmarks: boolean,
  signal: AbortSignal,
): Promise<void> {
  const { context, target } = call;
  let from = initial.from;
  if (initial.send) {
    const listing = await find({ ...call, query: new URLSearchParams() }, chosen);
    for (const resource of listing.items) await send(call, line(call, 'ADDED', resource), signal);
    from = listing.resourceVersion;
    if (initial.mark && bookmarks) await send(call, bookmark(call, from, { 'k8s.io/initial-events-end': 'true' }), signal);
  }
  for await (const event of context.store.watch(target.definition.kind, from, signal, chosen.selection)) {
    if (signal.aborted) return;
    if (event.type === 'Bookmark') {
      if (bookmarks) await send(call, bookmark(call, event.resourceVersion), signal);
      continue;
    }
    const type = typeFor(event, chosen);
    if (type) await send(call, line(call, type, event.object), signal);
  }
}

/** What a change is to a watcher who sees only what the field selector chooses; undefined: nothing. */
function typeFor(event: Change, { fields }: Chosen): Sent | undefined {
  const is = matchesFields(fields, event.object);
  if (event.type === 'Added') return is ? 'ADDED' : undefined;
  const was = event.previous === undefined ? is : matchesFields(fields, event.previous);
  if (event.type === 'Deleted') return was ? 'DELETED' : undefined;
  if (is) return was ? 'MODIFIED' : 'ADDED';
  return was ? 'DELETED' : undefined;
}

async function send({ response }: Call, text: string, signal: AbortSignal): Promise<void> {
  if (signal.aborted || response.write(text)) return;
  // A slow client is waited for; the store keeps what comes meanwhile.
  await once(response, 'drain', { signal }).catch(() => undefined);
}

/** Lines that were written for another watcher; watchers of one store share its resources. Tables show ages, so they stay out. */
const lines = new WeakMap<Resource, Map<string, string>>();

function line(call: Call, type: Sent, resource: Resource): string {
  const { form } = call.accepted;
  if (form === 'Table') return write(call, type, resource);
  const known = lines.get(resource) ?? new Map<string, string>();
  lines.set(resource, known);
  const key = `${type} ${form}`;
  const text = known.get(key) ?? write(call, type, resource);
  known.set(key, text);
  return text;
}

function write(call: Call, type: Sent, resource: Resource): string {
  return `${JSON.stringify({ type, object: showOne(call, resource) })}\n`;
}

function bookmark({ target, accepted, context }: Call, resourceVersion: string, annotations?: Record<string, string>): string {
  const { definition } = target;
  const metadata = { resourceVersion, creationTimestamp: null, ...(annotations ? { annotations } : {}) };
  const object =
    accepted.form === 'Table'
      ? tableOf(definition, [], { resourceVersion }, 'None', context.environment.now())
      : accepted.form === 'Metadata'
        ? { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata }
        : { kind: definition.kind, apiVersion: apiVersionOf(definition), metadata };
  return `${JSON.stringify({ type: 'BOOKMARK', object })}\n`;
}
