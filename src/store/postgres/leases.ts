import type pg from 'pg';
import { StoreError } from '../errors.js';
import type { Lease, LeaseStore } from '../store.js';
import { storeErrorOf } from './database.js';

/** Leases in the table `leases`, by the clock of the database. */
export class PostgresLeases implements LeaseStore {
  constructor(private readonly pool: pg.Pool) {}

  async acquire(name: string, holder: string, durationMs: number): Promise<Lease> {
    // One statement, which waits for the row: of many who ask at once, each sees what the one before it left.
    const { rows } = await this.#query<Lease>(
      `INSERT INTO leases AS held (name, holder, transitions, expires_at)
       VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
       ON CONFLICT (name) DO UPDATE SET (holder, transitions, expires_at) = (
         SELECT * FROM (SELECT held.holder, held.transitions, held.expires_at
             WHERE held.holder <> excluded.holder AND held.expires_at > clock_timestamp()
           UNION ALL SELECT excluded.holder, held.transitions + (held.holder <> excluded.holder)::int,
             clock_timestamp() + $3 * interval '1 millisecond') AS choice LIMIT 1)
       RETURNING name, holder, transitions`,
      [name, holder, durationMs],
    );
    const [lease] = rows;
    if (!lease) throw new StoreError('Unavailable', `lease ${name}: the database answered nothing`);
    return lease;
  }

  async release(name: string, holder: string): Promise<void> {
    // The row stays: the number must never fall.
    await this.#query(`UPDATE leases SET holder = '', expires_at = '-infinity' WHERE name = $1 AND holder = $2`, [name, holder]);
  }

  async #query<Row extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<pg.QueryResult<Row>> {
    return this.pool.query<Row>(text, values).catch((error: unknown) => {
      throw storeErrorOf(error);
    });
  }
}
