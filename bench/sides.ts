import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { LOCATION_FILE } from '../src/store/postgres/embedded/home.js';
import { kubeconfigOf } from './api.js';
import { Inspector } from './inspector.js';
import { freePort, ROOT, startDispatcherCommand, startNode, until } from './processes.js';

const run = promisify(execFile);
const SCRIPTS = `${ROOT}test/e2e/kubernetes/`;

/** An API server that is measured. */
export interface Side {
  /** The text of a kubeconfig of one who may do everything. */
  readonly kubeconfig: string;
  /** Looks into the process, where it is one of Node. */
  readonly inspector?: Inspector;
  stop(): Promise<void>;
}

/** True if the programs of a Kubernetes control plane are there. */
export async function hasKubernetes(): Promise<boolean> {
  return run(`${SCRIPTS}build.sh`, ['--where']).then(
    () => true,
    () => false,
  );
}

/** The real one: etcd, API server and controller manager, with our kinds installed. */
export async function startKubernetes(): Promise<Side> {
  const directory = await mkdtemp(join(tmpdir(), 'dispatcher-bench-kubernetes-'));
  const stop = async () => {
    await run(`${SCRIPTS}down.sh`, ['--dir', directory, '--wipe'], { timeout: 120_000 });
  };
  try {
    await run(`${SCRIPTS}up.sh`, ['--dir', directory, '--port', '0'], { timeout: 300_000 });
    const { stdout } = await run(`${SCRIPTS}build.sh`, ['--where']);
    const admin = join(directory, 'admin.kubeconfig');
    const kubectl = (...words: string[]) => run(join(stdout.trim(), 'kubectl'), ['--kubeconfig', admin, ...words]);
    const kinds = `${ROOT}manifests/crds`;
    await kubectl('apply', '--server-side', '-f', kinds);
    await kubectl('wait', '--for=condition=Established', '--timeout=30s', '-f', kinds);
    return { kubeconfig: await readFile(admin, 'utf8'), stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Ours: records only (bench/records.ts), or with reconcilers all of `dispatcher serve`. */
export async function startOurs(withReconcilers: boolean): Promise<Side> {
  const directory = await mkdtemp(join(tmpdir(), 'dispatcher-bench-'));
  const dataDir = join(directory, 'data');
  await mkdir(dataDir, { mode: 0o700 });
  const port = await freePort();
  const inspect = `--inspect=127.0.0.1:${port}`;
  const log = join(directory, 'serve.log');
  const addresses = ['--http', '127.0.0.1:0', '--https', '127.0.0.1:0', '--log-format', 'json'];
  const child = withReconcilers
    ? startDispatcherCommand(['serve', '--data-dir', dataDir, ...addresses], log, [inspect])
    : startNode([inspect, `${ROOT}bench/dist/bench/records.js`, dataDir], log);
  let inspector: Inspector | undefined;
  const stop = async () => {
    inspector?.close();
    await child.stop('SIGTERM');
    // Root's database lies elsewhere.
    const elsewhere = await readFile(join(dataDir, LOCATION_FILE), 'utf8').catch(() => undefined);
    if (elsewhere) await rm(elsewhere.trim(), { recursive: true, force: true });
    await rm(directory, { recursive: true, force: true });
  };
  try {
    const serving = async () => {
      if (child.hasExited()) throw new Error(await readFile(log, 'utf8'));
      await readFile(join(dataDir, 'run.json'));
      return true;
    };
    await until('our API', serving, 60_000);
    inspector = await Inspector.connect(port);
    return { kubeconfig: await kubeconfigOf(dataDir), inspector, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
