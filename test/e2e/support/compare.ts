import { readFile } from 'node:fs/promises';

/** Lines that stand on one side only, next to each other. */
export interface Hunk {
  readonly cluster: readonly string[];
  readonly ours: readonly string[];
}

/** One row of docs/kubectl-differences.md. */
export interface Difference {
  /** The row's cells as they are written. */
  readonly command: string;
  readonly cluster: string;
  readonly ours: string;
  /** Whether the row is about that command and says exactly what differs. */
  explains(command: string, hunk: Hunk): boolean;
}

/** The table of a page: rows of `command | in a cluster | here | why`. @throws Error if a row has no reason. */
export async function readDifferences(page: string): Promise<Difference[]> {
  const lines = (await readFile(page, 'utf8')).split('\n').filter((line) => line.startsWith('| `'));
  return lines.map((line) => {
    const [command = '', cluster = '', ours = '', why = ''] = line
      .slice(1, -1)
      .split(/(?<!\\)\|/)
      .map((cell) => cell.trim().replaceAll('\\|', '|'));
    if (!/\w/.test(why)) throw new Error(`${page}: no reason is given for ${line}`);
    const commands = codeOf(command).map(pattern);
    const [theirs, our] = [pattern(codeOf(cluster).join('\n')), pattern(codeOf(ours).join('\n'))];
    return {
      command,
      cluster,
      ours,
      explains: (words, hunk) =>
        commands.some((each) => each.test(words)) && theirs.test(hunk.cluster.join('\n')) && our.test(hunk.ours.join('\n')),
    };
  });
}

/** The texts in a cell's code spans: lines, in their order. */
function codeOf(cell: string): string[] {
  return Array.from(cell.matchAll(/``\s?(.*?)\s?``|`([^`]*)`/g), ([, double, single]) => double ?? single ?? '');
}

/** `…` stands for any text. */
function pattern(text: string): RegExp {
  const parts = text.split('…').map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^]*')}$`);
}

/** client-go says this, or not, as it happens, when its own time is up while it watches. */
const RACE =
  /^! [EI] reflector\.go.*("Failed to watch" err="context deadline exceeded"|Unexpected watch close - watch lasted less than a second)/;

/** Exit status, output and complaints as lines that are the same whenever and wherever the command is run. */
export function toLines({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }, server: string): string[] {
  const text = (prefix: string, said: string) =>
    said === ''
      ? []
      : readable(said.replace(/\n$/, ''))
          .split('\n')
          .map((line) => prefix + normal(line, server));
  return [`exit ${code}`, ...text('', stdout), ...text('! ', stderr)].filter((line) => !RACE.test(line));
}

/** JSON on one line, as `get --raw` shows it, with a field a line and sorted: the order of fields and of kinds means nothing. */
function readable(said: string): string {
  if (!said.startsWith('{') || said.includes('\n')) return said;
  const nameOf = (item: unknown) => (typeof item === 'object' && item !== null && 'name' in item ? String(item.name) : '');
  const sorted = (_key: string, value: unknown) => {
    if (Array.isArray(value)) return value.toSorted((a, b) => nameOf(a).localeCompare(nameOf(b)));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)));
  };
  return JSON.stringify(JSON.parse(said), sorted, 2);
}

const CHANGING: readonly (readonly [RegExp, string])[] = [
  [/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'UID'],
  [/\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z/g, 'TIME'],
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ [+-]\d{4}/g, 'TIME'],
  [/(Created|Creation Timestamp|Time|CreationTimestamp|First Seen|Last Seen):( +)\w{3}, \d\d \w{3} \d{4} .*/g, '$1:$2TIME'],
  [/((?:"?resourceVersion"?|Resource Version): *"?)\d+/g, '$1N'],
  [/(resourceVersion=)\d+/g, '$1N'],
  [/\/tmp\/(LIVE|MERGED|kubectl-edit)-\d+/g, '/tmp/$1-N'],
  [/([EIW])\d{4} \d\d:\d\d:\d\d\.\d+ +\d+ /g, '$1 '],
  [/(generated-)[a-z0-9]{5}\b/g, '$1XXXXX'],
  [/(?<=^| {2,}|\()\d+(ms|s|m|h|d)(\d+s)?(?= {2,}|$|\)| \()/g, 'AGE'],
];

function normal(line: string, server: string): string {
  const named = line.replaceAll(server, 'https://SERVER').replaceAll(new URL(server).host, 'SERVER');
  const told = CHANGING.reduce((text, [what, name]) => text.replaceAll(what, name), named);
  // The width of a column is that of its longest value.
  return told.replace(/(?<=\S) {2,}/g, '  ').trimEnd();
}

/** What differs, in order: the fewest lines. */
export function hunksOf(cluster: readonly string[], ours: readonly string[]): Hunk[] {
  const common = Array.from({ length: cluster.length + 1 }, () => new Array<number>(ours.length + 1).fill(0));
  const at = (row: number, column: number) => common[row]?.[column] ?? 0;
  for (let row = cluster.length - 1; row >= 0; row--) {
    for (let column = ours.length - 1; column >= 0; column--) {
      const best =
        cluster[row] === ours[column] ? at(row + 1, column + 1) + 1 : Math.max(at(row + 1, column), at(row, column + 1));
      common[row]?.splice(column, 1, best);
    }
  }
  const hunks: { cluster: string[]; ours: string[] }[] = [];
  let open: { cluster: string[]; ours: string[] } | undefined;
  const hunk = () => {
    open ??= hunks[hunks.push({ cluster: [], ours: [] }) - 1];
    return open;
  };
  for (let [row, column] = [0, 0]; row < cluster.length || column < ours.length; ) {
    const [theirs, our] = [cluster[row], ours[column]];
    if (theirs !== undefined && theirs === our) {
      open = undefined;
      row += 1;
      column += 1;
    } else if (our === undefined || (theirs !== undefined && at(row + 1, column) >= at(row, column + 1))) {
      hunk()?.cluster.push(theirs ?? '');
      row += 1;
    } else {
      hunk()?.ours.push(our);
      column += 1;
    }
  }
  return hunks;
}

/** The hunk as one, or line by line where both sides have as many lines. */
export function explanationsOf(differences: readonly Difference[], command: string, hunk: Hunk): Difference[] | undefined {
  const whole = differences.find((difference) => difference.explains(command, hunk));
  if (whole) return [whole];
  if (hunk.cluster.length !== hunk.ours.length || hunk.cluster.length < 2) return undefined;
  const each = hunk.cluster.map((line, index) =>
    differences.find((difference) => difference.explains(command, { cluster: [line], ours: [hunk.ours[index] ?? ''] })),
  );
  const found = each.filter((difference) => difference !== undefined);
  return found.length === each.length ? found : undefined;
}
