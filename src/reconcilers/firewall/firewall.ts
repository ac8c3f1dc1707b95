import type { Connection } from '../../clouds/connection.js';
import type { VirtualMachine, VirtualMachineStatus } from '../../resources/virtual-machine.js';
import type { Records } from '../records.js';

/** The security groups that a new server's ports are to have. */
export type GroupsAtCreation =
  /** No rule is for it: what the cloud gives by itself. */
  | { readonly kind: 'unneeded' }
  /** The project's default group, and ours. */
  | { readonly kind: 'ready'; readonly groupIds: readonly string[] }
  /** A rule is for it whose group is not there yet, and nothing says that it cannot be. */
  | { readonly kind: 'pending'; readonly message: string };

/** What firewall rules mean for one machine: asked by its own reconciler. All lookups are in memory. */
export class Firewall {
  constructor(
    private readonly records: Pick<Records, 'inNamespace'>,
    private readonly installation: string,
  ) {}

  /** See {@link GroupsAtCreation}. */
  groupsAtCreation(_vm: VirtualMachine, _connection: Connection): GroupsAtCreation {
    return { kind: 'unneeded' };
  }

  /** What the cloud lets through to and from a server, as last seen; undefined where it is not known. */
  inForce(_serverId: string, _connection: Connection): VirtualMachineStatus['firewall'] {
    return undefined;
  }
}
