import { createReadStream } from 'node:fs';
import { type FileHandle, open, rename } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { SimulatorPersistence } from './persistence.js';

const lineSchema = z.tuple([z.string(), z.unknown()]).or(z.tuple([z.string()]));

/**
 * Keeps a simulated cloud in one file: a JSON array per line, `[key, document]`, or `[key]` for one that was removed. Lines are
 * only ever added while it runs; at the next start the file is written anew without those that no longer count.
 */
export class FilePersistence implements SimulatorPersistence {
  #file: FileHandle | undefined;

  /** @param path the file; made if it is not there. Its folder must be. */
  constructor(private readonly path: string) {}

  /** @throws Error that names the first line that is not ours. A last line that was cut off by a crash is left out. */
  async load(): Promise<Iterable<readonly [key: string, document: unknown]>> {
    const documents = await this.#read();
    const fresh = `${this.path}.new`;
    const file = await open(fresh, 'w', 0o600);
    try {
      await file.writeFile(textOf(documents));
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(fresh, this.path);
    this.#file = await open(this.path, 'a');
    return documents;
  }

  async save(changes: ReadonlyMap<string, unknown>): Promise<void> {
    if (this.#file === undefined) throw new Error(`${this.path} is not open; load it first`);
    await this.#file.appendFile(textOf(changes));
  }

  /** Frees the file. */
  async close(): Promise<void> {
    await this.#file?.close();
    this.#file = undefined;
  }

  async #read(): Promise<Map<string, unknown>> {
    const documents = new Map<string, unknown>();
    let number = 0;
    let broken: number | undefined;
    for await (const line of linesOf(this.path)) {
      number += 1;
      if (broken !== undefined) throw corrupt(this.path, broken);
      const parsed = lineSchema.safeParse(parse(line));
      if (!parsed.success) broken = number;
      else if (parsed.data.length === 1) documents.delete(parsed.data[0]);
      else documents.set(parsed.data[0], parsed.data[1]);
    }
    if (broken === 1) throw corrupt(this.path, broken);
    return documents;
  }
}

function corrupt(path: string, line: number): Error {
  return new Error(`${path}: line ${line} is not part of a simulated cloud; remove the file to begin with an empty one`);
}

function textOf(changes: ReadonlyMap<string, unknown>): string {
  const lines = Array.from(changes, ([key, document]) => JSON.stringify(document === undefined ? [key] : [key, document]));
  return lines.map((line) => `${line}\n`).join('');
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

async function* linesOf(path: string): AsyncGenerator<string> {
  const probe = await open(path, 'a+', 0o600);
  await probe.close();
  yield* createInterface({ input: createReadStream(path, 'utf8'), crlfDelay: Number.POSITIVE_INFINITY });
}
