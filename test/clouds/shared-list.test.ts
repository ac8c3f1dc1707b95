import { describe, expect, test } from '@jest/globals';
import { SharedList } from '../../src/clouds/shared-list.js';
import { failure } from '../support/scripted-cloud.js';
import { VirtualEnvironment } from '../support/virtual-environment.js';

/** A list whose calls are answered by hand: `answers[0](['a'])` or `answers[0](error)`. */
function listed() {
  const world = new VirtualEnvironment(1);
  const answers: ((answer: readonly string[] | Error) => void)[] = [];
  const ask = () =>
    new Promise<readonly string[]>((resolve, reject) => {
      answers.push((answer) => (answer instanceof Error ? reject(answer) : resolve(answer)));
    });
  return { world, answers, list: new SharedList(ask, world) };
}

describe('a shared list', () => {
  test('is asked for once, however many want it at the same time', async () => {
    const { list, answers } = listed();
    const all = Promise.all(Array.from({ length: 50 }, () => list.get(1_000)));
    answers[0]?.(['a']);
    expect(await all).toEqual(Array.from({ length: 50 }, () => ['a']));
    expect(answers).toHaveLength(1);
  });

  test('serves as long as the asker allows, counted from when it was asked for', async () => {
    const { list, answers, world } = listed();
    const first = list.get(1_000);
    await world.run(() => false, 400);
    answers[0]?.(['a']);
    await first;
    await world.run(() => false, 599);
    expect(await list.get(1_000)).toEqual(['a']);
    await world.run(() => false, 1);
    expect(await list.get(5_000)).toEqual(['a']);
    const second = list.get(1_000);
    answers[1]?.(['b']);
    expect(await second).toEqual(['b']);
    expect(answers).toHaveLength(2);
  });

  test('that fails fails for all who asked, and is not kept', async () => {
    const { list, answers } = listed();
    const all = Promise.allSettled([list.get(1_000), list.get(1_000)]);
    answers[0]?.(failure('Unavailable'));
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    const again = list.get(1_000);
    answers[1]?.(['a']);
    expect(await again).toEqual(['a']);
  });

  test('that fails leaves what was known before for those who take it', async () => {
    const { list, answers, world } = listed();
    const first = list.get(1_000);
    answers[0]?.(['a']);
    await first;
    await world.run(() => false, 2_000);
    const second = list.get(1_000);
    answers[1]?.(failure('Unavailable'));
    await expect(second).rejects.toThrow('the cloud says Unavailable');
    expect(await list.get(10_000)).toEqual(['a']);
  });

  test('that was asked for before a change is not kept after it', async () => {
    const { list, answers } = listed();
    const before = list.get(1_000);
    list.forget();
    const after = list.get(1_000);
    answers[0]?.(['old']);
    expect(await before).toEqual(['old']);
    const joined = list.get(1_000);
    answers[1]?.(['new']);
    expect(await Promise.all([after, joined])).toEqual([['new'], ['new']]);
    expect(await list.get(1_000)).toEqual(['new']);
    expect(answers).toHaveLength(2);
  });
});
