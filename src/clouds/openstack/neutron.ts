import { z } from 'zod';
import type { TransportRequest, TransportResponse } from '../transport.js';
import type { Client } from './client.js';
import { malformed } from './errors.js';
import { allPages, hasNext } from './pages.js';

/** A call to neutron. */
interface NeutronCall {
  readonly operation: string;
  readonly method?: TransportRequest['method'];
  /** What follows neutron's endpoint and its version, with the query. */
  readonly path: string;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly effect?: boolean;
  readonly creates?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** neutron: the calls that everything about it is made of. */
export class Neutron {
  readonly #client: Client;

  constructor(client: Client) {
    this.#client = client;
  }

  /** @throws CloudError Unsupported if this cloud has no neutron. */
  async require(operation: string): Promise<void> {
    await this.#client.endpoint('network', operation);
  }

  /** The project logged in to. */
  async projectId(): Promise<string> {
    return (await this.#client.token()).projectId;
  }

  /** @returns an answer of success. @throws CloudError for every other. */
  call({ path, method = 'GET', effect = false, ...call }: NeutronCall): Promise<TransportResponse> {
    return this.#client.call({ ...call, service: 'network', method, effect, url: (endpoint) => versioned(endpoint) + path });
  }

  /** A call whose answer is wanted. @throws CloudError also if the answer is not of that shape. */
  async ask<Shape extends z.ZodType>(call: NeutronCall, shape: Shape): Promise<z.infer<Shape>> {
    const response = await this.call(call);
    const parsed = shape.safeParse(response.body);
    if (parsed.success) return parsed.data;
    const { operation, effect = false } = call;
    throw malformed({ operation, effect }, response.status, z.prettifyError(parsed.error));
  }

  /** All there is of one kind: `security-groups`. @param query what to ask for, without paging. */
  list<Item extends z.ZodType<{ id: string }>>(
    operation: string,
    kind: string,
    query: URLSearchParams,
    item: Item,
    signal?: AbortSignal,
  ): Promise<z.infer<Item>[]> {
    const shape = z.object({ items: z.array(item), links: z.array(z.object({ rel: z.string() })).optional() });
    return allPages(operation, async (page) => {
      const path = `/${kind}?${new URLSearchParams([...query, ...Object.entries(page)])}`;
      const response = await this.call({ operation, path, signal });
      const body = z.record(z.string(), z.unknown()).safeParse(response.body);
      const key = kind.replaceAll('-', '_');
      const parsed = shape.safeParse({ items: body.data?.[key], links: body.data?.[`${key}_links`] });
      if (!parsed.success) throw malformed({ operation, effect: false }, response.status, z.prettifyError(parsed.error));
      return { items: parsed.data.items, more: hasNext(parsed.data.links) };
    });
  }
}

/** Catalogs name neutron with or without its version. */
function versioned(endpoint: string): string {
  return /\/v2\.0$/.test(endpoint) ? endpoint : `${endpoint}/v2.0`;
}
