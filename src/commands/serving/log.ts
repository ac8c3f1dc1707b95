import { type DestinationStream, type Logger, pino } from 'pino';

/** How lines look. */
export interface LogOptions {
  /** Undefined: pretty on a terminal, else json. */
  readonly logFormat?: 'json' | 'pretty' | undefined;
  readonly logLevel: string;
}

/** The log of a command: one line each, on the standard output. JSON bears the level's name and the time as RFC 3339. */
export async function openLog({ logFormat, logLevel }: LogOptions): Promise<Logger> {
  const format = logFormat ?? (process.stdout.isTTY ? 'pretty' : 'json');
  return logTo(logLevel, format === 'pretty' ? await prettyStream() : pino.destination({ fd: 1, sync: true }));
}

/** A log in JSON in a file of its own, which is made anew. */
export function openLogFile(path: string): Logger {
  return logTo('info', pino.destination({ dest: path, append: false, sync: true, mode: 0o600 }));
}

function logTo(level: string, stream: DestinationStream): Logger {
  const options = {
    level,
    base: null,
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return pino(options, stream);
}

async function prettyStream(): Promise<DestinationStream> {
  const { default: pretty } = await import('pino-pretty');
  return pretty({ colorize: process.stdout.isTTY ?? false, translateTime: 'SYS:HH:MM:ss.l', singleLine: true, sync: true });
}
