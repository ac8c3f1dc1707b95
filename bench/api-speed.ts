import { z } from 'zod';
import { Api } from './api.js';
import { until } from './processes.js';

/** A kind of request, and how many of them are one slice: few, so that two servers can take turns, and share what else goes on. */
export const SLICES = {
  'creates/s, 16 connections': 250,
  'creates/s, 1 connection': 100,
  'gets/s, 16 connections': 500,
  'gets/s, 1 connection': 200,
  'list of 2,000': 1,
  'watch latency': 50,
} as const;

const LISTED = 2_000;
const listSchema = z.object({ metadata: z.object({ resourceVersion: z.string() }) });

/** One server and what was made on it. */
export class Contender {
  readonly #many: Api;
  readonly #one: Api;
  /** Machines made so far in each namespace. */
  readonly #made = { many: 0, one: 0, watched: 0 };

  private constructor(kubeconfig: string) {
    this.#many = Api.to(kubeconfig, 16);
    this.#one = Api.to(kubeconfig, 1);
  }

  /** Makes what is read later. Close it. */
  static async on(kubeconfig: string): Promise<Contender> {
    const contender = new Contender(kubeconfig);
    for (const name of ['many', 'one', 'listed', 'watched']) {
      await contender.#one.create('/api/v1/namespaces', { apiVersion: 'v1', kind: 'Namespace', metadata: { name } });
    }
    await perSecond(LISTED, 16, (index) => contender.#many.create(machinesOf('listed'), machine(index)));
    return contender;
  }

  /** Does one slice. @returns rates a second; milliseconds of a list; or the milliseconds of each write. */
  async slice(name: keyof typeof SLICES): Promise<number[]> {
    const count = SLICES[name];
    switch (name) {
      case 'creates/s, 16 connections':
        return [await this.#creates(this.#many, 'many', count, 16)];
      case 'creates/s, 1 connection':
        return [await this.#creates(this.#one, 'one', count, 1)];
      case 'gets/s, 16 connections':
        return [await this.#gets(this.#many, count, 16)];
      case 'gets/s, 1 connection':
        return [await this.#gets(this.#one, count, 1)];
      case 'list of 2,000': {
        const began = performance.now();
        await this.#one.read(machinesOf('listed'));
        return [performance.now() - began];
      }
      case 'watch latency':
        return this.#watch(count);
    }
  }

  async close(): Promise<void> {
    await this.#many.close();
    await this.#one.close();
  }

  #creates(api: Api, namespace: 'many' | 'one', count: number, atOnce: number): Promise<number> {
    const first = this.#made[namespace];
    this.#made[namespace] += count;
    return perSecond(count, atOnce, (index) => api.create(machinesOf(namespace), machine(first + index)));
  }

  #gets(api: Api, count: number, atOnce: number): Promise<number> {
    return perSecond(count, atOnce, (index) => api.get(`${machinesOf('listed')}/machine-${index}`));
  }

  /** From the answer to a write until a watcher has it, in turn with from its request: one write after another, by another connection. */
  async #watch(count: number): Promise<number[]> {
    const seen = new Map<string, number>();
    const stop = new AbortController();
    const path = machinesOf('watched');
    const list = listSchema.parse(JSON.parse(await this.#one.read(`${path}?limit=1`)));
    const from = `resourceVersion=${list.metadata.resourceVersion}`;
    await this.#many.watch(`${path}?watch=true&${from}`, stop.signal, (line) => {
      const at = performance.now();
      const name = /"name":"(machine-\d+)"/.exec(line)?.[1];
      if (name !== undefined) seen.set(name, at);
    });
    const times: number[] = [];
    for (let index = 0; index < count; index++) {
      const number = this.#made.watched++;
      const asked = performance.now();
      await this.#one.create(path, machine(number));
      const answered = performance.now();
      const at = await until('the watcher', async () => seen.get(`machine-${number}`), 10_000, 1);
      // A watcher may have it before who wrote it has the answer.
      times.push(Math.max(0, at - answered), at - asked);
    }
    stop.abort();
    return times;
  }
}

function machinesOf(namespace: string): string {
  return `/apis/dispatcher.dev/v1alpha1/namespaces/${namespace}/virtualmachines`;
}

/** Paused, and in no Cloud that there is: with reconcilers, all they do is to say so. */
function machine(index: number): object {
  return {
    apiVersion: 'dispatcher.dev/v1alpha1',
    kind: 'VirtualMachine',
    metadata: { name: `machine-${index}`, labels: { role: 'web' } },
    spec: {
      cloudRef: { name: 'lab' },
      image: 'cirros-fake',
      flavor: 'm1.tiny',
      networks: [{ name: 'demo-net' }],
      metadata: { role: 'web' },
      paused: true,
    },
  };
}

/** Does something `count` times, `atOnce` at a time. */
async function perSecond(count: number, atOnce: number, work: (index: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const worker = async () => {
    for (let index = next++; index < count; index = next++) await work(index);
  };
  const began = performance.now();
  await Promise.all(Array.from({ length: atOnce }, worker));
  return count / ((performance.now() - began) / 1000);
}
