import express, { type NextFunction, type Request, type Response } from 'express';
import { rateLimit } from 'express-rate-limit';
import type { Logger } from 'pino';
import type { Environment } from '../../environment.js';
import type { Store } from '../../store/store.js';
import type { TokenStore } from '../../store/tokens.js';
import { Authenticator, type User, unauthorized } from '../auth/authenticate.js';
import { type Access, authorize, isOpen, mayDo } from '../auth/authorize.js';
import type { Login } from '../auth/log-in.js';
import { type Origin, originOf } from '../auth/origin.js';
import type { Verb } from '../auth/roles.js';
import { type Checks, healthRoutes } from '../health.js';
import { BODY_LIMIT, readBody } from './body.js';
import type { Answer, Call, Context, Mutation } from './call.js';
import { discoveryAt } from './discovery.js';
import { ApiError, REASONS, type StatusDetails, statusOf, toApiError } from './errors.js';
import { loginRoute } from './login.js';
import { type Accepted, encode, negotiate } from './negotiation.js';
import { openApiDocuments, openApiIndex } from './openapi.js';
import { OPENAPI_V2_PROTOBUF, openApiV2 } from './openapi-v2.js';
import { detailsOf, parsePath, type Subresource, type Target } from './paths.js';
import { flag } from './query.js';
import { getList, getOne } from './read.js';
import { answerReview, isReview } from './reviews.js';
import { getScale, patchScale, updateScale } from './scale.js';
import { versionDocument } from './version.js';
import { watchWhile } from './watch-while.js';
import { create, patch, remove, removeCollection, update } from './write.js';

/** What the resource API is made from. */
export interface ResourceApiOptions {
  readonly store: Store;
  readonly tokens: Pick<TokenStore, 'find'>;
  readonly log: Logger;
  /** Dispatcher's version, such as 0.1.0. */
  readonly version: string;
  readonly environment: Environment;
  /** Called after every answered attempt to change something (but not for dry runs), whatever came of it. */
  readonly onMutation?: (mutation: Mutation) => void;
  /** What gives tokens for passwords; without it, nothing does. */
  readonly login?: Login;
  /** What /readyz asks. */
  readonly checks?: Checks;
  /** How many wrong tokens an address may send in a minute before it is told to wait. Default 30. */
  readonly wrongTokensPerMinute?: number;
}

/**
 * The resource API: the paths of Kubernetes, for kubectl and other clients of Kubernetes. To be served over TLS, since kubectl
 * sends tokens over nothing else. On the event `drain` its watches end; whoever serves it emits that.
 */
