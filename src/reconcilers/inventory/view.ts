import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Opinion } from '../pool/standing.js';

/** What the inventory of a machine's Cloud says of who has it. */
export type Holder =
  /** The Cloud names no inventory: nobody is to be told. */
  | { readonly kind: 'none' }
  /** It does not list the machine, or could not be asked yet. */
  | { readonly kind: 'unknown'; readonly why: string }
  | { readonly kind: 'nobody' }
  | { readonly kind: 'user'; readonly user: string };

/** What is known of a machine beside what its cloud says. */
export interface InventoryView {
  readonly opinion: Opinion;
  readonly holder: Holder;
  /** When its user was last active, if the inventory knows. */
  readonly activeAt: Date | undefined;
}

/** The inventories of the Clouds, as reconcilers of machines use them. */
export interface InventoryPort {
  /** Without asking anybody. What was last known stands while an inventory does not answer. */
  view(vm: VirtualMachine): InventoryView;
  /** Tells the machine's inventory who has it. Nothing happens for a Cloud without one. @throws CisternError. */
  assign(
    vm: VirtualMachine,
    assignee: { readonly user: string; readonly application: string },
    signal: AbortSignal,
  ): Promise<void>;
  /** Tells the machine's inventory that nobody has it. @throws CisternError. */
  release(vm: VirtualMachine, signal: AbortSignal): Promise<void>;
}
