import type { ProposedCondition } from '../../resources/conditions.js';
import type { Resource } from '../../resources/metadata.js';
import { validate } from '../../resources/validate.js';
import {
  type VirtualMachine,
  type VirtualMachineSpec,
  type VirtualMachineStatus,
  virtualMachineKind,
  virtualMachineSpecSchema,
  virtualMachineStatusSchema,
} from '../../resources/virtual-machine.js';
import { invalidSpec } from '../invalid-spec.js';

/** A resource as a VirtualMachine, or what is to be said of it. */
export type VirtualMachineInput =
  | { readonly kind: 'valid'; readonly vm: VirtualMachine }
  | { readonly kind: 'invalid'; readonly conditions: readonly ProposedCondition[]; readonly status: VirtualMachineStatus };

/** Specs never change in place, so each is read once. */
const read = new WeakMap<object, VirtualMachineSpec>();

/**
 * Reads a resource as a store holds it: rows written by hand hold anything.
 * A status that cannot be read counts as lost: then the owner tag in the cloud says what is ours.
 * A resource that is being deleted is read as far as it can be: a bad spec must not keep its server alive.
 */
export function readVirtualMachine(resource: Resource): VirtualMachineInput {
  const { status: rawStatus, ...rest } = resource;
  const spec = specOf(resource);
  const parsed = virtualMachineStatusSchema.safeParse(rawStatus ?? {});
  const status = parsed.success ? parsed.data : {};
  if (spec) return { kind: 'valid', vm: { ...rest, spec, status } };
  return { kind: 'invalid', conditions: invalidSpec(validate(virtualMachineKind, rest)), status };
}

function specOf(resource: Resource): VirtualMachineSpec | undefined {
  const { spec } = resource;
  if (typeof spec !== 'object' || spec === null) return undefined;
  const known = read.get(spec);
  if (known) return known;
  const { status: _status, ...declared } = resource;
  const parsed = virtualMachineSpecSchema.safeParse(spec);
  if (parsed.success && validate(virtualMachineKind, declared).length === 0) {
    read.set(spec, parsed.data);
    return parsed.data;
  }
  return resource.metadata.deletionTimestamp ? enoughToDelete(spec) : undefined;
}

/** What a deletion needs of a spec that is bad elsewhere. */
function enoughToDelete(spec: object): VirtualMachineSpec | undefined {
  const { cloudRef, deletionPolicy, management, protected: kept, hostname } = virtualMachineSpecSchema.shape;
  const valid = Object.entries({ cloudRef, deletionPolicy, management, protected: kept, hostname }).flatMap(([field, schema]) => {
    const parsed = schema.safeParse(Reflect.get(spec, field));
    return parsed.success ? [[field, parsed.data]] : [];
  });
  const parsed = virtualMachineSpecSchema.safeParse({ image: 'unknown', flavor: 'unknown', ...Object.fromEntries(valid) });
  return parsed.success ? parsed.data : undefined;
}
