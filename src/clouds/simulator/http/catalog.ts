import type { Knobs } from '../knobs.js';
import { REGION } from '../model/content.js';

/** What Keystone says of where the services are: all below the one address that the client came to. The knobs leave some out. */
export function catalog(origin: string, projectId: string, knobs: Knobs): object[] {
  const left = new Set([...(knobs.networkService === 0 ? ['network'] : []), ...(knobs.volumeService === 0 ? ['volumev3'] : [])]);
  const services = [
    { type: 'compute', name: 'nova', url: `${origin}/compute/v2.1` },
    { type: 'image', name: 'glance', url: `${origin}/image` },
    { type: 'identity', name: 'keystone', url: `${origin}/identity/v3` },
    { type: 'network', name: 'neutron', url: `${origin}/network` },
    { type: 'volumev3', name: 'cinderv3', url: `${origin}/volume/v3/${projectId}` },
  ];
  const named = services.filter(({ type }) => !left.has(type));
  return named.map(({ type, name, url }) => ({
    endpoints: ['internal', 'public', 'admin'].map((kind) => ({
      id: Buffer.from(`${name} ${kind}`.padEnd(16, '.').slice(0, 16)).toString('hex'),
      interface: kind,
      region_id: REGION,
      url,
      region: REGION,
    })),
    id: Buffer.from(name.padEnd(16, '.')).toString('hex'),
    type,
    name,
  }));
}
