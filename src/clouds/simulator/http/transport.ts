import type { Request, Response } from 'express';
import type { Logger } from 'pino';
import { sleep } from '../../../environment.js';
import { Refusal } from '../model/refusal.js';
import type { State } from '../model/state.js';
import { advance } from '../model/time.js';
import type { Saver } from '../persistence.js';
import { FaultInjector } from './faults.js';
import { type Call, type Handler, isReply, type Perform, type Reply, type Service } from './service.js';

/**
 * Stands between express and the services: waits as the knobs say, injects faults, lets time catch up, calls the handler,
 * counts, and keeps what was changed before it is answered.
 */
export class Transport {
  /** How often each operation was called, by `service METHOD /path`. Those not served are under `service 429` and so on. */
  readonly counts = new Map<string, number>();
  readonly #faults: FaultInjector;
  #now = 0;

  constructor(
    private readonly state: State,
    private readonly saver: Saver,
    private readonly log: Logger,
  ) {
    this.#faults = new FaultInjector(state);
  }

  /** The time, which never goes back. */
  now(): number {
    this.#now = Math.max(this.#now, this.state.environment.now().getTime());
    return this.#now;
  }

  /** Makes a request handler of a route. */
  readonly perform: Perform = (service, route, handler) => async (request, response) => {
    const { knobs } = this.state;
    if (knobs.latency > 0) await sleep(this.state.environment, knobs.latency);
    const fault = this.#faults.choose(request.method, this.now());
    const call = this.#call(request);
    if (fault.kind === 'refused') {
      this.#count(`${service.name} ${fault.status}`);
      const reply = service.decline(call, fault.status, fault.message);
      return this.#send(response, service.headers(call), { ...reply, headers: { ...reply.headers, ...fault.headers } });
    }
    if (fault.kind === 'late') {
      response.socket?.resetAndDestroy();
      await sleep(this.state.environment, fault.delay);
    }
    this.#count(`${service.name} ${operation(route, call)}`);
    const reply = await this.#answer(service, handler, call, request.method !== 'GET');
    if (fault.kind === 'lost') response.socket?.resetAndDestroy();
    else if (fault.kind !== 'late') this.#send(response, service.headers(call), reply);
  };

  async #answer<C extends Call>(service: Service<C>, handler: Handler<C>, call: Call, changes: boolean): Promise<Reply> {
    try {
      const now = this.now();
      advance(this.state, now);
      const admitted = service.admit({ ...call, now });
      const reply = isReply(admitted) ? admitted : handler(admitted);
      if (changes) await this.saver.saved();
      return reply;
    } catch (error) {
      if (error instanceof Refusal) return service.decline(call, error.status, error.message, error.type);
      this.log.error({ err: error, path: call.target }, 'simulated request failed');
      return service.decline(call, 500, 'Unexpected API Error. The log of the simulator has more.');
    }
  }

  #call(request: Request): Call {
    const target = request.originalUrl;
    const mark = target.indexOf('?');
    const params: Record<string, string> = {};
    for (const [name, value] of Object.entries(request.params)) if (typeof value === 'string') params[name] = value;
    return {
      now: this.now(),
      requestId: `req-${this.state.environment.id()}`,
      params,
      query: new URLSearchParams(mark < 0 ? '' : target.slice(mark + 1)),
      target,
      body: request.body,
      origin: `http://${request.headers.host ?? 'localhost'}`,
      header: (name) => request.get(name),
    };
  }

  #send(response: Response, headers: Readonly<Record<string, string>>, reply: Reply): void {
    if (response.writableEnded || response.destroyed) return;
    const text = reply.text ?? (reply.json === undefined ? '' : JSON.stringify(reply.json));
    const length = Buffer.byteLength(text);
    const empty = reply.status === 204;
    response.writeHead(reply.status, {
      ...(!empty && { 'content-type': reply.type ?? 'application/json', 'content-length': length }),
      ...headers,
      ...reply.headers,
    });
    response.end(empty ? undefined : text);
  }

  #count(name: string): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + 1);
  }
}

/** A route as it is counted: an action by its name too, since all share one path. */
function operation(route: string, { body }: Call): string {
  if (!route.endsWith('/action') || typeof body !== 'object' || body === null) return route;
  return `${route} ${Object.keys(body)[0] ?? ''}`.trimEnd();
}
