import express, { type NextFunction, type Request, type Response } from 'express';
import { rateLimit } from 'express-rate-limit';
import type { Logger } from 'pino';
import { originOf } from '../auth/origin.js';
import { parseBody } from '../resources/body.js';
import type { Mutation } from '../resources/call.js';
import { ApiError } from '../resources/errors.js';
import { Acts } from './acts.js';
import type { Caller, Callers } from './callers.js';
import { chooseCloud, servedCloud } from './clouds.js';
import { renderV1Page } from './docs-page.js';
import { envelopeOf, offSchema, toV1Error, V1Error } from './errors.js';
import { openApiOf } from './openapi.js';
import type { Operation, V1Context } from './operation.js';
import { type Route, routeOf } from './route.js';
import { ROWS } from './rows.js';
import { demandToken, tokenOf } from './token.js';

/** What v1 is made from. */
export interface V1Options extends Omit<V1Context, 'waitMs'> {
  /** Who asks. Where it lets in who sends no token, only /test/* demands one. */
  readonly callers: Callers;
  readonly log: Logger;
  readonly version: string;
  /** Called after every attempt to change a declaration, whatever came of it. */
  readonly onMutation?: (mutation: Mutation) => void;
  /** How long a request waits for what it has declared, in milliseconds. Default 25 s. */
  readonly waitMs?: number;
  /** How many wrong tokens an address may send in a minute before it is told to wait. Default 30. */
  readonly wrongTokensPerMinute?: number;
}

/** The largest body, in bytes: one with all the metadata that a server can have is a quarter of it. */
const BODY_LIMIT = 256 * 1024;
/** Below the time after which common clients and proxies give up. */
const WAIT_MS = 25_000;

/**
 * API v1, the HTTP dialect of 2015, to be mounted at /api/v1: every row acts on declarations. On the event `drain` what waits is answered.
 * A URL may bear a token in its query: whoever logs requests of it must leave the query out.
 */
export function v1Api(options: V1Options): express.Express {
  const { version } = options;
  const open = options.callers.anybody !== undefined;
  const document = openApiOf(ROWS, version, open);
  const page = renderV1Page(ROWS, version, open);
  const pages = express.Router();
  pages.get('/openapi.json', (_request, response) => void response.json(document));
  pages.get('/docs', (_request, response) => void response.type('text/html').send(page));
  return serveRows(ROWS, options, pages);
}

