import type { Settings } from './world.js';

/** One line of the table. */
export interface Figure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** At most this. */
  readonly aim?: number;
}

/** Prints the figures of a run as a table in Markdown. */
export function printFigures(settings: Settings, figures: readonly Figure[]): void {
  const { machines, buildMs, latencyMs, requestsPerSecond, inFlight } = settings;
  const lines = [
    '',
    `N = ${machines}; B = ${buildMs} ms, L = ${latencyMs} ms, R = ${requestsPerSecond}/s, C = ${inFlight}`,
    '',
    '| figure | value | aim | |',
    '|---|---:|---:|---|',
    ...figures.map(({ name, value, unit, aim }) => {
      const verdict = aim === undefined ? '' : value <= aim ? 'met' : 'missed';
      return `| ${name} | ${format(value)} ${unit} | ${aim === undefined ? '' : `${format(aim)} ${unit}`} | ${verdict} |`;
    }),
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

function format(value: number): string {
  return Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toFixed(3)).toString();
}
