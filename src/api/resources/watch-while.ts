import type { Call } from './call.js';
import { watch } from './watch.js';

/** How long a watch may outlive the right to it. */
const LOOK_AGAIN_MS = 10_000;

/**
 * Answers a watch, and ends it within ten seconds after it is no longer allowed: the next one is then refused.
 *
 * @param allowed asked every ten seconds. While it cannot tell (it rejects), the watch goes on.
 * @throws ApiError as {@link watch}.
 */
export async function watchWhile(call: Call, allowed: () => Promise<boolean>): Promise<void> {
  const { environment, draining } = call.context;
  const ending = new AbortController();
  const end = () => ending.abort();
  draining.addEventListener('abort', end, { once: true });
  if (draining.aborted) end();
  let cancel: () => void = () => undefined;
  const lookAgain = () => {
    cancel = environment.after(LOOK_AGAIN_MS, () => {
      allowed()
        .then((still) => still || end())
        .catch(() => undefined)
        .finally(() => ending.signal.aborted || lookAgain());
    });
  };
  lookAgain();
  try {
    await watch({ ...call, context: { ...call.context, draining: ending.signal } });
  } finally {
    end();
    cancel();
    draining.removeEventListener('abort', end);
  }
}
