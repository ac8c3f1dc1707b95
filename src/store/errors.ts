/** What can go wrong with a store, what it means, and what who called should do. The one table of this layer. */
export const STORE_ERRORS = {
  NotFound: { httpStatus: 404, advice: 'check the name and namespace' },
  AlreadyExists: { httpStatus: 409, advice: 'update the resource that is there, or choose another name' },
  Conflict: { httpStatus: 409, advice: 'read the resource again and apply the change to what it says now' },
  Forbidden: { httpStatus: 403, advice: 'wait until the deletion in progress has ended' },
  Invalid: { httpStatus: 400, advice: 'correct the request' },
  Expired: { httpStatus: 410, advice: 'list again and watch from the version of that list' },
  Unavailable: { httpStatus: 503, advice: 'try again; the write may have happened' },
} as const;

/** The codes of {@link STORE_ERRORS}. */
export type StoreErrorCode = keyof typeof STORE_ERRORS;

/** A failure of a store. The message names the resource and what was expected, never a Secret's value. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  constructor(
    readonly code: StoreErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** True if `error` is a StoreError, with that code if one is given. */
export function isStoreError(error: unknown, code?: StoreErrorCode): error is StoreError {
  return error instanceof StoreError && (code === undefined || error.code === code);
}
