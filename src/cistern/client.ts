import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import axios, { type AxiosInstance, isAxiosError } from 'axios';
import type { z } from 'zod';
import { type Environment, sleep } from '../environment.js';
import { CisternError, isCisternError } from './errors.js';
import {
  type CisternNode,
  type CisternReceipt,
  errorAnswer,
  missingFrom,
  nodesAnswer,
  receiptAnswer,
  withFaulty,
} from './protocol.js';

/** What a {@link CisternClient} is made with. */
export interface CisternClientOptions {
  /** The base up to and including `/api/v1`, as in `http://127.0.0.1:5071/api/v1`; http or https. A name and password in it are used. */
  readonly endpoint: string;
  /** What Cistern calls the cloud. */
  readonly cloud: string;
  /** Sent as X-Auth-Token. */
  readonly token?: string | undefined;
  /** For one call, from the first try at a connection to the last byte. Milliseconds, default 10 s. */
  readonly requestTimeoutMs?: number;
  readonly environment: Environment;
}

interface Call {
  readonly method: 'GET' | 'POST' | 'PUT';
  readonly path: string;
  readonly body: unknown;
}

const REQUEST_TIMEOUT_MS = 10_000;
/** Of one read, in all. */
const TRIES = 3;
const FIRST_PAUSE_MS = 250;
/** 10,000 nodes are about 2 MB. */
const MAX_ANSWER_BYTES = 16 * 1024 * 1024;
/** How long an idle connection is kept: less than the 5 s after which many servers close it, perhaps just as it is used. */
const KEEP_ALIVE_MS = 4_000;
const LONGEST_MESSAGE = 500;

/**
 * The client of one Cistern for one cloud. Reads are tried up to three times while it is unreachable. An assign or a release is sent
 * once at most: after a failure of unknown outcome who called looks at {@link nodes} anew, and then decides.
 */
export class CisternClient {
  readonly #http: AxiosInstance;
  readonly #agents: readonly (HttpAgent | HttpsAgent)[];
  readonly #base: string;
  readonly #secrets: readonly string[];
  readonly #cloud: string;
  readonly #timeoutMs: number;
  readonly #environment: Environment;

