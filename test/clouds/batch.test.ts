import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { Batch } from '../../src/clouds/batch.js';
import type { CloudErrorCode } from '../../src/clouds/errors.js';
import { failure } from '../support/scripted-cloud.js';

/** A batch whose calls are answered by hand. */
function batched(most = 10, flights = 1) {
  const calls: { readonly requests: readonly string[]; answer(answers?: readonly string[]): void; fail(error: unknown): void }[] =
    [];
  const make = (requests: readonly string[]) =>
    new Promise<readonly string[]>((resolve, reject) => {
      const answer = (answers = requests.map((request) => request.toUpperCase())) => resolve(answers);
      calls.push({ requests, answer, fail: reject });
    });
  return {
    batch: new Batch<string, string>(make, most, flights),
    calls,
    sent: () => calls.map(({ requests }) => requests.join('')),
  };
}
/** Lets all that can happen now happen. */
const settle = () => new Promise<void>((resolve) => setImmediate(resolve));

describe('a batch', () => {
  test('makes one call of what is asked for in one turn, and answers each', async () => {
    const { batch, calls, sent } = batched();
    const all = Promise.all(['a', 'b', 'c'].map((request) => batch.ask(request)));
    await settle();
    expect(sent()).toEqual(['abc']);
    calls[0]?.answer();
    expect(await all).toEqual(['A', 'B', 'C']);
  });

  test('lets one alone wait for nobody, and gathers what comes meanwhile', async () => {
    const { batch, calls, sent } = batched();
    const first = batch.ask('a');
    await settle();
    expect(sent()).toEqual(['a']);
    const rest = Promise.all([batch.ask('b'), batch.ask('c')]);
    await settle();
    expect(sent()).toEqual(['a']);
    calls[0]?.answer();
    expect(await first).toBe('A');
    await settle();
    expect(sent()).toEqual(['a', 'bc']);
    calls[1]?.answer();
    expect(await rest).toEqual(['B', 'C']);
  });

  test('sends no more in a call, and no more calls at once, than it may', async () => {
    const { batch, calls, sent } = batched(2, 2);
    const all = Promise.all([...'abcdefg'].map((request) => batch.ask(request)));
    await settle();
    expect(sent()).toEqual(['ab', 'cd']);
    calls[1]?.answer();
    await settle();
    expect(sent()).toEqual(['ab', 'cd', 'ef']);
    calls[0]?.answer();
    calls[2]?.answer();
    await settle();
    expect(sent()).toEqual(['ab', 'cd', 'ef', 'g']);
    calls[3]?.answer();
    expect(await all).toEqual([...'ABCDEFG']);
  });

  test.each<CloudErrorCode>(['UnknownOutcome', 'Unavailable', 'RateLimited'])(
    'that fails with %s fails for all, and is not made again',
    async (code) => {
      const { batch, calls, sent } = batched();
      const all = Promise.allSettled(['a', 'b'].map((request) => batch.ask(request)));
      await settle();
      calls[0]?.fail(failure(code));
      expect(await all).toMatchObject([{ reason: { code } }, { reason: { code } }]);
      await settle();
      expect(sent()).toEqual(['ab']);
    },
  );

  test('that fails with what is no failure of a cloud fails for all', async () => {
    const { batch, calls, sent } = batched();
    const all = Promise.allSettled(['a', 'b'].map((request) => batch.ask(request)));
    await settle();
    calls[0]?.fail(new TypeError('oops'));
    expect((await all).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(sent()).toEqual(['ab']);
  });

  test('that is refused alone is made once', async () => {
    const { batch, calls } = batched();
    const one = batch.ask('a').catch((error: unknown) => error);
    await settle();
    calls[0]?.fail(failure('Invalid'));
    expect(await one).toMatchObject({ code: 'Invalid' });
    expect(calls).toHaveLength(1);
  });

  test('that is answered with less than was asked for leaves the rest unknown', async () => {
    const { batch, calls } = batched();
    const all = Promise.allSettled(['a', 'b'].map((request) => batch.ask(request)));
    await settle();
    calls[0]?.answer(['A']);
    expect(await all).toMatchObject([{ value: 'A' }, { reason: { code: 'UnknownOutcome' } }]);
  });

  test('that failed does not hold up the next', async () => {
    const { batch, calls } = batched();
    const first = batch.ask('a').catch(() => 'failed');
    await settle();
    const second = batch.ask('b');
    calls[0]?.fail(failure('UnknownOutcome'));
    expect(await first).toBe('failed');
    await settle();
    calls[1]?.answer();
    expect(await second).toBe('B');
  });

  test('refuses nobody for the sake of others, and makes nothing twice, whoever is refused', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.integer({ min: 0, max: 99 }), { minLength: 1, maxLength: 30 }),
        fc.func(fc.boolean()),
        fc.integer({ min: 1, max: 8 }),
        fc.integer({ min: 1, max: 3 }),
        async (requests, isBad, most, flights) => {
          const made: number[] = [];
          let under = 0;
          const batch = new Batch<number, number>(
            async (asked) => {
              under += 1;
              expect(under).toBeLessThanOrEqual(flights);
              expect(asked.length).toBeLessThanOrEqual(most);
              await settle();
              under -= 1;
              if (asked.some((request) => isBad(request))) throw failure('Invalid');
              made.push(...asked);
              return asked.map((request) => request * 2);
            },
            most,
            flights,
          );
          const outcomes = await Promise.allSettled(requests.map((request) => batch.ask(request)));
          for (const [index, request] of requests.entries()) {
            expect(outcomes[index]).toMatchObject(
              isBad(request) ? { reason: { code: 'Invalid' } } : { status: 'fulfilled', value: request * 2 },
            );
          }
          expect(made.toSorted((a, b) => a - b)).toEqual(requests.filter((request) => !isBad(request)).toSorted((a, b) => a - b));
        },
      ),
      { numRuns: 50 },
    );
  });
});
