import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { Pool } from 'undici';
import { parse } from 'yaml';
import { z } from 'zod';
import { ROOT } from './processes.js';

const kubeconfigSchema = z.object({
  clusters: z.tuple([z.object({ cluster: z.object({ server: z.string(), 'certificate-authority-data': z.string() }) })]),
  users: z.tuple([z.object({ user: z.object({ token: z.string() }) })]),
});

/** The resource API, as a client of Kubernetes uses it. */
export class Api {
  private constructor(
    private readonly pool: Pool,
    private readonly token: string,
  ) {}

  /** Connects to the server that runs on a data directory. */
  static async connect(dataDir: string): Promise<Api> {
    return Api.to(await kubeconfigOf(dataDir), 16);
  }

  /** Connects to the server that a kubeconfig (its text) names, with so many connections at most. */
  static to(kubeconfig: string, connections: number): Api {
    const { clusters, users } = kubeconfigSchema.parse(parse(kubeconfig));
    const { server, 'certificate-authority-data': authority } = clusters[0].cluster;
    const ca = Buffer.from(authority, 'base64').toString('utf8');
    return new Api(new Pool(server, { connections, connect: { ca } }), users[0].user.token);
  }

  /** @returns the answer's object. @throws Error with the Status that came instead. */
  async create(path: string, manifest: object): Promise<unknown> {
    return this.#request('POST', path, manifest, 'application/json');
  }

  /** Changes some fields. @throws Error as create does. */
  async merge(path: string, change: object): Promise<unknown> {
    return this.#request('PATCH', path, change, 'application/merge-patch+json');
  }

  async get(path: string): Promise<unknown> {
    return this.#request('GET', path, undefined, 'application/json');
  }

  /** The answer as text, for who wants to know how long it takes, and not what is in it. */
  async read(path: string): Promise<string> {
    return this.#send('GET', path, undefined, 'application/json');
  }

  /** Tells each line of a watch until the signal is aborted. Resolves when it has begun. */
  async watch(path: string, signal: AbortSignal, onLine: (line: string) => void): Promise<void> {
    const headers = { authorization: `Bearer ${this.token}`, accept: 'application/json' };
    const { statusCode, body } = await this.pool.request({ method: 'GET', path, headers, signal, bodyTimeout: 0 });
    if (statusCode > 299) throw new Error(`watch ${path}: ${statusCode} ${await body.text()}`);
    let rest = '';
    body.setEncoding('utf8');
    body.on('error', () => undefined);
    body.on('data', (text: string) => {
      const lines = `${rest}${text}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
    });
  }

  async close(): Promise<void> {
    await this.pool.destroy();
  }

  async #request(method: 'GET' | 'POST' | 'PATCH', path: string, body: object | undefined, type: string): Promise<unknown> {
    return JSON.parse(await this.#send(method, path, body, type));
  }

  async #send(method: 'GET' | 'POST' | 'PATCH', path: string, body: object | undefined, type: string): Promise<string> {
    const headers = { authorization: `Bearer ${this.token}`, 'content-type': type, accept: 'application/json' };
    const answer = await this.pool.request({ method, path, headers, ...(body && { body: JSON.stringify(body) }) });
    const text = await answer.body.text();
    if (answer.statusCode > 299) throw new Error(`${method} ${path}: ${answer.statusCode} ${text.slice(0, 500)}`);
    return text;
  }
}

/** The text of a kubeconfig for the server that runs on a data directory. */
export async function kubeconfigOf(dataDir: string): Promise<string> {
  const args = [`${ROOT}bin/dispatcher.mjs`, 'kubeconfig', '--data-dir', dataDir];
  return (await promisify(execFile)(process.execPath, args)).stdout;
}
