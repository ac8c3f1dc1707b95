import type { Resource } from '../../resources/metadata.js';
import { isStoreError } from '../../store/errors.js';
import type { Draft, WriteOptions } from '../../store/store.js';
import type { FieldValidation } from './admission.js';
import type { Call } from './call.js';
import { ApiError } from './errors.js';
import { qualifiedPlural } from './paths.js';
import { choice } from './query.js';

/** What becomes of unknown fields; Strict unless another is asked for. @throws ApiError BadRequest. */
export function fieldValidation({ query }: Call): FieldValidation {
  return choice(query, 'fieldValidation', ['Strict', 'Warn', 'Ignore']) ?? 'Strict';
}

/** Whether nothing is to be kept. @throws ApiError BadRequest. */
export function dryRun({ query }: Call): boolean {
  return choice(query, 'dryRun', ['All']) === 'All';
}

/** Who makes a change: `fieldManager`, or the first word of the program's name. */
export function managerOf({ query, request }: Call): string {
  const program = request.headers['user-agent']?.split('/', 1)[0];
  return (query.get('fieldManager') || program || 'unknown').slice(0, 128);
}

/** Creates, and says in the words of Kubernetes what is there already, or which namespace is not there. */
export async function createdIn({ context, target }: Call, draft: Draft, options: WriteOptions): Promise<Resource> {
  try {
    return await context.store.create(draft, options);
  } catch (error) {
    if (isStoreError(error, 'AlreadyExists')) {
      const name = draft.metadata.name ?? '';
      const message = `${qualifiedPlural(target.definition)} "${name}" already exists`;
      throw new ApiError('AlreadyExists', message, { name }, { cause: error });
    }
    if (!isStoreError(error, 'NotFound')) throw error;
    const name = draft.metadata.namespace ?? '';
    throw new ApiError('NotFound', `namespaces "${name}" not found`, { name, group: '', kind: 'namespaces' }, { cause: error });
  }
}
