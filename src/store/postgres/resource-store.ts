import type pg from 'pg';
import type { Logger } from 'pino';
import type { Environment } from '../../environment.js';
import type { Resource, ResourceKey } from '../../resources/metadata.js';
import { kindNamed } from '../../resources/registry.js';
import type { Cipher } from '../encryption.js';
import { isStoreError, StoreError } from '../errors.js';
import type { DeleteOptions, Draft, LeaseStore, Listing, Selection, Store, WatchEvent, WriteOptions } from '../store.js';
import { storeErrorOf } from './database.js';
import { Feed } from './feed.js';
import { PostgresLeases } from './leases.js';
import { readPage } from './read.js';
import { ReadQueue } from './read-queue.js';
import { type Row, toRow, type WrittenRow } from './rows.js';
import { mergeStringData, SecretCodec } from './secrets.js';
import { watch } from './watch.js';
import type { Precondition, Write } from './write-batch.js';
import { WriteQueue } from './write-queue.js';

/** What a {@link ResourceStore} is made of. */
export interface ResourceStoreOptions {
  readonly connectionString: string;
  readonly pool: pg.Pool;
  readonly cipher: Cipher;
  readonly environment: Environment;
  readonly log: Logger;
  /** The version that the database is at. */
  readonly version: number;
}

const NAME_LETTERS = 'bcdfghjklmnpqrstvwxz2456789';

/** The resources of the Postgres plane. */
export class ResourceStore implements Store {
  readonly leases: LeaseStore;
  readonly #pool: pg.Pool;
  readonly #environment: Environment;
  readonly #secrets: SecretCodec;
  readonly #reads: ReadQueue;
  readonly #writes: WriteQueue;
  readonly #feed: Feed;
  /** The newest version that this process has seen: where a watch "from now on" begins. */
  #seen: number;

  constructor({ connectionString, pool, cipher, environment, log, version }: ResourceStoreOptions) {
    this.#pool = pool;
    this.#environment = environment;
    this.#secrets = new SecretCodec(cipher, log);
    this.#reads = new ReadQueue(pool);
    this.#writes = new WriteQueue(pool, this.#secrets, environment, log, (rows) => this.#feed.committed(rows));
    this.#seen = version;
    this.leases = new PostgresLeases(pool);
    const load = async (kind: string) => {
      const { rows, version: at } = await this.#readPage(kind, {}, {});
      return { items: rows.map((row) => this.#secrets.readAnyway(row)), version: at };
    };
    this.#feed = new Feed({ connectionString, environment, log, secrets: this.#secrets, load });
  }

  async get(key: ResourceKey): Promise<Resource | undefined> {
    const row = await this.#reads.get(key).catch(fail);
    return row && this.#secrets.read(row);
  }

  async list(kind: string, selection: Selection = {}, page: { limit?: number; continue?: string } = {}): Promise<Listing> {
    const { rows, version, ...rest } = await this.#readPage(kind, selection, page);
    const read = rows.map((row) => this.#secrets.readAnyway(row));
    // Who lists a whole kind is about to watch it: the history begins with the same objects, in the same memory.
    const isWhole =
      selection.namespace === undefined && !selection.labels?.length && page.continue === undefined && !rest.continue;
    const history = this.#feed.opened(kind) ?? (isWhole ? this.#feed.begin(kind, read, version) : undefined);
    return { items: history ? read.map((item) => history.intern(item)) : read, resourceVersion: String(version), ...rest };
  }

  async create(draft: Draft, options: WriteOptions = {}): Promise<Resource> {
    const { name, generateName } = draft.metadata;
    if (name) return this.#create(draft, name, options);
    if (!generateName) throw new StoreError('Invalid', `${draft.kind} needs metadata.name or metadata.generateName`);
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#create(draft, generateName + this.#letters(5), options);
      } catch (error) {
        if (!isStoreError(error, 'AlreadyExists') || attempt === 8) throw error;
      }
    }
  }

  async update(draft: Draft, options: WriteOptions = {}): Promise<Resource> {
    const { kind, namespace, name } = keyOfDraft(draft);
    const row = mergeStringData(toRow(draft, namespace, name));
    return this.#write({ type: 'update', row: { ...row, kind }, expected: preconditionOf(draft) }, options);
  }

  async updateStatus(draft: Draft, options: WriteOptions = {}): Promise<Resource> {
    const key = keyOfDraft(draft);
    return this.#write({ type: 'status', key, status: draft.status ?? null, expected: preconditionOf(draft) }, options);
  }

  async delete(key: ResourceKey, options: DeleteOptions = {}): Promise<Resource> {
    return this.#write({ type: 'delete', key, options }, options);
  }

  watch(kind: string, from: string | undefined, signal: AbortSignal, selection: Selection = {}): AsyncIterable<WatchEvent> {
    if (from !== undefined && !/^\d{1,15}$/.test(from))
      throw new StoreError('Invalid', `${JSON.stringify(from)} is not a version`);
    const start = from === undefined ? Math.max(this.#seen, this.#feed.opened(kind)?.position ?? 0) : Number(from);
    const source = { feed: this.#feed, pool: this.#pool, secrets: this.#secrets, environment: this.#environment };
    return watch(source, kind, start, signal, selection);
  }

  /** No watch can begin before `version` any more. */
  forgetHistory(version: number): void {
    this.#feed.forget(version);
  }

  /** Finishes the writes under way and ends all watches. */
  async stop(): Promise<void> {
    await this.#writes.close();
    await this.#feed.close();
  }

  async #create(draft: Draft, name: string, options: WriteOptions): Promise<Resource> {
    const { kind, namespace } = keyOfDraft(draft, name);
    if (namespace === '' && kindNamed(kind).namespaced)
      throw new StoreError('Invalid', `${kind} ${name} needs metadata.namespace`);
    const row: WrittenRow = mergeStringData(toRow(draft, namespace, name));
    return this.#write({ type: 'create', row, uid: this.#environment.id() }, options);
  }

  async #write(write: Write, options: WriteOptions): Promise<Resource> {
    const { dryRun = false } = options;
    const row: Row = await this.#writes.submit(write, options);
    const resource = this.#secrets.read(row);
    if (dryRun) return resource;
    this.#seen = Math.max(this.#seen, row.resource_version);
    return this.#feed.opened(row.kind)?.written(resource) ?? resource;
  }

  async #readPage(kind: string, selection: Selection, { limit, continue: token }: { limit?: number; continue?: string }) {
    const page = await readPage(this.#pool, kind, selection, limit || undefined, token).catch(fail);
    this.#seen = Math.max(this.#seen, page.version);
    return page;
  }

  #letters(count: number): string {
    const letter = () => NAME_LETTERS[Math.floor(this.#environment.random() * NAME_LETTERS.length)] ?? 'x';
    return Array.from({ length: count }, letter).join('');
  }
}

/** The key that a draft means. @throws StoreError Invalid without a name. */
function keyOfDraft({ kind, metadata }: Draft, name = metadata.name): ResourceKey {
  if (!name) throw new StoreError('Invalid', `${kind} needs metadata.name`);
  return { kind, namespace: kindNamed(kind).namespaced ? (metadata.namespace ?? '') : '', name };
}

function preconditionOf({ metadata: { uid, resourceVersion } }: Draft): Precondition {
  return { ...(uid && { uid }), ...(resourceVersion && { resourceVersion }) };
}

function fail(error: unknown): never {
  throw storeErrorOf(error);
}
