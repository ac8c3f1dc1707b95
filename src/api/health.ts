import { type Request, type Response, Router } from 'express';

/** Named checks: each resolves if all is well and rejects with what is not. */
export type Checks = Readonly<Record<string, () => Promise<unknown>>>;

/** How long a check may take before it counts as failed, in milliseconds. */
const PATIENCE_MS = 5000;

/**
 * `/healthz` and `/livez` (this process answers) and `/readyz` (it can do its work: every check holds), in the words of a
 * Kubernetes API server: `ok`, or with `?verbose` (and always on failure) one line a check. A failure's reason is logged by who
 * made the check, not told here.
 */
export function healthRoutes(checks: Checks): Router {
  const router = Router();
  router.get(['/healthz', '/livez'], (request, response) => report(request, response, 'livez', [['ping', true]]));
  router.get('/readyz', async (request, response) => {
    const results = Object.entries(checks).map(async ([name, check]): Promise<[string, boolean]> => [name, await holds(check)]);
    report(request, response, 'readyz', [['ping', true], ...(await Promise.all(results))]);
  });
  return router;
}

async function holds(check: () => Promise<unknown>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, PATIENCE_MS, false);
  });
  const result = Promise.resolve()
    .then(check)
    .then(
      () => true,
      () => false,
    );
  return Promise.race([result, late]).finally(() => clearTimeout(timer));
}

function report(request: Request, response: Response, name: string, results: readonly [string, boolean][]): void {
  const well = results.every(([, ok]) => ok);
  const lines = results.map(([check, ok]) => `[${ok ? '+' : '-'}]${check} ${ok ? 'ok' : 'failed: reason withheld'}\n`);
  const text =
    well && request.query.verbose === undefined ? 'ok' : `${lines.join('')}${name} check ${well ? 'passed' : 'failed'}\n`;
  response
    .status(well ? 200 : 503)
    .type('text/plain')
    .set('Cache-Control', 'no-cache, private')
    .send(text);
}
