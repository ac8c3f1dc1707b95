import { expect, test } from '@jest/globals';
import { startCommand } from '../support/command.js';
import { eventually } from '../support/eventually.js';

test('dispatcher simulate serves a simulated cloud with the knobs that were given, and ends at a signal', async () => {
  const simulate = startCommand(['simulate', '--listen', '127.0.0.1:0', '--page-size', '7', '--log-format', 'json']);
  const [, url = ''] = await eventually(() => {
    const found = /"url":"(http:[^"]+)\/identity\/v3"/.exec(simulate.stdout());
    if (!found) throw new Error(`it has not said where it is: ${simulate.stderr()}`);
    return found;
  });
  expect(await (await fetch(`${url}/knobs`)).json()).toMatchObject({ knobs: { pageSize: 7 } });
  simulate.kill('SIGTERM');
  expect(await simulate.ended).toMatchObject({ code: 0, stderr: '' });
});
