import { z } from 'zod';
import { AUTH_URL, DEMO } from './openstack.js';

const serverSchema = z
  .object({
    id: z.string(),
    name: z.string(),
    status: z.string(),
    created: z.string(),
    metadata: z.record(z.string(), z.string()),
    tags: z.array(z.string()),
    flavor: z.object({ original_name: z.string() }),
    addresses: z.record(z.string(), z.array(z.object({ addr: z.string() }))),
    'OS-EXT-STS:task_state': z.string().nullable(),
  })
  .transform(({ flavor, 'OS-EXT-STS:task_state': task, ...rest }) => ({ ...rest, flavor: flavor.original_name, task }));

/** A server as Nova tells it. */
export type NovaServer = z.infer<typeof serverSchema>;

const pageSchema = z.object({ servers: z.array(serverSchema) });
const actionsSchema = z.object({ instanceActions: z.array(z.object({ action: z.string() })) });
const catalogSchema = z.object({
  token: z.object({
    catalog: z.array(z.object({ type: z.string(), endpoints: z.array(z.object({ interface: z.string(), url: z.string() })) })),
  }),
});

/**
 * Plain calls to Nova as the user demo, for counting and for many changes at once, where the `openstack` client would take
 * a second and a half each.
 */
export class Nova {
  #session: Promise<{ token: string; url: string }> | undefined;

  /** @param service the type that the catalog has it under, for calls of another service than Nova. */
  constructor(private readonly service = 'compute') {}

  /** All servers of the project whose names begin so. */
  async servers(prefix: string): Promise<NovaServer[]> {
    const found = new Map<string, NovaServer>();
    for (let marker = ''; ; ) {
      const response = await this.call('GET', `/servers/detail?limit=1000${marker && `&marker=${marker}`}`);
      const { servers } = pageSchema.parse(await response.json());
      const last = servers.at(-1);
      if (!last) return [...found.values()].filter(({ name }) => name.startsWith(prefix));
      for (const server of servers) found.set(server.id, server);
      marker = last.id;
    }
  }

  /** Makes a server that is nobody's, without a network. @returns its id. */
  async create(name: string): Promise<string> {
    const body = {
      server: {
        name,
        imageRef: '11111111-1111-4111-8111-111111111111',
        flavorRef: '1',
        networks: 'none',
        metadata: { by: 'hand' },
      },
    };
    const response = await this.call('POST', '/servers', body);
    return z.object({ server: z.object({ id: z.string() }) }).parse(await response.json()).server.id;
  }

  /** Deletes a server; one that is gone is gone. */
  async delete(id: string): Promise<void> {
    await this.call('DELETE', `/servers/${id}`, undefined, [404]);
  }

  /** What was done with a server, such as `create` and `rebuild`, newest first. */
  async actions(id: string): Promise<string[]> {
    const response = await this.call('GET', `/servers/${id}/os-instance-actions`);
    return actionsSchema.parse(await response.json()).instanceActions.map(({ action }) => action);
  }

  /** Calls Nova. @throws with its words on any status of failure that is not `allowed`. */
  async call(method: string, path: string, body?: object, allowed: readonly number[] = []): Promise<Response> {
    for (let tries = 1; ; tries += 1) {
      this.#session ??= login(this.service);
      const { token, url } = await this.#session.catch((error) => {
        this.#session = undefined;
        throw error;
      });
      const response = await fetch(`${url}${path}`, {
        method,
        headers: { 'x-auth-token': token, 'openstack-api-version': 'compute 2.79', 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        signal: AbortSignal.timeout(60_000),
      });
      if (response.ok || allowed.includes(response.status)) return response;
      if (response.status !== 401 || tries === 3)
        throw new Error(`${method} ${path}: Nova answered ${response.status}: ${await response.text()}`);
      this.#session = undefined;
    }
  }
}

async function login(service: string): Promise<{ token: string; url: string }> {
  const domain = { name: 'Default' };
  const response = await fetch(`${AUTH_URL}/auth/tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      auth: {
        identity: {
          methods: ['password'],
          password: { user: { name: DEMO.username, password: DEMO.password, domain } },
        },
        scope: { project: { name: DEMO.project, domain } },
      },
    }),
    signal: AbortSignal.timeout(30_000),
  });
  if (!response.ok) throw new Error(`login: Keystone answered ${response.status}: ${await response.text()}`);
  const { token } = catalogSchema.parse(await response.json());
  const url = token.catalog
    .find(({ type }) => type === service)
    ?.endpoints.find((endpoint) => endpoint.interface === 'public')?.url;
  const id = response.headers.get('x-subject-token');
  if (url === undefined || id === null)
    throw new Error('login: Keystone gave no token, or its catalog does not name the service');
  return { token: id, url };
}
