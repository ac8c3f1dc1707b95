import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, jest, test } from '@jest/globals';
import { kubectl } from '../support/kubectl.js';
import { makeDatabase } from '../support/postgres.js';
import { replicasContract } from './support/replicas.js';
import type { ServeProcess } from './support/serve-process.js';

jest.setTimeout(240_000);

const BIN = join(import.meta.dirname, '../../bin/dispatcher.mjs');

describe('Two replicas on one PostgreSQL', () => {
  const { plane, servers } = replicasContract(async () => {
    const directory = await mkdtemp(join(tmpdir(), 'dispatcher-replicas-'));
    const database = await makeDatabase();
    const keyFile = join(directory, 'key');
    await writeFile(keyFile, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    const directories = new Map<ServeProcess, string>();
    const start = async (replica: ServeProcess) => {
      const dataDir = directories.get(replica) ?? join(directory, `replica-${directories.size + 1}`);
      directories.set(replica, dataDir);
      await replica.start([
        ...['--data-dir', dataDir, '--http', '127.0.0.1:0', '--https', '127.0.0.1:0'],
        ...['--database-url', database.connectionString, '--encryption-key-file', keyFile],
      ]);
    };
    /** Through whichever replica serves: each serves the whole API. */
    const ask = async (words: readonly string[], input?: string): Promise<string> => {
      const [dataDir = ''] = [...directories].flatMap(([replica, each]) => (replica.running && !replica.frozen ? [each] : []));
      const { stdout } = await promisify(execFile)(process.execPath, [BIN, 'kubeconfig', '--data-dir', dataDir]);
      await writeFile(join(directory, 'kubeconfig'), stdout, { mode: 0o600 });
      const ran = await kubectl(join(directory, 'kubeconfig'), directory)(words, input);
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
  });

  test('leave nothing behind when all is deleted', async () => {
    await plane().kubectl(['delete', 'vm', '--all', '--timeout=100s']);
    expect(await servers()).toEqual([]);
  });
});
