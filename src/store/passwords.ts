import { randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from 'node:crypto';
import { StoreError } from './errors.js';

/** Memory 128 * 2^logN * r bytes (32 MiB), gone through p times: one of the settings that OWASP names as the least for scrypt. */
const COST: Cost = { logN: 15, r: 8, p: 3 };
const SALT_BYTES = 16;
const KEY_BYTES = 32;
/** At once: each takes memory, and a thread of the pool that files and names are looked up in too. */
const AT_ONCE = 2;
const MOST_WAITING = 64;

/** What scrypt is to cost. */
interface Cost {
  readonly logN: number;
  readonly r: number;
  readonly p: number;
}

/** Derives a key: `node:crypto`'s scrypt, or what a test counts calls with. */
export type Derive = (password: string, salt: Buffer, length: number, options: ScryptOptions) => Promise<Buffer>;

/**
 * Hashes passwords and checks them by scrypt. A hash is text that says how it was made, `scrypt$15$8$3$SALT$KEY`, so that the
 * cost can be raised later; hashes made before go on being understood.
 */
export class Passwords {
  #running = 0;
  readonly #waiting: Array<() => void> = [];

  constructor(private readonly derive: Derive = scryptKey) {}

  /** @throws StoreError Unavailable if too many are being made or checked. */
  async hash(password: string): Promise<string> {
    const salt = randomBytes(SALT_BYTES);
    return textOf(COST, salt, await this.#key(password, salt, COST));
  }

  /**
   * Whether a hash is of that password. Without a hash it costs what it costs with one, and is false.
   * @throws StoreError Unavailable if too many are being made or checked.
   */
  async matches(password: string, hash: string | undefined): Promise<boolean> {
    const { cost, salt, key } = (hash === undefined ? undefined : parse(hash)) ?? NOBODY;
    const given = await this.#key(password, salt, cost);
    return timingSafeEqual(given, key) && key !== NOBODY.key;
  }

  async #key(password: string, salt: Buffer, { logN, r, p }: Cost): Promise<Buffer> {
    await this.#turn();
    try {
      const N = 2 ** logN;
      // The same password may be typed in several ways that look the same.
      return await this.derive(password.normalize('NFC'), salt, KEY_BYTES, { N, r, p, maxmem: 2 * 128 * N * r });
    } finally {
      this.#running--;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    if (this.#waiting.length >= MOST_WAITING) {
      throw new StoreError('Unavailable', 'too many passwords are being checked; try again in some seconds');
    }
    while (this.#running >= AT_ONCE) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#running++;
  }
}

/** What the passwords of users who do not exist are compared with. */
const NOBODY = { cost: COST, salt: randomBytes(SALT_BYTES), key: randomBytes(KEY_BYTES) };

function textOf({ logN, r, p }: Cost, salt: Buffer, key: Buffer): string {
  return ['scrypt', logN, r, p, salt.toString('base64'), key.toString('base64')].join('$');
}

function parse(text: string): typeof NOBODY | undefined {
  const [, logN, r, p, salt = '', key = ''] =
    /^scrypt\$(\d{1,2})\$(\d{1,2})\$(\d{1,2})\$([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+)$/.exec(text) ?? [];
  const made = Buffer.from(key, 'base64');
  if (made.length !== KEY_BYTES) return undefined;
  return { cost: { logN: Number(logN), r: Number(r), p: Number(p) }, salt: Buffer.from(salt, 'base64'), key: made };
}

function scryptKey(password: string, salt: Buffer, length: number, options: ScryptOptions): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, options, (error, key) => (error ? reject(error) : resolve(key)));
  });
}
