import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Express } from 'express';

/** Where to listen. Port 0: any free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A certificate with its key, in PEM. */
export interface ServerCertificate {
  readonly cert: string;
  readonly key: string;
}

/** A server that listens. */
export interface Listening {
  /** Where it is reached, such as https://127.0.0.1:5443. */
  readonly url: string;
  /** Takes no more connections, ends watches, and resolves when all requests are answered or `graceMs` (default 5000) is over. */
  close(graceMs?: number): Promise<void>;
  /** Uses another certificate for connections from now on. Nothing happens on a server without TLS. */
  renew(tls: ServerCertificate): void;
}

const GRACE_MS = 5000;

/** Serves an app over TLS 1.2 or later. @throws the error of the socket, such as EADDRINUSE. */
export async function serveTls(app: Express, options: Address & { readonly tls: ServerCertificate }): Promise<Listening> {
  const server = createTlsServer({ ...options.tls, minVersion: 'TLSv1.2' });
  return listen(server, app, options, 'https', (tls) => server.setSecureContext({ ...tls, minVersion: 'TLSv1.2' }));
}

/** Serves an app over plain HTTP. @throws the error of the socket, such as EADDRINUSE. */
export async function serveHttp(app: Express, options: Address): Promise<Listening> {
  return listen(createServer(), app, options, 'http', () => undefined);
}

async function listen(
  server: Server,
  app: Express,
  { host, port }: Address,
  scheme: string,
  renew: (tls: ServerCertificate) => void,
): Promise<Listening> {
  let draining = false;
  // Longer than the idle time of common clients, so that it is they who close a connection, never in the middle of a request.
  server.keepAliveTimeout = 120_000;
  server.on('request', (request: IncomingMessage, response: ServerResponse) => {
    if (draining) response.setHeader('Connection', 'close');
    response.once('close', () => {
      if (draining) setImmediate(() => server.closeIdleConnections());
    });
    app(request, response);
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const close = (graceMs = GRACE_MS) =>
    new Promise<void>((resolve) => {
      draining = true;
      const timer = setTimeout(() => server.closeAllConnections(), graceMs);
      server.close(() => {
        clearTimeout(timer);
        resolve();
      });
      app.emit('drain');
      server.closeIdleConnections();
    });
  return { url: `${scheme}://${urlHost(host)}:${portOf(server)}`, close, renew };
}

function portOf(server: Server): number {
  const address: AddressInfo | string | null = server.address();
  if (typeof address === 'object' && address !== null) return address.port;
  throw new TypeError('the server listens on no TCP port');
}

function urlHost(host: string): string {
  return host.includes(':') ? `[${host}]` : host;
}
