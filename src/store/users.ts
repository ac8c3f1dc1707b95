/** The roles that there are. What each may do stands in src/api/auth/roles.ts. */
export const ROLE_NAMES = ['admin', 'agent', 'viewer'] as const;

/** One of {@link ROLE_NAMES}. */
export type RoleName = (typeof ROLE_NAMES)[number];

/** A role that somebody has, and where. */
export interface Grant {
  readonly role: RoleName;
  /** Absent: in all namespaces, and for what has none. */
  readonly namespaces?: readonly string[];
}

/** What may be shown of a user. */
export interface UserInfo {
  readonly name: string;
  readonly grants: readonly Grant[];
  /** True: neither the password nor any token of the user is taken. */
  readonly disabled: boolean;
  readonly createdAt: Date;
}

/** Users with their passwords, of which nothing is kept but a hash. */
export interface UserStore {
  /** @throws StoreError AlreadyExists if the name is taken; Invalid for a name that none may have. */
  create(user: { readonly name: string; readonly grants: readonly Grant[]; readonly password: string }): Promise<void>;
  /** By name, in order. */
  list(): Promise<readonly UserInfo[]>;
  /** The user of that name. */
  get(name: string): Promise<UserInfo | undefined>;
  /** Replaces all roles of a user. @returns false if there is no such user. */
  setGrants(name: string, grants: readonly Grant[]): Promise<boolean>;
  /** From the moment it resolves, a disabled user's tokens are refused. @returns false if there is no such user. */
  setDisabled(name: string, disabled: boolean): Promise<boolean>;
  /** Sets another password, and revokes all tokens of the user. @returns false if there is no such user. */
  setPassword(name: string, password: string): Promise<boolean>;
  /** Deletes the user with all tokens. @returns false if there is no such user. */
  delete(name: string): Promise<boolean>;
  /**
   * The user, if the password is right and the user not disabled. All other cases cannot be told apart, and cost the same.
   * @throws StoreError Unavailable, also while too many passwords are being checked.
   */
  verify(name: string, password: string): Promise<UserInfo | undefined>;
}
