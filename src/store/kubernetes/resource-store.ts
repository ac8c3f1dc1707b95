import { formatKey, type Resource, type ResourceKey } from '../../resources/metadata.js';
import { isStoreError, StoreError } from '../errors.js';
import type { DeleteOptions, Draft, LeaseStore, Listing, Selection, Store, WatchEvent, WriteOptions } from '../store.js';
import { list } from './list.js';
import { collectionPath, query, resourcePath } from './paths.js';
import type { ApiRequest, Requests } from './requests.js';
import { leftovers, withoutEmptyObjects } from './status.js';
import { type WatchSource, watch } from './watch.js';
import { subjectOf, wireOf } from './wire.js';

/** Whose fields the API server takes all writes for: what it reported and no longer reports goes away. */
const FIELD_MANAGER = 'dispatcher';
/** Tries of a write that asks for no version, when others write at the same time. */
const ATTEMPTS = 16;

/** What a {@link ResourceStore} is made of. */
export interface ResourceStoreOptions extends WatchSource {
  readonly requests: Requests;
  readonly leases: LeaseStore;
}

/** The resources of the Kubernetes plane. */
export class ResourceStore implements Store {
  readonly leases: LeaseStore;
  readonly #requests: Requests;

  constructor(private readonly options: ResourceStoreOptions) {
    this.leases = options.leases;
    this.#requests = options.requests;
  }

