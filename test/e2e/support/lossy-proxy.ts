import { createServer, request as forward, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What a request is, to decide whether its reply is lost: `POST`, `/8774/v2.1/servers`. */
type Loses = (method: string, path: string) => boolean;

/**
 * Stands before all services of an OpenStack on loopback. A request for `/PORT/PATH` goes to that port; the addresses in what is answered
 * lead back here. A reply that is lost was given: the service did what it was asked, and who asked sees a connection that is closed.
 */
export class LossyProxy {
  /** Replies lost so far. */
  lost = 0;
  /** Decides for each request that was answered. */
  loses: Loses = () => false;
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((request, response) => void this.#pass(request, response));
  }

  static async start(): Promise<LossyProxy> {
    const proxy = new LossyProxy();
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  /** Where a URL on loopback is reached through it. */
  through(url: string): string {
    return url.replace(/http:\/\/127\.0\.0\.1:(\d+)/g, `${this.#origin}/$1`);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  get #origin(): string {
    const address = this.#server.address();
    return `http://127.0.0.1:${isBound(address) ? address.port : 0}`;
  }

  async #pass(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = 'GET', url = '/' } = request;
    const [, port = '', path = '/'] = /^\/(\d+)(\/.*)?$/.exec(url) ?? [];
    try {
      const { status, headers, body } = await ask(Number(port), method, path, request);
      if (this.loses(method, url)) {
        this.lost += 1;
        response.destroy();
        return;
      }
      const text = Buffer.from(this.through(body.toString('utf8')));
      const { 'transfer-encoding': _chunked, 'content-length': _length, ...kept } = headers;
      response.writeHead(status, { ...kept, ...(method === 'HEAD' ? {} : { 'content-length': String(text.length) }) });
      response.end(method === 'HEAD' ? undefined : text);
    } catch {
      response.destroy();
    }
  }
}

async function ask(port: number, method: string, path: string, incoming: IncomingMessage) {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const headers = { ...incoming.headers, host: `127.0.0.1:${port}`, 'accept-encoding': 'identity' };
    const outgoing = forward({ host: '127.0.0.1', port, method, path, headers, agent: false }, resolve);
    outgoing.on('error', reject);
    incoming.pipe(outgoing);
  });
  const chunks: Buffer[] = [];
  for await (const chunk of answer) chunks.push(Buffer.from(chunk));
  return { status: answer.statusCode ?? 502, headers: answer.headers, body: Buffer.concat(chunks) };
}

function isBound(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}
