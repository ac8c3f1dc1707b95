import { type RequestHandler, Router } from 'express';
import { USERS } from '../model/content.js';
import type { Asker } from '../model/servers.js';
import type { State } from '../model/state.js';

/** One request, as the services see it. */
export interface Call {
  /** When it is looked at. Milliseconds since 1970. */
  readonly now: number;
  /** `req-` and a UUID. */
  readonly requestId: string;
  /** The parts of the path that the route names. */
  readonly params: Readonly<Record<string, string>>;
  readonly query: URLSearchParams;
  /** The path and query as they were asked for, with the service's prefix. */
  readonly target: string;
  /** Parsed; undefined without a body. */
  readonly body: unknown;
  /** The address of the simulator as the client knows it: `http://127.0.0.1:5000`. */
  readonly origin: string;
  header(name: string): string | undefined;
}

/** What is answered. `text` is sent as it is, `json` as JSON. */
export interface Reply {
  readonly status: number;
  readonly json?: unknown;
  readonly text?: string;
  /** Default `application/json`. */
  readonly type?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** A call by somebody who has shown a valid token with a project. */
export interface OwnCall extends Call {
  readonly asker: Asker;
  readonly isAdmin: boolean;
}

/** Answers one kind of call. @throws Refusal. */
export type Handler<C extends Call> = (call: C) => Reply;

/** What handlers a service has, by method and path: `GET /servers/:id`. The first that matches is taken. */
export type Routes<C extends Call> = Readonly<Record<string, Handler<C>>>;

/** How a service checks a call before its handler, and words what goes wrong. */
export interface Service<C extends Call> {
  /** As it is counted: `nova`. */
  readonly name: string;
  readonly routes: Routes<C>;
  /** Checks token and version. @throws Refusal, or gives the reply that declines. */
  admit(call: Call): C | Reply;
  /** Words a failure. */
  decline(call: Call, status: number, message: string, type?: string): Reply;
  /** Headers for each reply. */
  headers(call: Call): Readonly<Record<string, string>>;
}

/** Does a call: see transport.ts. */
export type Perform = <C extends Call>(service: Service<C>, route: string, handler: Handler<C>) => RequestHandler;

/** Builds a service's router. */
export function route<C extends Call>(service: Service<C>, perform: Perform): Router {
  const router = Router();
  for (const [name, handler] of Object.entries(service.routes)) {
    const [method, path] = name.split(' ');
    const run = perform(service, name, handler);
    if (path === undefined) continue;
    if (method === 'GET') router.get(path, run);
    else if (method === 'POST') router.post(path, run);
    else if (method === 'PUT') router.put(path, run);
    else if (method === 'PATCH') router.patch(path, run);
    else if (method === 'DELETE') router.delete(path, run);
  }
  return router;
}

/** True if admitting ended in a reply. */
export function isReply(value: Call | Reply): value is Reply {
  return 'status' in value;
}

/** The session behind the token of a call, or undefined if it shows none that is valid. */
export function sessionOf(state: State, call: Call): { asker: Asker; isAdmin: boolean } | undefined {
  const token = state.tokens.get(call.header('x-auth-token') ?? '');
  if (token === undefined || token.expires <= call.now || token.projectId === null) return undefined;
  const isAdmin = USERS.find((user) => user.id === token.userId)?.roles.includes('admin') === true;
  return { asker: { projectId: token.projectId, userId: token.userId, requestId: call.requestId }, isAdmin };
}
