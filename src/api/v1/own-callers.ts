import type { Environment } from '../../environment.js';
import type { Store } from '../../store/store.js';
import type { TokenStore } from '../../store/tokens.js';
import { Authenticator, type User } from '../auth/authenticate.js';
import { mayDo } from '../auth/authorize.js';
import type { Caller, Callers } from './callers.js';
import { DEFAULT_NAMESPACE } from './namespace.js';

/** What {@link ownCallers} works with. */
export interface OwnCallersOptions {
  readonly store: Store;
  readonly tokens: Pick<TokenStore, 'find'>;
  readonly environment: Environment;
  /** True: who sends no token may do what an agent of the namespace default may. */
  readonly open: boolean;
}

const NOBODY: User = { name: 'system:anonymous', groups: ['system:unauthenticated'] };
/** Who sends no token, with --v1-open. */
const ANYBODY: User = { ...NOBODY, grants: [{ role: 'agent', namespaces: [DEFAULT_NAMESPACE] }] };

/** Callers with tokens of ours, who may do what the roles say, on one store for all. */
export function ownCallers({ store, tokens, environment, open }: OwnCallersOptions): Callers {
  const authenticator = new Authenticator(tokens, environment);
  const callerOf = (user: User): Caller => ({
    name: user.name,
    store,
    namespaces: [...new Set((user.grants ?? []).flatMap(({ namespaces }) => namespaces ?? [DEFAULT_NAMESPACE]))],
    may: async (access) => mayDo(user, access),
  });
  return {
    bearer: async (token) => callerOf(await authenticator.bearer(token)),
    nobody: callerOf(NOBODY),
    ...(open && { anybody: callerOf(ANYBODY) }),
    clouds: async () => (await store.list('Cloud')).items,
  };
}