export function resourceApi(options: ResourceApiOptions): express.Express {
  const { store, log, environment } = options;
  const app = express();
  app.disable('x-powered-by').disable('etag').set('query parser', false);
  const draining = new AbortController();
  app.once('drain', () => draining.abort());
  const context: Context = { store, log, environment, draining: draining.signal };
  const authenticator = new Authenticator(options.tokens, environment);
  const documents = openApiDocuments(options.version);
  const openApi = { index: openApiIndex(documents), documents };

  app.use(healthRoutes(options.checks ?? {}));
  app.use((request, response, next) => {
    response.locals.origin = originOf(request, environment);
    response.setHeader('Audit-Id', response.locals.origin.requestId);
    next();
  });
  if (options.login) app.use(loginRoute(options.login));
  app.use(async (request, response, next) => {
    const user = await authenticator.user(request.headers.authorization);
    if (!user && !isOpen(request.path))
      throw unauthorized('a bearer token is needed; `dispatcher kubeconfig` writes one for kubectl');
    if (Object.keys(request.headers).some((name) => name.startsWith('impersonate-'))) {
      throw new ApiError('Forbidden', 'impersonation is not served; use a token of the user');
    }
    response.locals.user = user;
    next();
  });
  const openApi2 = openApiV2(options.version);
  app.get('/openapi/v2', (_request, response) => {
    response.setHeader('Content-Type', OPENAPI_V2_PROTOBUF);
    response.end(openApi2);
  });
  app.use(express.raw({ type: () => true, limit: BODY_LIMIT }));
  app.use(async (request, response) => {
    const query = new URLSearchParams(request.url.split('?', 2)[1] ?? '');
    const accepted = negotiate(request.headers.accept);
    if (serveDocument(request, response, accepted, openApi, options.version)) return;
    const user: User = response.locals.user;
    if (isReview(request.path)) {
      if (request.method !== 'POST') throw methodNotAllowed(response, request, ['POST']);
      return reply(response, accepted, answerReview(request.path, user, readBody(request.body, request.headers['content-type'])));
    }
    const target = parsePath(request.path);
    response.locals.details = detailsOf(target);
    const again = () => authenticator.user(request.headers.authorization);
    await serveResource({ request, response, target, query, accepted, context }, user, again, options.onMutation);
  });

  const limiter = rateLimit({
    windowMs: 60_000,
    limit: options.wrongTokensPerMinute ?? 30,
    handler: (_request, _response, next) => next('limited'),
  });
  app.use((error: unknown, request: Request, response: Response, next: NextFunction) => {
    const wrongToken =
      error instanceof ApiError && error.reason === 'Unauthorized' && request.headers.authorization !== undefined;
    if (!wrongToken) return next(error);
    return limiter(request, response, (limited?: unknown) => {
      const message = 'too many wrong tokens came from this address; wait a minute';
      next(limited === undefined ? error : new ApiError('TooManyRequests', message, { retryAfterSeconds: 60 }));
    });
  });
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => fail(error, request, response, log));
  return app;
}

type Handler = (call: Call) => Promise<Answer>;

