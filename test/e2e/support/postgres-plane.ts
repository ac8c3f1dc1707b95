import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { kubectl } from '../../support/kubectl.js';
import { makeDatabase } from '../../support/postgres.js';
import type { ReplicatedPlane } from './replicas.js';
import type { ServeProcess } from './serve-process.js';

const addressesSchema = z.object({ http: z.string(), https: z.string() });

const BIN = join(import.meta.dirname, '../../../bin/dispatcher.mjs');

/** A PostgreSQL for several replicas, each with a data directory of its own. */
export async function postgresPlane(): Promise<ReplicatedPlane> {
  const directory = await mkdtemp(join(tmpdir(), 'dispatcher-replicas-'));
  const database = await makeDatabase();
  const keyFile = join(directory, 'key');
  await writeFile(keyFile, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  const directories = new Map<ServeProcess, string>();
  const addresses = new Map<ServeProcess, z.infer<typeof addressesSchema>>();
  /** By data directory. */
  const kubeconfigs = new Map<string, Promise<string>>();
  const kubeconfigOf = async (dataDir: string): Promise<string> => {
    const { stdout } = await promisify(execFile)(process.execPath, [BIN, 'kubeconfig', '--data-dir', dataDir]);
    await writeFile(join(dataDir, 'kubeconfig'), stdout, { mode: 0o600 });
    return join(dataDir, 'kubeconfig');
  };
  const start = async (replica: ServeProcess) => {
    const dataDir = directories.get(replica) ?? join(directory, `replica-${directories.size + 1}`);
    directories.set(replica, dataDir);
    // The next life is where this one was, so that whoever asks finds it.
    const { http, https } = addresses.get(replica) ?? { http: 'http://127.0.0.1:0', https: 'https://127.0.0.1:0' };
    const serving = await replica.start([
      ...['--data-dir', dataDir, '--http', new URL(http).host, '--https', new URL(https).host],
      ...['--database-url', database.connectionString, '--encryption-key-file', keyFile],
    ]);
    addresses.set(replica, addressesSchema.parse(serving));
  };
  /** Through whichever replica serves: each serves the whole API. */
  const ask = async (words: readonly string[], input?: string): Promise<string> => {
    const [dataDir = ''] = [...directories].flatMap(([replica, each]) => (replica.running && !replica.frozen ? [each] : []));
    const kubeconfig = kubeconfigs.get(dataDir) ?? kubeconfigOf(dataDir);
    kubeconfigs.set(dataDir, kubeconfig);
    const ran = await kubectl(await kubeconfig, directory)(words, input);
    if (ran.code !== 0) throw new Error(`kubectl ${words.join(' ')}: ${ran.stderr.trim()} ${ran.stdout.trim()}`);
    return ran.stdout;
  };
  return {
    start,
    kubectl: ask,
    close: async () => {
      await database.drop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
