import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';

/** A request as a server of a test got it. */
export interface ReceivedRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  /** Number of the connection it came on, from 1. */
  readonly connection: number;
}

/** A small HTTP server on a free port of 127.0.0.1. */
export interface TestServer {
  readonly url: string;
  /** All that came, in order. */
  readonly requests: ReceivedRequest[];
  /** Cuts all connections. */
  close(): Promise<void>;
}

/** Starts one. The handler may answer, or destroy the socket, or do nothing. */
export async function startServer(
  handle: (request: ReceivedRequest, response: ServerResponse, socket: Socket) => void,
): Promise<TestServer> {
  const requests: ReceivedRequest[] = [];
  const connections = new Map<Socket, number>();
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const request: ReceivedRequest = {
        method: incoming.method ?? '',
        path: incoming.url ?? '',
        headers: incoming.headers,
        text: Buffer.concat(chunks).toString('utf8'),
        connection: connections.get(incoming.socket) ?? 0,
      };
      requests.push(request);
      handle(request, response, incoming.socket);
    });
  });
  server.on('connection', (socket) => connections.set(socket, connections.size + 1));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