/** What each method does to a collection, to a resource, and to what is beside it. */
const COLLECTION: Readonly<Record<string, Handler>> = { GET: getList, POST: create, DELETE: removeCollection };
const RESOURCE: Readonly<Record<string, Handler>> = { GET: getOne, PUT: update, PATCH: patch, DELETE: remove };
const SUBRESOURCES: Readonly<Record<Subresource, Readonly<Record<string, Handler>>>> = {
  status: { GET: getOne, PUT: update, PATCH: patch },
  scale: { GET: getScale, PUT: updateScale, PATCH: patchScale },
};
const VERBS: Readonly<Record<string, Mutation['verb']>> = { POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' };

/** @param again tells anew who the user is. */
async function serveResource(
  call: Call,
  user: User,
  again: () => Promise<User | undefined>,
  onMutation: ResourceApiOptions['onMutation'],
): Promise<void> {
  const { request, response, target, query, accepted } = call;
  const handlers = target.subresource ? SUBRESOURCES[target.subresource] : target.name === undefined ? COLLECTION : RESOURCE;
  const method = request.method === 'HEAD' ? 'GET' : request.method;
  const handler = handlers[method];
  const everywhere = target.namespace === undefined && method !== 'GET';
  if (!handler || everywhere) throw methodNotAllowed(response, request, Object.keys(handlers));
  const change = method === 'DELETE' && target.name === undefined ? 'deletecollection' : VERBS[method];
  if (change === undefined) {
    const verb = target.name !== undefined ? 'get' : flag(query, 'watch') ? 'watch' : 'list';
    authorize(user, accessOf(target, verb));
    if (verb === 'watch') return watchWhile(call, () => stillMay(again, accessOf(target, verb)));
    return reply(response, accepted, await handler(call));
  }
  const { kind } = target.definition;
  const key = { kind, namespace: target.namespace ?? '', name: target.name ?? '' };
  const origin: Origin = response.locals.origin;
  const asked = { ...origin, user: user.name, verb: change, subresource: target.subresource };
  const tell = (code: number, changed = key) => onMutation?.({ ...asked, key: changed, code });
  try {
    authorize(user, accessOf(target, change));
    const answer = await handler(call);
    reply(response, accepted, answer);
    if (!answer.dryRun) tell(answer.code, answer.changed);
  } catch (error) {
    if (query.get('dryRun') !== 'All') tell(REASONS[toApiError(error).reason]);
    throw error;
  }
}

interface OpenApi {
  readonly index: object;
  readonly documents: ReturnType<typeof openApiDocuments>;
}

/** Serves what tells about the server itself. @returns false if the path is not one of those. */
function serveDocument(request: Request, response: Response, accepted: Accepted, openApi: OpenApi, version: string): boolean {
  const { path } = request;
  const document = openApi.documents.get(path.slice('/openapi/v3/'.length));
  const found =
    path === '/version'
      ? versionDocument(version)
      : path === '/openapi/v3'
        ? openApi.index
        : discoveryAt(path.length > 1 ? path.replace(/\/$/, '') : path, accepted, request.headers.host ?? '');
  const isDocument = path.startsWith('/openapi/v3/') && document !== undefined;
  if (!found && !isDocument) return false;
  if (request.method !== 'GET' && request.method !== 'HEAD') throw methodNotAllowed(response, request, ['GET']);
  if (isDocument) {
    response.set({ 'Content-Type': 'application/json', ETag: `"${document.hash}"`, 'Cache-Control': 'public, immutable' });
    response.end(document.text);
    return true;
  }
  const aggregated = accepted.form === 'Discovery' && (path === '/api' || path === '/apis');
  const type = `application/json;g=apidiscovery.k8s.io;v=${accepted.version};as=APIGroupDiscoveryList`;
  reply(response, accepted, { code: 200, body: found }, aggregated ? type : undefined);
  return true;
}

function reply(response: Response, accepted: Pick<Accepted, 'encoding'>, answer: Answer, type?: string): void {
  const encoded = encode(answer.body, accepted);
  for (const warning of answer.warnings ?? []) response.append('Warning', `299 - ${quoted(warning)}`);
  response.writeHead(answer.code, {
    'Content-Type': type ?? encoded.type,
    'Content-Length': Buffer.byteLength(encoded.text),
    'Cache-Control': 'no-cache, private',
    Vary: 'Accept',
  });
  response.end(encoded.text);
}

/** A Warning header's text: quoted, and of the characters that a header can hold. */
function quoted(warning: string): string {
  return JSON.stringify(warning.replace(/[^\x20-\x7e]/g, '?'));
}

function fail(error: unknown, request: Request, response: Response, log: Logger): void {
  const details: StatusDetails = response.locals.details ?? {};
  const failure = toApiError(error, details);
  if (failure.reason === 'InternalError') log.error({ err: error, method: request.method, path: request.path }, 'request failed');
  if (response.headersSent) {
    response.destroy();
    return;
  }
  if (failure.reason === 'Unauthorized') response.set('WWW-Authenticate', 'Bearer realm="dispatcher"');
  if (failure.details.retryAfterSeconds) response.set('Retry-After', String(failure.details.retryAfterSeconds));
  // What is left of a body that was refused is not waited for.
  if (failure.reason === 'RequestEntityTooLarge') response.set('Connection', 'close');
  reply(response, { encoding: wantsYaml(request) ? 'yaml' : 'json' }, { code: REASONS[failure.reason], body: statusOf(failure) });
}

function wantsYaml(request: Request): boolean {
  return /^(application|text)\/yaml/.test(request.headers.accept ?? '');
}

function methodNotAllowed(response: Response, { method, path }: Request, allowed: readonly string[]): ApiError {
  response.set('Allow', allowed.join(', '));
  return new ApiError(
    'MethodNotAllowed',
    `${method} is not served at ${path}; ${allowed.join(', ')} ${allowed.length > 1 ? 'are' : 'is'}`,
  );
}

/** Whether somebody who was let in would be now. @throws StoreError if that cannot be told. */
async function stillMay(again: () => Promise<User | undefined>, access: Access): Promise<boolean> {
  try {
    const user = await again();
    return user !== undefined && mayDo(user, access);
  } catch (error) {
    if (error instanceof ApiError) return false;
    throw error;
  }
}

function accessOf({ definition, namespace = '', name = '', subresource }: Target, verb: Verb): Access {
  return { verb, group: definition.group, resource: definition.plural, subresource: subresource ?? '', namespace, name };
}
