import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { z } from 'zod';

/** When something befalls the server behind the door: of a call, before it hears of it, while it is at it, or before its answer is heard. */
export interface Moment {
  readonly call: 'assign' | 'release';
  readonly when: 'before' | 'during' | 'after';
}

interface Trap {
  readonly moment: Moment;
  readonly spring: () => Promise<void>;
}

interface Reply {
  readonly code: number;
  readonly text: string;
}

/** How long a call may be at work before what is to befall the server "during" it does: milliseconds at most. */
const LONGEST_DURING_MS = 80;

/** A door before a Cistern, through which all calls go until one is caught: who called that is not answered. */
export class Door {
  #trap: Trap | undefined;
  readonly #server = createServer((incoming, outgoing) => {
    this.#pass(incoming, outgoing).catch(() => outgoing.destroy());
  });

  private constructor(private readonly target: () => string) {}

  /** @param target the origin of the server behind it: http://127.0.0.1:5070. */
  static async open(target: () => string): Promise<Door> {
    const door = new Door(target);
    await new Promise<void>((resolve) => door.#server.listen(0, '127.0.0.1', resolve));
    return door;
  }

  /** Its own origin. */
  get url(): string {
    return `http://127.0.0.1:${z.object({ port: z.number() }).parse(this.#server.address()).port}`;
  }

  /** Does something at that moment of the next such call. Resolves when it is done. */
  at(moment: Moment, act: () => Promise<void>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#trap = { moment, spring: () => act().then(resolve, reject) };
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #pass(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const send = () => this.#send(incoming, Buffer.concat(chunks));
    const trap = this.#trap;
    if (trap && incoming.url?.includes(`/vm/${trap.moment.call}/`)) {
      this.#trap = undefined;
      await caught(trap, send);
      outgoing.destroy();
      return;
    }
    const { code, text } = await send();
    outgoing.writeHead(code, { 'content-type': 'application/json' }).end(text);
  }

  #send({ method, url, headers }: IncomingMessage, body: Buffer): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const sent = request(`${this.target()}${url}`, { method, headers, agent: false });
      sent.once('error', reject).once('response', (response) => {
        let text = '';
        response.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        response.once('error', reject).once('end', () => resolve({ code: response.statusCode ?? 0, text }));
      });
      sent.end(body);
    });
  }
}

async function caught({ moment, spring }: Trap, send: () => Promise<Reply>): Promise<void> {
  if (moment.when === 'before') return spring();
  const answered = send().then(
    () => undefined,
    () => undefined,
  );
  const atWork = new Promise((resolve) => setTimeout(resolve, Math.random() * LONGEST_DURING_MS));
  await (moment.when === 'after' ? answered : Promise.race([atWork, answered]));
  return spring();
}
