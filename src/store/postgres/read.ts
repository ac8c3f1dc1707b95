import type pg from 'pg';
import { z } from 'zod';
import { formatKey, type ResourceKey } from '../../resources/metadata.js';
import { StoreError } from '../errors.js';
import type { LabelRequirement, Selection } from '../store.js';
import { columns, type Row } from './rows.js';

/** One page as rows. */
export interface Page {
  readonly rows: readonly Row[];
  /** Of the snapshot that the first page was read from. */
  readonly version: number;
  readonly continue?: string;
  readonly remaining?: number;
}

/** The row of a resource as it stands now. */
export async function readRow(pool: pg.Pool, { kind, namespace, name }: ResourceKey): Promise<Row | undefined> {
  const { rows } = await pool.query<Row>({
    name: 'get',
    text: `SELECT ${columns('r')} FROM resources AS r WHERE kind = $1 AND namespace = $2 AND name = $3`,
    values: [kind, namespace, name],
  });
  return rows[0];
}

/** The rows of many resources as they stand now, by {@link formatKey}. */
export async function readRows(client: pg.ClientBase | pg.Pool, keys: readonly ResourceKey[]): Promise<Map<string, Row>> {
  const { rows } = await client.query<Row>({
    name: 'read',
    text: `SELECT ${columns('r')} FROM resources AS r
      JOIN unnest($1::text[], $2::text[], $3::text[]) AS i(kind, namespace, name)
      ON r.kind = i.kind AND r.namespace = i.namespace AND r.name = i.name`,
    values: [keys.map(({ kind }) => kind), keys.map(({ namespace }) => namespace), keys.map(({ name }) => name)],
  });
  return new Map(rows.map((row) => [formatKey(row), row]));
}

/** Where the next page of a list begins: behind which resource, of which kind, and the version of the first page. */
const continueSchema = z.tuple([z.string(), z.int().nonnegative(), z.string(), z.string()]);

/**
 * One page of a kind, ordered by namespace and name, and the version of its snapshot: in one statement, so that a watch
 * from that version misses nothing that is not in it.
 * @throws StoreError Expired or Invalid for the `continue` given.
 */
export async function readPage(
  pool: pg.Pool,
  kind: string,
  { namespace, labels = [] }: Selection,
  limit: number | undefined,
  token: string | undefined,
): Promise<Page> {
  const values: unknown[] = [kind];
  const parameter = (value: unknown) => `$${values.push(value)}`;
  const chosen = ['r.kind = $1', ...labels.map((requirement) => labelCondition(requirement, parameter))];
  if (namespace !== undefined) chosen.push(`r.namespace = ${parameter(namespace)}`);
  const start = token === undefined ? undefined : readContinue(token, kind);
  if (start) chosen.push(`(r.namespace, r.name) > (${parameter(start.namespace)}, ${parameter(start.name)})`);
  const where = chosen.join(' AND ');
  const counted =
    limit === undefined || labels.length > 0 ? 'NULL::bigint' : `(SELECT count(*) FROM resources AS r WHERE ${where})`;
  const { rows } = await pool.query<
    { current: number; pruned: number; total: number | null } & { [Column in keyof Row]: Row[Column] }
  >(
    `WITH now AS MATERIALIZED (SELECT current_version() AS current, pruned_version AS pruned, ${counted} AS total FROM plane)
     SELECT now.*, page.* FROM now LEFT JOIN (
       SELECT ${columns('r')} FROM resources AS r WHERE ${where}
       ORDER BY r.namespace, r.name ${limit === undefined ? '' : `LIMIT ${parameter(limit + 1)}`}
     ) AS page ON true ORDER BY page.namespace, page.name`,
    values,
  );
  const [first] = rows;
  if (!first) throw new StoreError('Unavailable', 'the table plane is empty: the database is not whole');
  const version = start?.version ?? first.current;
  if (version < first.pruned) {
    throw new StoreError('Expired', `this list of ${kind} is too old to be continued: begin it anew`);
  }
  const found = first.uid === null ? [] : rows;
  const page = limit === undefined ? found : found.slice(0, limit);
  const last = page.at(-1);
  if (!last || page.length === found.length) return { rows: page, version };
  const next: z.infer<typeof continueSchema> = [kind, version, last.namespace, last.name];
  return {
    rows: page,
    version,
    continue: Buffer.from(JSON.stringify(next)).toString('base64url'),
    ...(first.total !== null && { remaining: first.total - page.length }),
  };
}

function readContinue(token: string, kind: string): { version: number; namespace: string; name: string } {
  try {
    const [of, version, namespace, name] = continueSchema.parse(JSON.parse(Buffer.from(token, 'base64url').toString('utf8')));
    if (of === kind) return { version, namespace, name };
  } catch {
    // Said below, for both.
  }
  throw new StoreError('Invalid', `continue ${JSON.stringify(token.slice(0, 64))} was not given by a list of ${kind}`);
}

function labelCondition({ key, operator, values }: LabelRequirement, parameter: (value: unknown) => string): string {
  const label = `r.labels ->> ${parameter(key)}`;
  switch (operator) {
    case 'In':
      return `${label} = ANY (${parameter(values)})`;
    case 'NotIn':
      return `(${label} = ANY (${parameter(values)})) IS NOT TRUE`;
    case 'Exists':
      return `${label} IS NOT NULL`;
    case 'DoesNotExist':
      return `${label} IS NULL`;
  }
}
