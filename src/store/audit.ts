/** One change that was asked for, or one attempt to log in that failed: who, what, and what came of it. Never a value. */
export interface AuditEntry {
  readonly id: string;
  readonly at: Date;
  readonly user: string;
  /** As in Kubernetes; `login` for an attempt to log in. */
  readonly verb: string;
  readonly group: string;
  /** The plural, with `/status` or `/scale` for a subresource. */
  readonly resource: string;
  /** '' for none. */
  readonly namespace: string;
  /** '' where it is not known: a collection, or a create that was refused before it had one. */
  readonly name: string;
  /** The HTTP status of the answer. */
  readonly code: number;
  /** What the answer bore as `Audit-Id`; '' for a command. */
  readonly requestId: string;
  /** Where the request came from; '' for a command. */
  readonly address: string;
}

/** The audit table: entries are added, and never changed or removed. */
export interface AuditStore {
  /**
   * Adds entries, all or none; those that are there already (by `id`) are left as they are.
   * @throws StoreError Unavailable, when they may have been added; Invalid if one cannot be kept.
   */
  append(entries: readonly AuditEntry[]): Promise<void>;
  /** The oldest first. @throws StoreError Unavailable. */
  list(which: { readonly since?: Date; readonly user?: string }): AsyncIterable<AuditEntry>;
}
