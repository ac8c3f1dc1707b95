import type { RequestOptions } from 'node:https';
import type { Cluster, KubeConfig } from '@kubernetes/client-node';
import { Agent, type Dispatcher, ProxyAgent } from 'undici';
import type { Environment } from '../../environment.js';
import { StoreError } from '../errors.js';

/** How a {@link Connection} is made. */
export interface ConnectionOptions {
  /**
   * The kubeconfig file. Without it, as kubectl and client-go do: what KUBECONFIG names, ~/.kube/config, or the service account
   * of the pod that this runs in.
   */
  readonly kubeconfig?: string;
  /** The context of the kubeconfig; default its current one. */
  readonly context?: string;
  readonly environment: Environment;
}

/** What one request goes out with. */
export interface Access {
  /** For calls that end: so many connections at most, kept for the next call. */
  readonly calls: Dispatcher;
  /** For watches, each of which holds a connection for as long as it lasts. */
  readonly watches: Dispatcher;
  /** The credentials. */
  readonly headers: Readonly<Record<string, string>>;
}

/** A way to an API server, with somebody's credentials. */
export interface Link {
  /** Where the API server is, without a slash at the end. */
  readonly server: string;
  /** What the next request goes out with. @throws StoreError Unavailable if no credentials can be had. */
  access(): Promise<Access>;
  /**
   * To be called when the API server has refused the credentials: the next request asks for them again. Absent where they are a caller's:
   * what is refused then is the caller's to hear.
   */
  refresh?(): void;
}

/** Calls under way at once; what comes on top waits. The API server's own limit is 400 for all its clients. */
const MAX_CONNECTIONS = 64;
/** An idle connection is kept for less than the API server keeps it (90 s): else it could close it just as it is used. */
const KEEP_ALIVE_MS = 30_000;
/** Credentials are asked for again after this: tokens of service accounts and exec plugins change. */
const CREDENTIALS_MS = 30_000;
/** As client-go: a connection that went silent is noticed before a load balancer forgets it. */
const PROBE = { keepAlive: true, keepAliveInitialDelay: 30_000 };

/** The way to one API server: its address, credentials that are renewed as they change, and connections shared by all calls. */
export class Connection implements Link {
  readonly server: string;
  /** The namespace of the context: in a cluster, that of the pod. */
  readonly namespace: string;
  readonly #cluster: Cluster;
  #access: { readonly access: Promise<Access>; readonly until: number } | undefined;
  #pools: { readonly id: string; readonly calls: Dispatcher; readonly watches: Dispatcher } | undefined;
  readonly #retired: Dispatcher[] = [];

  private constructor(
    private readonly config: KubeConfig,
    private readonly environment: Environment,
  ) {
    const cluster = config.getCurrentCluster();
    if (!cluster?.server)
      throw new StoreError('Invalid', `the kubeconfig has no context ${config.getCurrentContext()} with a cluster`);
    this.#cluster = cluster;
    this.server = cluster.server.replace(/\/+$/, '');
    this.namespace = config.getContextObject(config.getCurrentContext())?.namespace || 'default';
  }

  /**
   * Reads the configuration; nothing is connected yet.
   * @throws StoreError Invalid if there is none, or it cannot be used: the message says what to set.
   */
  static async open({ kubeconfig, context, environment }: ConnectionOptions): Promise<Connection> {
    // Not imported above: it takes 1 to 2 s, which the other plane must not pay.
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    try {
      if (kubeconfig === undefined) config.loadFromDefault();
      else config.loadFromFile(kubeconfig);
    } catch (cause) {
      const from = kubeconfig ?? 'that KUBECONFIG or ~/.kube/config names';
      throw new StoreError('Invalid', `the kubeconfig ${from} cannot be read: ${messageOf(cause)}`, { cause });
    }
    if (context !== undefined) config.setCurrentContext(context);
    // What the client falls back to where it finds nothing.
    if (kubeconfig === undefined && config.getCurrentCluster()?.server === 'http://localhost:8080')
      throw new StoreError('Invalid', 'no API server is known: set KUBECONFIG to a kubeconfig, or run in a cluster');
    return new Connection(config, environment);
  }

