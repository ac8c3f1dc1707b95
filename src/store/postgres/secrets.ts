import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { z } from 'zod';
import { formatKey, type Resource } from '../../resources/metadata.js';
import type { Cipher } from '../encryption.js';
import { StoreError } from '../errors.js';
import { messageOf } from './connection.js';
import { type Row, toResource, type WrittenRow } from './rows.js';

const dataSchema = z.record(z.string(), z.string());
type Data = z.infer<typeof dataSchema>;
const sealedSchema = z.looseObject({ encrypted: z.string().optional() });
const openSchema = z.looseObject({ data: dataSchema.nullish(), stringData: dataSchema.nullish() });

/**
 * A Secret's row with `stringData` merged into `data`; other rows as they are.
 * @throws StoreError Invalid if data or stringData is not an object of strings.
 */
export function mergeStringData(row: WrittenRow): WrittenRow {
  if (row.kind !== 'Secret') return row;
  const parsed = openSchema.safeParse(row.extra);
  if (!parsed.success) throw new StoreError('Invalid', `${formatKey(row)}: data and stringData must be objects of strings`);
  const { data, stringData, encrypted: _reserved, ...rest } = parsed.data;
  const encoded = Object.entries(stringData ?? {}).map(([key, text]) => [key, Buffer.from(text).toString('base64')]);
  const merged: Data = { ...data, ...Object.fromEntries(encoded) };
  return { ...row, extra: Object.keys(merged).length === 0 ? rest : { ...rest, data: merged } };
}

/** Turns rows into resources, and keeps the data of Secrets as ciphertext in the rows. */
export class SecretCodec {
  constructor(
    private readonly cipher: Cipher,
    private readonly log: Logger,
  ) {}

  /** @throws StoreError Unavailable for a Secret whose data cannot be decrypted: never one without data. */
  read(row: Row): Resource {
    if (row.kind !== 'Secret') return toResource(row);
    const { encrypted, ...rest } = sealedSchema.parse(row.extra);
    return toResource(row, encrypted === undefined ? rest : { ...rest, data: this.#open(row, encrypted) });
  }

  /** As {@link read}, but a Secret that cannot be decrypted comes without data, and is logged: it must not hide the others. */
  readAnyway(row: Row): Resource {
    try {
      return this.read(row);
    } catch (error) {
      this.log.error({ error: messageOf(error), key: formatKey(row) }, 'a Secret is told without its data');
      const { encrypted: _unreadable, ...rest } = row.extra;
      return toResource(row, rest);
    }
  }

  /**
   * The row with its data as ciphertext, bound to the uid and name. Data equal to what stands in `current` keeps its
   * ciphertext, so that the row is the same.
   */
  seal(row: WrittenRow, uid: string, current?: Row): WrittenRow {
    if (row.kind !== 'Secret') return row;
    const { data, ...rest } = row.extra;
    if (data === undefined) return row;
    const before = sealedSchema.parse(current?.extra ?? {}).encrypted;
    const kept = current && before?.startsWith(`v1.${this.cipher.keyId}.`) && this.#holds(current, before, data);
    return {
      ...row,
      extra: { ...rest, encrypted: kept ? before : this.cipher.encrypt(JSON.stringify(data), context(row, uid)) },
    };
  }

  #holds(row: Row, encrypted: string, data: unknown): boolean {
    try {
      return isDeepStrictEqual(this.#open(row, encrypted), data);
    } catch {
      return false; // What cannot be read is written anew.
    }
  }

  #open(row: Row, encrypted: string): Data {
    try {
      return dataSchema.parse(JSON.parse(this.cipher.decrypt(encrypted, context(row, row.uid))));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'it is damaged';
      throw new StoreError('Unavailable', `${formatKey(row)} cannot be decrypted: ${why}`, { cause });
    }
  }
}

function context(row: WrittenRow, uid: string): string {
  return `${uid}/${row.namespace}/${row.name}`;
}
