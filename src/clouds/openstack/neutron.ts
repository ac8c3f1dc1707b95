import { z } from 'zod';
import type { Named } from '../driver.js';
import { CloudError } from '../errors.js';
import type { Client } from './client.js';
import { malformed } from './errors.js';

const PAGE = 1000;

const networksSchema = z.object({
  networks: z.array(
    z.object({
      id: z.string(),
      name: z.string(),
      project_id: z.string().nullish(),
      tenant_id: z.string().nullish(),
      shared: z.boolean().default(false),
      'router:external': z.boolean().default(false),
    }),
  ),
  networks_links: z.array(z.object({ rel: z.string(), href: z.string() })).optional(),
});

/** A network, and whose it is. */
export interface Network extends Named {
  readonly projectId: string;
  readonly shared: boolean;
  /** It leads out of the cloud: for floating addresses and routers, not for servers. */
  readonly external: boolean;
}

/** Every network that the project can see. */
export async function listNetworks(client: Client, signal?: AbortSignal): Promise<Network[]> {
  const call = { operation: 'listNetworks', service: 'network', method: 'GET', effect: false } as const;
  const found = new Map<string, Network>();
  for (let marker: string | undefined; ; ) {
    const query = new URLSearchParams({ limit: String(PAGE), ...(marker === undefined ? {} : { marker }) });
    const response = await client.call({ ...call, url: (endpoint) => `${versioned(endpoint)}/networks?${query}`, signal });
    const parsed = networksSchema.safeParse(response.body);
    if (!parsed.success) throw malformed(call, response.status, z.prettifyError(parsed.error));
    for (const network of parsed.data.networks) {
      found.set(network.id, {
        id: network.id,
        name: network.name,
        projectId: network.project_id ?? network.tenant_id ?? '',
        shared: network.shared,
        external: network['router:external'],
      });
    }
    const more = parsed.data.networks_links?.some((link) => link.rel === 'next') ?? false;
    const last = parsed.data.networks.at(-1)?.id;
    if (!more || last === undefined) return [...found.values()];
    if (last === marker) throw new CloudError('Unavailable', 'listNetworks: the cloud gives the same page again and again');
    marker = last;
  }
}

/**
 * What a server gets when nobody says: the one network that it could be on, none if there is none. The same as nova chose before
 * a create had to say so (2.37); its 'auto' would make a network, a router and a subnet where there is none.
 * @throws CloudError Invalid, naming them, if there are several.
 */
export function defaultNetworks(networks: readonly Network[], projectId: string): 'none' | readonly string[] {
  const usable = networks.filter((network) => !network.external && (network.shared || network.projectId === projectId));
  if (usable.length > 1) {
    const names = usable.map((network) => network.name || network.id).sort();
    throw new CloudError('Invalid', `networks: the project has several, name one of them (or none): ${names.join(', ')}`);
  }
  return usable.length === 0 ? 'none' : usable.map((network) => network.id);
}

/** Catalogs name neutron with or without its version. */
function versioned(endpoint: string): string {
  return /\/v2\.0$/.test(endpoint) ? endpoint : `${endpoint}/v2.0`;
}
