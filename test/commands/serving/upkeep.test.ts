import { describe, expect, test } from '@jest/globals';
import { startUpkeep } from '../../../src/commands/serving/upkeep.js';
import { silentLog } from '../../support/log.js';
import { VirtualEnvironment } from '../../support/virtual-environment.js';

describe('chores', () => {
  test('are done each after its interval, again after a failure, and no more once ended', async () => {
    const environment = new VirtualEnvironment(1);
    const done: string[] = [];
    const chore = (name: string, everyMs: number, fails = false) => ({
      name,
      everyMs,
      run: async () => {
        done.push(name);
        if (fails) throw new Error('no');
      },
    });
    const end = startUpkeep([chore('often', 1000), chore('seldom', 2400, true)], environment, silentLog);
    await environment.run(() => false, 5100);
    expect(done).toEqual(['often', 'often', 'seldom', 'often', 'often', 'seldom', 'often']);
    await end();
    await environment.run(() => false, 10_000);
    expect(done).toHaveLength(7);
  });
});
