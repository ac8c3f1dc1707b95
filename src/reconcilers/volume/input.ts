import type { ProposedCondition } from '../../resources/conditions.js';
import type { Resource } from '../../resources/metadata.js';
import { makeReader } from '../../resources/reader.js';
import { validate } from '../../resources/validate.js';
import {
  type Volume,
  type VolumeSpec,
  type VolumeStatus,
  volumeKind,
  volumeSpecSchema,
  volumeStatusSchema,
} from '../../resources/volume.js';
import { invalidSpec } from '../invalid-spec.js';

/** A resource as a Volume, or what is to be said of it. */
export type VolumeInput =
  | { readonly kind: 'valid'; readonly volume: Volume }
  | { readonly kind: 'invalid'; readonly conditions: readonly ProposedCondition[]; readonly status: VolumeStatus };

/** What stands in a store never changes in place, so each version is read once. */
const readings = new WeakMap<Resource, VolumeInput>();
const readTyped = makeReader(volumeSpecSchema, volumeStatusSchema);
const deletion = volumeSpecSchema.pick({ cloudRef: true, attachTo: true, deletionPolicy: true }).strip();

/** Reads a resource as a store holds it. One that is being deleted is read as far as its deletion needs it. */
export function readVolume(resource: Resource): VolumeInput {
  const known = readings.get(resource) ?? read(resource);
  readings.set(resource, known);
  return known;
}

function read(resource: Resource): VolumeInput {
  const { status: rawStatus, ...declared } = resource;
  const errors = validate(volumeKind, declared);
  const volume = readTyped(resource);
  if (volume && errors.length === 0) return { kind: 'valid', volume };
  const status = volumeStatusSchema.safeParse(rawStatus).data ?? {};
  const spec = resource.metadata.deletionTimestamp ? enoughToDelete(resource.spec) : undefined;
  if (spec) return { kind: 'valid', volume: { ...declared, spec, status } };
  return { kind: 'invalid', conditions: invalidSpec(errors), status };
}

function enoughToDelete(spec: unknown): VolumeSpec | undefined {
  const { data } = deletion.safeParse(spec);
  return data && { ...data, sizeGiB: 1 };
}
