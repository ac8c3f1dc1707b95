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

/** What stands in a store never changes in place, so each spec and status is read once; it is kept as it is, not copied. */
const specs = new WeakMap<object, VirtualMachineSpec>();
const statuses = new WeakMap<object, VirtualMachineStatus>();

/**
 * Reads a resource as a store holds it: rows written by hand hold anything.
 * A status that cannot be read counts as lost: then the owner tag in the cloud says what is ours.
 * A resource that is being deleted is read as far as it can be: a bad spec must not keep its server alive.
 */
export function readVirtualMachine(resource: Resource): VirtualMachineInput {
  const { status: rawStatus, ...rest } = resource;
  const spec = specOf(resource);
  const status = statusOf(rawStatus);
  if (spec) return { kind: 'valid', vm: { ...rest, spec, status } };
  return { kind: 'invalid', conditions: invalidSpec(validate(virtualMachineKind, rest)), status };
}

function specOf(resource: Resource): VirtualMachineSpec | undefined {
  const { spec } = resource;
  if (typeof spec !== 'object' || spec === null) return undefined;
  const known = specs.get(spec);
  if (known) return known;
  const { status: _status, ...declared } = resource;
  if (isSpec(spec) && validate(virtualMachineKind, declared).length === 0) {
    specs.set(spec, spec);
    return spec;
  }
  return resource.metadata.deletionTimestamp ? enoughToDelete(spec) : undefined;
}

function statusOf(status: unknown): VirtualMachineStatus {
  if (typeof status !== 'object' || status === null) return {};
  const known = statuses.get(status);
  if (known) return known;
  const read = isStatus(status) ? status : {};
  statuses.set(status, read);
  return read;
}

/** The schemas add and change nothing, so that what passes is of the type as it stands. */
function isSpec(spec: object): spec is VirtualMachineSpec {
  return virtualMachineSpecSchema.safeParse(spec).success;
}

function isStatus(status: object): status is VirtualMachineStatus {
  return virtualMachineStatusSchema.safeParse(status).success;
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
