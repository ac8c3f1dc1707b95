/**
 * What can go wrong with a cloud, what it means, and what a person should do. The one table of this layer.
 * `outcome`: whether a call that failed so may have had its effect.
 */
export const CLOUD_ERRORS = {
  NotFound: { outcome: 'none', retry: 'backoff', advice: 'check the name or id in the cloud' },
  Unauthorized: { outcome: 'none', retry: 'backoff', advice: "correct the Secret that the Cloud's credentialsRef names" },
  Quota: { outcome: 'none', retry: 'backoff', advice: 'raise the quota of the project, or delete what uses it up' },
  Capacity: { outcome: 'none', retry: 'backoff', advice: 'choose a smaller flavor, or wait until the cloud has room' },
  RateLimited: { outcome: 'none', retry: 'after', advice: 'lower limits.requestsPerSecond of the Cloud if it recurs' },
  Invalid: { outcome: 'none', retry: 'change', advice: 'correct the field that the message names' },
  Unsupported: { outcome: 'none', retry: 'backoff', advice: 'use a Cloud that has this service, or take the field out' },
  Conflict: { outcome: 'none', retry: 'backoff', advice: 'none: it is tried again when the server is in another state' },
  Unavailable: { outcome: 'none', retry: 'backoff', advice: 'none: it is tried again until the cloud answers' },
  UnknownOutcome: { outcome: 'unknown', retry: 'backoff', advice: 'none: the cloud is observed before anything is done again' },
} as const;

/** The codes of {@link CLOUD_ERRORS}. */
export type CloudErrorCode = keyof typeof CLOUD_ERRORS;

/** What more is known of a failure. */
export interface CloudErrorDetails extends ErrorOptions {
  /** How long the cloud asked us to wait. Milliseconds. */
  readonly retryAfterMs?: number;
  /** The HTTP status, where one was given. */
  readonly status?: number;
  /** The cloud's own id for the request, for its operator's logs. */
  readonly requestId?: string;
}

/**
 * A failure of a cloud. The message is one sentence that bears the cloud's own words and names the call, never a credential or token.
 * `UnknownOutcome` is thrown whenever a call with an effect was (or may have been) sent and no answer came.
 */
export class CloudError extends Error {
  override readonly name = 'CloudError';
  readonly retryAfterMs: number | undefined;
  readonly status: number | undefined;
  readonly requestId: string | undefined;

  constructor(
    readonly code: CloudErrorCode,
    message: string,
    details: CloudErrorDetails = {},
  ) {
    super(message, details);
    this.retryAfterMs = details.retryAfterMs;
    this.status = details.status;
    this.requestId = details.requestId;
  }

  /** How the engine is to try again: a `RetryHint` of src/controllers, which this folder does not know. */
  get retry(): { kind: 'backoff' | 'conflict' | 'change' } | { kind: 'after'; ms: number } {
    const kind = CLOUD_ERRORS[this.code].retry;
    return kind === 'after' ? { kind, ms: this.retryAfterMs ?? 1000 } : { kind };
  }
}

/** True if `error` is a CloudError, with that code if one is given. */
export function isCloudError(error: unknown, code?: CloudErrorCode): error is CloudError {
  return error instanceof CloudError && (code === undefined || error.code === code);
}