/** Rows of the dialect, to be mounted where they belong, behind `pages` that everybody may read. Otherwise as {@link v1Api}. */
export function serveRows(rows: readonly Operation[], options: V1Options, pages = express.Router()): express.Express {
  const { callers, environment, log } = options;
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', false);
  const draining = new AbortController();
  app.once('drain', () => draining.abort());
  const context: V1Context = { ...options, waitMs: options.waitMs ?? WAIT_MS };

  app.use((request, response, next) => {
    response.locals.origin = originOf(request, environment);
    response.set({ 'Audit-Id': response.locals.origin.requestId, 'Cache-Control': 'no-store' });
    next();
  });
  app.use(pages);
  app.use(express.raw({ type: () => true, limit: BODY_LIMIT }));

  app.use(async (request, response) => {
    const route = routeOf(rows, request.method, request.path);
    if (request.method === 'OPTIONS') return answerOptions(route, response);
    const { operation, parameters, cloud } = servedRoute(route, request, response);
    refuseOtherSites(request);
    const query = new URLSearchParams(request.url.split('?', 2)[1] ?? '');
    const { token, body } = tokenOf(request.headers, query, readJson(request));
    response.locals.bearsToken = token !== undefined;
    const caller = await callerOf(operation, token, query);
    const { origin } = response.locals;
    const clouds = async () => (await callers.clouds()).flatMap((each) => servedCloud(each) ?? []);
    const leaving = whenGone(response, draining.signal);
    const reply = await operation.run(
      {
        context,
        caller,
        acts: new Acts(caller, origin, options.onMutation),
        origin,
        parameters,
        query,
        cloud: async () => chooseCloud(await clouds(), cloud),
        clouds,
        gone: leaving.signal,
      },
      operation.body ? objectOf(body ?? (request.method === 'GET' ? {} : undefined)) : undefined,
    );
    leaving.forget();
    if (reply.code === 202) response.location(reply.body.look_at);
    response.status(reply.code).json(reply.body);
  });

  async function callerOf({ access }: Operation, token: string | undefined, query: URLSearchParams): Promise<Caller> {
    if (access === 'anybody') return callers.nobody;
    if (callers.anybody && access === 'token' && token === undefined) return callers.anybody;
    return callers.bearer(demandToken(token), query);
  }

  const limiter = rateLimit({
    windowMs: 60_000,
    limit: options.wrongTokensPerMinute ?? 30,
    handler: (_request, _response, next) => next('limited'),
  });
  app.use((error: unknown, request: Request, response: Response, next: NextFunction) => {
    const wrongToken = error instanceof ApiError && error.reason === 'Unauthorized' && response.locals.bearsToken;
    if (!wrongToken) return next(error);
    return limiter(request, response, (limited?: unknown) => {
      next(limited === undefined ? error : new V1Error(429, 'too many wrong tokens came from this address; wait a minute', 60));
    });
  });
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    const failure = toV1Error(error);
    // A "Cloud not valid" is a 500 too, and no fault of ours.
    if (failure.code === 500 && !(error instanceof V1Error))
      log.error({ err: error, method: request.method, path: request.path }, 'request failed');
    if (response.headersSent) return void response.destroy();
    if (failure.code === 401) response.set('WWW-Authenticate', 'Bearer realm="dispatcher"');
    if (failure.retryAfterSeconds !== undefined) response.set('Retry-After', String(failure.retryAfterSeconds));
    // What is left of a body that was refused is not waited for.
    if (failure.code === 413) response.set('Connection', 'close');
    response.status(failure.code).json(envelopeOf(failure));
  });
  return app;
}

function servedRoute(route: Route, { baseUrl, path }: Request, response: Response): Extract<Route, { kind: 'found' }> {
  if (route.kind === 'found') return route;
  if (route.kind === 'unknown action') throw new V1Error(400, 'Unrecognized action found');
  if (route.kind === 'unknown path') throw new V1Error(404, `nothing is served at ${baseUrl}${path}`);
  response.set('Allow', route.allow.join(', '));
  throw new V1Error(501, 'Not implemented');
}

function answerOptions(route: Route, response: Response): void {
  if (route.kind === 'unknown path' || route.kind === 'unknown action') throw new V1Error(404, 'nothing is served at this path');
  response.set('Allow', route.allow.join(', ')).json({ status: 'ok', allow: route.allow });
}

/** Whatever its Content-Type says: old clients name none, or a wrong one. */
function readJson(request: Request): unknown {
  try {
    return parseBody(request.body, 'json');
  } catch (error) {
    throw new V1Error(400, 'Malformed JSON stream', undefined, { cause: error });
  }
}

function objectOf(body: unknown): unknown {
  if (body === undefined) throw new V1Error(400, 'Malformed JSON stream');
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body;
  throw offSchema('the body must be an object');
}

/** A page of another site must not act through the browser of somebody who can reach this door. No client but a browser says where it comes from. */
function refuseOtherSites({ headers }: Request): void {
  const { origin, host } = headers;
  if (origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)) return;
  throw new V1Error(403, 'requests of pages of other sites are not served');
}

/** Tells when nobody waits for an answer any more: the client has gone, or the server drains. */
function whenGone(response: Response, draining: AbortSignal): { readonly signal: AbortSignal; forget(): void } {
  const gone = new AbortController();
  const leave = () => gone.abort();
  response.once('close', leave);
  draining.addEventListener('abort', leave, { once: true });
  if (draining.aborted) leave();
  return { signal: gone.signal, forget: () => draining.removeEventListener('abort', leave) };
}
