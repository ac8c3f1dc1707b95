import { REASONS, toApiError } from '../resources/errors.js';
import { CloudUnavailable } from './cloud-reader.js';

/** The HTTP statuses that v1 fails with, each with a short and a long text: the one table of this layer. */
const STATUSES = {
  400: ['Bad Request', 'The request cannot be understood, or asks for what cannot be done.'],
  401: ['Unauthorized', 'A token is needed: X-Auth-Token, auth_token in the query or the JSON body, or Authorization: Bearer.'],
  403: ['Forbidden', 'Who asks may not do that.'],
  404: ['Not Found', 'What the path or the request names is not there.'],
  409: ['Conflict', 'What is asked for does not go with what is there now.'],
  413: ['Request Entity Too Large', 'The body of the request is too large.'],
  415: ['Unsupported Media Type', 'The body of the request is encoded in a way that is not known.'],
  429: ['Too Many Requests', 'Wait before the next attempt.'],
  500: ['Internal Server Error', 'The server cannot answer this.'],
  501: ['Not Implemented', 'The server does not do this.'],
  503: ['Service Unavailable', 'What the answer depends on cannot be reached just now.'],
} as const;

/** One of the statuses that v1 fails with. */
export type FailureCode = keyof typeof STATUSES;

/** The body of every failure. */
export interface ErrorEnvelope {
  readonly status: 'error';
  readonly status_code: number;
  readonly status_short_message: string;
  readonly status_long_message: string;
  readonly message: string;
}

/** A request of v1 that fails. The message is for the caller, never with a secret in it. */
export class V1Error extends Error {
  override readonly name = 'V1Error';
  constructor(
    readonly code: FailureCode,
    message: string,
    readonly retryAfterSeconds?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** What a failure is answered with. */
export function envelopeOf({ code, message }: V1Error): ErrorEnvelope {
  const [short, long] = STATUSES[code];
  return { status: 'error', status_code: code, status_short_message: short, status_long_message: long, message };
}

/** What a body off its schema is answered with. */
export function offSchema(what: string): V1Error {
  return new V1Error(400, `Some key doesn't validate the schema - ${what}`);
}

/** Any failure as one of v1. Unknown ones become 500 without their text, which could hold anything. */
export function toV1Error(error: unknown): V1Error {
  if (error instanceof V1Error) return error;
  if (error instanceof CloudUnavailable) return new V1Error(503, error.message, 5, { cause: error });
  const { reason, message, details } = toApiError(error);
  if (reason === 'Invalid') return offSchema(message);
  return new V1Error(codeOf(REASONS[reason]), message, details.retryAfterSeconds, { cause: error });
}

function codeOf(status: number): FailureCode {
  if (status === 405) return 501;
  if (status === 504) return 503;
  return isFailureCode(status) ? status : 500;
}

function isFailureCode(status: number): status is FailureCode {
  return status in STATUSES;
}
