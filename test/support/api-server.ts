import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Express } from 'express';
import { pino } from 'pino';
import { renderKubeconfig } from '../../src/api/kubeconfig.js';
import { type ResourceApiOptions, resourceApi } from '../../src/api/resources/app.js';
import { serveTls } from '../../src/api/serve.js';
import { tlsMaterial } from '../../src/api/tls.js';
import { systemEnvironment } from '../../src/environment.js';
import { MemoryStore } from './memory-store.js';

/** Tokens of the tests: `admin-token` may do everything, `guest-token` nothing. */
export const TOKENS: ResourceApiOptions['tokens'] = {
  find: async (token) => {
    if (token === 'admin-token') return { id: '1', user: 'admin', groups: ['system:masters', 'system:authenticated'] };
    if (token === 'guest-token') return { id: '2', user: 'guest', groups: ['system:authenticated'] };
    return undefined;
  },
};

/** A promise and what resolves it. */
interface Gate {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
}

/** A store in memory that tells when it is watched. */
class WatchedStore extends MemoryStore {
  readonly #begun = new Map<string, Gate>();

  override watch(...parameters: Parameters<MemoryStore['watch']>): ReturnType<MemoryStore['watch']> {
    this.#ofKind(parameters[0]).resolve();
    return super.watch(...parameters);
  }

  /** Resolves once a watch of a kind has begun since this was last asked. */
  async watched(kind: string): Promise<void> {
    await this.#ofKind(kind).promise;
    this.#begun.delete(kind);
  }

  #ofKind(kind: string): Gate {
    const known = this.#begun.get(kind);
    if (known) return known;
    const made = gate();
    this.#begun.set(kind, made);
    return made;
  }
}

function gate(): Gate {
  let resolve: () => void = () => undefined;
  const promise = new Promise<void>((open) => {
    resolve = open;
  });
  return { promise, resolve };
}

/** The resource API over a store in memory. */
export function testApi(options: Partial<ResourceApiOptions> = {}): { readonly app: Express; readonly store: WatchedStore } {
  const store = new WatchedStore(systemEnvironment);
  const app = resourceApi({
    store,
    tokens: TOKENS,
    log: pino({ level: 'silent' }),
    version: '0.0.0-test',
    environment: systemEnvironment,
    ...options,
  });
  return { app, store };
}

/** The resource API served over TLS, with a kubeconfig in a directory of its own. `close` frees both. */
export async function servedApi(options: Partial<ResourceApiOptions> = {}) {
  const directory = await mkdtemp(join(tmpdir(), 'dispatcher-api-'));
  const { app, store } = testApi(options);
  const tls = await tlsMaterial({ directory: join(directory, 'tls'), hosts: [], environment: systemEnvironment });
  const server = await serveTls(app, { host: '127.0.0.1', port: 0, tls });
  const kubeconfig = join(directory, 'kubeconfig');
  const access = { server: server.url, caPem: tls.ca, token: 'admin-token', user: 'admin', namespace: 'default' };
  await writeFile(kubeconfig, renderKubeconfig(access), { mode: 0o600 });
  const close = async () => {
    await server.close(1000);
    await rm(directory, { recursive: true, force: true });
  };
  return { url: server.url, ca: tls.ca, store, directory, kubeconfig, close };
}
