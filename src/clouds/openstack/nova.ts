import { z } from 'zod';
import { CloudError, isCloudError } from '../errors.js';
import type { TransportRequest, TransportResponse } from '../transport.js';
import type { Client } from './client.js';
import { malformed } from './errors.js';
import { chooseVersion, type NovaVersion, versionDocumentPath, versionDocumentSchema } from './microversions.js';

/** A call to nova. */
export interface NovaCall {
  readonly operation: string;
  readonly method?: TransportRequest['method'];
  /** What follows nova's endpoint, with the query. */
  readonly path: string;
  readonly body?: unknown;
  readonly effect?: boolean;
  readonly creates?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/** nova: its microversion, and the calls that everything about it is made of. */
export class Nova {
  readonly #client: Client;
  #version: Promise<NovaVersion> | undefined;

  constructor(client: Client) {
    this.#client = client;
  }

  /** What this nova can do: asked once. */
  version(): Promise<NovaVersion> {
    this.#version ??= this.#askVersion().catch((error: unknown) => {
      this.#version = undefined;
      throw error;
    });
    return this.#version;
  }

  /** @returns an answer of success. @throws CloudError for every other. */
  async call({ path, method = 'GET', effect = false, ...call }: NovaCall): Promise<TransportResponse> {
    const { headers } = await this.version();
    return this.#client.call({ ...call, service: 'compute', method, effect, headers, url: (endpoint) => endpoint + path });
  }

  /** A call whose answer is wanted. @throws CloudError also if the answer is not of that shape. */
  async ask<Shape extends z.ZodType>(
    call: NovaCall,
    shape: Shape,
  ): Promise<{ data: z.infer<Shape>; response: TransportResponse }> {
    const response = await this.call(call);
    const parsed = shape.safeParse(response.body);
    if (parsed.success) return { data: parsed.data, response };
    const { operation, effect = false } = call;
    throw malformed({ operation, effect }, response.status, z.prettifyError(parsed.error));
  }

  /**
   * A change of one server. nova answers 404 to most of them while no host has the server yet: so an absence is asked for.
   * @throws CloudError NotFound only if the server itself is not there.
   */
  async change(call: NovaCall & { readonly serverId: string }): Promise<void> {
    const { serverId, ...rest } = call;
    try {
      await this.call({ ...rest, effect: true });
    } catch (error) {
      if (!isCloudError(error, 'NotFound')) throw error;
      await this.call({ operation: `${call.operation} (is it there?)`, path: serverPath(serverId), signal: call.signal });
      throw new CloudError('Conflict', `${error.message}, yet the server is there: no host has it so far`, { cause: error });
    }
  }

  async #askVersion(): Promise<NovaVersion> {
    const call = { operation: 'getVersion', effect: false };
    const response = await this.#client.call({ ...call, service: 'compute', method: 'GET', url: versionDocumentPath });
    const parsed = versionDocumentSchema.safeParse(response.body);
    if (!parsed.success) throw malformed(call, response.status, z.prettifyError(parsed.error));
    return chooseVersion(parsed.data);
  }
}

/** The path of one server. */
export function serverPath(id: string): string {
  return `/servers/${encodeURIComponent(id)}`;
}
