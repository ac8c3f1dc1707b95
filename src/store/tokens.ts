import type { Grant } from './users.js';

/** Opaque bearer tokens. What is kept cannot be turned back into one. */
export interface TokenStore {
  /**
   * If a user of that name exists, the token is that user's: it has the rights that the user has whenever it is used, and
   * `groups` are not kept.
   * @returns the token itself: this once, and never again.
   * @throws StoreError Forbidden for a user who is disabled.
   */
  issue(
    user: string,
    options: { readonly groups: readonly string[]; readonly expiresAt?: Date; readonly description?: string },
  ): Promise<{ readonly id: string; readonly token: string }>;
  /** Whose token this is, or undefined if it was never issued, was revoked, has expired, or is of a disabled user. */
  find(token: string): Promise<FoundToken | undefined>;
  /** All that stand, expired ones too, oldest first. */
  list(): Promise<readonly TokenInfo[]>;
  /** @returns false if there is none of that id. */
  revoke(id: string): Promise<boolean>;
}

/** Who bears a token. */
export interface FoundToken {
  readonly id: string;
  readonly user: string;
  readonly groups: readonly string[];
  /** The roles that the user of that name has now; absent if there is none. */
  readonly grants?: readonly Grant[];
}

/** What may be shown of a token. */
export interface TokenInfo {
  readonly id: string;
  readonly user: string;
  readonly groups: readonly string[];
  readonly description?: string;
  readonly createdAt: Date;
  /** Absent: never. */
  readonly expiresAt?: Date;
  /** True: there is a user of that name, and the token has that user's rights. */
  readonly ofUser?: boolean;
}
