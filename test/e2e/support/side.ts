import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { kubectl, type Ran } from '../../support/kubectl.js';
import { toLines } from './compare.js';

const kubeconfigSchema = z.looseObject({
  clusters: z.tuple([z.looseObject({ cluster: z.looseObject({ server: z.string() }) })]),
  contexts: z.array(z.looseObject({ context: z.looseObject({}) })),
});

/** A command with what it said, as lines. */
export interface Said {
  readonly command: string;
  readonly lines: readonly string[];
}

/** What a command is given beside its words. */
export interface Given {
  readonly input?: string;
  readonly environment?: Readonly<Record<string, string>>;
}

/** One of two planes that the same commands are run on, and what they said. */
export class Side {
  /** What was said since this was emptied. */
  readonly said: Said[] = [];
  #namespace = 'default';

  private constructor(
    private readonly program: string,
    private readonly directory: string,
    private readonly config: z.infer<typeof kubeconfigSchema>,
  ) {}

  /** With a kubeconfig, and the same kubectl for both. Close it. */
  static async open(program: string, kubeconfig: string): Promise<Side> {
    const directory = await mkdtemp(join(tmpdir(), 'dispatcher-compare-'));
    return new Side(program, directory, kubeconfigSchema.parse(parse(await readFile(kubeconfig, 'utf8'))));
  }

  /** Makes a namespace, and goes on in it. Nothing that was said before counts. */
  async enter(namespace: string): Promise<void> {
    const contexts = this.config.contexts.map((each) => ({ ...each, context: { ...each.context, namespace } }));
    await mkdir(join(this.directory, namespace));
    this.#namespace = namespace;
    await writeFile(this.#kubeconfig, stringify({ ...this.config, contexts }), { mode: 0o600 });
    await this.ask(`create namespace ${namespace}`);
    this.said.length = 0;
  }

  /** Runs kubectl, whose words are split at spaces but for what stands in '…'; what it says is compared. */
  async run(command: string, { input, environment }: Given = {}): Promise<void> {
    this.#keep(command, await this.#kubectl(command, input, environment));
  }

  /** Runs kubectl, which must succeed, for what the other commands need. @returns what it printed; nothing is compared. */
  async ask(command: string, input?: string): Promise<string> {
    const { code, stdout, stderr } = await this.#kubectl(command, input);
    if (code !== 0) throw new Error(`kubectl ${command}: ${stderr}`);
    return stdout;
  }

  /** Runs kubectl with two files in place of OLD and NEW, or an editor. @returns the path of a file that holds `text`. */
  async file(name: string, text: string, mode = 0o600): Promise<string> {
    const path = join(this.directory, this.#namespace, name);
    await writeFile(path, text, { mode });
    return path;
  }

  /** Runs a watching kubectl: once it has said something, `meanwhile` happens, and it is ended when it has said `enough`. */
  async watch(command: string, enough: RegExp, meanwhile: () => Promise<unknown>): Promise<void> {
    const env = { ...process.env, ...this.#environment };
    const child = spawn(this.program, split(command), { env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    const ended = new Promise((resolve) => child.once('close', resolve));
    const heard = (what: RegExp) =>
      new Promise<void>((resolve, reject) => {
        const look = () => what.test(stdout) && resolve();
        child.stdout.on('data', look);
        child.once('close', () => reject(new Error(`kubectl ${command} ended before ${what} was there: ${stdout}${stderr}`)));
        const limit = setTimeout(() => reject(new Error(`kubectl ${command} did not say ${what}: ${stdout}${stderr}`)), 30_000);
        limit.unref();
        look();
      });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    try {
      await heard(/\n/);
      await meanwhile();
      await heard(enough);
    } finally {
      child.kill();
      await ended;
    }
    this.#keep(command, { code: 0, stdout, stderr });
  }

  async close(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }

  get #kubeconfig(): string {
    return join(this.directory, this.#namespace, 'kubeconfig');
  }

  get #environment(): Record<string, string> {
    return { KUBECONFIG: this.#kubeconfig, KUBECACHEDIR: join(this.directory, 'cache'), HOME: this.directory };
  }

  #kubectl(command: string, input = '', environment: Readonly<Record<string, string>> = {}): Promise<Ran> {
    return kubectl(this.#kubeconfig, this.directory, this.program)(split(command), input, environment);
  }

  #keep(command: string, ran: Ran): void {
    const told = {
      ...ran,
      stdout: ran.stdout.replaceAll(this.directory, '/DIR'),
      stderr: ran.stderr.replaceAll(this.directory, '/DIR'),
    };
    const { server } = this.config.clusters[0].cluster;
    this.said.push({ command: command.replaceAll(this.directory, '/DIR'), lines: toLines(told, server) });
  }
}

function split(command: string): string[] {
  return Array.from(command.matchAll(/'([^']*)'|(\S+)/g), ([, quoted, plain]) => quoted ?? plain ?? '');
}
