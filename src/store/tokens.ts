/** Opaque bearer tokens. What is kept cannot be turned back into one. */
export interface TokenStore {
  /** @returns the token itself: this once, and never again. */
  issue(
    user: string,
    options: { readonly groups: readonly string[]; readonly expiresAt?: Date; readonly description?: string },
  ): Promise<{ readonly id: string; readonly token: string }>;
  /** Whose token this is, or undefined if it was never issued, was revoked, or has expired. */
  find(token: string): Promise<{ readonly id: string; readonly user: string; readonly groups: readonly string[] } | undefined>;
  /** All that stand, expired ones too, oldest first. */
  list(): Promise<readonly TokenInfo[]>;
  /** @returns false if there is none of that id. */
  revoke(id: string): Promise<boolean>;
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
}
