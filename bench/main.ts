import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { acceptedPerSecond } from './accept.js';
import { boundOf } from './bound.js';
import { changeWhileBusy, changeWhileIdle, settled } from './change.js';
import { converge } from './converge.js';
import { recover } from './recover.js';
import { type Figure, printFigures } from './report.js';
import { steadyState } from './steady.js';
import { writesPerSecond } from './store-speed.js';
import { type Settings, World } from './world.js';

const HELP = `npm run bench -- [N ...] [options]: benchmarks with N machines each (default 1000 and 10000)
  --rate R        requests a second that the Cloud allows (default 200)
  --in-flight C   calls at once that it allows (default 64)
  --latency MS    of each call to the simulated cloud (default 20)
  --build MS      from a create until the server is ACTIVE (default 5000)
  --only-converge leave out all but the convergence
  --profile DIR   write .cpuprofile files of the dispatcher: one of each part
`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    rate: { type: 'string', default: '200' },
    'in-flight': { type: 'string', default: '64' },
    latency: { type: 'string', default: '20' },
    build: { type: 'string', default: '5000' },
    'only-converge': { type: 'boolean', default: false },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

/** Takes all figures for one number of machines. */
async function measure(settings: Settings): Promise<void> {
  const { machines } = settings;
  const world = await World.start(settings);
  const figures: Figure[] = [];
  try {
    const tell = (name: string, value: number, unit: string, aim?: number) => {
      figures.push({ name, value, unit, ...(aim !== undefined && { aim }) });
    };
    const heapBefore = await world.inspector.heapAfterCollection();
    const residentBefore = await world.residentBytes();
    const speed = await writesPerSecond(world);
    const { run, ...more } = await profiled(world, 'converge', () => converge(world, speed));
    const bound = boundOf(run);
    tell('convergence / bound', run.seconds / bound.seconds, '', machines > 1_000 ? 1.5 : 1.3);
    tell('  convergence / bound of the cloud alone', run.seconds / bound.ofTheCloud, '');
    tell('  convergence', run.seconds, 's');
    for (const [term, seconds] of Object.entries(bound.terms))
      tell(`  bound: build time + ${term}`, run.buildSeconds + seconds, 's');
    tell('cloud calls per VM', run.callsPerMachine, '', 1.1);
    tell('shared pages during convergence', more.pages, 'calls');
    tell('store writes per VM', run.writesPerMachine, 'rows');
    tell('  of these, events', more.eventsPerMachine, 'rows');
    tell('  rows per commit', more.rowsPerCommit, '');
    tell('  store speed', run.writesPerSecond, 'rows/s');
    tell('CPU per 1000 VMs', run.cpuPerMachine * 1_000, 's');
    tell('reconciles per VM', more.reconcilesPerMachine, '');
    tell('declarations accepted by SQL', more.declaredPerSecond, '/s', undefined);
    if (!values['only-converge']) {
      await settled(world);
      tell('heap per VM', ((await world.inspector.heapAfterCollection()) - heapBefore) / machines / 1000, 'kB', 1.5);
      tell('resident memory per VM', ((await world.residentBytes()) - residentBefore) / machines / 1000, 'kB');
      const steady = await profiled(world, 'steady', () => steadyState(world));
      tell('list calls per audit', steady.listCallsPerAudit, 'calls', Math.max(1, machines / 1_000));
      tell('  other calls in 3 audits', steady.otherCalls, 'calls');
      tell('  store writes per audit', steady.writesPerAudit, 'rows');
      tell('  CPU per audit', steady.cpuSecondsPerAudit * 1_000, 'ms');
      const idle = await profiled(world, 'idle', () => changeWhileIdle(world));
      tell('change to cloud call, idle: p50', idle.median, 'ms', 5);
      tell('change to cloud call, idle: p99', idle.p99, 'ms', 25);
      const busy = await profiled(world, 'busy', () => changeWhileBusy(world));
      tell('change to cloud call, during a resync: p50', busy.median, 'ms', 5);
      tell('change to cloud call, during a resync: p99', busy.p99, 'ms', 25);
      await settled(world);
      tell('declarations accepted by HTTP', await acceptedPerSecond(world), '/s');
      tell('kill -9 to the first right call', await recover(world), 's', 2);
    }
  } finally {
    // What was measured before a failure is worth something too.
    printFigures(settings, figures);
    await world.stop();
  }
}

async function profiled<T>(world: World, name: string, work: () => Promise<T>): Promise<T> {
  if (values.profile === undefined) return work();
  await world.inspector.startProfile();
  const result = await work();
  await world.inspector.writeProfile(`${values.profile}/${name}.cpuprofile`);
  return result;
}

if (values.help) {
  process.stdout.write(HELP);
} else {
  const model = cpus()[0]?.model ?? 'unknown processor';
  const load = loadavg()[0] ?? 0;
  process.stdout.write(
    `${new Date().toISOString()}: ${cpus().length} x ${model}, load ${load.toFixed(1)}, Node ${process.version}\n`,
  );
  for (const machines of positionals.length > 0 ? positionals.map(Number) : [1_000, 10_000]) {
    await measure({
      machines,
      latencyMs: Number(values.latency),
      buildMs: Number(values.build),
      requestsPerSecond: Number(values.rate),
      inFlight: Number(values['in-flight']),
    });
  }
}
