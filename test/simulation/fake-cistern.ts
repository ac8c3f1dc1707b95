import { CisternError } from '../../src/cistern/errors.js';
import type { CisternNode } from '../../src/cistern/protocol.js';
import type { Cistern } from '../../src/reconcilers/inventory/inventories.js';
import type { VirtualProcess } from '../support/virtual-environment.js';
import type { FakeCloud } from './fake-cloud.js';

/** An inventory of the fake cloud's servers, on virtual time: who has each, and which are faulty. The truth; what goes wrong is its clients'. */
export class FakeCistern {
  /** By server id. */
  readonly users = new Map<string, string>();
  readonly faulty = new Set<string>();
  /** While true it does not answer. */
  away = false;
  /** Replies that are lost after the effect. */
  lostReply = 0;

  constructor(private readonly cloud: FakeCloud) {}

  /** All nodes: a server that is gone is none. */
  nodes(): CisternNode[] {
    return this.cloud.alive().map(({ id }) => {
      const faulty = this.faulty.has(id);
      const user = this.users.get(id) ?? '';
      const status = faulty ? 'FAULTY' : user === '' ? 'FREE' : 'ASSIGNED';
      return { id, serverId: id, hostname: id, user, recipe: 'galaxy', status, faulty };
    });
  }

  /** One process's way to it. */
  client(process: VirtualProcess): Cistern {
    const { world } = process;
    const travel = async () => {
      await new Promise<void>((resolve) => void process.after(1 + world.below(100), resolve));
      if (!process.alive) await new Promise(() => undefined);
      if (this.away) throw new CisternError('Unreachable', 'it is away');
    };
    const told = async (serverId: string) => {
      await travel();
      if (world.random() < this.lostReply) throw new CisternError('Unreachable', 'the reply was lost');
      return { serverId, result: '' };
    };
    return {
      nodes: async () => {
        await travel();
        const nodes = this.nodes();
        await travel();
        return nodes;
      },
      assign: async ({ hostname, user }) => {
        await travel();
        const had = this.users.get(hostname) ?? '';
        if (this.faulty.has(hostname) || (had !== '' && had !== user))
          throw new CisternError('Refused', `${hostname} is not free`);
        this.users.set(hostname, user);
        return told(hostname);
      },
      release: async (hostname) => {
        await travel();
        this.users.delete(hostname);
        return told(hostname);
      },
      close: () => undefined,
    };
  }
}
