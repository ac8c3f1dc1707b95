import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pino from 'pino';
import { systemEnvironment } from '../../../src/environment.js';
import { startEmbeddedPostgres } from '../../../src/store/postgres/embedded.js';
import { connect } from '../../../src/store/postgres/connection.js';

describe('embedded PostgreSQL', () => {
  test('starts', async () => {
    const base = await mkdtemp(join(tmpdir(), 'dispatcher-embedded-'));
    await chmod(base, 0o755);
    const began = Date.now();
    const server = await startEmbeddedPostgres({ dataDir: join(base, 'data'), rootBase: join(base, 'root'), environment: systemEnvironment, log: pino({level:'debug'}) });
    console.log(Date.now() - began, server);
    const client = await connect(server.connectionString, 'test');
    console.log((await client.query('show timezone')).rows);
    await client.end();
    await server.stop();
    await rm(base, { recursive: true });
  }, 60_000);
});
