import { isStoreError } from '../store/errors.js';
import type { RetryHint } from './reconciler.js';

/**
 * How a failure wants to be retried: the one place where that is decided. Never throws, whatever was thrown.
 *
 * What an error itself says in `retry` counts, if it is a {@link RetryHint}. Of a store's failures, Conflict and Expired mean
 * that something stale was read. All else, known or not, is worth another try, later each time.
 */
export function retryOf(error: unknown): RetryHint {
  const hint = hintOf(error);
  if (hint) return hint;
  if (isStoreError(error, 'Conflict') || isStoreError(error, 'Expired')) return { kind: 'conflict' };
  return { kind: 'backoff' };
}

function hintOf(error: unknown): RetryHint | undefined {
  const retry = property(error, 'retry');
  const kind = property(retry, 'kind');
  switch (kind) {
    case 'backoff':
    case 'conflict':
    case 'change':
      return { kind };
    case 'after': {
      const ms = property(retry, 'ms');
      return typeof ms === 'number' && Number.isFinite(ms) && ms >= 0 ? { kind, ms } : undefined;
    }
    default:
      return undefined;
  }
}

function property(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null) return undefined;
  try {
    return Reflect.get(value, name);
  } catch {
    return undefined;
  }
}
