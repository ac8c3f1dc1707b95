import { z } from 'zod';
import type { PageRow } from '../../api/page.js';
import type { Resource } from '../../resources/metadata.js';

// Rows written by hand may hold anything: what is not as expected reads as absent.
const shownSchema = z.object({
  spec: z.object({ cloudRef: z.object({ name: z.string() }).optional(), engine: z.string().optional() }).catch({}),
  status: z
    .object({
      observedGeneration: z.int().optional(),
      state: z.string().optional(),
      addresses: z.array(z.object({ address: z.string() })).optional(),
      conditions: z.array(z.object({ type: z.string(), status: z.string(), reason: z.string() })).optional(),
    })
    .catch({}),
});

/** One resource as a line. Ready is `Unknown` while what is known is of an older spec than the one that stands. */
export function rowOf(resource: Resource): PageRow {
  const { spec, status } = shownSchema.parse({ spec: resource.spec ?? {}, status: resource.status ?? {} });
  const ready = status.conditions?.find(({ type }) => type === 'Ready');
  const current = status.observedGeneration === resource.metadata.generation;
  const cloud = spec.cloudRef?.name ?? spec.engine;
  const address = status.addresses?.[0]?.address;
  return {
    name: resource.metadata.name,
    ...(resource.metadata.namespace !== undefined && { namespace: resource.metadata.namespace }),
    ...(ready && { ready: current ? ready.status : 'Unknown', reason: ready.reason }),
    ...(status.state !== undefined && { state: status.state }),
    ...(address !== undefined && { address }),
    ...(cloud !== undefined && { cloud }),
  };
}
