import { z } from 'zod';
import type { Named } from '../driver.js';
import { CloudError } from '../errors.js';
import type { Neutron } from './neutron.js';

const networkSchema = z.object({
  id: z.string(),
  name: z.string(),
  project_id: z.string().nullish(),
  tenant_id: z.string().nullish(),
  shared: z.boolean().default(false),
  'router:external': z.boolean().default(false),
});

/** A network, and whose it is. */
export interface Network extends Named {
  readonly projectId: string;
  readonly shared: boolean;
  /** It leads out of the cloud: for floating addresses and routers, not for servers. */
  readonly external: boolean;
}

/** Every network that the project can see. */
export async function listNetworks(neutron: Neutron, signal?: AbortSignal): Promise<Network[]> {
  const networks = await neutron.list('listNetworks', 'networks', new URLSearchParams(), networkSchema, signal);
  return networks.map((network) => ({
    id: network.id,
    name: network.name,
    projectId: network.project_id ?? network.tenant_id ?? '',
    shared: network.shared,
    external: network['router:external'],
  }));
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
