import { createHash } from 'node:crypto';
import type { Environment } from '../../environment.js';
import type { FoundToken, TokenStore } from '../../store/tokens.js';
import type { Grant } from '../../store/users.js';
import { ApiError } from '../resources/errors.js';

/** Who calls. */
export interface User {
  readonly name: string;
  readonly groups: readonly string[];
  /** The roles that somebody has who is a user of ours. */
  readonly grants?: readonly Grant[];
}

/** A revoked token of no user may still be taken for so long: what it costs not to ask the store on every request. */
const REMEMBERED_MS = 2000;
const MOST_REMEMBERED = 1024;

/**
 * Tells who bears a request's `Authorization: Bearer` token. Requests that come at once with one token ask for it once.
 * Good tokens of nobody who is a user are remembered for two seconds (by their digest); those of users are asked for on every
 * request, so that a user who is disabled, or has another role, is treated as such at once.
 */
export class Authenticator {
  readonly #known = new Map<string, { readonly until: number; readonly user: Promise<User | undefined> }>();

  constructor(
    readonly tokens: Pick<TokenStore, 'find'>,
    readonly environment: Environment,
  ) {}

  /**
   * @returns undefined if there is no Authorization header at all.
   * @throws ApiError Unauthorized for a header that is no bearer token, or a token that is not (or no longer) good.
   */
  async user(authorization: string | undefined): Promise<User | undefined> {
    if (authorization === undefined) return undefined;
    const token = /^Bearer +([A-Za-z0-9\-._~+/=]{1,4096})$/i.exec(authorization)?.[1];
    if (token === undefined) throw unauthorized('the Authorization header must be "Bearer TOKEN"');
    return this.bearer(token);
  }

  /** Who bears a token. @throws ApiError Unauthorized for one that is not (or no longer) good. */
  async bearer(token: string): Promise<User> {
    const digest = createHash('sha256').update(token).digest('base64');
    const now = this.environment.now().getTime();
    const known = this.#known.get(digest);
    const asked = known && known.until > now ? known.user : this.#ask(token, digest, now);
    const user = await asked;
    if (user === undefined) throw unauthorized('the token is unknown, expired or revoked');
    return user;
  }

  #ask(token: string, digest: string, now: number): Promise<User | undefined> {
    if (this.#known.size >= MOST_REMEMBERED) this.#known.clear();
    const user = this.tokens.find(token).then((found) => found && userOf(found));
    this.#known.set(digest, { until: now + REMEMBERED_MS, user });
    const forget = () => this.#known.delete(digest);
    // Only good answers are worth keeping: a bad token must not crowd them out, and a failure may pass.
    user.then((found) => (found && !found.grants) || forget(), forget);
    return user;
  }
}

function userOf({ user, groups, grants }: FoundToken): User {
  if (!grants) return { name: user, groups };
  const roles = [...new Set(grants.map(({ role }) => `dispatcher:${role}`))];
  return { name: user, groups: [...roles, 'system:authenticated'], grants };
}

/** A 401. */
export function unauthorized(message: string): ApiError {
  return new ApiError('Unauthorized', `Unauthorized: ${message}`);
}
