import type pg from 'pg';
import { storeErrorOf } from './database.js';

/** One JSON document for each simulated cloud. */
export class SimulatorStates {
  constructor(private readonly pool: pg.Pool) {}

  /** The document of a cloud, or undefined if none was put. */
  async get(cloud: string): Promise<unknown> {
    const { rows } = await this.#query('SELECT state FROM simulator_states WHERE cloud = $1', [cloud]);
    return rows[0]?.state;
  }

  /** Replaces the document of a cloud. `state` is anything that JSON can say but null. */
  async put(cloud: string, state: unknown): Promise<void> {
    await this.#query(
      'INSERT INTO simulator_states (cloud, state) VALUES ($1, $2) ON CONFLICT (cloud) DO UPDATE SET state = excluded.state',
      [cloud, JSON.stringify(state)],
    );
  }

  async #query(text: string, values: unknown[]): Promise<pg.QueryResult<{ state: unknown }>> {
    return this.pool.query<{ state: unknown }>(text, values).catch((error: unknown) => {
      throw storeErrorOf(error);
    });
  }
}
