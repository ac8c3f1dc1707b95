import { createHash } from 'node:crypto';
import express, { type NextFunction, type Request, type Response } from 'express';
import helmet from 'helmet';
import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import type { Environment } from '../environment.js';
import { type Checks, healthRoutes } from './health.js';
import { PAGE_STYLE, renderPage, type Snapshot } from './page.js';
import { REASONS, statusOf, toApiError } from './resources/errors.js';
import { unknownPath } from './resources/paths.js';

/** What the plain-HTTP door is made from. */
export interface PlainHttpOptions {
  /** What /readyz asks. */
  readonly checks: Checks;
  readonly metrics: Registry;
  /** What the page shows; read at every request of it. */
  readonly snapshot: () => Promise<Snapshot>;
  /** Where the resource API is served: https://127.0.0.1:5443. Asked at every request, since its port may be known late. */
  readonly resourceApiUrl: () => string;
  readonly log: Logger;
  readonly version: string;
  readonly environment: Environment;
  /** What is served at /api/v1. It is told of `drain`. */
  readonly v1: express.Express;
  /** What is served at /cistern/api/v1, if anything is. It is told of `drain`. */
  readonly cistern?: express.Express;
}

/**
 * The plain-HTTP door: health, metrics, the status page, API v1, the built-in Cistern, and the way to the resource API. Beside these two APIs,
 * it needs no token, shows no secret and reads no body. On the event `drain` what waits in them is answered.
 */
export function plainHttp(options: PlainHttpOptions): express.Express {
  const { metrics, snapshot, resourceApiUrl, log, version, environment, v1, cistern } = options;
  const app = express();
  app.disable('x-powered-by').disable('etag');
  const styleHash = createHash('sha256').update(PAGE_STYLE).digest('base64');
  app.use(
    helmet({
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          defaultSrc: ["'none'"],
          styleSrc: [`'sha256-${styleHash}'`],
          baseUri: ["'none'"],
          formAction: ["'none'"],
          frameAncestors: ["'none'"],
        },
      },
      // Not over plain HTTP: a browser must not be told to come back by TLS, where nothing of this is served.
      strictTransportSecurity: false,
    }),
  );
  app.use(healthRoutes(options.checks));
  app.get('/metrics', async (_request, response) => {
    const text = await metrics.metrics();
    response.set('Content-Type', metrics.contentType).end(text);
  });
  app.get('/', async (_request, response) => {
    const page = renderPage(await snapshot(), version, environment.now());
    response.type('text/html').set('Cache-Control', 'no-store').send(page);
  });
  app.use('/api/v1', v1);
  if (cistern) app.use('/cistern/api/v1', cistern);
  app.once('drain', () => {
    v1.emit('drain');
    cistern?.emit('drain');
  });
  app.get('/api/v2', (_request, response) => {
    const server = resourceApiUrl();
    response.status(200).json({
      version: 'v2',
      description: 'The declarative API: Kubernetes paths over TLS, for kubectl and other clients of Kubernetes.',
      server,
      resources: `${server}/apis/dispatcher.dev/v1alpha1`,
      openapi: `${server}/openapi/v3`,
      kubeconfig: 'dispatcher kubeconfig',
    });
  });
  app.use('/api/v2', (request, response) =>
    response.redirect(307, `${resourceApiUrl()}/apis/dispatcher.dev/v1alpha1${request.url}`),
  );
  app.use((request) => {
    throw unknownPath(request.path);
  });
  app.use((error: unknown, request: Request, response: Response, _next: NextFunction) => {
    const failure = toApiError(error);
    if (failure.reason === 'InternalError')
      log.error({ err: error, method: request.method, path: request.path }, 'request failed');
    if (response.headersSent) response.destroy();
    else response.status(REASONS[failure.reason]).json(statusOf(failure));
  });
  return app;
}
