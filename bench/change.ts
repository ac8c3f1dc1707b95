import { percentile } from './figures.js';
import { pause, until } from './processes.js';
import { CLOUD, MACHINES, type World } from './world.js';

/** How soon a change reaches the cloud. Milliseconds from the API's answer; negative if the cloud was asked before it. */
export interface ChangeLatency {
  readonly median: number;
  readonly p99: number;
  readonly worst: number;
  readonly samples: number;
}

const SAMPLES = 200;
const BETWEEN_MS = 30;
/** What takes far too long is sampled less often. */
const LONGEST_MS = 60_000;
const QUIET = { spec: { observe: { interval: '2s', auditInterval: '60s' } } };

/** Changes machines one after another while nothing else happens. */
export async function changeWhileIdle(world: World): Promise<ChangeLatency> {
  await world.api.merge(CLOUD, QUIET);
  await pause(2_000);
  return sample(world, 'idle');
}

/** The same while all machines are examined again and again (the Cloud's declaration keeps changing), between audits without a pause. */
export async function changeWhileBusy(world: World): Promise<ChangeLatency> {
  await world.api.merge(CLOUD, { spec: { observe: { interval: '1s', auditInterval: '1s' } } });
  const end = new AbortController();
  const disturbing = disturb(world, end.signal);
  try {
    await pause(1_000);
    return await sample(world, 'busy');
  } finally {
    end.abort();
    await disturbing;
    await world.api.merge(CLOUD, QUIET);
  }
}

async function disturb(world: World, signal: AbortSignal): Promise<void> {
  for (let round = 0; !signal.aborted; round++) {
    await world.api.merge(CLOUD, { spec: { buildTimeout: round % 2 ? '10m' : '11m' } });
    await pause(250);
  }
}

async function sample(world: World, role: string): Promise<ChangeLatency> {
  const servers = await boundServers(world);
  const latencies: number[] = [];
  const began = performance.now();
  for (let index = 0; index < SAMPLES && performance.now() - began < LONGEST_MS; index++) {
    const [name, id] = servers[(index * 7_919) % servers.length] ?? [];
    const seen = world.tap.next(setMetadata(id ?? ''));
    await world.api.merge(`${MACHINES}/${name}`, { spec: { metadata: { role: `${role}-${index}` } } });
    const answered = performance.now();
    const at = await Promise.race([seen, pause(60_000).then(() => undefined)]);
    if (at === undefined) throw new Error(`the change of ${name} did not reach the cloud in a minute`);
    latencies.push(at - answered);
    await pause(BETWEEN_MS);
  }
  return {
    median: percentile(latencies, 0.5),
    p99: percentile(latencies, 0.99),
    worst: Math.max(...latencies),
    samples: latencies.length,
  };
}

/** How the request begins that puts the metadata of a server right. */
export function setMetadata(id: string): string {
  return `PUT /compute/v2.1/servers/${id}/metadata `;
}

/** Name and server id of every machine. */
export async function boundServers(world: World): Promise<[name: string, id: string][]> {
  const { rows } = await world.database.query<{ name: string; id: string }>(
    `SELECT name, status ->> 'id' AS id FROM virtual_machines WHERE status ? 'id' ORDER BY name`,
  );
  return rows.map(({ name, id }) => [name, id]);
}

/** Resolves when the changes of the samples have settled. */
export async function settled(world: World): Promise<void> {
  let before = -1;
  const quiet = async () => {
    const version = await world.version();
    const same = version === before;
    before = version;
    return same ? true : undefined;
  };
  await until('the store to be quiet', quiet, 120_000, 1_500);
}