  /**
   * A connection of its own to the same API server, trusted by the same certificate authority, that bears no credentials at all: neither
   * headers nor a client certificate, which an API server would believe before any token. Close it.
   */
  async withoutCredentials(): Promise<Connection> {
    const { KubeConfig } = await import('@kubernetes/client-node');
    const config = new KubeConfig();
    config.loadFromClusterAndUser(this.#cluster, { name: '' });
    return new Connection(config, this.environment);
  }

  access(): Promise<Access> {
    const now = this.environment.now().getTime();
    if (this.#access && now < this.#access.until) return this.#access.access;
    const current = { access: this.#renew(), until: now + CREDENTIALS_MS };
    this.#access = current;
    // What failed is asked for anew the next time.
    current.access.catch(() => {
      if (this.#access === current) this.#access = undefined;
    });
    return current.access;
  }

  refresh(): void {
    this.#access = undefined;
  }

  /** Breaks all connections; calls and watches in hand fail. */
  async close(): Promise<void> {
    const { calls, watches } = this.#pools ?? {};
    await Promise.all([calls, watches, ...this.#retired].map((each) => each?.destroy()));
  }

  async #renew(): Promise<Access> {
    const options: RequestOptions = {};
    try {
      await this.config.applyToHTTPSOptions(options);
      const { calls, watches } = this.#poolsFor(options);
      return { calls, watches, headers: headersOf(options) };
    } catch (cause) {
      if (cause instanceof StoreError) throw cause;
      throw new StoreError('Unavailable', `no credentials for ${this.server}: ${messageOf(cause)}`, { cause });
    }
  }

  /** The pools, made anew only if certificates or keys have changed; watches on the old ones last until they end. */
  #poolsFor({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }: RequestOptions) {
    const tls = defined({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername });
    const id = JSON.stringify(Object.values(tls).map(String));
    if (this.#pools?.id === id) return this.#pools;
    if (this.#pools) this.#retire(this.#pools.calls, this.#pools.watches);
    const options = this.config.createDispatcherOptions(this.#cluster, tls);
    const make = (connections: number | null): Dispatcher => {
      const pool = { connections, pipelining: 1, keepAliveTimeout: KEEP_ALIVE_MS, headersTimeout: 0, bodyTimeout: 0 };
      switch (options.type) {
        case 'none':
          return new Agent({ ...pool, connect: PROBE });
        case 'agent':
          return new Agent({ ...pool, connect: { ...tls, ...PROBE } });
        case 'proxy':
          return new ProxyAgent({ ...pool, uri: options.uri, requestTls: tls, connect: PROBE });
        case 'socks':
          throw new StoreError(
            'Invalid',
            `proxy-url ${options.uri} of the kubeconfig: only HTTP and HTTPS proxies are supported`,
          );
        default:
          return options satisfies never;
      }
    };
    this.#pools = { id, calls: make(MAX_CONNECTIONS), watches: make(null) };
    return this.#pools;
  }

  #retire(...pools: readonly Dispatcher[]): void {
    for (const pool of pools) {
      this.#retired.push(pool);
      const forget = () => void this.#retired.splice(this.#retired.indexOf(pool), 1);
      pool.close().then(forget, forget);
    }
  }
}

function headersOf({ auth, headers = {} }: RequestOptions): Record<string, string> {
  const texts = Object.entries(headers).flatMap(
    ([name, value]): Array<[string, string]> => (value === undefined ? [] : [[name.toLowerCase(), String(value)]]),
  );
  const basic = auth ? { authorization: `Basic ${Buffer.from(auth).toString('base64')}` } : {};
  return { ...basic, ...Object.fromEntries(texts) };
}

/** What of it is there. */
function defined<Value extends object>(value: Value): { [Name in keyof Value]?: Exclude<Value[Name], undefined> } {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined)) as typeof value;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
