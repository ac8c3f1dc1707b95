import { z } from 'zod';
import { Nova } from './nova.js';

const portsSchema = z.object({
  ports: z.array(
    z
      .object({
        id: z.string(),
        name: z.string(),
        description: z.string(),
        device_id: z.string(),
        fixed_ips: z.array(z.object({ ip_address: z.string() })),
      })
      .transform(({ device_id, fixed_ips, ...rest }) => ({
        ...rest,
        serverId: device_id,
        address: fixed_ips.map(({ ip_address }) => ip_address).join(' '),
      })),
  ),
});

/** A port as Neutron tells it. */
export type NeutronPort = z.infer<typeof portsSchema>['ports'][number];

const neutron = new Nova('network');

/** The ports of the project that bear an owner tag and whose names begin so. */
export async function ownPorts(prefix: string): Promise<NeutronPort[]> {
  const response = await neutron.call('GET', '/v2.0/ports');
  const { ports } = portsSchema.parse(await response.json());
  return ports.filter(({ name, description }) => name.startsWith(prefix) && description.startsWith('dispatcher:'));
}

/** Deletes a port; one that is gone is gone. */
export async function deletePort(id: string): Promise<void> {
  await neutron.call('DELETE', `/v2.0/ports/${id}`, undefined, [404]);
}
