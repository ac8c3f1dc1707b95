/** What can go wrong with a store, what it means, and what who called should do. The one table of this layer. */
export const STORE_ERRORS = {
  NotFound: { httpStatus: 404, advice: 'check the name and namespace' },
  AlreadyExists: { httpStatus: 409, advice: 'update the resource that is there, or choose another name' },
  Conflict: { httpStatus: 409, advice: 'read the resource again and apply the change to what it says now' },
  Unauthorized: { httpStatus: 401, advice: 'get a new token from the cluster' },
  Forbidden: { httpStatus: 403, advice: 'wait until the deletion in progress has ended, or grant the right that is named' },
  Invalid: { httpStatus: 400, advice: 'correct the request' },
  Expired: { httpStatus: 410, advice: 'list again and watch from the version of that list' },
  Unavailable: { httpStatus: 503, advice: 'try again; the write may have happened' },
} as const;

/** The codes of {@link STORE_ERRORS}. */
export type StoreErrorCode = keyof typeof STORE_ERRORS;

/** What beside its message an error may bear. */
export interface StoreErrorOptions extends ErrorOptions {
  /** How long the plane asked to be left alone. */
  readonly retryAfterMs?: number;
}

/** A failure of a store. The message names the resource and what was expected, never a Secret's value. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  /** How the engine is to try again, where the plane asked for it: a `RetryHint` of src/controllers, which this folder does not know. */
  readonly retry?: { readonly kind: 'after'; readonly ms: number };
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    { retryAfterMs, ...options }: StoreErrorOptions = {},
  ) {
    super(message, options);
    if (retryAfterMs !== undefined) this.retry = { kind: 'after', ms: retryAfterMs };
  }
}

/** True if `error` is a StoreError, with that code if one is given. */
export function isStoreError(error: unknown, code?: StoreErrorCode): error is StoreError {
  return error instanceof StoreError && (code === undefined || error.code === code);
}
