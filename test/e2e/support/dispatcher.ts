import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { startCommand } from '../../support/command.js';
import { kubectl } from '../../support/kubectl.js';
import { type LogLine, ServeProcess } from './serve-process.js';

const BIN = join(import.meta.dirname, '../../../bin/dispatcher.mjs');

const addressesSchema = z.object({ http: z.string(), https: z.string() });
const runSchema = z.object({ databaseUrl: z.string() });
const databaseSchema = z.object({ adopted: z.boolean(), directory: z.string() });

/** One `dispatcher serve` on a data directory of its own with its embedded PostgreSQL; it can be killed and started again. */
export class Dispatcher {
  /** Whether the present life found a PostgreSQL that a killed one left behind. */
  adoptedDatabase = false;
  readonly #process = new ServeProcess((line) => this.#take(line));
  #addresses: z.infer<typeof addressesSchema> | undefined;
  #databaseDirectory: string | undefined;

  private constructor(private readonly directory: string) {}

  /** Starts one and writes a kubeconfig for it. Close it. */
  static async start(): Promise<Dispatcher> {
    const dispatcher = new Dispatcher(await mkdtemp(join(tmpdir(), 'dispatcher-e2e-')));
    try {
      await dispatcher.start();
      await dispatcher.#writeKubeconfig();
      return dispatcher;
    } catch (error) {
      await dispatcher.close();
      throw error;
    }
  }

  /** Starts the process (again) and waits until it serves. */
  async start(): Promise<void> {
    const { http = 'http://127.0.0.1:0', https = 'https://127.0.0.1:0' } = this.#addresses ?? {};
    const listening = ['--http', new URL(http).host, '--https', new URL(https).host];
    this.#addresses = addressesSchema.parse(await this.#process.start(['--data-dir', this.directory, ...listening]));
  }

  /** SIGKILL, and waits until the process is gone. Its PostgreSQL lives on. */
  kill(): Promise<void> {
    return this.#process.kill();
  }

  /** SIGTERM, and waits until it has drained. @returns its exit status. */
  stop(): Promise<number | null> {
    return this.#process.stop();
  }

  /** Ends it and removes all that it kept. */
  async close(): Promise<void> {
    // A killed one has left its PostgreSQL running: only a new life can stop that.
    if (!this.#process.running && this.#databaseDirectory) await this.start();
    await this.stop();
    if (this.#databaseDirectory) await rm(this.#databaseDirectory, { recursive: true, force: true });
    await rm(this.directory, { recursive: true, force: true });
  }

  /** Stock kubectl against it, in the namespace default, as {@link kubectl} of test/support. @throws with its words on failure. */
  async kubectl(args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await kubectl(join(this.directory, 'kubeconfig'), this.directory)(args, input);
    if (code !== 0) throw new Error(`kubectl ${args.join(' ')}: ${code}: ${stderr.trim()} ${stdout.trim()}`);
    return stdout;
  }

  /** Stock psql on its database: rows without headers, columns apart by `|`. @throws with its words on failure. */
  async psql(sql: string): Promise<string> {
    const { databaseUrl } = runSchema.parse(JSON.parse(await readFile(join(this.directory, 'run.json'), 'utf8')));
    const args = [
      databaseUrl,
      '--no-psqlrc',
      '--quiet',
      '--tuples-only',
      '--no-align',
      '--set',
      'ON_ERROR_STOP=1',
      '--command',
      sql,
    ];
    return (await promisify(execFile)('psql', args)).stdout.trim();
  }

  /** Where its plain-HTTP door is: http://127.0.0.1:5070. */
  get http(): string {
    return this.#addresses?.http ?? '';
  }

  /** A command of `dispatcher` on its data directory, such as `user create ann`. @throws with its words on failure. */
  async command(args: readonly string[], input = ''): Promise<string> {
    const { code, stdout, stderr } = await startCommand([...args, '--data-dir', this.directory], this.directory, {}, input).ended;
    if (code !== 0) throw new Error(`dispatcher ${args.join(' ')}: ${code}: ${stderr.trim()} ${stdout.trim()}`);
    return stdout;
  }

  /** The kubeconfig, with the token in it. */
  async kubeconfig(): Promise<string> {
    return readFile(join(this.directory, 'kubeconfig'), 'utf8');
  }

  /** Calls of an operation made to all clouds by the present life, by its metrics. */
  async cloudCalls(operation: string): Promise<number> {
    const text = await (await fetch(`${this.#addresses?.http}/metrics`)).text();
    const lines = text.split('\n').filter((line) => line.startsWith('dispatcher_cloud_calls_total{'));
    const counts = lines
      .filter((line) => line.includes(`operation="${operation}"`))
      .map((line) => Number(line.split(' ').at(-1)));
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async #writeKubeconfig(): Promise<void> {
    const { stdout } = await promisify(execFile)(process.execPath, [BIN, 'kubeconfig', '--data-dir', this.directory]);
    await writeFile(join(this.directory, 'kubeconfig'), stdout, { mode: 0o600 });
  }

  #take(line: LogLine): void {
    if (line.msg !== 'embedded PostgreSQL is ready') return;
    const { adopted, directory } = databaseSchema.parse(line);
    this.adoptedDatabase = adopted;
    this.#databaseDirectory = directory;
  }
}
