import type { z } from 'zod';
import type { Resource, Typed } from './metadata.js';

/**
 * A function that reads resources of a kind as stores hold them: rows written by hand hold anything. It gives undefined for a spec that
 * cannot be read; a status that cannot be read counts as lost. What stands in a store never changes in place, so each is read once.
 */
export function makeReader<Spec, Status>(
  specSchema: z.ZodType<Spec>,
  statusSchema: z.ZodType<Status>,
): (resource: Resource) => Typed<Spec, Status> | undefined {
  const specs = new WeakMap<object, z.ZodSafeParseResult<Spec>>();
  const statuses = new WeakMap<object, z.ZodSafeParseResult<Status>>();
  return ({ status: rawStatus, ...resource }) => {
    const spec = parseOnce(specSchema, resource.spec, specs);
    if (!spec?.success) return undefined;
    const status = parseOnce(statusSchema, rawStatus, statuses);
    return { ...resource, spec: spec.data, ...(status?.success ? { status: status.data } : {}) };
  };
}

function parseOnce<T>(
  schema: z.ZodType<T>,
  value: unknown,
  known: WeakMap<object, z.ZodSafeParseResult<T>>,
): z.ZodSafeParseResult<T> | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const parsed = known.get(value) ?? schema.safeParse(value);
  known.set(value, parsed);
  return parsed;
}
