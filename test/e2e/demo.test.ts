import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { makeDataDir, startCommand } from '../support/command.js';
import { eventually } from '../support/eventually.js';

let dataDir: string;
let remove: () => Promise<void>;

beforeEach(async () => {
  ({ dataDir, remove } = await makeDataDir());
});

afterEach(() => remove());

describe('dispatcher demo', () => {
  test('converges and exits 0; a second one keeps what the first one made, and ends at a signal', async () => {
    const first = await startCommand(['demo', '--until-converged', '--data-dir', dataDir]).ended;
    expect(first).toMatchObject({ code: 0, stderr: '' });
    expect(first.stdout).toContain('Declared now: 8; kept from before: 0.');
    expect(first.stdout).toContain('All 5 machines are as declared');
    expect(first.stdout).toMatch(/db-1 +True +Stopped/);
    const addressOf = (name: string, text: string) => new RegExp(`${name} +True.* (\\S+)$`, 'm').exec(text)?.[1];
    expect(addressOf('web-1', first.stdout)).toMatch(/^\d+\./);

    const second = startCommand(['demo', '--data-dir', dataDir]);
    await eventually(() => expect(second.stdout()).toContain('All 5 machines are as declared'));
    second.kill('SIGINT');
    const { code, stdout } = await second.ended;
    expect(code).toBe(0);
    expect(stdout).toContain('Declared now: 0; kept from before: 8.');
    expect(addressOf('web-1', stdout)).toBe(addressOf('web-1', first.stdout));
  });
});
