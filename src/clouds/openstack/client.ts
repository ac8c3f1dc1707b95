import type { Environment } from '../../environment.js';
import type { CallReport } from '../driver.js';
import { CloudError } from '../errors.js';
import type { Feedback, Limiter } from '../limiter.js';
import { retryAfterMs, type Transport, TransportError, type TransportRequest, type TransportResponse } from '../transport.js';
import { type FailedCall, fromResponse, fromTransport } from './errors.js';
import { type Credentials, identityUrl, type ProjectReference, type Service, Session, type Token } from './keystone.js';

/** A call to one of the services. */
interface ServiceCall extends FailedCall {
  readonly service: Service | 'identity';
  readonly method: TransportRequest['method'];
  /** The whole address, from the service's endpoint (without a slash at its end). */
  readonly url: (endpoint: string) => string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

/** What a {@link Client} is made with. */
export interface ClientOptions {
  readonly endpoint: string;
  readonly region?: string | undefined;
  readonly project?: ProjectReference | undefined;
  readonly credentials: Credentials;
  readonly environment: Environment;
  readonly transport: Transport;
  readonly limiter: Limiter;
  readonly onCall: (report: CallReport) => void;
}

/** A token may be refused at any moment (revoked, expired between two clocks): a call is made so often at most. */
const TRIES = 3;

/** What people know the services by. */
const NAMES: Readonly<Record<Service, string>> = { compute: 'nova', image: 'glance', network: 'neutron', volume: 'cinder' };

/** Makes calls: token, limiter, transport, report, and the one place where an answer becomes an error. */
export class Client {
  readonly #options: ClientOptions;
  readonly #identity: string;
  readonly #session: Session;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#identity = identityUrl(options.endpoint);
    this.#session = new Session({
      credentials: options.credentials,
      project: options.project,
      region: options.region,
      environment: options.environment,
      login: (body) => this.#send({ operation: 'login', effect: false }, 'change', this.#loginRequest(body)),
    });
  }

  /** The project logged in to, and where its services are. */
  token(): Promise<Token> {
    return this.#session.token();
  }

  /** Where a service is. @throws CloudError Unsupported, in the name of `operation`, if this cloud has none. */
  async endpoint(service: Service, operation: string): Promise<string> {
    return endpointOf(await this.#session.token(), service, operation);
  }

  /** @returns an answer of success (2xx). @throws CloudError for every other. */
  async call(call: ServiceCall): Promise<TransportResponse> {
    const lane = call.effect ? 'change' : 'read';
    for (let tries = 1; ; tries += 1) {
      const token = await this.#session.token();
      try {
        return await this.#send(call, lane, this.#request(call, token));
      } catch (error) {
        // Refused before anything was done: safe to send again, whatever it does.
        if (!(error instanceof CloudError && error.status === 401)) throw error;
        this.#session.refused(token);
        if (tries === TRIES) throw error;
      }
    }
  }

  #request(call: ServiceCall, token: Token): TransportRequest {
    const base = call.service === 'identity' ? this.#identity : endpointOf(token, call.service, call.operation);
    return {
      method: call.method,
      url: call.url(base),
      headers: { 'x-auth-token': token.value, ...call.headers },
      ...(call.body === undefined ? {} : { body: call.body }),
      signal: call.signal,
    };
  }

  #loginRequest(body: unknown): TransportRequest {
    return { method: 'POST', url: `${this.#identity}/auth/tokens`, body };
  }

  async #send(call: FailedCall, lane: 'change' | 'read', request: TransportRequest): Promise<TransportResponse> {
    const { environment, limiter, transport, onCall } = this.#options;
    const leave = await limiter.enter(lane, request.signal);
    const startedAt = environment.now();
    let status: number | undefined;
    let feedback: Feedback = { load: 'other' };
    let failure: CloudError | undefined;
    try {
      const response = await transport.request(request);
      status = response.status;
      feedback = feedbackOf(response, environment.now());
      if (status < 200 || status > 299) failure = fromResponse(call, response, environment.now());
      else return response;
    } catch (error) {
      if (!(error instanceof TransportError)) throw error;
      if (error.failure === 'TimedOut') feedback = { load: 'congested' };
      failure = fromTransport(call, error);
    } finally {
      leave(feedback);
      const durationMs = environment.now().getTime() - startedAt.getTime();
      onCall({ operation: call.operation, effect: call.effect, status, error: failure?.code, startedAt, durationMs });
    }
    throw failure;
  }
}

function endpointOf({ endpoints, region }: Token, service: Service, operation: string): string {
  const found = endpoints[service];
  if (found !== undefined) return found;
  throw new CloudError(
    'Unsupported',
    `${operation}: this cloud has no ${service} service (${NAMES[service]}): its catalog has none in region "${region}"`,
  );
}

function feedbackOf(response: TransportResponse, now: Date): Feedback {
  const strained = response.status === 429 || response.status === 503;
  return strained
    ? { load: 'congested', retryAfterMs: retryAfterMs(response.headers, now) }
    : { load: response.status < 500 ? 'fine' : 'other' };
}
