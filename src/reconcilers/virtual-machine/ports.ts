import type { Connection } from '../../clouds/connection.js';
import type { Port } from '../../clouds/network-driver.js';
import type { Environment } from '../../environment.js';
import type { VirtualMachine, VirtualMachineStatus } from '../../resources/virtual-machine.js';
import type { GroupsAtCreation } from '../firewall/firewall.js';
import type { PortStep, WantedPort } from './steps.js';
import { serverName } from './verdict.js';

type NamedPorts = NonNullable<VirtualMachineStatus['ports']>;

/** What port steps are taken with. */
export interface PortTools {
  readonly connection: Connection;
  readonly installation: string;
  readonly environment: Environment;
  readonly groups: GroupsAtCreation;
}

/**
 * Takes a step about a record's ports. @returns its status after it. Should a part of it fail, what was done is known by the view of ports,
 * and found there by the next plan. @throws CloudError.
 */
export async function performPortStep(
  vm: VirtualMachine,
  step: PortStep,
  tools: PortTools,
  signal: AbortSignal,
): Promise<VirtualMachineStatus> {
  const { ports, driver } = tools.connection;
  const { status = {} } = vm;
  switch (step.kind) {
    case 'KeepPorts':
    case 'MakePorts':
      return withPorts(status, await makePorts(vm, step.ports, tools));
    case 'AttachPort': {
      await driver.attachPort(step.id, step.port, signal);
      const known = ports.get(step.port);
      if (known) ports.note({ ...known.item, serverId: step.id });
      return status;
    }
    case 'DisownPorts':
      for (const id of step.ids) {
        await driver.disownPort(id, signal);
        const known = ports.get(id);
        if (known) ports.note(withoutOwner(known.item));
      }
      return status;
    case 'DeletePorts':
      for (const id of step.ids) {
        await driver.deletePort(id, signal);
        ports.noteGone(id);
      }
      return withPorts(
        status,
        (status.ports ?? []).filter(({ id }) => !step.ids.includes(id)),
      );
  }
}

async function makePorts(vm: VirtualMachine, wanted: readonly WantedPort[], tools: PortTools): Promise<NamedPorts> {
  const { connection, installation, environment, groups } = tools;
  // All are heard of before one that failed is told of: those that were made are then known, and used the next time.
  const made = await Promise.allSettled(
    wanted.map(async ({ id, network }) => {
      const named = vm.status?.ports?.find((one) => one.id === id);
      if (named) return named;
      const known = id === undefined ? undefined : connection.ports.get(id)?.item;
      const port =
        known ??
        (await connection.createPort({
          name: serverName(vm),
          networkId: network,
          ...(groups.kind === 'ready' ? { groupIds: groups.groupIds } : {}),
          owner: { installation, key: vm.metadata.uid },
        }));
      const [address] = port.addresses;
      return { id: port.id, network, ...(address === undefined ? {} : { address }), at: environment.now().toISOString() };
    }),
  );
  return made.map((one) => {
    if (one.status === 'rejected') throw one.reason;
    return one.value;
  });
}

/** The status with those ports, and no other. */
function withPorts({ ports: _before, ...status }: VirtualMachineStatus, ports: NamedPorts): VirtualMachineStatus {
  return ports.length > 0 ? { ...status, ports } : status;
}

function withoutOwner({ owner: _owner, ...port }: Port): Port {
  return port;
}
