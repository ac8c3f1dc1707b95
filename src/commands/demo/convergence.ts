import type { PageRow } from '../../api/page.js';

const REFRESH_MS = 250;
const HEADER = ['NAME', 'READY', 'REASON', 'STATE', 'ADDRESS'];
const WIDTHS = [12, 8, 22, 12, 16];

/** Where it is shown: the standard output, or what stands in for it. */
export interface Screen {
  readonly isTTY?: boolean | undefined;
  write(text: string): unknown;
}

/**
 * Shows the machines as they converge: on a terminal a table that is drawn anew in place, elsewhere a line for each change.
 *
 * @param expected how many there are at least, once all are known.
 * @param untilConverged resolve once every machine is Ready; else only when aborted.
 */
export async function watchConvergence(
  machines: () => readonly PageRow[],
  expected: number,
  screen: Screen,
  untilConverged: boolean,
  signal: AbortSignal,
): Promise<void> {
  const began = performance.now();
  const seconds = () => ((performance.now() - began) / 1000).toFixed(1);
  const shown = new Map<string, string>();
  let drawn = 0;
  let told = false;
  while (!signal.aborted) {
    const rows = machines();
    if (screen.isTTY) {
      screen.write(`${drawn > 0 ? `\u001b[${drawn}A\u001b[J` : ''}${table(rows)}`);
      drawn = rows.length + 1;
    } else {
      for (const row of rows) {
        const text = lineOf(row);
        if (shown.get(row.name) === text) continue;
        if (shown.size === 0) screen.write(`  TIME  ${format(HEADER)}\n`);
        shown.set(row.name, text);
        screen.write(`${seconds().padStart(5)}s  ${text}\n`);
      }
    }
    const converged = rows.length >= expected && rows.every(({ ready }) => ready === 'True');
    if (converged && !told) screen.write(`All ${rows.length} machines are as declared, after ${seconds()} s.\n`);
    if (converged && screen.isTTY && !told) drawn = 0;
    told = converged;
    if (converged && untilConverged) return;
    await pause(signal);
  }
}

function table(rows: readonly PageRow[]): string {
  return [format(HEADER), ...rows.map(lineOf)].map((line) => `${line}\n`).join('');
}

function lineOf({ name, ready, reason, state, address }: PageRow): string {
  return format([name, ready ?? '-', reason ?? '-', state ?? '-', address ?? '-']);
}

function format(cells: readonly string[]): string {
  return cells
    .map((cell, column) => cell.padEnd(WIDTHS[column] ?? 0))
    .join(' ')
    .trimEnd();
}

function pause(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(end, REFRESH_MS);
    function end() {
      clearTimeout(timer);
      signal.removeEventListener('abort', end);
      resolve();
    }
    signal.addEventListener('abort', end);
  });
}
