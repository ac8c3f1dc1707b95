import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { z } from 'zod';

const BIN = join(import.meta.dirname, '../../../bin/dispatcher.mjs');
const START_LIMIT_MS = 60_000;
const LOG_LINES_KEPT = 5_000;

const lineSchema = z.looseObject({ msg: z.string() });

/** A line of the log, parsed. */
export type LogLine = z.infer<typeof lineSchema>;

/** One `dispatcher serve`, which can be killed and started again. */
export class ServeProcess {
  /** The log of its present life; the newest {@link LOG_LINES_KEPT}. */
  readonly log: LogLine[] = [];
  /** Whether it stands still. */
  frozen = false;
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();

  /** @param onLine is told of each line as it comes. */
  constructor(private readonly onLine: (line: LogLine) => void = () => undefined) {}

  get running(): boolean {
    return this.#child !== undefined;
  }

  /** Starts `dispatcher serve` with such arguments, and waits until it serves. @returns the line that says so. */
  async start(args: readonly string[], environment: Readonly<Record<string, string>> = {}): Promise<LogLine> {
    const child = spawn(process.execPath, [BIN, 'serve', ...args, '--log-format', 'json'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, ...environment },
    });
    this.#child = child;
    this.log.length = 0;
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    let complaint = '';
    child.stderr.on('data', (text) => {
      complaint = `${complaint}${text}`.slice(-2000);
    });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`not serving after ${START_LIMIT_MS / 1000} s: ${complaint}`)),
        START_LIMIT_MS,
      );
      child.once('exit', (code) => reject(new Error(`it ended with ${code} before it served: ${complaint}`)));
      readLines(child, (line) => {
        this.#take(line);
        if (line.msg !== 'serving') return;
        clearTimeout(timer);
        resolve(line);
      });
    });
  }

  /** Whether it works on the resources just now, by its own word. */
  get leads(): boolean {
    const said = this.log.findLast(({ msg }) => msg.startsWith('leadership '));
    return this.running && said?.msg === 'leadership gained';
  }

  /** SIGSTOP: it stands still, and knows nothing of it. */
  freeze(): void {
    this.frozen = true;
    this.#child?.kill('SIGSTOP');
  }

  /** SIGCONT. */
  thaw(): void {
    this.frozen = false;
    this.#child?.kill('SIGCONT');
  }

  /** SIGKILL, and waits until the process is gone. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  /** SIGTERM, and waits until it has drained. @returns its exit status. */
  async stop(): Promise<number | null> {
    return this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<number | null> {
    const child = this.#child;
    child?.kill(signal);
    await this.#exited;
    this.#child = undefined;
    return child?.exitCode ?? null;
  }

  #take(line: LogLine): void {
    this.log.push(line);
    if (this.log.length > LOG_LINES_KEPT) this.log.shift();
    this.onLine(line);
  }
}

function readLines({ stdout }: ChildProcess, take: (line: LogLine) => void): void {
  let rest = '';
  stdout?.setEncoding('utf8').on('data', (text: string) => {
    const lines = `${rest}${text}`.split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) {
      if (line.startsWith('{')) take(lineSchema.parse(JSON.parse(line)));
    }
  });
}
