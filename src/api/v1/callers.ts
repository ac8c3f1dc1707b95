import type { Resource } from '../../resources/metadata.js';
import type { Store } from '../../store/store.js';
import type { Access } from '../auth/authorize.js';

/** Who asks, what they may, and the store that their request acts on. */
export interface Caller {
  readonly name: string;
  readonly store: Store;
  /** Where a caller's things are who may not see those of all namespaces, and where what is made goes: the likeliest first. */
  readonly namespaces: readonly string[];
  /** True if the caller may do that. @throws StoreError as {@link Callers.bearer}. */
  may(access: Access): Promise<boolean>;
}

/** Where v1 learns who asks. */
export interface Callers {
  /**
   * Who bears a token, which is made of the characters of one.
   * @param query of the request.
   * @throws ApiError Unauthorized for a token that is not good; V1Error 400 for a query that cannot be meant; StoreError Unavailable.
   */
  bearer(token: string, query: URLSearchParams): Promise<Caller>;
  /** Who asks for what is anybody's. */
  readonly nobody: Caller;
  /** Who sends no token, if that is let in where a token is asked for. */
  readonly anybody?: Caller;
  /** All Clouds that are declared: their names are the way to everything else, whoever asks. @throws StoreError or CloudUnavailable. */
  clouds(): Promise<readonly Resource[]>;
}
