import { pino } from 'pino';
import { openCipher } from '../src/commands/serving/encryption-key.js';
import { systemEnvironment } from '../src/environment.js';
import { openPostgresStore } from '../src/store/postgres/open.js';
import type { Draft } from '../src/store/store.js';
import type { World } from './world.js';

const ROWS = 5_000;
/** As much as a VirtualMachine with its status. */
const PADDING = 'x'.repeat(1_500);

/**
 * Row versions a second that this database takes from the store itself, which groups them: Events (nobody watches those) are
 * created and then all replaced at once.
 */
export async function writesPerSecond(world: World): Promise<number> {
  const store = await openPostgresStore({
    connectionString: world.databaseUrl,
    cipher: await openCipher(world.dataDir, undefined),
    environment: systemEnvironment,
    log: pino({ level: 'warn' }),
  });
  try {
    const drafts = Array.from({ length: ROWS }, (_, index) => event(index, 1));
    await Promise.all(drafts.map((draft) => store.create(draft)));
    const began = performance.now();
    await Promise.all(drafts.map((_, index) => store.update(event(index, 2))));
    const seconds = (performance.now() - began) / 1000;
    await world.database.query(`DELETE FROM resources WHERE kind = 'Event' AND name LIKE 'speed-%'`);
    return ROWS / seconds;
  } finally {
    await store.close();
  }
}

function event(index: number, count: number): Draft {
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `speed-${index}`, namespace: 'default' },
    involvedObject: { kind: 'VirtualMachine', name: 'speed' },
    reason: 'Speed',
    message: PADDING,
    type: 'Normal',
    count,
  };
}
