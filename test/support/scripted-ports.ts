import { CloudError } from '../../src/clouds/errors.js';
import type { CreatePortRequest, NetworkDriver, Port } from '../../src/clouds/network-driver.js';

type PortOperation = 'listPorts' | 'createPorts' | 'setPortGroups' | 'disownPort' | 'deletePort' | 'attachPort';

/** Has a call recorded, held up or failed as a test says, and then its effect. */
type Call = <Result>(operation: PortOperation, about: string, act: () => Result) => Promise<Result>;

/** The ports of a scripted cloud: each change is there at once. A create gives its server the ports that it names. */
export class ScriptedPorts implements Pick<NetworkDriver, PortOperation> {
  readonly requests: CreatePortRequest[] = [];
  readonly #ports = new Map<string, Port>();
  #made = 0;

  constructor(private readonly call: Call) {}

  /** The ports that are there, by id. */
  get all(): ReadonlyMap<string, Port> {
    return this.#ports;
  }

  /** Puts a port there, or changes the one of that id: what is not said stays as it is. */
  put(id: string, change: Partial<Port> = {}): Port {
    const fresh: Port = { id, networkId: 'network-1', addresses: [`10.0.0.${this.#made}`], groupIds: [], secured: true };
    const port = { ...(this.#ports.get(id) ?? fresh), ...change };
    this.#ports.set(id, port);
    return port;
  }

  /** Takes a port off whatever server has it. */
  detach(id: string): void {
    const { serverId: _server, ...port } = this.#port(id);
    this.#ports.set(id, port);
  }

  /** Takes a port away at once. */
  remove(id: string): void {
    this.#ports.delete(id);
  }

  /** A server is to have those ports. @throws CloudError Conflict if another has one, Invalid if one is not there. */
  bind(serverId: string, ids: readonly string[]): void {
    for (const id of ids) {
      const port = this.#ports.get(id);
      if (!port) throw new CloudError('Invalid', `port ${id} could not be found`, { status: 400 });
      if (port.serverId !== undefined) throw new CloudError('Conflict', `port ${id} is still in use`, { status: 409 });
    }
    for (const id of ids) this.put(id, { serverId });
  }

  /** A server is gone: its ports are free. */
  release(serverId: string): void {
    for (const { id, serverId: holder } of [...this.#ports.values()]) if (holder === serverId) this.detach(id);
  }

  listPorts = (): Promise<readonly Port[]> => {
    const ports = [...this.#ports.values()];
    return this.call('listPorts', '', () => ports);
  };

  createPorts = (requests: readonly CreatePortRequest[]): Promise<readonly Port[]> => {
    this.requests.push(...requests);
    return this.call('createPorts', requests.map(({ name }) => name).join(' '), () =>
      requests.map(({ networkId, groupIds = ['default'], owner }) => {
        this.#made += 1;
        return this.put(`p${this.#made}`, { networkId, groupIds, owner });
      }),
    );
  };

  setPortGroups = ({ id }: Pick<Port, 'id' | 'revision'>, groupIds: readonly string[]): Promise<Port> =>
    this.call('setPortGroups', `${id} ${groupIds.join(' ')}`, () => this.put(this.#port(id).id, { groupIds }));

  disownPort = (id: string): Promise<void> =>
    this.call('disownPort', id, () => {
      const { owner: _owner, ...port } = this.#port(id);
      this.#ports.set(id, port);
    });

  deletePort = (id: string): Promise<void> => this.call('deletePort', id, () => this.remove(id));

  attachPort = (serverId: string, id: string): Promise<void> =>
    this.call('attachPort', `${id} ${serverId}`, () => {
      if (this.#port(id).serverId !== undefined) throw new CloudError('Conflict', `port ${id} is still in use`, { status: 409 });
      this.put(id, { serverId });
    });

  #port(id: string): Port {
    const port = this.#ports.get(id);
    if (!port) throw new CloudError('NotFound', `there is no port ${id}`, { status: 404 });
    return port;
  }
}
