import { z } from 'zod';
import type { KindDefinition } from './kind.js';

/** What a Scale wants. Clients written in Go leave a zero out, so what is not there is zero, as in Kubernetes. */
export const scaleSpecSchema = z.strictObject({
  replicas: z.int().optional().describe('How many there are to be. Default: 0.'),
});

const scaleStatusSchema = z.strictObject({
  replicas: z.int().describe('How many there are.'),
  selector: z.string().optional().describe('A label selector that chooses them.'),
});

/**
 * What the `scale` subresource of a kind speaks: no kind of its own, and kept nowhere. The bounds of `replicas` are those of the
 * kind that is scaled.
 */
export const scaleKind: KindDefinition = {
  group: 'autoscaling',
  version: 'v1',
  kind: 'Scale',
  plural: 'scales',
  singular: 'scale',
  shortNames: [],
  categories: [],
  namespaced: true,
  description: 'How many of something there are, and are to be.',
  schema: z.strictObject({ spec: scaleSpecSchema, status: scaleStatusSchema.optional() }),
  statusSubresource: true,
  printerColumns: [
    { name: 'Desired', type: 'integer', jsonPath: '.spec.replicas', description: 'How many there are to be' },
    { name: 'Available', type: 'integer', jsonPath: '.status.replicas', description: 'How many there are' },
    { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp', description: 'Age' },
  ],
  rules: [],
};
