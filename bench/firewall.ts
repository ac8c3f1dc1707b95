import { until } from './processes.js';
import { type Figure, printFigures } from './report.js';
import { World } from './world.js';

/** `npm run bench:firewall`: 1,000 machines and five rules that they share: groups, calls, time, and what watching them costs after that. */
const settings = {
  machines: Number(process.env.MACHINES ?? 1_000),
  latencyMs: 5,
  buildMs: 200,
  requestsPerSecond: 500,
  inFlight: 64,
};
const RULES = '/apis/dispatcher.dev/v1alpha1/namespaces/default/firewallrules';
const LONGEST_MS = 10 * 60_000;
/** Ten looks at ports and groups at the pace of a quiet cloud. */
const QUIET_MS = 100_000;

const rules = [
  { name: 'web', ports: [{ from: 80 }, { from: 443 }], cidrs: ['0.0.0.0/0', '::/0'] },
  { name: 'alternative', ports: [{ from: 8000, to: 8100 }], cidrs: ['0.0.0.0/0'] },
  { name: 'shell', ports: [{ from: 22 }], cidrs: ['198.51.100.0/24'] },
  { name: 'metrics', ports: [{ from: 9100 }], cidrs: ['10.0.0.0/8'] },
  { name: 'backup', ports: [{ from: 873 }], cidrs: ['10.1.0.0/16'] },
];

const world = await World.start(settings);
const figures: Figure[] = [];
const tell = (name: string, value: number, unit: string, aim?: number) => {
  figures.push({ name, value, unit, ...(aim !== undefined && { aim }) });
};
try {
  const { machines, requestsPerSecond } = settings;
  await declareRules();
  const born = await measure(declareMachines, () => reached(machines));
  tell('rules first: calls per machine, with its server and port', born.calls / machines, '', 1.1);
  tell('rules first: security groups', (await groups()).length, '', 1);
  await dropRules();
  const grown = await measure(declareRules, () => reached(machines));
  // Each port is changed by a call of its own: there is no other way in Neutron.
  const bound = machines / requestsPerSecond;
  tell('rules for machines that run: calls per machine', grown.calls / machines, '', 1.1);
  tell('rules for machines that run: seconds, to the bound of N / R', grown.seconds / bound, '', 1.5);
  const edited = await measure(
    () => world.database.query(`UPDATE firewall_rules SET spec = jsonb_set(spec, '{ports,0,from}', '2222') WHERE name = 'shell'`),
    () => seen('shell'),
  );
  tell('a changed port for all of them: calls', edited.calls, '');
  const before = await world.calls();
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  const quiet = Object.entries(difference(before, await world.calls()));
  for (const [operation, count] of quiet) tell(`at rest: ${operation}, in 100 s`, count, '');
  tell('at rest: calls that are no pages of lists', quiet.filter(([operation]) => !isPage(operation)).length, '', 0);
} finally {
  printFigures(settings, figures);
  await world.stop();
}

async function declareMachines(): Promise<void> {
  await world.database.query(
    `INSERT INTO virtual_machines (name, labels, spec)
     SELECT 'machine-' || number, '{"app": "bench"}', '{"cloudRef": {"name": "lab"}, "image": "cirros-fake", "flavor": "m1.tiny",
       "networks": [{"name": "demo-net"}]}' FROM generate_series(1, $1) AS number`,
    [settings.machines],
  );
}

async function declareRules(): Promise<void> {
  for (const { name, ports, cidrs } of rules)
    await world.api.create(RULES, {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'FirewallRule',
      metadata: { name },
      spec: {
        cloudRef: { name: 'lab' },
        selector: { matchLabels: { app: 'bench' } },
        ...{ direction: 'Ingress', protocol: 'TCP', ports, cidrs },
      },
    });
}

async function dropRules(): Promise<void> {
  await world.database.query('DELETE FROM firewall_rules');
  const gone = async () =>
    (await rows<{ left: string }>('SELECT count(*) AS left FROM firewall_rules'))[0]?.left === '0' || undefined;
  await until('the rules to be gone', gone, LONGEST_MS, 200);
}

/** True once every rule says that it is in force on all machines. */
async function reached(machines: number): Promise<true | undefined> {
  const [row] = await rows<{ done: string }>(
    `SELECT count(*) AS done FROM firewall_rules WHERE (status #>> '{targets,reached}')::int = ${machines}`,
  );
  return Number(row?.done) === rules.length || undefined;
}

/** True once a rule's last change is in force. */
async function seen(name: string): Promise<true | undefined> {
  const [row] = await rows<{ done: boolean }>(
    `SELECT (status ->> 'observedGeneration')::int = generation AND status @> '{"conditions": [{"type": "Ready", "status": "True"}]}'
       AS done FROM firewall_rules WHERE name = '${name}'`,
  );
  return row?.done || undefined;
}

async function groups(): Promise<readonly string[]> {
  const found = await rows<{ id: string }>(`SELECT DISTINCT status #>> '{securityGroup,id}' AS id FROM firewall_rules`);
  return found.map(({ id }) => id);
}

async function measure(
  act: () => Promise<unknown>,
  done: () => Promise<true | undefined>,
): Promise<{ seconds: number; calls: number }> {
  const before = await world.calls();
  const began = performance.now();
  await act();
  await until('all rules to be in force', done, LONGEST_MS, 100);
  const seconds = (performance.now() - began) / 1000;
  const made = Object.entries(difference(before, await world.calls())).filter(([operation]) => !isPage(operation));
  return { seconds, calls: made.reduce((sum, [, count]) => sum + count, 0) };
}

/** Lists, and what is looked up for all at once. */
function isPage(operation: string): boolean {
  return / GET /.test(operation) || operation.startsWith('keystone');
}

async function rows<Row extends object>(query: string): Promise<Row[]> {
  return (await world.database.query<Row>(query)).rows;
}

function difference(before: Readonly<Record<string, number>>, after: Readonly<Record<string, number>>): Record<string, number> {
  const entries = Object.entries(after).map(([name, count]) => [name, count - (before[name] ?? 0)] as const);
  return Object.fromEntries(entries.filter(([, count]) => count > 0));
}
