import { z } from 'zod';
import type { TransportRequest, TransportResponse } from '../transport.js';
import type { Client } from './client.js';
import { malformed } from './errors.js';
import { allPages, hasNext } from './pages.js';

/** A call to cinder. */
interface CinderCall {
  readonly operation: string;
  readonly method?: TransportRequest['method'];
  /** What follows cinder's endpoint, with the query. */
  readonly path: string;
  readonly body?: unknown;
  readonly effect?: boolean;
  readonly creates?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** What this cinder can do. */
interface CinderVersion {
  /** For cinder's calls alone: other services refuse or ignore it. */
  readonly headers: Readonly<Record<string, string>>;
  /** A volume can grow while a server has it. */
  readonly growsInUse: boolean;
}

/** The one that this driver is written for: of it is used that a volume grows in use. */
const WANTED = 42;

const versionsSchema = z.object({
  versions: z.array(z.object({ id: z.string(), version: z.string().default(''), min_version: z.string().default('') })),
});

/** cinder: its microversion, and the calls that everything about it is made of. */
export class Cinder {
  readonly #client: Client;
  #version: Promise<CinderVersion> | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  /** @throws CloudError Unsupported if this cloud has no cinder. */
  async require(operation: string): Promise<void> {
    await this.#client.endpoint('volume', operation);
  }

  /** What this cinder can do: asked once. */
  version(): Promise<CinderVersion> {
    this.#version ??= this.#askVersion().catch((error: unknown) => {
      this.#version = undefined;
      throw error;
    });
    return this.#version;
  }

  /** @returns an answer of success. @throws CloudError for every other. */
  async call({ path, method = 'GET', effect = false, ...call }: CinderCall): Promise<TransportResponse> {
    await this.require(call.operation);
    const { headers } = await this.version();
    const { projectId } = await this.#client.token();
    const url = (endpoint: string) => versioned(endpoint, projectId) + path;
    return this.#client.call({ ...call, service: 'volume', method, effect, headers, url });
  }

  /** A call whose answer is wanted. @throws CloudError also if the answer is not of that shape. */
  async ask<Shape extends z.ZodType>(call: CinderCall, shape: Shape): Promise<z.infer<Shape>> {
    const response = await this.call(call);
    const parsed = shape.safeParse(response.body);
    if (parsed.success) return parsed.data;
    const { operation, effect = false } = call;
    throw malformed({ operation, effect }, response.status, z.prettifyError(parsed.error));
  }

  /** All pages of a list. @param path without a query. @param shape `items`, and whether there is more, of a page. */
  list<Item extends { readonly id: string }>(
    operation: string,
    path: string,
    query: Readonly<Record<string, string>>,
    shape: z.ZodType<{ readonly items: readonly Item[]; readonly links?: readonly { readonly rel: string }[] | undefined }>,
    signal?: AbortSignal,
  ): Promise<Item[]> {
    return allPages(operation, async (page) => {
      const call = { operation, path: `${path}?${new URLSearchParams({ ...query, ...page })}`, signal };
      const { items, links } = await this.ask(call, shape);
      return { items, more: hasNext(links) };
    });
  }

  async #askVersion(): Promise<CinderVersion> {
    const call = { operation: 'getVolumeVersion', effect: false };
    const { projectId } = await this.#client.token();
    const url = (endpoint: string) => `${versioned(endpoint, projectId).replace(/(\/v3)(\/.*)?$/, '$1')}/`;
    const response = await this.#client.call({ ...call, service: 'volume', method: 'GET', url });
    const parsed = versionsSchema.safeParse(response.body);
    if (!parsed.success) throw malformed(call, response.status, z.prettifyError(parsed.error));
    const document = parsed.data.versions.find(({ id }) => id.startsWith('v3'));
    const minor = Math.max(minorOf(document?.min_version), Math.min(WANTED, minorOf(document?.version)));
    return { headers: { 'openstack-api-version': `volume 3.${minor}` }, growsInUse: minor >= WANTED };
  }
}

/** Catalogs name cinder with or without its version and the project. */
function versioned(endpoint: string, projectId: string): string {
  return /\/v3(\/|$)/.test(endpoint) ? endpoint : `${endpoint}/v3/${projectId}`;
}

function minorOf(version: string | undefined): number {
  return Number(/^3\.(\d+)$/.exec(version ?? '')?.[1] ?? 0);
}
