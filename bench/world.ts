import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { z } from 'zod';
import { LOCATION_FILE } from '../src/store/postgres/embedded/home.js';
import { Api } from './api.js';
import { Metrics } from './figures.js';
import { Inspector } from './inspector.js';
import { type Child, freePort, startDispatcherCommand, until } from './processes.js';
import { Tap } from './tap.js';

/** How the cloud is, and how hard the dispatcher may ask it. */
export interface Settings {
  readonly machines: number;
  /** Before each of the cloud's answers. Milliseconds. */
  readonly latencyMs: number;
  /** From the create until the server is ACTIVE. Milliseconds. */
  readonly buildMs: number;
  readonly requestsPerSecond: number;
  readonly inFlight: number;
}

const runSchema = z.object({ pid: z.int(), http: z.string(), databaseUrl: z.string() });
const callsSchema = z.record(z.string(), z.number());

export const CLOUD = '/apis/dispatcher.dev/v1alpha1/clouds/lab';
export const MACHINES = '/apis/dispatcher.dev/v1alpha1/namespaces/default/virtualmachines';

/** A simulated cloud, a tap on the way to it, and a dispatcher with its database: each in a process of its own. */
export class World {
  readonly tap = new Tap();
  #simulator: Child | undefined;
  #dispatcher: Child | undefined;
  #run: z.infer<typeof runSchema> | undefined;
  #api: Api | undefined;
  #database: pg.Client | undefined;
  #inspector: Inspector | undefined;
  #cloudPort = 0;
  #tapPort = 0;

  private constructor(
    readonly settings: Settings,
    private readonly directory: string,
  ) {}

  static async start(settings: Settings): Promise<World> {
    const world = new World(settings, await mkdtemp(join(tmpdir(), 'dispatcher-bench-')));
    try {
      await world.#start();
      return world;
    } catch (error) {
      await world.stop();
      throw error;
    }
  }

  /** Where the dispatcher keeps its keys and says where it serves. */
  get dataDir(): string {
    return join(this.directory, 'data');
  }

  get api(): Api {
    return present(this.#api);
  }

  /** A connection to the dispatcher's database. */
  get database(): pg.Client {
    return present(this.#database);
  }

  get databaseUrl(): string {
    return present(this.#run).databaseUrl;
  }

  get inspector(): Inspector {
    return present(this.#inspector);
  }

  get dispatcher(): Child {
    return present(this.#dispatcher);
  }

  metrics(): Promise<Metrics> {
    return Metrics.read(present(this.#run).http);
  }

  /** How often each operation was called, by the simulated cloud's own count. */
  async calls(): Promise<Record<string, number>> {
    return callsSchema.parse(await (await fetch(`http://127.0.0.1:${this.#cloudPort}/calls`)).json());
  }

  /** The newest version of the store: each row that is written takes one. */
  async version(): Promise<number> {
    const { rows } = await this.database.query<{ version: string }>('SELECT last_value AS version FROM resource_versions');
    return Number(rows[0]?.version);
  }

  /** Resident memory of the dispatcher. Bytes. */
  async residentBytes(): Promise<number> {
    return (await this.metrics()).sum('process_resident_memory_bytes');
  }

  /** Starts the dispatcher on what a killed one left. Returns at once. */
  restart(): void {
    this.#dispatcher = this.#spawn();
  }

  /** Waits until the dispatcher serves. */
  async serving(): Promise<void> {
    const { pid } = this.dispatcher;
    this.#run = await until(
      'the dispatcher',
      async () => {
        if (this.dispatcher.hasExited()) throw new Error(`the dispatcher ended: ${this.directory}/serve.log`);
        const run = runSchema.parse(JSON.parse(await readFile(join(this.dataDir, 'run.json'), 'utf8')));
        return run.pid === pid ? run : undefined;
      },
      60_000,
    );
  }

  async stop(): Promise<void> {
    this.#inspector?.close();
    await this.#api?.close();
    await this.#database?.end();
    await this.#dispatcher?.stop('SIGTERM');
    await this.#simulator?.stop('SIGTERM');
    this.tap.close();
    // Root's database lies elsewhere.
    const elsewhere = await readFile(join(this.dataDir, LOCATION_FILE), 'utf8').catch(() => undefined);
    if (elsewhere) await rm(elsewhere.trim(), { recursive: true, force: true });
    await rm(this.directory, { recursive: true, force: true });
  }

  async #start(): Promise<void> {
    this.#cloudPort = await freePort();
    this.#tapPort = await freePort();
    const { latencyMs, buildMs } = this.settings;
    const knobs = ['--latency', String(latencyMs), '--build-time', String(buildMs), '--build-time-jitter', '0'];
    const listen = ['--listen', `127.0.0.1:${this.#cloudPort}`, '--log-level', 'warn'];
    this.#simulator = startDispatcherCommand(['simulate', ...listen, ...knobs], join(this.directory, 'simulate.log'));
    await until('the simulated cloud', () => this.calls(), 20_000);
    await this.tap.listen(this.#tapPort, this.#cloudPort);

    const inspectorPort = await freePort();
    this.#dispatcher = this.#spawn(`--inspect=127.0.0.1:${inspectorPort}`);
    await this.serving();
    this.#inspector = await Inspector.connect(inspectorPort);
    this.#api = await Api.connect(this.dataDir);
    this.#database = new pg.Client({ connectionString: this.databaseUrl });
    this.#database.on('error', () => undefined);
    await this.#database.connect();
    await this.#declareCloud();
  }

  #spawn(...nodeArgs: string[]): Child {
    const addresses = ['--http', '127.0.0.1:0', '--https', '127.0.0.1:0', '--log-format', 'json'];
    const args = ['serve', '--data-dir', this.dataDir, ...addresses];
    return startDispatcherCommand(args, join(this.directory, 'serve.log'), nodeArgs);
  }

  async #declareCloud(): Promise<void> {
    const { requestsPerSecond, inFlight } = this.settings;
    await this.api.create('/api/v1/namespaces/default/secrets', {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { name: 'openstack' },
      stringData: { username: 'demo', password: 'demo-secret', userDomain: 'Default' },
    });
    await this.api.create('/apis/dispatcher.dev/v1alpha1/clouds', {
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Cloud',
      metadata: { name: 'lab' },
      spec: {
        engine: 'openstack',
        endpoint: `http://127.0.0.1:${this.#tapPort}/identity/v3`,
        project: { name: 'demo', domain: 'Default' },
        credentialsRef: { namespace: 'default', name: 'openstack' },
        limits: { inFlight, requestsPerSecond },
      },
    });
    const observed = async () => (await this.metrics()).sum('dispatcher_cloud_observation_timestamp_seconds') || undefined;
    await until('the first observation', observed, 20_000);
  }
}

function present<T>(value: T | undefined): T {
  if (value === undefined) throw new Error('the world is not started');
  return value;
}