  /** @throws CisternError `InvalidEndpoint` */
  constructor({ endpoint, cloud, token, requestTimeoutMs = REQUEST_TIMEOUT_MS, environment }: CisternClientOptions) {
    const { base, auth, secrets } = parseEndpoint(endpoint);
    this.#base = base;
    this.#secrets = token ? [token, ...secrets] : secrets;
    this.#cloud = encodeURIComponent(cloud);
    this.#timeoutMs = requestTimeoutMs;
    this.#environment = environment;
    const httpAgent = new HttpAgent({ keepAlive: true, timeout: KEEP_ALIVE_MS });
    const httpsAgent = new HttpsAgent({ keepAlive: true, timeout: KEEP_ALIVE_MS });
    this.#agents = [httpAgent, httpsAgent];
    this.#http = axios.create({
      httpAgent,
      httpsAgent,
      proxy: false,
      maxRedirects: 0,
      maxContentLength: MAX_ANSWER_BYTES,
      validateStatus: () => true,
      transformRequest: [(body: unknown) => JSON.stringify(body)],
      transformResponse: [(answer: unknown) => answer],
      ...(auth === undefined ? {} : { auth }),
      headers: {
        accept: 'application/json',
        'content-type': 'application/json',
        ...(token === undefined ? {} : { 'x-auth-token': token }),
      },
    });
  }

  /**
   * All nodes of the cloud that have a server, each once; those that Cistern takes for faulty are so marked. Never a part of them.
   * @throws CisternError; the reason of `signal` once that is aborted
   */
  async nodes(signal?: AbortSignal): Promise<readonly CisternNode[]> {
    const all = await this.#list(true, signal);
    const active = await this.#list(false, signal);
    const missing = missingFrom(active, all);
    // One that was taken away between the two lists would be told as faulty: what is there before and after was there all the while.
    const nodes = missing.length === 0 ? active : withFaulty(active, missing, await this.#list(true, signal));
    return [...new Map(nodes.map((node) => [node.serverId, node])).values()];
  }

  /**
   * Gives a node to a user. `vmType`: the application that it is wanted for.
   * @param signal looked at until the call is sent, never after
   * @throws CisternError; CISTERN_ERRORS tells by the `outcome` of its code whether it may have been done all the same
   */
  async assign(
    { hostname, user, vmType }: { hostname: string; user: string; vmType: string },
    signal?: AbortSignal,
  ): Promise<CisternReceipt> {
    signal?.throwIfAborted();
    const body = { hostname, user, vm_type: vmType };
    return this.#call({ method: 'POST', path: `/vm/assign/${this.#cloud}`, body }, receiptAnswer);
  }

  /** Takes a node from its user. The signal and what is thrown: as in {@link assign}. */
  async release(hostname: string, signal?: AbortSignal): Promise<CisternReceipt> {
    signal?.throwIfAborted();
    return this.#call({ method: 'PUT', path: `/vm/release/${this.#cloud}`, body: { hostname } }, receiptAnswer);
  }

  /** Frees connections. Calls in hand fail as `Unreachable`. */
  close(): void {
    for (const agent of this.#agents) agent.destroy();
  }

  async #list(withFaultyNodes: boolean, signal: AbortSignal | undefined): Promise<readonly CisternNode[]> {
    const call: Call = { method: 'GET', path: `/nodes/${this.#cloud}`, body: { with_faulty_nodes: withFaultyNodes } };
    for (let tried = 1; ; tried += 1) {
      try {
        return await this.#call(call, nodesAnswer, signal);
      } catch (error) {
        if (tried === TRIES || !isCisternError(error, 'Unreachable')) throw error;
        const pauseMs = FIRST_PAUSE_MS * 2 ** (tried - 1) * (0.5 + this.#environment.random() / 2);
        await sleep(this.#environment, pauseMs, signal);
      }
    }
  }

  async #call<Answer>(call: Call, schema: z.ZodType<Answer>, signal?: AbortSignal): Promise<Answer> {
    const { status, text } = await this.#exchange(call, signal);
    const body = parseJson(text);
    const error = errorAnswer.safeParse(body);
    const said = `HTTP ${status}${error.success && error.data !== '' ? `: ${error.data}` : ''}`;
    if (status === 401 || status === 403) throw this.#error('Unauthorized', call, said);
    if (status >= 500) throw this.#error('Unreachable', call, said);
    if (status >= 400 || (status < 300 && error.success)) throw this.#error('Refused', call, said);
    if (status >= 300) throw this.#error('InvalidAnswer', call, `${said}: redirections are not followed`);
    if (body === undefined) throw this.#error('InvalidAnswer', call, 'the answer is no JSON');
    const parsed = schema.safeParse(body);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw this.#error('InvalidAnswer', call, `the answer is not as it should be: ${issue?.path.join('.')}: ${issue?.message}`);
  }

  async #exchange(call: Call, signal: AbortSignal | undefined): Promise<{ status: number; text: string }> {
    signal?.throwIfAborted();
    const cut = new AbortController();
    const onAbort = () => cut.abort();
    signal?.addEventListener('abort', onAbort, { once: true });
    let timedOut = false;
    const stopClock = this.#environment.after(this.#timeoutMs, () => {
      timedOut = true;
      cut.abort();
    });
    try {
      const { method, path, body } = call;
      const url = this.#base + path;
      const { status, data } = await this.#http.request<string>({ method, url, data: body, signal: cut.signal });
      return { status, text: data };
    } catch (error) {
      if (timedOut) throw this.#error('Unreachable', call, `no answer within ${this.#timeoutMs} ms`);
      signal?.throwIfAborted();
      const why = error instanceof Error ? error.message : String(error);
      // axios' error is no cause of ours: it bears the headers, and so the token.
      const tooLarge = isAxiosError(error) && why.startsWith('maxContentLength');
      throw tooLarge
        ? this.#error('InvalidAnswer', call, `the answer is larger than ${MAX_ANSWER_BYTES} bytes`)
        : this.#error('Unreachable', call, `no answer: ${why === '' && isAxiosError(error) ? error.code : why}`);
    } finally {
      stopClock();
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #error(code: CisternError['code'], { method, path }: Call, why: string): CisternError {
    const told = this.#secrets.reduce((clean, secret) => clean.replaceAll(secret, '***'), why);
    const short = told.length > LONGEST_MESSAGE ? `${told.slice(0, LONGEST_MESSAGE)}...` : told;
    return new CisternError(code, `Cistern at ${this.#base}: ${method} ${path}: ${short}`);
  }
}

interface Endpoint {
  readonly base: string;
  readonly auth: { readonly username: string; readonly password: string } | undefined;
  /** All forms in which what is secret in it may come back. */
  readonly secrets: readonly string[];
}

function parseEndpoint(endpoint: string): Endpoint {
  // What is wrong with it is told without it: it may bear a password.
  const invalid = (why: string) => new CisternError('InvalidEndpoint', `the endpoint of Cistern ${why}`);
  if (!URL.canParse(endpoint)) throw invalid('is no URL');
  const url = new URL(endpoint);
  if (!/^https?:$/.test(url.protocol)) throw invalid('is neither http nor https');
  if (url.search !== '' || url.hash !== '') throw invalid('has a query or a fragment');
  const base = url.origin + url.pathname.replace(/\/+$/, '');
  if (url.username === '' && url.password === '') return { base, auth: undefined, secrets: [] };
  try {
    const auth = { username: decodeURIComponent(url.username), password: decodeURIComponent(url.password) };
    const sent = Buffer.from(`${auth.username}:${auth.password}`).toString('base64');
    return { base, auth, secrets: [auth.password, url.password, sent].filter((secret) => secret !== '') };
  } catch {
    throw invalid('has a name or password that is not percent-encoded as it should be');
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
