import { ipKeyGenerator } from 'express-rate-limit';
import type { Environment } from '../../environment.js';
import type { AuditRecord } from '../../store/audit-writer.js';
import { isStoreError } from '../../store/errors.js';
import type { TokenStore } from '../../store/tokens.js';
import type { UserInfo, UserStore } from '../../store/users.js';
import { ApiError } from '../resources/errors.js';
import { Attempts } from './attempts.js';
import { unauthorized } from './authenticate.js';
import type { Origin } from './origin.js';

/** Logins that may fail in a minute: of one user from one address, of one user from anywhere, from one address. */
const FAILURES = { pair: 5, user: 50, address: 30 };
const TOKEN_MS = 12 * 3_600_000;
/** What the audit calls who gave a name that is no user's: people type passwords there. */
const UNKNOWN = '(unknown)';

/** What {@link Login} works with. */
export interface LoginOptions {
  readonly users: Pick<UserStore, 'verify' | 'get'>;
  readonly tokens: Pick<TokenStore, 'issue'>;
  readonly environment: Environment;
  /** Told of each login, good or failed, and of the first that was refused for being one too many. */
  readonly record: (record: AuditRecord) => void;
}

/** Gives users tokens for their passwords. Every door that takes passwords uses one and the same, so that its limits hold. */
export class Login {
  readonly #pairs: Attempts;
  readonly #users: Attempts;
  readonly #addresses: Attempts;

  constructor(private readonly options: LoginOptions) {
    this.#pairs = new Attempts(FAILURES.pair, options.environment);
    this.#users = new Attempts(FAILURES.user, options.environment);
    this.#addresses = new Attempts(FAILURES.address, options.environment);
  }

  /**
   * A token with the rights of a user, good for 12 hours. A wrong password, a disabled user and a user who does not exist cannot
   * be told apart.
   *
   * @throws ApiError Unauthorized; TooManyRequests, without a look at the password, after too many failures. StoreError
   *   Unavailable.
   */
  async logIn(name: string, password: string, origin: Origin): Promise<{ readonly token: string; readonly expiresAt: Date }> {
    const counted = this.#counters(name, origin.address);
    const taken = counted.map(([attempts, key]) => attempts.take(key));
    const waitMs = Math.max(...taken.map((each) => each.waitMs));
    if (waitMs > 0) {
      if (taken.some(({ first }) => first)) await this.#failed(name, 429, origin);
      const retryAfterSeconds = Math.ceil(waitMs / 1000);
      throw new ApiError('TooManyRequests', `too many logins have failed; wait ${retryAfterSeconds} seconds`, {
        retryAfterSeconds,
      });
    }
    const { users, environment } = this.options;
    const user = await users.verify(name, password);
    const expiresAt = new Date(environment.now().getTime() + TOKEN_MS);
    const token = user && (await this.#issue(user, expiresAt));
    if (!token) {
      await this.#failed(name, 401, origin);
      throw unauthorized('the name or the password is wrong, or the user is disabled');
    }
    for (const [attempts, key] of counted) attempts.giveBack(key);
    this.#record(name, 200, origin);
    return { token, expiresAt };
  }

  #counters(name: string, address: string): [Attempts, string][] {
    // Whoever has one address of IPv6 has a network of them.
    const network = ipKeyGenerator(address, 64);
    return [
      [this.#pairs, JSON.stringify([name, network])],
      [this.#users, name],
      [this.#addresses, network],
    ];
  }

  async #issue({ name }: UserInfo, expiresAt: Date): Promise<string | undefined> {
    try {
      return (await this.options.tokens.issue(name, { groups: [], expiresAt, description: 'login' })).token;
    } catch (error) {
      // Disabled meanwhile.
      if (isStoreError(error, 'Forbidden')) return undefined;
      throw error;
    }
  }

  async #failed(name: string, code: number, origin: Origin): Promise<void> {
    const known = await this.options.users.get(name);
    this.#record(known ? name : UNKNOWN, code, origin);
  }

  #record(user: string, code: number, { requestId, address }: Origin): void {
    const what = { verb: 'login', group: '', resource: 'tokens', namespace: '', name: '' };
    this.options.record({ ...what, user, code, requestId, address });
  }
}
