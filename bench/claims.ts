import { z } from 'zod';
import { percentile } from './figures.js';
import { pause, until } from './processes.js';
import { type Figure, printFigures } from './report.js';
import { World } from './world.js';

/** How many ask, one after another: fewer than the pool has machines, so that each finds a warm one. */
const CLAIMS = 200;
const BETWEEN_MS = 20;
const NAMESPACE = '/apis/dispatcher.dev/v1alpha1/namespaces/default';
const ASSIGNMENTS = `${NAMESPACE}/virtualmachineassignments`;
/** A commit of one row is the measure of all: what a claim takes is told in it. */
const AIM_COMMITS = 5;

const eventSchema = z.object({
  object: z.object({
    metadata: z.object({ name: z.string() }),
    status: z.looseObject({ conditions: z.array(z.object({ type: z.string(), status: z.string() })).optional() }).optional(),
  }),
});

/** `npm run bench:claims`: how soon who asks for a machine has one from a warm pool, beside commits of one row on the same PostgreSQL. */
const settings = { machines: CLAIMS, latencyMs: 5, buildMs: 200, requestsPerSecond: 500, inFlight: 64 };
const world = await World.start(settings);
const figures: Figure[] = [];
const tell = (name: string, value: number, unit: string, aim?: number) => {
  figures.push({ name, value, unit, ...(aim !== undefined && { aim }) });
};
try {
  await fillPool();
  const before = await commits();
  if (process.env.PROFILE) await world.inspector.startProfile();
  const claims = await claimAll();
  if (process.env.PROFILE) await world.inspector.writeProfile(process.env.PROFILE);
  const after = await commits();
  const commit = percentile([...before, ...after], 0.5);
  tell('commit of one row: p50', commit, 'ms');
  tell('commit of one row: p99', percentile([...before, ...after], 0.99), 'ms');
  for (const [name, part] of [
    ['p50', 0.5],
    ['p99', 0.99],
  ] as const) {
    tell(`claim to bound: ${name}`, percentile(claims, part), 'ms');
    tell(`  in commits of one row`, percentile(claims, part) / commit, '', name === 'p50' ? AIM_COMMITS : undefined);
  }
} finally {
  printFigures(settings, figures);
  await world.stop();
}

/** A pool with a machine for each, all free. */
async function fillPool(): Promise<void> {
  const { api } = world;
  const { apiVersion, metadata } = { apiVersion: 'dispatcher.dev/v1alpha1', metadata: { name: 'galaxy', namespace: 'default' } };
  await api.create(`${NAMESPACE}/recipes`, {
    apiVersion,
    kind: 'Recipe',
    metadata,
    spec: { image: 'cirros-fake', flavor: 'm1.tiny', networks: 'none', applications: ['galaxy'] },
  });
  await api.create(`${NAMESPACE}/virtualmachinepools`, {
    apiVersion,
    kind: 'VirtualMachinePool',
    metadata,
    spec: { cloudRef: { name: 'lab' }, recipeRef: { name: 'galaxy' }, replicas: CLAIMS, maxSize: CLAIMS },
  });
  const free = async () => {
    const { rows } = await world.database.query<{ free: number }>(
      `SELECT (status ->> 'free')::int AS free FROM virtual_machine_pools WHERE name = 'galaxy'`,
    );
    return rows[0]?.free === CLAIMS || undefined;
  };
  await until('the pool to be full', free, 120_000, 500);
}

/** From when the API has accepted an assignment until a watch tells that it is bound. Milliseconds. */
async function claimAll(): Promise<number[]> {
  const bound = new Map<string, (at: number) => void>();
  const stop = new AbortController();
  await world.api.watch(`${ASSIGNMENTS}?watch=true`, stop.signal, (line) => {
    const { object } = eventSchema.parse(JSON.parse(line));
    const ready = object.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True');
    if (ready) bound.get(object.metadata.name)?.(performance.now());
  });
  const taken: number[] = [];
  for (let index = 0; index < CLAIMS; index++) {
    const name = `user-${index}`;
    const seen = new Promise<number>((resolve) => void bound.set(name, resolve));
    await world.api.create(ASSIGNMENTS, {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'VirtualMachineAssignment',
      metadata: { name },
      spec: { user: name, application: 'galaxy', poolRef: { name: 'galaxy' } },
    });
    const accepted = performance.now();
    const at = await Promise.race([seen, pause(30_000).then(() => undefined)]);
    if (at === undefined) throw new Error(`${name} was not bound in half a minute`);
    taken.push(at - accepted);
    await pause(BETWEEN_MS);
  }
  stop.abort();
  return taken;
}

/** What the database takes to commit a change of one resource, by SQL. Milliseconds. */
async function commits(): Promise<number[]> {
  const taken: number[] = [];
  for (let index = 0; index < CLAIMS; index++) {
    const began = performance.now();
    await world.database.query(`UPDATE recipes SET annotations = $1 WHERE name = 'galaxy'`, [{ round: `${index}-${began}` }]);
    taken.push(performance.now() - began);
    await pause(BETWEEN_MS);
  }
  return taken;
}
