import type pg from 'pg';
import { formatKey, type ResourceKey } from '../../resources/metadata.js';
import { isStoreError, StoreError } from '../errors.js';
import type { DeleteOptions } from '../store.js';
import { readRows } from './read.js';
import { COLUMNS, columns, type Row, type WrittenRow } from './rows.js';
import type { SecretCodec } from './secrets.js';

/** What a write expects to find. Absent parts expect nothing. */
export interface Precondition {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

/** One write. */
export type Write =
  | { readonly type: 'create'; readonly row: WrittenRow; readonly uid: string }
  | { readonly type: 'update'; readonly row: WrittenRow; readonly expected: Precondition }
  | { readonly type: 'status'; readonly key: ResourceKey; readonly status: unknown; readonly expected: Precondition }
  | { readonly type: 'delete'; readonly key: ResourceKey; readonly options: DeleteOptions };

/** What came of one write: the row as it stands after it, or why it was not done. */
export type Outcome = Row | StoreError;

/** The resource that a write is about. */
export function keyOfWrite(write: Write): ResourceKey {
  return 'row' in write ? write.row : write.key;
}

type Of<Type extends Write['type']> = Extract<Write, { type: Type }>;
type Outcomes = Map<string, Outcome>;

/**
 * Does many writes, each about another resource, in a few statements. To be called in a transaction that has its turn: what
 * is read here cannot change before the end. What does not apply is not done, and found out why; others are not harmed.
 * @returns one outcome per write, in their order.
 * @throws what the database says if a row is one that it refuses: then none was done.
 */
export async function writeBatch(client: pg.ClientBase, secrets: SecretCodec, writes: readonly Write[]): Promise<Outcome[]> {
  const outcomes: Outcomes = new Map();
  const of = <Type extends Write['type']>(type: Type) => writes.filter((write): write is Of<Type> => write.type === type);
  const [creates, updates, statuses, deletes] = [of('create'), of('update'), of('status'), of('delete')];
  if (creates.length > 0) await create(client, secrets, creates, outcomes);
  if (updates.length > 0) await update(client, secrets, updates, outcomes);
  if (statuses.length > 0) await updateStatus(client, statuses, outcomes);
  if (deletes.length > 0) await remove(client, deletes, outcomes);
  return writes.map((write) => {
    const key = formatKey(keyOfWrite(write));
    return outcomes.get(key) ?? new StoreError('Unavailable', `${key}: the write had no outcome`);
  });
}

const ROW_TYPE = `kind text, namespace text, name text, labels jsonb, annotations jsonb, finalizers text[],
  owner_references jsonb, other_metadata jsonb, spec jsonb, status jsonb, extra jsonb`;
const RETURNED = columns('r');
const SAME_KEY = 'r.kind = i.kind AND r.namespace = i.namespace AND r.name = i.name';
const AS_EXPECTED = '(i.uid IS NULL OR i.uid = r.uid) AND (i.version IS NULL OR i.version = r.resource_version::text)';

/**
 * Does writes of one type, where that takes one statement, as a transaction that takes its turn by itself: a quarter of the way of
 * {@link writeBatch}. What each write expects stands in the statement, so it can do without a turn of the whole.
 * @returns one outcome per write, in their order; undefined for what was not done: only one who has the turn can say why.
 * @throws what the database says if a row is one that it refuses: then none was done.
 */
export async function writeAtOnce(
  client: pg.ClientBase,
  secrets: SecretCodec,
  writes: readonly Write[],
): Promise<(Row | undefined)[]> {
  const written = await rowsAtOnce(client, secrets, writes);
  const byKey = new Map(written.map((row) => [formatKey(row), row]));
  return writes.map((write) => byKey.get(formatKey(keyOfWrite(write))));
}

async function rowsAtOnce(client: pg.ClientBase, secrets: SecretCodec, writes: readonly Write[]): Promise<Row[]> {
  if (writes.every((write) => write.type === 'create')) return createdRows(client, secrets, writes);
  if (writes.every((write) => write.type === 'status')) return statusRows(client, writes);
  // A Secret is read before it is written.
  if (writes.every((write) => write.type === 'update' && write.row.kind !== 'Secret'))
    return updatedRows(client, writes.filter((write) => write.type === 'update').map(rowToUpdate));
  return [];
}

async function createdRows(client: pg.ClientBase, secrets: SecretCodec, writes: readonly Of<'create'>[]): Promise<Row[]> {
  const rows = writes.map(({ row, uid }) => ({ ...secrets.seal(row, uid), uid }));
  const { rows: made } = await client.query<Row>({
    name: 'create at once',
    text: `INSERT INTO resources AS r (uid, ${WRITTEN.join(', ')})
      SELECT uid, ${WRITTEN.join(', ')} FROM jsonb_to_recordset($1) AS i(uid text, ${ROW_TYPE})
      WHERE i.namespace = '' OR EXISTS (SELECT FROM resources AS n WHERE n.kind = 'Namespace' AND n.namespace = ''
        AND n.name = i.namespace AND n.deletion_timestamp IS NULL)
      ON CONFLICT (kind, namespace, name) DO NOTHING RETURNING ${RETURNED}`,
    values: [JSON.stringify(rows)],
  });
  return made;
}

async function create(client: pg.ClientBase, secrets: SecretCodec, writes: readonly Of<'create'>[], outcomes: Outcomes) {
  const namespaces = await readNamespaces(client, writes);
  const rows: unknown[] = [];
  for (const { row, uid } of writes) {
    const terminating = namespaces.get(row.namespace);
    const key = formatKey(row);
    if (row.namespace !== '' && terminating === undefined) {
      outcomes.set(key, new StoreError('NotFound', `namespace ${row.namespace} of ${key} is not there: create it first`));
    } else if (terminating) {
      const text = `namespace ${row.namespace} is being deleted: ${key} cannot be created in it`;
      outcomes.set(key, new StoreError('Forbidden', text));
    } else {
      outcomes.set(key, new StoreError('AlreadyExists', `${key} already exists`));
      rows.push({ ...secrets.seal(row, uid), uid });
    }
  }
  const { rows: made } = await client.query<Row>({
    name: 'create',
    text: `INSERT INTO resources AS r (uid, ${WRITTEN.join(', ')})
      SELECT uid, ${WRITTEN.join(', ')} FROM jsonb_to_recordset($1) AS i(uid text, ${ROW_TYPE})
      ON CONFLICT (kind, namespace, name) DO NOTHING RETURNING ${RETURNED}`,
    values: [JSON.stringify(rows)],
  });
  for (const row of made) outcomes.set(formatKey(row), row);
  // One that bears the uid which was meant for it was made before, but the answer was lost.
  const there = writes.filter(({ row }) => isStoreError(outcomes.get(formatKey(row)), 'AlreadyExists'));
  const standing =
    there.length > 0
      ? await readRows(
          client,
          there.map(({ row }) => row),
        )
      : new Map<string, Row>();
  for (const { row, uid } of there) {
    const own = standing.get(formatKey(row));
    if (own?.uid === uid) outcomes.set(formatKey(row), own);
  }
}

const WRITTEN = COLUMNS.filter((column) => !/^uid$|^generation$|_version$|_timestamp$/.test(column));

/** Whether each namespace that is there is terminating. */
async function readNamespaces(client: pg.ClientBase, writes: readonly Of<'create'>[]): Promise<Map<string, boolean>> {
  const names = [...new Set(writes.map(({ row }) => row.namespace))];
  const { rows } = await client.query<{ name: string; terminating: boolean }>({
    name: 'namespaces',
    text: `SELECT name, deletion_timestamp IS NOT NULL AS terminating FROM resources
      WHERE kind = 'Namespace' AND namespace = '' AND name = ANY ($1)`,
    values: [names],
  });
  return new Map(rows.map(({ name, terminating }) => [name, terminating]));
}

async function update(client: pg.ClientBase, secrets: SecretCodec, writes: readonly Of<'update'>[], outcomes: Outcomes) {
  const secretRows = writes.map(({ row }) => row).filter(({ kind }) => kind === 'Secret');
  const current = secretRows.length > 0 ? await readRows(client, secretRows) : new Map<string, Row>();
  const rows = writes.flatMap(({ row, expected }) => {
    const before = current.get(formatKey(row));
    if (row.kind === 'Secret' && !before) return []; // Without a uid there is nothing to bind the ciphertext to.
    return rowToUpdate({ row: before ? secrets.seal(row, before.uid, before) : row, expected });
  });
  await settle(client, writes, await updatedRows(client, rows), outcomes);
}

function rowToUpdate({ row, expected }: { readonly row: object; readonly expected: Precondition }): object {
  return { ...row, uid: expected.uid, version: expected.resourceVersion };
}

async function updatedRows(client: pg.ClientBase, rows: readonly object[]): Promise<Row[]> {
  const { rows: written } = await client.query<Row>({
    name: 'update',
    text: `UPDATE resources AS r SET labels = i.labels, annotations = i.annotations, finalizers = i.finalizers,
        owner_references = i.owner_references, other_metadata = i.other_metadata, spec = i.spec, extra = i.extra,
        status = coalesce(i.status, r.status)
      FROM jsonb_to_recordset($1) AS i(uid text, version text, ${ROW_TYPE})
      WHERE ${SAME_KEY} AND ${AS_EXPECTED} AND (r.deletion_timestamp IS NULL OR i.finalizers <@ r.finalizers)
      RETURNING ${RETURNED}`,
    values: [JSON.stringify(rows)],
  });
  return written;
}

async function updateStatus(client: pg.ClientBase, writes: readonly Of<'status'>[], outcomes: Outcomes) {
  await settle(client, writes, await statusRows(client, writes), outcomes);
}

async function statusRows(client: pg.ClientBase, writes: readonly Of<'status'>[]): Promise<Row[]> {
  const rows = writes.map(({ key: { kind, namespace, name }, status, expected }) => {
    return { kind, namespace, name, status, uid: expected.uid, version: expected.resourceVersion };
  });
  const { rows: written } = await client.query<Row>({
    name: 'status',
    text: `UPDATE resources AS r SET status = i.status
      FROM jsonb_to_recordset($1) AS i(uid text, version text, kind text, namespace text, name text, status jsonb)
      WHERE ${SAME_KEY} AND ${AS_EXPECTED} RETURNING ${RETURNED}`,
    values: [JSON.stringify(rows)],
  });
  return written;
}

/** Rows that were not written are as they were asked to be, or not what was expected. */
async function settle(
  client: pg.ClientBase,
  writes: readonly (Of<'update'> | Of<'status'>)[],
  written: readonly Row[],
  outcomes: Outcomes,
): Promise<void> {
  for (const row of written) outcomes.set(formatKey(row), row);
  const open = writes.filter((write) => !outcomes.has(formatKey(keyOfWrite(write))));
  if (open.length === 0) return;
  const rows = await readRows(client, open.map(keyOfWrite));
  for (const write of open) {
    const key = formatKey(keyOfWrite(write));
    const row = rows.get(key);
    outcomes.set(key, violated(key, row, write.expected) ?? row ?? notFound(key));
    if (!row?.deletion_timestamp || write.type !== 'update') continue;
    const added = write.row.finalizers.filter((each) => !row.finalizers.includes(each));
    if (added.length === 0 || outcomes.get(key) !== row) continue;
    outcomes.set(key, new StoreError('Forbidden', `${key} is being deleted: the finalizer ${added.join(', ')} cannot be added`));
  }
}

async function remove(client: pg.ClientBase, writes: readonly Of<'delete'>[], outcomes: Outcomes) {
  const rows = await readRows(
    client,
    writes.map(({ key }) => key),
  );
  const uids = { Background: [] as string[], Foreground: [] as string[], Orphan: [] as string[] };
  for (const { key: resource, options } of writes) {
    const key = formatKey(resource);
    const row = rows.get(key);
    const outcome = violated(key, row, options) ?? row ?? notFound(key);
    outcomes.set(key, outcome);
    if (outcome === row && !row.deletion_timestamp) uids[options.propagation ?? 'Background'].push(row.uid);
  }
  if (uids.Foreground.length > 0) {
    await client.query('SELECT delete_in_foreground(uid) FROM unnest($1::text[]) AS uid', [uids.Foreground]);
  }
  if (uids.Orphan.length > 0) {
    await client.query('SELECT orphan_dependents(uid) FROM unnest($1::text[]) AS uid', [uids.Orphan]);
  }
  const asked = [...uids.Background, ...uids.Orphan];
  if (asked.length > 0)
    await client.query({ name: 'delete', text: 'DELETE FROM resources WHERE uid = ANY ($1)', values: [asked] });
  // What is still there waits for finalizers; of the rest, what was read is the last state.
  const { rows: left } = await client.query<Row>({
    name: 'left',
    text: `SELECT ${RETURNED} FROM resources AS r WHERE uid = ANY ($1)`,
    values: [[...asked, ...uids.Foreground]],
  });
  for (const row of left) outcomes.set(formatKey(row), row);
}

function violated(key: string, row: Row | undefined, { uid, resourceVersion }: Precondition): StoreError | undefined {
  if (!row) return undefined;
  if (uid !== undefined && uid !== row.uid) return new StoreError('Conflict', `${key} has the uid ${row.uid}, not ${uid}`);
  if (resourceVersion === undefined || resourceVersion === String(row.resource_version)) return undefined;
  return new StoreError('Conflict', `${key} is at version ${row.resource_version}, not ${resourceVersion}`);
}

function notFound(key: string): StoreError {
  return new StoreError('NotFound', `${key} is not there`);
}
