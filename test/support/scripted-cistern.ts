import type { CisternClientOptions } from '../../src/cistern/client.js';
import { CisternError } from '../../src/cistern/errors.js';
import type { CisternNode, CisternReceipt } from '../../src/cistern/protocol.js';
import type { Cistern } from '../../src/reconcilers/inventory/inventories.js';

/** A node that is free, in a Cistern's words, or as is said. */
export function cisternNode(serverId: string, change: Partial<CisternNode> = {}): CisternNode {
  return {
    id: `node of ${serverId}`,
    serverId,
    hostname: `host-${serverId}`,
    user: '',
    recipe: 'test',
    status: 'FREE',
    faulty: false,
    ...change,
  };
}

/** A Cistern in which nothing happens but what a test does, and clients of it. */
export class ScriptedCistern {
  readonly nodes = new Map<string, CisternNode>();
  /** How many lists were asked for. */
  looks = 0;
  /** Assigns and releases, as they arrive: `assign host-s1 alice galaxy`. */
  readonly calls: string[] = [];
  /** What each client was made with, in order, and whether it is closed. */
  readonly clients: { readonly options: CisternClientOptions; closed: boolean }[] = [];
  /** Thrown by every call while set. */
  failure: Error | undefined;
  /** If set, an assign or a release is carried out, and then this is thrown. */
  lost: Error | undefined;
  /** The server that receipts tell, if it is not that of the node. */
  receiptFor: string | undefined;
  /** Called while an assign or release is under way. */
  during: () => void = () => undefined;

  put(...nodes: readonly CisternNode[]): void {
    for (const node of nodes) this.nodes.set(node.serverId, node);
  }

  /** Makes a client, as a CisternFactory does. */
  readonly connect = (options: CisternClientOptions): Cistern => {
    if (options.endpoint.includes('?')) throw new CisternError('InvalidEndpoint', 'the endpoint of Cistern has a query');
    const client = { options, closed: false };
    this.clients.push(client);
    return {
      nodes: async () => {
        this.looks += 1;
        if (this.failure) throw this.failure;
        return [...this.nodes.values()];
      },
      assign: async ({ hostname, user, vmType }) => this.#change(`assign ${hostname} ${user} ${vmType}`, hostname, { user }),
      release: async (hostname) => this.#change(`release ${hostname}`, hostname, { user: '' }),
      close: () => {
        client.closed = true;
      },
    };
  };

  async #change(call: string, hostname: string, change: Partial<CisternNode>): Promise<CisternReceipt> {
    this.calls.push(call);
    this.during();
    if (this.failure) throw this.failure;
    const node = [...this.nodes.values()].find((one) => one.hostname === hostname || one.serverId === hostname);
    if (!node) throw new CisternError('Refused', `there is no node ${hostname}`);
    this.put({ ...node, ...change });
    if (this.lost) throw this.lost;
    return { serverId: this.receiptFor ?? node.serverId, result: 'done' };
  }
}
