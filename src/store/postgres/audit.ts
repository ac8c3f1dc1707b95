import type pg from 'pg';
import type { AuditEntry, AuditStore } from '../audit.js';
import { storeErrorOf } from './database.js';

/** Rows read at a time. */
const PAGE = 500;
const COLUMNS = 'user_name, verb, api_group, resource, namespace, name, code, request_id, address';
/** The time as text: connections differ in what they make of it. */
const AT = `to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;

interface Row {
  readonly id: string;
  readonly at: string;
  readonly user_name: string;
  readonly verb: string;
  readonly api_group: string;
  readonly resource: string;
  readonly namespace: string;
  readonly name: string;
  readonly code: number;
  readonly request_id: string;
  readonly address: string;
}

/** The table `audit`. */
export class PostgresAudit implements AuditStore {
  constructor(private readonly database: pg.Pool | pg.Client) {}

  async append(entries: readonly AuditEntry[]): Promise<void> {
    const column = <Value>(read: (entry: AuditEntry) => Value) => entries.map(read);
    await this.#query(
      `INSERT INTO audit (id, at, ${COLUMNS})
       SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
         $9::integer[], $10::text[], $11::text[]) ON CONFLICT (id) DO NOTHING`,
      [
        column(({ id }) => id),
        column(({ at }) => at.toISOString()),
        column(({ user }) => user),
        column(({ verb }) => verb),
        column(({ group }) => group),
        column(({ resource }) => resource),
        column(({ namespace }) => namespace),
        column(({ name }) => name),
        column(({ code }) => code),
        column(({ requestId }) => requestId),
        column(({ address }) => address),
      ],
    );
  }

  async *list({ since = new Date(0), user }: { readonly since?: Date; readonly user?: string }): AsyncIterable<AuditEntry> {
    let from: [at: string, id: string] = [since.toISOString(), '00000000-0000-0000-0000-000000000000'];
    for (;;) {
      const rows = await this.#query(
        `SELECT id, ${AT} AS at, ${COLUMNS} FROM audit
         WHERE (at, id) > ($1::timestamptz, $2::uuid) AND ($3::text IS NULL OR user_name = $3) ORDER BY audit.at, id LIMIT ${PAGE}`,
        [...from, user ?? null],
      );
      yield* rows.map(entryOf);
      const last = rows.at(-1);
      if (!last || rows.length < PAGE) return;
      from = [last.at, last.id];
    }
  }

  async #query(text: string, values: unknown[]): Promise<Row[]> {
    try {
      return (await this.database.query<Row>(text, values)).rows;
    } catch (error) {
      throw storeErrorOf(error);
    }
  }
}

function entryOf({ at, user_name: user, api_group: group, request_id: requestId, ...same }: Row): AuditEntry {
  return { ...same, at: new Date(at), user, group, requestId };
}
