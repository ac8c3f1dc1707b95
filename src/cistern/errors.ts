/**
 * What can go wrong with a Cistern, what it means, and what a person should do. The one table of this layer.
 * `outcome`: whether an assign or a release that failed so may have been carried out. `httpStatus`: what our own API answers with.
 */
export const CISTERN_ERRORS = {
  Unreachable: { httpStatus: 503, outcome: 'unknown', retry: 'backoff', advice: 'none: it is tried again until Cistern answers' },
  Refused: { httpStatus: 409, outcome: 'none', retry: 'backoff', advice: 'correct in Cistern what its message tells' },
  Unauthorized: {
    httpStatus: 403,
    outcome: 'none',
    retry: 'backoff',
    advice: 'correct the token for Cistern, or what it may do there',
  },
  InvalidAnswer: {
    httpStatus: 502,
    outcome: 'unknown',
    retry: 'backoff',
    advice: "correct the endpoint of Cistern: what answers there does not speak Cistern's protocol",
  },
  InvalidEndpoint: {
    httpStatus: 400,
    outcome: 'none',
    retry: 'change',
    advice: 'give the endpoint of Cistern as in http://127.0.0.1:5071/api/v1',
  },
} as const;

/** The codes of {@link CISTERN_ERRORS}. */
type CisternErrorCode = keyof typeof CISTERN_ERRORS;

/** A failure of a Cistern. The message is one sentence that names the call and bears Cistern's own words, never a token or password. */
export class CisternError extends Error {
  override readonly name = 'CisternError';

  constructor(
    readonly code: CisternErrorCode,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }

  /** How the engine is to try again: a `RetryHint` of src/controllers, which this folder does not know. */
  get retry(): { kind: 'backoff' | 'change' } {
    return { kind: CISTERN_ERRORS[this.code].retry };
  }
}

/** True if `error` is a CisternError, with that code if one is given. */
export function isCisternError(error: unknown, code?: CisternErrorCode): error is CisternError {
  return error instanceof CisternError && (code === undefined || error.code === code);
}
