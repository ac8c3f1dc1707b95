import { rootCertificates } from 'node:tls';
import axios, { type AxiosResponse, type InternalAxiosRequestConfig } from 'axios';
import { type Dispatcher, Pool } from 'undici';
import type { Environment } from '../environment.js';

/** One HTTP call. JSON out and in. */
export interface TransportRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Absolute. Redirects are never followed: a 3xx is an answer like any other. */
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Looked at until the call is handed to the network, never after. */
  readonly signal?: AbortSignal | undefined;
}

/** An answer, whatever its status. */
export interface TransportResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The parsed JSON; undefined if the body is empty or no JSON. */
  readonly body: unknown;
  /** The body as it came. */
  readonly text: string;
}

/** Why no answer came. */
export type TransportFailure = 'Aborted' | 'NotConnected' | 'TimedOut' | 'Broken' | 'TooLarge';

/** No (whole) answer came. `sent`: 'no' if surely not one byte of the request left; 'maybe' if it may have been carried out. */
export class TransportError extends Error {
  override readonly name = 'TransportError';

  constructor(
    readonly failure: TransportFailure,
    readonly sent: 'no' | 'maybe',
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a {@link Transport} is made with. */
export interface TransportOptions {
  readonly environment: Environment;
  /** Certificates (PEM) trusted beside the usual authorities. */
  readonly caBundle?: string | undefined;
  /** For a whole call, from waiting for a connection to the last byte. Milliseconds. */
  readonly timeoutMs: number;
  /** An answer's body at most, bytes. Default 64 MiB: a page of 1000 servers is about 3 MB. */
  readonly maxResponseBytes?: number;
}

/** HTTP to clouds. A call is sent at most once, whatever happens to its connection. */
export interface Transport {
  /** @throws TransportError if no whole answer came; an answer of any status is returned. */
  request(request: TransportRequest): Promise<TransportResponse>;
  /** Frees connections. Calls in hand end as 'Broken' or 'NotConnected'. */
  close(): Promise<void>;
}

/**
 * How long an idle connection is kept when the server does not say (Keep-Alive: timeout). Below the least that is usual among
 * servers (Apache's 5 s): a connection that the server closes just as it is used costs an unknown outcome.
 */
const KEEP_ALIVE_MS = 4_000;
const CONNECT_TIMEOUT_MS = 10_000;
const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

/**
 * A transport of its own connections. axios' interface on undici's connections: measured on one core, 75-113 us a call
 * where axios' own way to the network takes 540 us and more.
 */
export function createTransport(options: TransportOptions): Transport {
  const pools = new Map<string, Pool>();
  const connect = {
    timeout: Math.min(CONNECT_TIMEOUT_MS, options.timeoutMs),
    ...(options.caBundle === undefined ? {} : { ca: [...rootCertificates, options.caBundle] }),
  };
  // One connection a call in flight: how many those are is the limiter's business.
  const poolOf = (origin: string): Pool => {
    let pool = pools.get(origin);
    if (pool === undefined) {
      pool = new Pool(origin, { pipelining: 1, connect, keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: 0, bodyTimeout: 0 });
      pools.set(origin, pool);
    }
    return pool;
  };
  const maxBytes = options.maxResponseBytes ?? MAX_RESPONSE_BYTES;

  const http = axios.create({
    adapter: async (config) => answer(config, await exchange(poolOf(originOf(config)), config, options, maxBytes)),
    validateStatus: () => true,
    transformRequest: [(body: unknown) => (body === undefined ? undefined : JSON.stringify(body))],
    transformResponse: [(text: unknown) => text],
  });

  return {
    async request({ method, url, headers, body, signal }) {
      // The signal is not given to axios, which would throw away an answer that came after the abort.
      if (signal?.aborted) throw new TransportError('Aborted', 'no', 'it was called off before it was sent');
      const response: AxiosResponse<string> = await http.request({
        method,
        url,
        data: body,
        headers: {
          accept: 'application/json',
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
      });
      return { status: response.status, headers: plain(response.headers), body: parse(response.data), text: response.data };
    },
    async close() {
      const closing = [...pools.values()];
      pools.clear();
      await Promise.all(closing.map((pool) => pool.destroy()));
    },
  };
}

interface Exchange {
  readonly status: number;
  readonly headers: Record<string, string>;
  readonly text: string;
}

/** Sends one request and takes in its whole answer. Settles exactly once. */
function exchange(
  pool: Pool,
  config: InternalAxiosRequestConfig,
  { environment, timeoutMs }: TransportOptions,
  maxBytes: number,
): Promise<Exchange> {
  const url = new URL(config.url ?? '');
  return new Promise((resolve, reject) => {
    let controller: Dispatcher.DispatchController | undefined;
    let status = 0;
    let headers: Record<string, string> = {};
    let bytes = 0;
    let over = false;
    const chunks: Buffer[] = [];

    const settle = (act: () => void) => {
      if (over) return;
      over = true;
      stopClock();
      act();
    };
    const fail = (failure: TransportFailure, why: string, cause?: unknown) => {
      const sent = controller === undefined ? 'no' : 'maybe';
      settle(() => reject(new TransportError(failure, sent, `${url.host}: ${why}`, { cause })));
    };
    const stopClock = environment.after(timeoutMs, () => {
      fail('TimedOut', `no answer within ${timeoutMs} ms`);
      controller?.abort(new Error('given up'));
    });

    pool.dispatch(
      {
        origin: url.origin,
        path: url.pathname + url.search,
        method: (config.method ?? 'GET').toUpperCase(),
        headers: plain(config.headers),
        ...(typeof config.data === 'string' ? { body: config.data } : {}),
      },
      {
        // Called just before the first byte is written. A request that waited too long for its connection, or that would be
        // written a second time, goes no further.
        onRequestStart(current) {
          if (over || controller !== undefined) current.abort(new Error('not sent again'));
          controller ??= current;
        },
        onResponseStart(_, code, received) {
          status = code;
          headers = plain(received);
        },
        onResponseData(current, chunk) {
          bytes += chunk.length;
          if (bytes <= maxBytes) return void chunks.push(chunk);
          fail('TooLarge', `the answer is larger than ${maxBytes} bytes`);
          current.abort(new Error('answer too large'));
        },
        onResponseEnd() {
          settle(() => resolve({ status, headers, text: Buffer.concat(chunks).toString('utf8') }));
        },
        onResponseError(_, error) {
          const why = messageOf(error);
          if (controller === undefined) fail('NotConnected', `no connection: ${why}`, error);
          else fail('Broken', `the connection broke: ${why}`, error);
        },
      },
    );
  });
}

function answer(config: InternalAxiosRequestConfig, { status, headers, text }: Exchange): AxiosResponse<string> {
  return { status, statusText: '', headers, data: text, config };
}

function originOf(config: InternalAxiosRequestConfig): string {
  return new URL(config.url ?? '').origin;
}

/** undici gathers failed attempts (IPv6, IPv4) in an error without a message of its own. */
function messageOf(error: Error): string {
  const first: unknown = error instanceof AggregateError ? error.errors[0] : error;
  return first instanceof Error && first.message !== '' ? first.message : error.name;
}

function plain(headers: object): Record<string, string> {
  const all: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (typeof value === 'string' || typeof value === 'number') all[name.toLowerCase()] = String(value);
    else if (Array.isArray(value)) all[name.toLowerCase()] = value.join(', ');
  }
  return all;
}

function parse(text: string): unknown {
  if (text === '') return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/**
 * What a Retry-After header asks for, in milliseconds: seconds, or a date (against the answer's own Date, so that the clocks
 * need not agree). Undefined if there is none that can be read.
 */
export function retryAfterMs(headers: Readonly<Record<string, string>>, now: Date): number | undefined {
  const value = headers['retry-after']?.trim();
  if (value === undefined || value === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(value)) return Number(value) * 1000;
  const until = Date.parse(value);
  if (Number.isNaN(until)) return undefined;
  const theirs = Date.parse(headers.date ?? '');
  return Math.max(0, until - (Number.isNaN(theirs) ? now.getTime() : theirs));
}
