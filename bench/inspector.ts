import { writeFile } from 'node:fs/promises';
import { WebSocket } from 'undici';
import { z } from 'zod';
import { until } from './processes.js';

const targetsSchema = z.array(z.object({ webSocketDebuggerUrl: z.string() })).min(1);
const answerSchema = z.object({
  id: z.int().optional(),
  result: z.unknown(),
  error: z.object({ message: z.string() }).optional(),
});
const heapSchema = z.object({ usedSize: z.number() });
const profileSchema = z.object({ profile: z.unknown() });

/** Looks into a Node process that runs with --inspect: its memory, and where its time goes. */
export class Inspector {
  #next = 1;
  readonly #open = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();

  private constructor(private readonly socket: WebSocket) {
    socket.addEventListener('message', ({ data }) => {
      const { id, result, error } = answerSchema.parse(JSON.parse(String(data)));
      const waiting = this.#open.get(id ?? 0);
      this.#open.delete(id ?? 0);
      if (error) waiting?.reject(new Error(error.message));
      else waiting?.resolve(result);
    });
  }

  /** Connects to the process whose inspector listens on that port of 127.0.0.1. */
  static async connect(port: number): Promise<Inspector> {
    const targets = await until(
      'the inspector',
      async () => targetsSchema.parse(await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()),
      20_000,
    );
    const socket = new WebSocket(targets[0]?.webSocketDebuggerUrl ?? '');
    await new Promise((resolve, reject) => {
      socket.addEventListener('open', resolve);
      socket.addEventListener('error', reject);
    });
    return new Inspector(socket);
  }

  /** Bytes of the heap that are in use after all garbage is collected. */
  async heapAfterCollection(): Promise<number> {
    // What one collection finalizes only the next one frees.
    for (let time = 0; time < 3; time++) await this.#call('HeapProfiler.collectGarbage');
    return heapSchema.parse(await this.#call('Runtime.getHeapUsage')).usedSize;
  }

  async startProfile(): Promise<void> {
    await this.#call('Profiler.enable');
    await this.#call('Profiler.setSamplingInterval', { interval: 500 });
    await this.#call('Profiler.start');
  }

  /** Writes what was seen since {@link startProfile}, for the tools that read .cpuprofile. */
  async writeProfile(file: string): Promise<void> {
    await writeFile(file, JSON.stringify(profileSchema.parse(await this.#call('Profiler.stop')).profile));
  }

  close(): void {
    this.socket.close();
  }

  #call(method: string, params: object = {}): Promise<unknown> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      this.#open.set(id, { resolve, reject });
      this.socket.send(JSON.stringify({ id, method, params }));
    });
  }
}
