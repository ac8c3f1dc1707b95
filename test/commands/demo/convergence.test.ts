import { describe, expect, test } from '@jest/globals';
import type { PageRow } from '../../../src/api/page.js';
import { watchConvergence } from '../../../src/commands/demo/convergence.js';

function screenOf(isTTY: boolean) {
  const written: string[] = [];
  return { isTTY, write: (text: string) => written.push(text), text: () => written.join('') };
}

/** Gives the next state at each look, and the last one for ever. */
function film(...states: PageRow[][]): () => PageRow[] {
  let look = 0;
  return () => states[Math.min(look++, states.length - 1)] ?? [];
}

const web = (ready: string): PageRow => ({ name: 'web', ready, reason: ready === 'True' ? 'Running' : 'Building' });
const db: PageRow = { name: 'db', ready: 'True' };

describe('the table of the demo', () => {
  test('off a terminal: a line for each change, and the end as soon as all are Ready', async () => {
    const screen = screenOf(false);
    await watchConvergence(
      film([web('False')], [web('False')], [web('True'), db]),
      2,
      screen,
      true,
      new AbortController().signal,
    );
    expect(screen.text().match(/ web /g)).toHaveLength(2);
    expect(screen.text()).toMatch(/All 2 machines are as declared, after \d+\.\d s\.\n$/);
    expect(screen.text()).not.toContain('\u001b');
  });

  test('fewer machines than were declared are not all', async () => {
    const screen = screenOf(false);
    const stop = new AbortController();
    const watching = watchConvergence(film([], [db]), 2, screen, true, stop.signal);
    stop.abort();
    await watching;
    expect(screen.text()).not.toContain('All');
  });

  test('on a terminal the table is drawn over the one before, and goes on until it is stopped', async () => {
    const screen = screenOf(true);
    const stop = new AbortController();
    let looks = 0;
    const machines = () => {
      looks += 1;
      if (looks === 3) stop.abort();
      return [web(looks === 1 ? 'False' : 'True')];
    };
    await watchConvergence(machines, 1, screen, false, stop.signal);
    expect(screen.text()).toContain('\u001b[2A\u001b[J');
    expect(screen.text().match(/All 1 machines/g)).toHaveLength(1);
  });
});
