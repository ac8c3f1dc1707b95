import { labelName } from '../../resources/metadata.js';
import { V1Error } from './errors.js';

/** What is meant where nothing says which. */
export const DEFAULT_NAMESPACE = 'default';

/** The query parameter `namespace`; undefined if it is not there. Pure. @throws V1Error 400 for what is no name of a namespace. */
export function askedNamespace(query: URLSearchParams): string | undefined {
  const asked = query.get('namespace');
  if (asked === null || labelName.safeParse(asked).success) return asked ?? undefined;
  throw new V1Error(400, 'the query parameter namespace must be the name of a namespace');
}
