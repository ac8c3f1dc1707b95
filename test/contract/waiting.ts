import { type CloudError, isCloudError } from '../../src/clouds/errors.js';

/** Long enough for a real cloud under load; nothing waits for it to pass. */
export const DEADLINE_MS = 90_000;
/** The first pause between two looks, and the longest. */
const POLL_MS = 20;
const LONGEST_POLL_MS = 250;

/** What a call failed with. Anything but a CloudError breaks the contract, and so fails the test. */
export async function failureOf(call: Promise<unknown>): Promise<CloudError | undefined> {
  try {
    await call;
    return undefined;
  } catch (error) {
    if (isCloudError(error)) return error;
    throw error;
  }
}

/** Asks again and again, ever more rarely, until there is an answer. */
export async function until<T>(what: string, probe: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + DEADLINE_MS;
  for (let pauseMs = POLL_MS; ; pauseMs = Math.min(pauseMs * 1.5, LONGEST_POLL_MS)) {
    const answer = await probe();
    if (answer !== undefined) return answer;
    if (Date.now() > deadline) throw new Error(`not within ${DEADLINE_MS} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}
