import { expect, test } from '@jest/globals';
import { startUpkeep } from '../../../src/commands/serving/upkeep.js';
import { eventually } from '../../support/eventually.js';
import { silentLog } from '../../support/log.js';

const EVERY_SECOND = '* * * * * *';

test('a chore comes again though another fails, never twice at once, and ends with what is in hand', async () => {
  let done = 0;
  let atOnce = 0;
  let most = 0;
  let release: () => void = () => undefined;
  const slow = async () => {
    atOnce += 1;
    most = Math.max(most, atOnce);
    await new Promise<void>((resolve) => {
      release = resolve;
    });
    atOnce -= 1;
  };
  const end = startUpkeep(
    [
      { name: 'often', schedule: EVERY_SECOND, run: async () => (done += 1) },
      { name: 'failing', schedule: EVERY_SECOND, run: () => Promise.reject(new Error('no')) },
      { name: 'slow', schedule: EVERY_SECOND, run: slow },
    ],
    silentLog,
  );
  await eventually(() => expect(done).toBeGreaterThanOrEqual(2));
  expect(most).toBe(1);
  let ended = false;
  const ending = end().then(() => {
    ended = true;
  });
  expect(ended).toBe(false);
  release();
  await ending;
  expect(atOnce).toBe(0);
});
