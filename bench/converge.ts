import type { Convergence } from './bound.js';
import type { Metrics } from './figures.js';
import { until } from './processes.js';
import type { World } from './world.js';

/** What a convergence took, beside its ratio to the bound. */
export interface Converged {
  readonly run: Convergence;
  readonly declaredPerSecond: number;
  /** Of all row versions written, those of Events. */
  readonly eventsPerMachine: number;
  readonly rowsPerCommit: number;
  readonly reconcilesPerMachine: number;
  /** Delta polls and audits, as pages, during the convergence. */
  readonly pages: number;
  readonly callsByOperation: Readonly<Record<string, number>>;
}

const LONGEST_MS = 20 * 60_000;
const SHARED = /GET \/v2\.1\/servers\/detail|keystone|glance|neutron GET|flavors|versions|GET \/v2\.1$|GET \/$|limits/;

/** Declares all machines by one SQL statement, as a person may, and waits until each was Ready once. */
export async function converge(world: World, writesPerSecond: number): Promise<Converged> {
  const { machines, buildMs, latencyMs, inFlight, requestsPerSecond } = world.settings;
  const before = await snapshot(world);
  const began = performance.now();
  await world.database.query(
    `INSERT INTO virtual_machines (name, spec)
     SELECT 'machine-' || number, '{"cloudRef": {"name": "lab"}, "image": "cirros-fake", "flavor": "m1.tiny",
       "networks": [{"name": "demo-net"}], "metadata": {"role": "bench"}}' FROM generate_series(1, $1) AS number`,
    [machines],
  );
  const declared = performance.now();
  const isReady = async () => (ready(await world.metrics()) >= machines ? performance.now() : undefined);
  const ended = await until('all machines to be Ready', isReady, LONGEST_MS, 100);
  const after = await snapshot(world);

  const callsByOperation = difference(before.calls, after.calls);
  const own = Object.entries(callsByOperation).filter(([operation]) => !SHARED.test(operation));
  const calls = own.reduce((sum, [, count]) => sum + count, 0);
  const written = after.version - before.version - machines;
  const run = {
    seconds: (ended - began) / 1000,
    machines,
    buildSeconds: buildMs / 1000,
    latencySeconds: latencyMs / 1000,
    inFlight,
    requestsPerSecond,
    callsPerMachine: calls / machines,
    cpuPerMachine: (after.cpu - before.cpu) / machines,
    writesPerMachine: written / machines,
    writesPerSecond,
  };
  return {
    run,
    declaredPerSecond: machines / ((declared - began) / 1000),
    eventsPerMachine: (after.events - before.events) / machines,
    rowsPerCommit: written / (after.commits - before.commits),
    reconcilesPerMachine: (after.reconciles - before.reconciles) / machines,
    pages: callsByOperation['nova GET /v2.1/servers/detail'] ?? 0,
    callsByOperation,
  };
}

function ready(metrics: Metrics): number {
  return metrics.sum('dispatcher_virtual_machine_time_to_ready_seconds_count');
}

async function snapshot(world: World) {
  const metrics = await world.metrics();
  const { rows } = await world.database.query<{ events: string; commits: string }>(
    `SELECT (SELECT count(*) FROM resources WHERE kind = 'Event') AS events,
       (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()) AS commits`,
  );
  return {
    calls: await world.calls(),
    version: await world.version(),
    cpu: metrics.sum('process_cpu_seconds_total'),
    reconciles: metrics.sum('controller_runtime_reconcile_total', 'controller="virtualmachine"'),
    events: Number(rows[0]?.events),
    commits: Number(rows[0]?.commits),
  };
}

function difference(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): Record<string, number> {
  const entries = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(entries.filter(([, count]) => count > 0));
}
