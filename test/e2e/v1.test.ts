import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, jest, test } from '@jest/globals';
import { z } from 'zod';
import { v1Contract } from '../contract/v1.js';
import { makeDataDir, startCommand } from '../support/command.js';
import { eventually } from '../support/eventually.js';
import { v1Client } from '../support/v1-client.js';
import { v1Cloud } from '../support/v1-world.js';
import { Dispatcher } from './support/dispatcher.js';
import { v1Place } from './support/v1.js';

jest.setTimeout(240_000);

describe('API v1 of a dispatcher serve, on the simulated cloud', () => {
  v1Contract(async () => {
    const dispatcher = await Dispatcher.start();
    return v1Place(dispatcher, {
      cloud: v1Cloud({ engine: 'simulator', observe: { interval: '500ms', auditInterval: '5s' } }),
      engine: 'simulator',
      prefix: '',
      patienceMs: 30_000,
      close: () => dispatcher.close(),
    });
  });
});

const runSchema = z.object({ http: z.string() });

describe('dispatcher serve --v1-open', () => {
  test.each([
    ['the flag', ['--v1-open'], {}, 200],
    ['the variable', [], { DISPATCHER_V1_OPEN: 'true' }, 200],
    ['the variable that says no', [], { DISPATCHER_V1_OPEN: 'false' }, 401],
  ])('with %s lets in, and says so, or not', async (_what, flags, variables, code) => {
    const { dataDir, remove } = await makeDataDir();
    const anywhere = ['--http', '127.0.0.1:0', '--https', '127.0.0.1:0', '--log-format', 'json'];
    const command = startCommand(['serve', '--data-dir', dataDir, ...anywhere, ...flags], undefined, variables);
    try {
      const { http } = await eventually(async () =>
        runSchema.parse(JSON.parse(await readFile(join(dataDir, 'run.json'), 'utf8'))),
      );
      expect((await v1Client(http)('GET', '/cloud')).code).toBe(code);
      expect((await v1Client(http)('PUT', '/test/start')).code).toBe(401);
      expect(command.stdout().includes('--v1-open: whoever can reach --http')).toBe(code === 200);
    } finally {
      command.kill('SIGTERM');
      await command.ended;
      await remove();
    }
  });
});
