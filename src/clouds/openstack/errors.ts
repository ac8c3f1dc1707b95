import { z } from 'zod';
import { CloudError, type CloudErrorCode, type CloudErrorDetails } from '../errors.js';
import { retryAfterMs, type TransportError, type TransportResponse } from '../transport.js';

/** The call that failed, for messages and for what its failure means. */
export interface FailedCall {
  /** What it was for: `createServer`. */
  readonly operation: string;
  /** It changes something: an answer that does not tell whether it did is an UnknownOutcome. */
  readonly effect: boolean;
  /** It makes a thing from others: that one of those is missing is the request's fault, not an absence. */
  readonly creates?: boolean;
}

/** The faults of nova, keystone and cinder ({"itemNotFound": {"code", "message"}}) and of neutron ({"NeutronError": {...}}). */
const faultSchema = z
  .record(
    z.string(),
    z.object({
      message: z.string(),
      type: z.string().optional(),
      retryAfter: z.union([z.string(), z.number()]).optional(),
    }),
  )
  .refine((all) => Object.keys(all).length === 1);

interface Fault {
  readonly message: string;
  readonly type?: string | undefined;
  readonly retryAfter?: string | number | undefined;
}

/**
 * Exceptions that nova's API shows in a 500 and that it meets while it checks a create with other services, before it writes a
 * record of the server (or after which it removes that record): nothing was made. Seen with neutron, glance and keystone away.
 */
const BEFORE_ANY_RECORD =
  /neutronclient\.common\.exceptions\.ConnectionFailed|nova\.exception\.(GlanceConnectionFailed|CinderConnectionFailed)|keystoneauth1\.exceptions\.connection\./;

/** cinder's 400, also through nova, for a volume that is in no state for what is asked. */
const VOLUME_STATE = /^Invalid volume: /;

/** Bodies of a 503 by which a request certainly went no further: keystone's middleware, and a HAProxy without a backend. */
const NOT_PASSED_ON = /Keystone service is temporarily unavailable|No server is available to handle this request/i;

/** What an answer that is no success means. The message bears the cloud's own words. */
export function fromResponse(call: FailedCall, response: TransportResponse, now: Date): CloudError {
  const fault = faultOf(response);
  const pause = retryAfterMs(response.headers, now);
  const words = fault?.message ?? excerpt(response);
  const requestId = response.headers['x-openstack-request-id'] ?? response.headers['x-compute-request-id'];
  const code = codeOf(call, response, fault, pause, words);
  const details: CloudErrorDetails = {
    status: response.status,
    ...(requestId === undefined ? {} : { requestId }),
    ...(code === 'RateLimited' && pause !== undefined ? { retryAfterMs: pause } : {}),
  };
  return new CloudError(code, `${call.operation}: the cloud answered ${response.status}: ${words}`, details);
}

/** What it means that no answer came. */
export function fromTransport(call: FailedCall, error: TransportError): CloudError {
  const code = call.effect && error.sent === 'maybe' ? 'UnknownOutcome' : 'Unavailable';
  return new CloudError(code, `${call.operation}: ${error.message}`, { cause: error });
}

/** An answer of success that is not what it should be. */
export function malformed(call: FailedCall, status: number, problem: string): CloudError {
  const code = call.effect ? 'UnknownOutcome' : 'Unavailable';
  return new CloudError(code, `${call.operation}: the cloud's answer cannot be understood: ${problem}`, { status });
}

function codeOf(
  call: FailedCall,
  { status }: TransportResponse,
  fault: Fault | undefined,
  pause: number | undefined,
  words: string,
): CloudErrorCode {
  const unclear: CloudErrorCode = call.effect ? 'UnknownOutcome' : 'Unavailable';
  switch (status) {
    case 400:
      return VOLUME_STATE.test(words) ? 'Conflict' : 'Invalid';
    case 401:
      return 'Unauthorized';
    case 403:
      return /quota|maximum number|exceed/i.test(words) ? 'Quota' : 'Unauthorized';
    case 404:
      // Without a fault it comes from something in front of the cloud, and is no word on what is there.
      if (fault === undefined) return 'Unavailable';
      return call.creates ? 'Invalid' : 'NotFound';
    case 412:
      // Not as it was seen: neutron's If-Match.
      return 'Conflict';
    case 409:
      if (fault?.type === 'OverQuota') return 'Quota';
      // A network that has no address left.
      if (fault?.type?.startsWith('IpAddressGenerationFailure')) return 'Capacity';
      return call.creates && /multiple possible networks/i.test(words) ? 'Invalid' : 'Conflict';
    case 413:
      if (fault === undefined) return 'Invalid';
      // cinder's quotas, and those of old novas: "overLimit" that no waiting helps.
      return Number(fault.retryAfter ?? 0) > 0 || (pause ?? 0) > 0 ? 'RateLimited' : 'Quota';
    case 429:
      return 'RateLimited';
    case 500:
      if (call.creates && BEFORE_ANY_RECORD.test(words)) return 'Unavailable';
      return unclear;
    case 503:
      if (pause !== undefined && pause > 0) return 'RateLimited';
      return NOT_PASSED_ON.test(words) ? 'Unavailable' : unclear;
    default:
      if (status >= 500 || status === 408) return unclear;
      // A redirection: the endpoint is not quite right, and nothing was done.
      return status < 400 ? 'Unavailable' : 'Invalid';
  }
}

function faultOf(response: TransportResponse): Fault | undefined {
  const parsed = faultSchema.safeParse(response.body);
  if (!parsed.success) return undefined;
  return Object.values(parsed.data)[0];
}

/** The readable part of an HTML page or of whatever else came. */
function excerpt({ text, headers, status }: TransportResponse): string {
  if (status >= 300 && status < 400) return `moved to ${headers.location ?? 'an unnamed place'}`;
  const words = text
    .replace(/<(script|style)[\s\S]*?<\/\1>/gi, ' ')
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim();
  return words === '' ? 'no words' : words.slice(0, 500);
}
