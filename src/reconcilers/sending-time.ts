import type { Environment } from '../environment.js';

/**
 * A signal that is aborted with `signal`, and at `until`: a driver that is given it then no longer waits to send.
 * `done` MUST be called when the call has ended.
 */
export function sendingTime(
  until: Date,
  signal: AbortSignal,
  environment: Environment,
): { readonly signal: AbortSignal; done(): void } {
  const controller = new AbortController();
  const abort = () => controller.abort();
  const cancel = environment.after(until.getTime() - environment.now().getTime(), abort);
  signal.addEventListener('abort', abort, { once: true });
  const done = () => {
    cancel();
    signal.removeEventListener('abort', abort);
  };
  return { signal: controller.signal, done };
}
