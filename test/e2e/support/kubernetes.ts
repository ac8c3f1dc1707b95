import { execFile, spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse, stringify } from 'yaml';
import { z } from 'zod';
import { describeWith } from './real-part.js';

const run = promisify(execFile);
const SCRIPTS = join(import.meta.dirname, '../kubernetes');
const CRDS = join(import.meta.dirname, '../../../manifests/crds');
const HOW =
  'needs the programs of a Kubernetes control plane: test/e2e/kubernetes/build.sh makes them, once, from Go modules (Go 1.26, 10 minutes)';

const found = await run(join(SCRIPTS, 'build.sh'), ['--where']).then(
  ({ stdout }) => stdout.trim(),
  () => undefined,
);

/** A suite that needs a real Kubernetes. Without its programs, it fails where CI is set, and is skipped elsewhere, saying how to get them. */
export const describeOnKubernetes = describeWith(found !== undefined, HOW);

/** A process of a control plane. */
export type Component = 'etcd' | 'kube-apiserver' | 'kube-controller-manager';

/** A real Kubernetes control plane of a suite's own, on 127.0.0.1: etcd, API server and controller manager, but no node. */
export class ControlPlane {
  /** For a user who may do everything. */
  readonly kubeconfig: string;

  private constructor(
    readonly directory: string,
    private readonly apiServerFlags: readonly string[],
  ) {
    this.kubeconfig = this.kubeconfigOf('admin');
  }

  /**
   * Starts one. Stop it; however this process ends, it is stopped.
   * @param apiServerFlags further flags of kube-apiserver; DIRECTORY in them is the folder of the control plane.
   * @param files to be written into that folder first, by name.
   */
  static async start(
    apiServerFlags: readonly string[] = [],
    files: Readonly<Record<string, string>> = {},
  ): Promise<ControlPlane> {
    const directory = await mkdtemp(join(tmpdir(), 'dispatcher-kubernetes-'));
    const plane = new ControlPlane(directory, apiServerFlags);
    stopWithThisProcess(directory);
    for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text);
    try {
      await plane.#script('up.sh', '--port', '0');
      return plane;
    } catch (error) {
      await plane.stop();
      throw error;
    }
  }

  /** The kubeconfig of a user: `dispatcher` has no rights until a binding gives them, `viewer` may read. */
  kubeconfigOf(user: 'admin' | 'dispatcher' | 'viewer'): string {
    return join(this.directory, `${user}.kubeconfig`);
  }

  /** Where the kubectl of the same version is. */
  readonly program = join(found ?? '', 'kubectl');

  /** The kubectl of the same version, as the administrator unless a word says otherwise. @throws with its words. */
  kubectl(...words: string[]): Promise<string> {
    return this.kubectlWith(words);
  }

  /** The same, with something on its standard input. */
  async kubectlWith(words: readonly string[], input = ''): Promise<string> {
    const env = { ...process.env, KUBECONFIG: this.kubeconfig, KUBECACHEDIR: join(this.directory, 'cache') };
    const limits = { timeout: 240_000, maxBuffer: 64 * 1024 * 1024 };
    const ran = run(this.program, [...words], { env, ...limits });
    ran.child.stdin?.end(input);
    return (await ran).stdout.trim();
  }

  /** What a file in its folder holds. */
  read(name: string): Promise<string> {
    return readFile(join(this.directory, name), 'utf8');
  }

  /** Writes a kubeconfig for a ServiceAccount that is there. @returns its path. */
  async kubeconfigOfServiceAccount(namespace: string, name: string): Promise<string> {
    const config = parse(await readFile(this.kubeconfig, 'utf8'));
    const token = await this.kubectl('--namespace', namespace, 'create', 'token', name, '--duration', '1h');
    const [{ name: cluster }] = config.clusters;
    const file = join(this.directory, `${namespace}-${name}.kubeconfig`);
    const access = {
      users: [{ name, user: { token } }],
      contexts: [{ name, context: { cluster, user: name, namespace } }],
      'current-context': name,
    };
    await writeFile(file, stringify({ ...config, ...access }), { mode: 0o600 });
    return file;
  }

  /** Applies manifests/crds, and waits until the kinds are served. */
  async installKinds(): Promise<void> {
    await this.kubectl('apply', '--server-side', '-f', CRDS);
    await this.kubectl('wait', '--for=condition=Established', '--timeout=30s', '-f', CRDS);
  }

  /** Kills a process as a crash would. {@link restart} brings it back. */
  async kill(component: Component): Promise<void> {
    await this.#script('down.sh', '--only', component, '--kill');
  }

  /** Ends a process, if it runs, and starts it again. */
  async restart(component: Component): Promise<void> {
    await this.#script('down.sh', '--only', component);
    await this.#script('up.sh');
  }

  /**
   * Makes all that was before now unknown: watches and continued lists from there are answered with 410. The API server keeps in
   * memory what etcd has thrown away, so it is started again.
   */
  async forgetHistory(): Promise<void> {
    const { header } = await this.#etcd('range', { key: Buffer.from('/').toString('base64') });
    await this.#etcd('compaction', { revision: header.revision, physical: true });
    await this.restart('kube-apiserver');
  }

  async stop(): Promise<void> {
    await this.#script('down.sh', '--wipe');
    await rm(this.directory, { recursive: true, force: true });
  }

  async #etcd(call: 'range' | 'compaction', body: object) {
    const server = new URL(await this.kubectl('config', 'view', '-o', 'jsonpath={.clusters[0].cluster.server}'));
    const url = `http://127.0.0.1:${Number(server.port) + 1}/v3/kv/${call}`;
    const answer = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
    if (!answer.ok) throw new Error(`${url}: ${answer.status} ${await answer.text()}`);
    return z.object({ header: z.object({ revision: z.string() }) }).parse(await answer.json());
  }

  async #script(name: 'up.sh' | 'down.sh', ...words: string[]): Promise<void> {
    const flags = this.apiServerFlags.map((flag) => flag.replace('DIRECTORY', this.directory)).join(' ');
    const env = { ...process.env, KUBE_APISERVER_FLAGS: flags };
    await run(join(SCRIPTS, name), ['--dir', this.directory, ...words], { env, timeout: 300_000 });
  }
}

function stopWithThisProcess(directory: string): void {
  const script = 'while kill -0 "$1" 2>/dev/null; do sleep 1; done; exec "$2" --dir "$3" --wipe';
  const args = ['-c', script, 'sh', String(process.pid), join(SCRIPTS, 'down.sh'), directory];
  spawn('/bin/sh', args, { detached: true, stdio: 'ignore' }).unref();
}
