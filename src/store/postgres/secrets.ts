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
/** What is sealed of a Secret: annotations too, since `kubectl apply` keeps a copy of the whole manifest in one. */
const contentSchema = z.object({ data: dataSchema.optional(), annotations: dataSchema });
type Content = z.infer<typeof contentSchema>;
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

/** Turns rows into resources, and keeps the data and annotations of Secrets as ciphertext in the rows. */
export class SecretCodec {
  constructor(
    private readonly cipher: Cipher,
    private readonly log: Logger,
  ) {}

  /** @throws StoreError Unavailable for a Secret whose data cannot be decrypted: never one without data. */
  read(row: Row): Resource {
    if (row.kind !== 'Secret') return toResource(row);
    const { encrypted, ...rest } = sealedSchema.parse(row.extra);
    if (encrypted === undefined) return toResource(row, rest);
    const { data, annotations } = this.#open(row, encrypted);
    const whole = { ...row, annotations: { ...annotations, ...row.annotations } };
    return toResource(whole, data === undefined ? rest : { ...rest, data });
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
   * The row with its data and annotations as ciphertext, bound to the uid and name. What equals that of `current` keeps its ciphertext, so
   * that the row is the same.
   */
  seal(row: WrittenRow, uid: string, current?: Row): WrittenRow {
    if (row.kind !== 'Secret') return row;
    const { data, ...rest } = row.extra;
    const { annotations } = row;
    const content: Content = { annotations, ...(data === undefined ? {} : { data: dataSchema.parse(data) }) };
    if (data === undefined && Object.keys(annotations).length === 0) return row;
    const before = sealedSchema.parse(current?.extra ?? {}).encrypted;
    const kept = current && before?.startsWith(`v1.${this.cipher.keyId}.`) && this.#holds(current, before, content);
    const encrypted = kept ? before : this.cipher.encrypt(JSON.stringify(content), context(row, uid));
    return { ...row, annotations: {}, extra: { ...rest, encrypted } };
  }

  #holds(row: Row, encrypted: string, content: Content): boolean {
    try {
      return isDeepStrictEqual(this.#open(row, encrypted), content);
    } catch {
      return false; // What cannot be read is written anew.
    }
  }

  #open(row: Row, encrypted: string): Content {
    try {
      return contentSchema.parse(JSON.parse(this.cipher.decrypt(encrypted, context(row, row.uid))));
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : 'it is damaged';
      throw new StoreError('Unavailable', `${formatKey(row)} cannot be decrypted: ${why}`, { cause });
    }
  }
}

function context(row: WrittenRow, uid: string): string {
  return `${uid}/${row.namespace}/${row.name}`;
}
