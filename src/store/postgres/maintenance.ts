import type pg from 'pg';
import type { Environment } from '../../environment.js';
import { inTurn, storeErrorOf } from './database.js';

/** How long deletions are remembered: how long a watch may be away and still go on. */
const HISTORY_MS = 60 * 60 * 1000;
/** Rows deleted in one transaction: others have their turn in between. */
const CHUNK = 1_000;

/** What has to be done now and then. */
export class Maintenance {
  constructor(
    private readonly pool: pg.Pool,
    private readonly environment: Environment,
  ) {}

  /** Deletes Events last seen before then. @returns how many. */
  async expireEvents(olderThan: Date): Promise<number> {
    return this.#inChunks(
      `DELETE FROM resources WHERE uid = ANY (ARRAY(
         SELECT uid FROM resources WHERE kind = 'Event' AND creation_timestamp < $1
           AND coalesce(extra ->> 'lastTimestamp', extra ->> 'eventTime', '') < $2 LIMIT ${CHUNK}))`,
      [olderThan.toISOString(), olderThan.toISOString()],
    );
  }

  /** Forgets deletions, and deletes what owners left. @returns the version that history now begins at. */
  async prune(olderThan = new Date(this.environment.now().getTime() - HISTORY_MS)): Promise<number> {
    // A dependent made while its owner went was not there to go with it.
    await this.#inChunks(
      `DELETE FROM resources WHERE uid = ANY (ARRAY(
         SELECT uid FROM resources AS dependent WHERE owner_uids IS NOT NULL AND deletion_timestamp IS NULL AND creation_timestamp < $1
           AND NOT EXISTS (SELECT FROM resources AS owner WHERE owner.uid = ANY (dependent.owner_uids)) LIMIT ${CHUNK}))`,
      [olderThan.toISOString()],
    );
    try {
      const { rows } = await this.pool.query<{ pruned: number }>(
        `WITH gone AS (DELETE FROM tombstones WHERE deleted_at < $1 RETURNING version)
         UPDATE plane SET pruned_version = greatest(pruned_version, (SELECT max(version) FROM gone))
         RETURNING pruned_version AS pruned`,
        [olderThan.toISOString()],
      );
      return rows[0]?.pruned ?? 0;
    } catch (error) {
      throw storeErrorOf(error);
    }
  }

  /** Resolves if the database answers. */
  async ping(): Promise<void> {
    await this.pool.query('SELECT 1').catch((error: unknown) => {
      throw storeErrorOf(error);
    });
  }

  async #inChunks(text: string, values: unknown[]): Promise<number> {
    let total = 0;
    try {
      for (;;) {
        const count = await inTurn(this.pool, true, async (client) => (await client.query(text, values)).rowCount ?? 0);
        total += count;
        if (count < CHUNK) return total;
      }
    } catch (error) {
      throw storeErrorOf(error);
    }
  }
}
