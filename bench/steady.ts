import { until } from './processes.js';
import { CLOUD, type World } from './world.js';

/** What one audit costs while nothing changes. */
export interface SteadyState {
  readonly listCallsPerAudit: number;
  /** Other calls to the cloud in the same time, delta polls aside. */
  readonly otherCalls: number;
  readonly writesPerAudit: number;
  readonly cpuSecondsPerAudit: number;
}

const AUDITS = 3;

/** Watches some audits go by. The interval is short, so that it need not be waited for. */
export async function steadyState(world: World): Promise<SteadyState> {
  await world.api.merge(CLOUD, { spec: { observe: { interval: '1s', auditInterval: '5s' } } });
  await nextAudit(world);
  await nextAudit(world);
  const before = await look(world);
  for (let audit = 0; audit < AUDITS; audit++) await nextAudit(world);
  const after = await look(world);
  const delta = (name: keyof typeof before) => after[name] - before[name];
  return {
    listCallsPerAudit: delta('lists') / AUDITS,
    otherCalls: delta('all') - delta('lists') - delta('polls'),
    writesPerAudit: delta('version') / AUDITS,
    cpuSecondsPerAudit: delta('cpu') / AUDITS,
  };
}

/** Resolves when an audit has just ended. */
export async function nextAudit(world: World): Promise<void> {
  const lastAudit = async () => (await world.metrics()).sum('dispatcher_cloud_observation_timestamp_seconds');
  const before = await lastAudit();
  await until('an audit', async () => ((await lastAudit()) > before ? true : undefined), 120_000, 250);
}

async function look(world: World) {
  const metrics = await world.metrics();
  const calls = (...labels: string[]) => metrics.sum('dispatcher_cloud_calls_total', ...labels);
  return {
    lists: calls('operation="listServers"'),
    polls: calls('operation="listChanges"'),
    all: calls(),
    version: await world.version(),
    cpu: metrics.sum('process_cpu_seconds_total'),
  };
}
