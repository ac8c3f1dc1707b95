import { z } from 'zod';
import type { Environment } from '../../environment.js';
import type { Server, ServerListing, Watermark } from '../driver.js';
import { CloudError, isCloudError } from '../errors.js';
import type { Nova } from './nova.js';
import { isPart, novaServerSchema, toServer } from './server.js';

/** nova gives its own maximum (1000 by default) if that is less. */
const PAGE = 1000;
/** A watermark lies so far before its list: the clocks of the cloud's hosts, and writes that were not yet committed. Milliseconds. */
const OVERLAP_MS = 10_000;
/** A shortened walk leans on a whole one not older than this. Milliseconds. */
const WHOLE_WALK_SERVES_MS = 10 * 60_000;
/** So many pages in a row without a new server: the walk goes in a circle. */
const STALE_PAGES = 5;

const pageSchema = z.object({ servers: z.array(novaServerSchema) });

interface Page {
  readonly servers: readonly Server[];
  /** The cloud's time before it gave this page. Milliseconds. */
  readonly before: number;
}

/**
 * nova's lists, so read that none misses a server. What is known of them (seen on a real one):
 * - `servers_links` is missing from pages in the middle: only an empty page is the end;
 * - doubles occur; a server that is just given to a host can slip from a page not yet read into one already read;
 * - one page is consistent in itself: it holds every server that belongs there;
 * - the order is: without a host first, then the newest first (`created_at`).
 */
export class ServerLists {
  readonly #nova: Nova;
  readonly #environment: Environment;
  readonly #installation: string | undefined;
  #whole: { readonly ids: ReadonlySet<string>; readonly at: number } | undefined;

  constructor(nova: Nova, environment: Environment, installation: string | undefined) {
    this.#nova = nova;
    this.#environment = environment;
    this.#installation = installation;
  }

  /** Every server there is. */
  async all(signal?: AbortSignal): Promise<ServerListing> {
    const startedAt = this.#now();
    const found = new Map<string, Server>();
    const known = this.#knownIds();
    let unseen = known.size;
    let busy = false;
    let pages = 0;
    let before = 0;
    for await (const page of this.#pages('listServers', {}, signal)) {
      if (pages === 0) before = page.before;
      if (page.servers.length > 0) pages += 1;
      for (const server of page.servers) {
        if (!found.has(server.id) && known.has(server.id)) unseen -= 1;
        found.set(server.id, server);
        busy ||= isBusy(server);
      }
      // Why the closing empty page may be left out: all servers of the last whole walk are seen, and this page ends with one of
      // them. What could follow is older than that one, so it was there at that walk, so it is seen.
      // Nothing seen is on its way to a host, so nothing slipped by (a page full of such is the only place to slip from).
      const last = page.servers.at(-1);
      if (unseen === 0 && !busy && last !== undefined && known.has(last.id)) {
        return { servers: [...found.values()], watermark: toWatermark(before) };
      }
    }
    if (pages > 1 && busy) await this.#addSlipped(found, before, signal);
    this.#whole = { ids: new Set(found.keys()), at: startedAt };
    return { servers: [...found.values()], watermark: toWatermark(before) };
  }

  /** What changed since, deleted ones too. */
  async changes(since: Watermark, signal?: AbortSignal): Promise<ServerListing> {
    const found = new Map<string, Server>();
    let before: number | undefined;
    for await (const page of this.#pages('listChanges', { 'changes-since': since }, signal)) {
      before ??= page.before;
      for (const server of page.servers) found.set(server.id, server);
    }
    return { servers: [...found.values()], watermark: before === undefined ? since : toWatermark(before) };
  }

  /** Those of exactly this name. `name` is a regular expression to nova, in its database's taste. */
  async named(name: string, signal?: AbortSignal): Promise<Server[]> {
    const pattern = `^${name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}$`;
    const found = new Map<string, Server>();
    for await (const page of this.#pages('findServersByName', { name: pattern }, signal)) {
      for (const server of page.servers) if (server.name === name) found.set(server.id, server);
    }
    return [...found.values()];
  }

  /**
   * The servers that slipped from page to page during a walk: still building, and so in a list of those alone, or done, and so
   * changed since. (`changes-since` alone leaves out a server that its host has not touched yet.)
   */
  async #addSlipped(found: Map<string, Server>, before: number, signal?: AbortSignal): Promise<void> {
    for (const query of [{ status: 'BUILD' }, { 'changes-since': toWatermark(before) }]) {
      for await (const page of this.#pages('listServers', query, signal)) {
        for (const server of page.servers) {
          if (server.state === 'Deleted') found.delete(server.id);
          else found.set(server.id, server);
        }
      }
    }
  }

  /**
   * Pages by marker, to the empty one. A page may hold its own marker, and nothing else: the marker was given to a host meanwhile.
   * @throws CloudError Unavailable when the cloud keeps giving what it gave already.
   */
  async *#pages(operation: string, query: Readonly<Record<string, string>>, signal?: AbortSignal): AsyncGenerator<Page> {
    const seen = new Set<string>();
    let marker: string | undefined;
    for (let stale = 0; stale < STALE_PAGES; ) {
      const page = await this.#page(
        operation,
        { ...query, limit: String(PAGE), ...(marker === undefined ? {} : { marker }) },
        signal,
      );
      yield page;
      const last = page.servers.at(-1);
      if (last === undefined) return;
      const before = seen.size;
      for (const server of page.servers) seen.add(server.id);
      stale = seen.size > before ? 0 : stale + 1;
      marker = last.id;
    }
    throw new CloudError('Unavailable', `${operation}: the cloud gives the same pages again and again`);
  }

  async #page(operation: string, query: Record<string, string>, signal: AbortSignal | undefined): Promise<Page> {
    const askedAt = this.#now();
    try {
      const path = `/servers/detail?${new URLSearchParams(query)}`;
      const { data, response } = await this.#nova.ask({ operation, path, signal }, pageSchema);
      const partial = data.servers.find((server) => server.status !== 'DELETED' && isPart(server));
      if (partial !== undefined) {
        throw new CloudError(
          'Unavailable',
          `${operation}: the cloud shows only a part of server ${partial.id}: a cell of it is down`,
        );
      }
      // The answer bears the time of its end: what happened while it was made counts as after.
      const date = Date.parse(response.headers.date ?? '');
      const end = Number.isNaN(date) ? this.#now() : date;
      const before = end - (this.#now() - askedAt) - OVERLAP_MS;
      return { servers: data.servers.map((server) => toServer(server, this.#installation)), before };
    } catch (error) {
      // The last server of the page before is gone without a trace: the list is to be begun anew.
      const lost = isCloudError(error, 'Invalid') && query.marker !== undefined && /marker/i.test(error.message);
      throw lost ? new CloudError('Unavailable', error.message, { cause: error }) : error;
    }
  }

  #knownIds(): ReadonlySet<string> {
    const whole = this.#whole;
    return whole !== undefined && this.#now() - whole.at < WHOLE_WALK_SERVES_MS ? whole.ids : new Set();
  }

  #now(): number {
    return this.#environment.now().getTime();
  }
}

/** On its way to a host, or something is being done to it. */
function isBusy(server: Server): boolean {
  return server.state === 'Building' || server.task !== undefined;
}

/** Whole seconds, as nova reads them; rounded down. */
function toWatermark(ms: number): Watermark {
  return `${new Date(ms).toISOString().slice(0, 19)}Z` as Watermark;
}
