import { MACHINES, type World } from './world.js';

const DECLARATIONS = 1_000;
const AT_ONCE = 16;

/** Declarations a second that the resource API accepts one by one, over some connections. They are paused: nothing is made of them. */
export async function acceptedPerSecond(world: World): Promise<number> {
  let next = 0;
  const declare = async () => {
    for (let index = next++; index < DECLARATIONS; index = next++) {
      await world.api.create(MACHINES, {
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: 'VirtualMachine',
        metadata: { name: `accepted-${index}` },
        spec: {
          cloudRef: { name: 'lab' },
          image: 'cirros-fake',
          flavor: 'm1.tiny',
          networks: [{ name: 'demo-net' }],
          paused: true,
        },
      });
    }
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: AT_ONCE }, declare));
  return DECLARATIONS / ((performance.now() - began) / 1000);
}
