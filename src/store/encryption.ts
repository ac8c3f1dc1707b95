import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

/** Keeps what must not be read in a database, a backup or a replica. */
export interface Cipher {
  /** The id of the key that `encrypt` uses. */
  readonly keyId: string;
  /** The ids of all keys that `decrypt` knows. */
  readonly keyIds: readonly string[];
  /**
   * @param context what the text belongs to; `decrypt` MUST be given the same. Not secret, not kept.
   * @returns an envelope of printable ASCII: version, key id, and nonce, ciphertext and tag as base64url. Never twice the same.
   */
  encrypt(plaintext: string, context: string): string;
  /** @throws Error if the envelope is not ours, its key is not known, or it was changed or moved to another context. */
  decrypt(envelope: string, context: string): string;
}

/** A key of AES-256. */
export interface CipherKey {
  /** Stands in each envelope: letters, digits, `-` and `_`, such as `2026-01`. */
  readonly id: string;
  /** 32 bytes from a cryptographic source. */
  readonly key: Uint8Array;
}

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const KEY_ID = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * AES-256-GCM with a random nonce for each text.
 * @param current encrypts and decrypts.
 * @param former decrypt only: keys that were current before.
 * @throws RangeError for a key that is not 32 bytes, or an id that an envelope cannot bear or that stands twice.
 */
export function createCipher(current: CipherKey, former: readonly CipherKey[] = []): Cipher {
  const keys = new Map<string, Uint8Array>();
  for (const { id, key } of [current, ...former]) {
    if (!KEY_ID.test(id)) throw new RangeError(`the id of an encryption key must match ${KEY_ID}, got ${JSON.stringify(id)}`);
    if (key.length !== 32) throw new RangeError(`encryption key ${id} must be 32 bytes, got ${key.length}`);
    if (keys.has(id)) throw new RangeError(`encryption key ${id} is given twice`);
    keys.set(id, key);
  }
  return {
    keyId: current.id,
    keyIds: [...keys.keys()],
    encrypt(plaintext, context) {
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv('aes-256-gcm', current.key, nonce).setAAD(Buffer.from(context));
      const parts = [nonce, cipher.update(plaintext, 'utf8'), cipher.final(), cipher.getAuthTag()];
      return `v1.${current.id}.${Buffer.concat(parts).toString('base64url')}`;
    },
    decrypt(envelope, context) {
      const [version, id, body] = envelope.split('.');
      if (version !== 'v1' || id === undefined || body === undefined) throw new Error('this is not an envelope of version 1');
      const key = keys.get(id);
      if (!key) throw new Error(`it is encrypted with key ${id}, and the keys at hand are ${[...keys.keys()].join(', ')}`);
      const bytes = Buffer.from(body, 'base64url');
      if (bytes.length < NONCE_BYTES + TAG_BYTES) throw new Error('its envelope is cut short');
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES))
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(-TAG_BYTES));
      try {
        return decipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES), undefined, 'utf8') + decipher.final('utf8');
      } catch (cause) {
        throw new Error(`it was changed, moved, or encrypted with another key ${id}`, { cause });
      }
    },
  };
}
