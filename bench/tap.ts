import { connect, createServer, type Server, type Socket } from 'node:net';

/** Stands between the dispatcher and its cloud, hands every byte on, and tells when a request of some path goes by. */
export class Tap {
  readonly #waiting = new Map<string, (at: number) => void>();
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;

  /** Listens on a port, for a cloud on another. */
  async listen(port: number, cloudPort: number): Promise<void> {
    const server = createServer({ noDelay: true }, (client) => {
      const cloud = connect({ port: cloudPort, host: '127.0.0.1', noDelay: true });
      for (const socket of [client, cloud]) {
        this.#sockets.add(socket);
        socket.on('close', () => {
          this.#sockets.delete(socket);
          client.destroy();
          cloud.destroy();
        });
        socket.on('error', () => undefined);
      }
      client.on('data', (chunk) => this.#look(chunk));
      client.pipe(cloud);
      cloud.pipe(client);
    });
    this.#server = server;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
  }

  /** When (by performance.now) the next request begins with this text, such as `PUT /compute/v2.1/servers/1`. */
  next(beginning: string): Promise<number> {
    return new Promise((resolve) => {
      this.#waiting.set(beginning, resolve);
    });
  }

  close(): void {
    this.#server?.close();
    for (const socket of this.#sockets) socket.destroy();
  }

  /** One connection carries one request at a time, so each begins a chunk. */
  #look(chunk: Buffer): void {
    if (this.#waiting.size === 0) return;
    const head = chunk.subarray(0, 512).toString('latin1');
    for (const [beginning, resolve] of this.#waiting) {
      if (!head.startsWith(beginning)) continue;
      this.#waiting.delete(beginning);
      resolve(performance.now());
    }
  }
}
