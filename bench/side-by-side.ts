import { cpus, loadavg } from 'node:os';
import { parseArgs } from 'node:util';
import { Contender, type SLICES } from './api-speed.js';
import { percentile } from './figures.js';
import { hasKubernetes, type Side, startKubernetes, startOurs } from './sides.js';

const HELP = `npm run bench:api -- [options]: our resource API beside a real Kubernetes API server, by the same client, in turn
  --slices N        of each kind of request (default 12: 3,000 creates with 16 connections); every other one begins with the other server
  --reconcilers     ours is all of "dispatcher serve", whose reconcilers write a status for each record
  --only-ours       leave the real one out
  --profile FILE    write a .cpuprofile of ours
`;
const { values } = parseArgs({
  options: {
    slices: { type: 'string', default: '12' },
    reconcilers: { type: 'boolean', default: false },
    'only-ours': { type: 'boolean', default: false },
    profile: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
});

type Kind = keyof typeof SLICES;
/** What the slices of one server gave, by kind of request. */
type Results = ReadonlyMap<Kind, number[]>;

/** The lines of the table: of which slices, what of them, and which way is better. */
const LINES: readonly { name: string; of: Kind; figure: (samples: readonly number[]) => number; better: 'more' | 'less' }[] = [
  ...(['creates/s, 16 connections', 'creates/s, 1 connection', 'gets/s, 16 connections', 'gets/s, 1 connection'] as const).map(
    (of) => ({ name: of, of, figure: median, better: 'more' as const }),
  ),
  { name: 'list of 2,000, ms', of: 'list of 2,000', figure: median, better: 'less' },
  // Each sample of a slice is two numbers: from the answer, and from the request.
  ...['answer to', 'request of'].flatMap((from, place) =>
    [0.5, 0.99].map((part) => ({
      name: `from the ${from} a write until a watcher has it, p${part * 100}, ms`,
      of: 'watch latency' as const,
      figure: (samples: readonly number[]) =>
        percentile(
          samples.filter((_, index) => index % 2 === place),
          part,
        ),
      better: 'less' as const,
    })),
  ),
];

async function compare(): Promise<void> {
  const sides: Side[] = [];
  const contenders: { contender: Contender; results: Map<Kind, number[]> }[] = [];
  try {
    sides.push(await startOurs(values.reconcilers));
    if (!values['only-ours']) sides.push(await startKubernetes());
    for (const { kubeconfig } of sides) contenders.push({ contender: await Contender.on(kubeconfig), results: new Map() });
    const kinds = LINES.map(({ of }) => of).filter((kind, at, all) => all.indexOf(kind) === at);
    // What a server does only once, and what a compiler learns, is not measured.
    await inTurn(kinds, 3, contenders);
    for (const { results } of contenders) results.clear();
    if (values.profile !== undefined) await sides[0]?.inspector?.startProfile();
    await inTurn(kinds, Number(values.slices), contenders);
    if (values.profile !== undefined) await sides[0]?.inspector?.writeProfile(values.profile);
    const [ours, theirs] = contenders.map(({ results }) => results);
    print(ours ?? new Map(), theirs);
  } finally {
    for (const { contender } of contenders) await contender.close();
    for (const side of sides) await side.stop();
  }
}

async function inTurn(
  kinds: readonly Kind[],
  slices: number,
  contenders: readonly { contender: Contender; results: Map<Kind, number[]> }[],
): Promise<void> {
  for (let slice = 0; slice < slices; slice++) {
    for (const kind of kinds) {
      for (const { contender, results } of slice % 2 === 0 ? contenders : contenders.toReversed()) {
        results.set(kind, [...(results.get(kind) ?? []), ...(await contender.slice(kind))]);
      }
    }
  }
}

function print(ours: Results, theirs: Results | undefined): void {
  const lines = LINES.map(({ name, of, figure, better }) => {
    const [our, their] = [ours, theirs].map((results) => figure(results?.get(of) ?? []));
    const [mine, other] = [our ?? Number.NaN, their ?? Number.NaN];
    const verdict = Number.isNaN(other) ? '' : (better === 'more' ? mine > other : mine < other) ? 'ahead' : 'behind';
    return `| ${name} | ${format(mine)} | ${format(other)} | ${other === 0 ? '' : format(mine / other)} | ${verdict} |`;
  });
  process.stdout.write(['', '| figure | ours | theirs | ours/theirs | |', '|---|---:|---:|---:|---|', ...lines, ''].join('\n'));
}

function median(samples: readonly number[]): number {
  return percentile(samples, 0.5);
}

function format(value: number): string {
  return Number.isNaN(value) ? '' : Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(3)).toString();
}

if (values.help) {
  process.stdout.write(HELP);
} else if (!values['only-ours'] && !(await hasKubernetes())) {
  process.stdout.write(
    'Skipped: this needs the programs of a Kubernetes control plane; test/e2e/kubernetes/build.sh makes them, once, from Go modules (Go 1.26, 10 minutes). --only-ours does without.\n',
  );
} else {
  const load = loadavg()[0] ?? 0;
  const model = cpus()[0]?.model ?? 'unknown processor';
  process.stdout.write(
    `${new Date().toISOString()}: ${cpus().length} x ${model}, load ${load.toFixed(1)}, Node ${process.version}\n`,
  );
  await compare();
}
