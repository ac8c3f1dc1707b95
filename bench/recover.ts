import { boundServers, setMetadata } from './change.js';
import { pause } from './processes.js';
import type { World } from './world.js';

/**
 * Kills the dispatcher, changes one declaration while it is down (by SQL: its database outlives it), and starts it again.
 * @returns seconds from the kill to the first right call to the cloud.
 */
export async function recover(world: World): Promise<number> {
  const [[name, id] = []] = await boundServers(world);
  const seen = world.tap.next(setMetadata(id ?? ''));
  const killed = performance.now();
  await world.dispatcher.stop('SIGKILL');
  await world.database.query(
    `UPDATE virtual_machines SET spec = jsonb_set(spec, '{metadata}', '{"role": "changed while nobody looked"}') WHERE name = $1`,
    [name],
  );
  world.restart();
  const at = await Promise.race([seen, pause(120_000).then(() => undefined)]);
  if (at === undefined) throw new Error('nothing was put right within two minutes of the kill');
  await world.serving();
  return (at - killed) / 1000;
}
