import { z } from 'zod';
import { type ReceivedRequest, startServer, type TestServer } from '../../support/http-server.js';
import type { NovaServer } from './nova.js';

const assignSchema = z.strictObject({ hostname: z.string(), user: z.string(), vm_type: z.string() });
const releaseSchema = z.strictObject({ hostname: z.string() });
const listSchema = z.strictObject({ with_faulty_nodes: z.boolean() });

interface Answer {
  readonly code: number;
  readonly body: object;
}

const CLOUD = 'lab';

/** An inventory of its own over HTTP, which lists what servers a cloud has, and remembers who has them and which are faulty. */
export class Cistern {
  /** Who has what, by server id. */
  readonly users = new Map<string, string>();
  /** Ids of servers that it calls faulty. */
  readonly faulty = new Set<string>();
  /** Lists that it has given. */
  looks = 0;

  private constructor(
    private readonly servers: () => Promise<readonly NovaServer[]>,
    private readonly http: TestServer,
  ) {}

  /** Opens one for the cloud with those servers. Close it. */
  static async open(servers: () => Promise<readonly NovaServer[]>): Promise<Cistern> {
    const http = await startServer((request, response) => {
      cistern.#answer(request).then(
        ({ code, body }) => response.writeHead(code, { 'content-type': 'application/json' }).end(JSON.stringify(body)),
        (error: unknown) => response.writeHead(500).end(JSON.stringify({ status: 'error', message: String(error) })),
      );
    });
    const cistern = new Cistern(servers, http);
    return cistern;
  }

  /** Where it is, as a Cloud names it. */
  get endpoint(): string {
    return `${this.http.url}/api/v1`;
  }

  close(): Promise<void> {
    return this.http.close();
  }

  async #answer({ method, path, text }: ReceivedRequest): Promise<Answer> {
    const body: unknown = JSON.parse(text);
    switch (`${method} ${path}`) {
      case `GET /api/v1/nodes/${CLOUD}`:
        return this.#list(listSchema.parse(body).with_faulty_nodes);
      case `POST /api/v1/vm/assign/${CLOUD}`: {
        const { hostname, user } = assignSchema.parse(body);
        return this.#change(hostname, (id) => {
          if (this.faulty.has(id) || (this.users.get(id) ?? user) !== user) return `${hostname} is not free`;
          this.users.set(id, user);
        });
      }
      case `PUT /api/v1/vm/release/${CLOUD}`:
        return this.#change(releaseSchema.parse(body).hostname, (id) => void this.users.delete(id));
      default:
        return { code: 404, body: { status: 'error', message: `nothing is at ${method} ${path}` } };
    }
  }

  async #list(withFaulty: boolean): Promise<Answer> {
    const built = (await this.servers()).filter(({ status }) => status !== 'BUILD');
    const nodes = built.map(({ id, name }) => {
      const user = this.users.get(id) ?? '';
      const status_desc = this.faulty.has(id) ? 'FAULTY' : user === '' ? 'FREE' : 'ASSIGNED';
      return { id, id_vm: id, hostname: name, cloud: CLOUD, user, recipe: '', status_desc };
    });
    this.looks += 1;
    return { code: 200, body: { status: 'ok', nodes: nodes.filter(({ id }) => withFaulty || !this.faulty.has(id)) } };
  }

  /** @param change does it, or says why not. */
  async #change(hostname: string, change: (id: string) => string | undefined): Promise<Answer> {
    const [server, ...others] = (await this.servers()).filter(({ id, name }) => name === hostname || id === hostname);
    const refusal =
      server && others.length === 0 ? change(server.id) : `${server ? others.length + 1 : 0} nodes are called ${hostname}`;
    if (refusal !== undefined || !server) return { code: 409, body: { status: 'error', message: refusal } };
    return { code: 200, body: { status: 'ok', id_vm: server.id, result: 'done' } };
  }
}
