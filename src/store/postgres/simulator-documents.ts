import type pg from 'pg';
import { storeErrorOf } from './database.js';

/** What the built-in simulator keeps: JSON documents, each under a key. Fits its `SimulatorPersistence`. */
export class SimulatorDocuments {
  constructor(private readonly pool: pg.Pool) {}

  /** Every document, in any order. @throws StoreError. */
  async load(): Promise<Iterable<readonly [key: string, document: unknown]>> {
    const { rows } = await this.#query<{ key: string; document: unknown }>('SELECT key, document FROM simulator_documents', []);
    return rows.map(({ key, document }) => [key, document]);
  }

  /** Keeps the documents in place of what was under their keys, and removes those that are undefined. All or none. @throws StoreError. */
  async save(changes: ReadonlyMap<string, unknown>): Promise<void> {
    const gone = [...changes.keys()].filter((key) => changes.get(key) === undefined);
    const kept = [...changes.keys()].filter((key) => changes.get(key) !== undefined);
    await this.#query(
      `WITH gone AS (DELETE FROM simulator_documents WHERE key = ANY ($1::text[]))
       INSERT INTO simulator_documents (key, document) SELECT * FROM unnest($2::text[], $3::jsonb[])
       ON CONFLICT (key) DO UPDATE SET document = excluded.document`,
      [gone, kept, kept.map((key) => JSON.stringify(changes.get(key)))],
    );
  }

  async #query<Row extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<pg.QueryResult<Row>> {
    return this.pool.query<Row>(text, values).catch((error: unknown) => {
      throw storeErrorOf(error);
    });
  }
}
