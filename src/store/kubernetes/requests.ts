import type { Dispatcher } from 'undici';
import { type Environment, sleep } from '../../environment.js';
import { StoreError } from '../errors.js';
import type { Access, Link } from './connection.js';
import { type Refusal, type Subject, storeErrorOf, unavailable } from './errors.js';

/** One call of the API server. */
export interface ApiRequest extends Subject {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  /** Path and query, from the API server's root. */
  readonly path: string;
  readonly body?: unknown;
  /** Default `application/json`. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
}

/** For a whole call, from waiting for a connection to the last byte. Longer than the API server's own limit would be pointless. */
const TIMEOUT_MS = 30_000;
/** Tries of a call that the API server, too busy, did not carry out. */
const ATTEMPTS = 4;
/** The longest wait between two of them; who asks for more is told to the caller. */
const PATIENCE_MS = 5_000;
/** A watch that told nothing for so long, not even a bookmark (they come every minute), is opened anew. */
const SILENCE_MS = 90_000;

/**
 * Speaks with one API server: JSON over shared connections. A call is sent once, but for what the API server says it has not
 * carried out: 429, and credentials that had to be renewed.
 * A 401 to credentials of a caller is a StoreError Unauthorized.
 */
export class Requests {
  constructor(
    private readonly connection: Link,
    private readonly environment: Environment,
  ) {}

  /** The body of a successful answer; text that is no JSON is undefined. @throws StoreError as {@link storeErrorOf} has it. */
  async send(request: ApiRequest): Promise<unknown> {
    for (let attempt = 1; ; attempt++) {
      const answer = await this.#exchange(request);
      if (answer.status < 300) return answer.body;
      if (!(await this.#again(answer, attempt, request.signal))) throw this.#failure(answer, request);
    }
  }

  /**
   * The lines of an answer that goes on, each as JSON; ends well when the API server ends it, when it falls silent, and, with
   * its connection, as soon as `signal` is aborted or the reader stops.
   * @throws StoreError as {@link storeErrorOf} has it, Unavailable if the connection breaks.
   */
  async *lines(request: ApiRequest, signal: AbortSignal): AsyncGenerator<unknown, void, void> {
    if (signal.aborted) return;
    const stop = new AbortController();
    const onAbort = () => stop.abort(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    let silent = false;
    const wait = () =>
      this.environment.after(SILENCE_MS, () => {
        silent = true;
        stop.abort(new Error('silence'));
      });
    let calm = wait();
    try {
      const body = await this.#open(request, stop.signal);
      const decoder = new TextDecoder();
      let rest = '';
      for await (const chunk of body) {
        calm();
        calm = wait();
        const parts = (rest + decoder.decode(chunk, { stream: true })).split('\n');
        rest = parts.pop() ?? '';
        for (const part of parts) if (part !== '') yield JSON.parse(part);
      }
    } catch (error) {
      if (signal.aborted || silent) return;
      throw error instanceof StoreError ? error : unavailable(this.connection.server, request, error);
    } finally {
      calm();
      signal.removeEventListener('abort', onAbort);
      // Also for a reader that stopped: the connection goes with it.
      stop.abort(new Error('the watch is over'));
    }
  }

  /** The body of a successful answer, as it comes. */
  async #open(request: ApiRequest, signal: AbortSignal): Promise<Dispatcher.ResponseData['body']> {
    for (let attempt = 1; ; attempt++) {
      const access = await this.connection.access();
      const response = await access.watches.request(this.#options(request, access, signal));
      if (response.statusCode === 200) return response.body;
      const refusal = await refusalOf(response);
      if (!(await this.#again(refusal, attempt, signal))) throw this.#failure(refusal, request);
    }
  }

  /** Whether a call that was refused is to be sent again: if so, resolves when it is time. */
  async #again({ status, retryAfterMs = 1_000 }: Refusal, attempt: number, signal?: AbortSignal): Promise<boolean> {
    if (status === 401 && attempt === 1 && this.connection.refresh) {
      this.connection.refresh();
      return true;
    }
    if (status !== 429 || attempt === ATTEMPTS || retryAfterMs > PATIENCE_MS) return false;
    await sleep(this.environment, retryAfterMs * (1 + 0.25 * this.environment.random()), signal);
    return true;
  }

  #failure(refusal: Refusal, request: ApiRequest): StoreError {
    if (refusal.status !== 401 || this.connection.refresh) return storeErrorOf(refusal, request);
    return new StoreError('Unauthorized', `${request.call}: the API server does not accept the token`);
  }

  async #exchange(request: ApiRequest): Promise<Refusal> {
    const access = await this.connection.access();
    const stop = new AbortController();
    const onAbort = () => stop.abort(request.signal?.reason);
    request.signal?.throwIfAborted();
    request.signal?.addEventListener('abort', onAbort, { once: true });
    const calm = this.environment.after(TIMEOUT_MS, () => stop.abort(new Error(`no answer within ${TIMEOUT_MS} ms`)));
    try {
      return await refusalOf(await access.calls.request(this.#options(request, access, stop.signal)));
    } catch (error) {
      request.signal?.throwIfAborted();
      throw unavailable(this.connection.server, request, error);
    } finally {
      calm();
      request.signal?.removeEventListener('abort', onAbort);
    }
  }

  #options({ method, path, body, contentType = 'application/json' }: ApiRequest, { headers }: Access, signal: AbortSignal) {
    const url = new URL(this.connection.server + path);
    return {
      origin: url.origin,
      path: url.pathname + url.search,
      method,
      headers: {
        accept: 'application/json',
        'user-agent': 'dispatcher',
        ...headers,
        ...(body === undefined ? {} : { 'content-type': contentType }),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal,
    };
  }
}

/** The whole answer, whatever its status. */
async function refusalOf({ statusCode, headers, body }: Dispatcher.ResponseData): Promise<Refusal> {
  const text = await body.text();
  const seconds = Number(headers['retry-after']);
  return { status: statusCode, body: parse(text), ...(seconds > 0 ? { retryAfterMs: seconds * 1_000 } : {}) };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
