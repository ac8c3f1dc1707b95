import { type Condition, conditionSchema } from '../../resources/conditions.js';
import { apiVersionOf } from '../../resources/kind.js';
import type { Resource } from '../../resources/metadata.js';
import { kindNamed } from '../../resources/registry.js';
import type { Accepted, Call } from './operation.js';

/** A condition of a resource, if it tells of the declaration as it stands. */
export function currentCondition({ metadata, status }: Resource, type: string): Condition | undefined {
  const conditions: unknown = typeof status === 'object' && status !== null ? Reflect.get(status, 'conditions') : undefined;
  if (!Array.isArray(conditions)) return undefined;
  const found = conditions.map((each) => conditionSchema.safeParse(each).data).find((each) => each?.type === type);
  return found?.observedGeneration === metadata.generation ? found : undefined;
}

/** A 202 for a resource that is not as wanted yet. @param what begins the message: `Node 1 is not deleted yet`. */
export async function accepted(call: Call, { kind, metadata }: Resource, what: string): Promise<{ code: 202; body: Accepted }> {
  const definition = kindNamed(kind);
  const { namespace = '', name } = metadata;
  const url = `${call.context.resourceApiUrl()}/apis/${apiVersionOf(definition)}/namespaces/${namespace}/${definition.plural}/${name}`;
  const now = await call.caller.store.get({ kind, namespace, name });
  const said = now && currentCondition(now, 'Ready');
  const why = said && said.status !== 'True' ? `: ${said.message}` : '';
  return {
    code: 202,
    body: { status: 'accepted', status_code: 202, message: `${what}; see ${kind} ${namespace}/${name}${why}`, look_at: url },
  };
}
