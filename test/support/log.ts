import { type Logger, pino } from 'pino';
import { z } from 'zod';

/** A line of a log: `msg`, `level` and whatever was logged with it. */
export type LogLine = Readonly<Record<string, unknown>>;

const lineSchema = z.record(z.string(), z.unknown());

/** A log kept in memory, all levels, without times. */
export function captureLog(): { readonly log: Logger; readonly lines: readonly LogLine[]; messages(): unknown[] } {
  const lines: LogLine[] = [];
  const write = (text: string) => void lines.push(lineSchema.parse(JSON.parse(text)));
  const log = pino({ level: 'trace', base: null, timestamp: false }, { write });
  return { log, lines, messages: () => lines.map(({ msg }) => msg) };
}

/** A log that goes nowhere. */
export const silentLog: Logger = pino({ level: 'silent' });
