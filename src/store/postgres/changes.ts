import type pg from 'pg';
import { StoreError } from '../errors.js';
import { columns, type Row } from './rows.js';

/** A row that changed, as it stands now, or its last state if it is gone. */
export interface ChangedRow extends Row {
  /** The version of the change: the row's, or that of its deletion. */
  readonly version: number;
  readonly deleted: boolean;
}

/** What changed after a version: no change up to `upTo` is missing, and none can come later. */
export interface Changes {
  readonly rows: readonly ChangedRow[];
  readonly upTo: number;
  /** True if there may be more after `upTo` already. */
  readonly more: boolean;
}

/**
 * Reads what changed after `after`, in the order of versions, each resource once. All is of one snapshot, and versions
 * become visible in order, so what is read is whole up to its end.
 * @throws StoreError Expired if deletions after `after` are forgotten, or the database is younger than it (it was replaced).
 */
export async function readChanges(
  client: pg.ClientBase | pg.Pool,
  kinds: readonly string[],
  after: number,
  limit: number,
): Promise<Changes> {
  const { rows } = await client.query<{ current: number; pruned: number; uid: string | null } & ChangedRow>({
    name: 'changes',
    // `kind || ''`: only the index on versions fits; without statistics the planner would take the one on kinds, and read all.
    text: `WITH now AS MATERIALIZED (SELECT current_version() AS current, pruned_version AS pruned FROM plane)
      SELECT now.*, change.* FROM now LEFT JOIN (
        (SELECT r.resource_version AS version, false AS deleted, ${columns('r')} FROM resources AS r
          WHERE r.resource_version > $2 AND r.kind || '' = ANY ($1) ORDER BY r.resource_version LIMIT $3)
        UNION ALL
        (SELECT t.version, true, ${columns('r')} FROM tombstones AS t, jsonb_populate_record(NULL::resources, t.last) AS r
          WHERE t.version > $2 AND t.kind = ANY ($1) ORDER BY t.version LIMIT $3)
        ORDER BY version LIMIT $3
      ) AS change ON true ORDER BY version`,
    values: [kinds, after, limit],
  });
  const [first] = rows;
  if (!first) throw new StoreError('Unavailable', 'the table plane is empty: the database is not whole');
  const { current, pruned } = first;
  if (after < pruned) throw new StoreError('Expired', `version ${after} is too old: history begins at ${pruned}; list again`);
  if (after > current)
    throw new StoreError('Expired', `version ${after} is not of this database, which is at ${current}; list again`);
  const changed = first.uid === null ? [] : rows;
  const more = changed.length === limit;
  return { rows: changed, upTo: more ? (changed.at(-1)?.version ?? after) : current, more };
}
