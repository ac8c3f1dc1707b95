import { isStoreError, type StoreError, type StoreErrorCode } from '../../store/errors.js';

/** The reasons that this API answers with, and the HTTP status of each: the one table of this layer. */
export const REASONS = {
  BadRequest: 400,
  Unauthorized: 401,
  Forbidden: 403,
  NotFound: 404,
  MethodNotAllowed: 405,
  NotAcceptable: 406,
  AlreadyExists: 409,
  Conflict: 409,
  Expired: 410,
  RequestEntityTooLarge: 413,
  UnsupportedMediaType: 415,
  Invalid: 422,
  TooManyRequests: 429,
  InternalError: 500,
  ServiceUnavailable: 503,
  Timeout: 504,
} as const;

/** The keys of {@link REASONS}: `Status.reason`. */
export type Reason = keyof typeof REASONS;

/** One cause in `Status.details.causes`. */
export interface Cause {
  readonly reason: string;
  readonly message: string;
  /** The path of the field that is at fault: `spec.image`; or the name of a header or query parameter. */
  readonly field: string;
}

/** `Status.details`: which resource is meant, and all that is wrong with it. `kind` is the plural, as in Kubernetes. */
export interface StatusDetails {
  readonly name?: string;
  readonly group?: string;
  readonly kind?: string;
  readonly uid?: string;
  readonly causes?: readonly Cause[];
  readonly retryAfterSeconds?: number;
}

/** A Kubernetes `Status`: the body of every failure, and of a deletion that is complete. */
export interface Status {
  readonly kind: 'Status';
  readonly apiVersion: 'v1';
  readonly metadata: Record<string, never>;
  readonly status: 'Success' | 'Failure';
  readonly message?: string;
  readonly reason?: Reason;
  readonly details?: StatusDetails;
  /** Absent for a success, as in Kubernetes. */
  readonly code?: number;
}

/** A request that cannot be served. The message is for the caller: it names the resource, field and value, never a secret. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  constructor(
    readonly reason: Reason,
    message: string,
    readonly details: StatusDetails = {},
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** A 400 that blames one field, header or query parameter. */
export function badRequest(field: string, message: string): ApiError {
  return new ApiError('BadRequest', message, { causes: [{ reason: 'FieldValueInvalid', message, field }] });
}

/** The Status of a success without an object, such as a deletion. */
export function success(details: StatusDetails): Status {
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
}

const STORE_REASONS: Readonly<Record<StoreErrorCode, Reason>> = {
  NotFound: 'NotFound',
  AlreadyExists: 'AlreadyExists',
  Conflict: 'Conflict',
  Unauthorized: 'Unauthorized',
  Forbidden: 'Forbidden',
  Invalid: 'BadRequest',
  Expired: 'Expired',
  Unavailable: 'ServiceUnavailable',
};

/** How body-parser, which reads our bodies, names what went wrong. */
const BODY_REASONS: Readonly<Record<string, Reason>> = {
  'entity.too.large': 'RequestEntityTooLarge',
  'encoding.unsupported': 'UnsupportedMediaType',
  'request.aborted': 'BadRequest',
  'request.size.invalid': 'BadRequest',
};

/**
 * Any failure as an {@link ApiError}. Unknown ones become InternalError without their text, which could hold anything.
 *
 * @param details which resource the request was about; a failure that names its own keeps that.
 */
export function toApiError(error: unknown, details: StatusDetails = {}): ApiError {
  if (error instanceof ApiError)
    return new ApiError(error.reason, error.message, { ...details, ...error.details }, { cause: error });
  if (isStoreError(error)) {
    const retry = error.code === 'Unavailable' ? { retryAfterSeconds: 1 } : {};
    return new ApiError(STORE_REASONS[error.code], messageOf(error, details), { ...details, ...retry }, { cause: error });
  }
  const type = typeof error === 'object' && error !== null && 'type' in error ? String(error.type) : '';
  const reason = BODY_REASONS[type];
  if (reason && error instanceof Error) {
    const limit = 'limit' in error ? ` of ${String(error.limit)} bytes` : '';
    const message = reason === 'RequestEntityTooLarge' ? `the request body is larger than the limit${limit}` : error.message;
    return new ApiError(reason, message, details, { cause: error });
  }
  if (error instanceof RangeError && error.message.includes('call stack')) {
    return new ApiError('BadRequest', 'the request body is nested too deeply', details, { cause: error });
  }
  return new ApiError('InternalError', 'an internal error occurred; the log of the server says more', details, { cause: error });
}

/** That another has written meanwhile is told in the words of Kubernetes: there are clients that look for them. */
function messageOf({ code, message }: StoreError, { group, kind, name }: StatusDetails): string {
  if (code !== 'Conflict' || name === undefined) return message;
  const plural = group ? `${kind}.${group}` : kind;
  return `Operation cannot be fulfilled on ${plural} "${name}": the object has been modified; please apply your changes to the latest version and try again`;
}

/** The Status that tells of a failure. */
export function statusOf(error: ApiError): Status {
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: error.message,
    reason: error.reason,
    details: error.details,
    code: REASONS[error.reason],
  };
}
