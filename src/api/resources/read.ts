import { apiVersionOf } from '../../resources/kind.js';
import type { Resource } from '../../resources/metadata.js';
import { matches } from '../../store/selectors.js';
import type { Listing, Selection } from '../../store/store.js';
import type { Answer, Call } from './call.js';
import { ApiError, badRequest } from './errors.js';
import { qualifiedPlural, type Target } from './paths.js';
import { choice, integer } from './query.js';
import { type FieldSelector, labelSelector, matchesFields, parseFieldSelector, selectedName } from './selectors.js';
import { shown } from './shown.js';
import { metadataOf, tableOf } from './table.js';

/** What a list or watch is to show. */
export interface Chosen {
  /** What the store can choose by itself. */
  readonly selection: Selection;
  /** What is left for us to choose. */
  readonly fields: FieldSelector;
}

/** Answers GET of one resource. */
export async function getOne(call: Call): Promise<Answer> {
  return { code: 200, body: showOne(call, await existing(call)) };
}

/** Answers GET of a collection. */
export async function getList(call: Call): Promise<Answer> {
  const chosen = chosenBy(call.query, call.target);
  const listing = await find(call, chosen);
  checkVersion(call.query, listing.resourceVersion);
  return { code: 200, body: showList(call, listing, chosen) };
}

/** The resource that a target names. @throws ApiError NotFound. */
export async function existing({ context, target }: Pick<Call, 'context' | 'target'>): Promise<Resource> {
  const { definition, namespace = '', name = '' } = target;
  const resource = await context.store.get({ kind: definition.kind, namespace, name });
  if (!resource) throw new ApiError('NotFound', `${qualifiedPlural(definition)} "${name}" not found`);
  return resource;
}

/** What `labelSelector` and `fieldSelector` choose. @throws ApiError BadRequest. */
export function chosenBy(query: URLSearchParams, { definition, namespace }: Target): Chosen {
  const labels = labelSelector(query.get('labelSelector') ?? '');
  const fields = parseFieldSelector(query.get('fieldSelector') ?? '', definition.kind);
  return {
    selection: {
      ...(namespace === undefined || namespace === '' ? {} : { namespace }),
      ...(labels.length === 0 ? {} : { labels }),
    },
    fields,
  };
}

/** One page (or all) of what is chosen. */
export async function find({ context, target, query }: Call, { selection, fields }: Chosen): Promise<Listing> {
  const { kind } = target.definition;
  const name = selectedName(fields);
  const only = name !== undefined && (selection.namespace !== undefined || !target.definition.namespaced);
  const limit = only ? 1 : integer(query, 'limit');
  const from = only ? null : query.get('continue');
  const page = { ...(limit ? { limit } : {}), ...(from ? { continue: from } : {}) };
  const listing = await context.store.list(kind, selection, page);
  if (!only)
    return fields.length === 0 ? listing : { ...listing, items: listing.items.filter((item) => matchesFields(fields, item)) };
  // One name is read by its key: the list before it is only for a version that is not newer than what is read.
  const resource = await context.store.get({ kind, namespace: selection.namespace ?? '', name });
  const shown = resource && matchesFields(fields, resource) && matches(resource.metadata.labels, selection.labels ?? []);
  return { items: shown ? [resource] : [], resourceVersion: listing.resourceVersion };
}

/** A resource in the form that the client accepts. */
export function showOne({ accepted, target, query, context }: Call, resource: Resource): unknown {
  if (accepted.form === 'Metadata') return metadataOf(resource);
  if (accepted.form !== 'Table') return shown(resource);
  const { resourceVersion } = resource.metadata;
  return tableOf(target.definition, [resource], { resourceVersion }, includeObject(query), context.environment.now());
}

/** A list in the form that the client accepts. */
export function showList({ accepted, target, query, context }: Call, listing: Listing, chosen: Chosen): unknown {
  const { items, resourceVersion, remaining } = listing;
  const exact = chosen.fields.length === 0 && chosen.selection.labels === undefined;
  const metadata = {
    resourceVersion,
    ...(listing.continue === undefined ? {} : { continue: listing.continue }),
    ...(listing.continue === undefined || remaining === undefined || !exact ? {} : { remainingItemCount: remaining }),
  };
  const { definition } = target;
  if (accepted.form === 'Table') return tableOf(definition, items, metadata, includeObject(query), context.environment.now());
  if (accepted.form === 'Metadata') {
    return { kind: 'PartialObjectMetadataList', apiVersion: 'meta.k8s.io/v1', metadata, items: items.map(metadataOf) };
  }
  return { kind: `${definition.kind}List`, apiVersion: apiVersionOf(definition), metadata, items: items.map(shown) };
}

/** How much of a resource a table's row carries. @throws ApiError BadRequest. */
export function includeObject(query: URLSearchParams): 'None' | 'Metadata' | 'Object' {
  return choice(query, 'includeObject', ['None', 'Metadata', 'Object']) ?? 'Metadata';
}

/** We always answer with the newest; what was asked for must not be newer still, nor be wanted exactly if it is older. */
function checkVersion(query: URLSearchParams, current: string): void {
  const asked = query.get('resourceVersion') ?? '';
  const match = choice(query, 'resourceVersionMatch', ['NotOlderThan', 'Exact']);
  if (match !== undefined && asked === '') {
    throw badRequest('resourceVersionMatch', 'the parameter resourceVersionMatch needs resourceVersion');
  }
  if (asked === '' || asked === '0') return;
  if (!/^\d{1,32}$/.test(asked)) throw badRequest('resourceVersion', `"${asked.slice(0, 64)}" is not a resourceVersion`);
  if (match === 'Exact' && asked !== current) {
    throw new ApiError(
      'Expired',
      `the state at resourceVersion ${asked} is no longer held; list without resourceVersionMatch=Exact`,
    );
  }
  if (BigInt(asked) > BigInt(current)) {
    throw new ApiError('Timeout', `Too large resource version: ${asked}, current: ${current}`, { retryAfterSeconds: 1 });
  }
}