  async get(key: ResourceKey): Promise<Resource | undefined> {
    const wire = wireOf(key.kind);
    try {
      return wire.decode(
        await this.#requests.send({ method: 'GET', path: resourcePath(wire, key), ...subjectOf('get', wire, key) }),
      );
    } catch (error) {
      if (isStoreError(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  list(kind: string, selection: Selection = {}, page: { limit?: number; continue?: string } = {}): Promise<Listing> {
    return list(this.#requests, kind, selection, page);
  }

  async create(draft: Draft, options: WriteOptions = {}): Promise<Resource> {
    const wire = wireOf(draft.kind);
    const { uid: _uid, resourceVersion: _version, ...metadata } = draft.metadata;
    const { name, generateName, namespace = '' } = metadata;
    if (!name && !generateName) throw new StoreError('Invalid', `${draft.kind} needs metadata.name or metadata.generateName`);
    const key = { kind: draft.kind, namespace, name: name || `${generateName}*` };
    if (wire.namespaced && namespace === '') throw new StoreError('Invalid', `${key.kind} ${key.name} needs metadata.namespace`);
    const path = collectionPath(wire, namespace) + query({ fieldManager: FIELD_MANAGER, ...dryRunOf(options) });
    const body = wire.encode({ ...draft, metadata });
    return wire.decode(await this.#requests.send({ method: 'POST', path, body, ...subjectOf('create', wire, key) }));
  }

  update(draft: Draft, options: WriteOptions = {}): Promise<Resource> {
    const key = keyOfDraft(draft);
    const wire = wireOf(key.kind);
    const request = {
      ...(wire.updates === 'merge'
        ? { method: 'PATCH' as const, contentType: 'application/merge-patch+json' }
        : { method: 'PUT' as const }),
      path: resourcePath(wire, key) + query({ fieldManager: FIELD_MANAGER, ...dryRunOf(options) }),
      ...subjectOf('update', wire, key),
    };
    const send = async (version: Versioned) =>
      wire.decode(await this.#requests.send({ ...request, body: wire.encode(withVersion(draft, version)) }));
    // Custom resources can only be replaced at a version.
    return wire.updates === 'merge' ? send({}) : this.#atSomeVersion(draft, send);
  }

  /**
   * By server-side apply: what we reported goes when we no longer do. What others have written into the status, and we do not
   * report, is then removed: a status is one program's word, and a field that nobody lets go of would be believed for ever.
   * @throws as the port says; Invalid too for a field that the CustomResourceDefinition does not know.
   */
  updateStatus(draft: Draft, options: WriteOptions = {}): Promise<Resource> {
    const key = keyOfDraft(draft);
    const wire = wireOf(key.kind);
    const { name, namespace, uid, resourceVersion } = draft.metadata;
    const status = withoutEmptyObjects(draft.status);
    const path = `${resourcePath(wire, key)}/status`;
    const subject = subjectOf('update the status of', wire, key);
    const apply = async (version: Versioned) => {
      const metadata = { name, ...(namespace && { namespace }), ...version };
      const written = wire.decode(
        await this.#requests.send({
          method: 'PATCH',
          contentType: 'application/apply-patch+yaml',
          path: path + query({ fieldManager: FIELD_MANAGER, force: 'true', ...dryRunOf(options) }),
          body: { apiVersion: draft.apiVersion, kind: draft.kind, metadata, status },
          ...subject,
        }),
      );
      const others = leftovers(status, written.status);
      if (others.length === 0) return written;
      if (options.dryRun) return { ...written, status };
      const at = { op: 'replace', path: '/metadata/resourceVersion', value: written.metadata.resourceVersion };
      return wire.decode(
        await this.#requests.send({
          method: 'PATCH',
          contentType: 'application/json-patch+json',
          path: path + query({ fieldManager: FIELD_MANAGER }),
          body: [at, ...others],
          ...subject,
        }),
      );
    };
    // The API server pays no regard to a uid here.
    return uid && !resourceVersion ? this.#atSomeVersion(draft, apply) : apply(resourceVersion ? { resourceVersion } : {});
  }

  async delete(key: ResourceKey, options: DeleteOptions = {}): Promise<Resource> {
    const wire = wireOf(key.kind);
    const { dryRun = false, propagation = 'Background', uid, resourceVersion } = options;
    for (let attempt = 1; ; attempt++) {
      // The API server does not give the last state of what it deletes at once.
      const current = await this.get(key);
      if (!current) throw new StoreError('NotFound', `${formatKey(key)} is not there`);
      const body = {
        apiVersion: 'v1',
        kind: 'DeleteOptions',
        preconditions: { uid: uid ?? current.metadata.uid, ...(resourceVersion && { resourceVersion }) },
        propagationPolicy: propagation,
        ...(dryRun && { dryRun: ['All'] }),
      };
      try {
        const request: ApiRequest = { method: 'DELETE', path: resourcePath(wire, key), body, ...subjectOf('delete', wire, key) };
        const answer = await this.#requests.send(request);
        return isStatus(answer) ? current : wire.decode(answer);
      } catch (error) {
        const another = isStoreError(error, 'Conflict') && uid === undefined && resourceVersion === undefined;
        if (!another || attempt === ATTEMPTS) throw error;
      }
    }
  }

  watch(kind: string, from: string | undefined, signal: AbortSignal, selection: Selection = {}): AsyncIterable<WatchEvent> {
    return watch(this.options, kind, from, signal, selection);
  }

  /** Writes at the version that the draft asks for; if it asks for none, at the one that stands, again if that was overtaken. */
  async #atSomeVersion(draft: Draft, send: (version: Versioned) => Promise<Resource>): Promise<Resource> {
    const { uid, resourceVersion } = draft.metadata;
    if (resourceVersion) return send({ resourceVersion, ...(uid && { uid }) });
    const key = keyOfDraft(draft);
    for (let attempt = 1; ; attempt++) {
      const current = await this.get(key);
      if (!current) throw new StoreError('NotFound', `${formatKey(key)} is not there`);
      if (uid && uid !== current.metadata.uid)
        throw new StoreError('Conflict', `${formatKey(key)} has the uid ${current.metadata.uid}, not ${uid}`);
      try {
        return await send({ uid: current.metadata.uid, resourceVersion: current.metadata.resourceVersion });
      } catch (error) {
        if (!isStoreError(error, 'Conflict') || attempt === ATTEMPTS) throw error;
      }
    }
  }
}

interface Versioned {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

function keyOfDraft({ kind, metadata: { namespace = '', name = '' } }: Draft): ResourceKey {
  return { kind, namespace, name };
}

function withVersion(draft: Draft, version: Versioned): Draft {
  return { ...draft, metadata: { ...draft.metadata, ...version } };
}

function dryRunOf({ dryRun }: WriteOptions): { dryRun?: 'All' } {
  return dryRun ? { dryRun: 'All' } : {};
}

/** Whether the API server answered that it is done, in place of the resource. */
function isStatus(answer: unknown): boolean {
  return typeof answer === 'object' && answer !== null && 'kind' in answer && answer.kind === 'Status';
}
