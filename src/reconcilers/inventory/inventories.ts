import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import type { CisternClient, CisternClientOptions } from '../../cistern/client.js';
import { CISTERN_ERRORS, CisternError, isCisternError } from '../../cistern/errors.js';
import { CisternInventory } from '../../cistern/inventory.js';
import { type CisternNode, type CisternReceipt, isFree } from '../../cistern/protocol.js';
import type { Environment } from '../../environment.js';
import { type CloudSpec, cloudSpecSchema } from '../../resources/cloud.js';
import { milliseconds } from '../../resources/duration.js';
import type { Resource } from '../../resources/metadata.js';
import type { VirtualMachine } from '../../resources/virtual-machine.js';
import type { Records } from '../records.js';
import { type Sight, viewOf, whyUnseen } from './plan.js';
import type { InventoryObservation } from './report.js';
import type { InventoryPort, InventoryView } from './view.js';

type CisternSpec = NonNullable<CloudSpec['cistern']>;

/** What is used of a {@link CisternClient}. */
export type Cistern = Pick<CisternClient, 'nodes' | 'assign' | 'release' | 'close'>;

/** Makes the client of a Cistern. MUST NOT call it yet. @throws CisternError `InvalidEndpoint` */
export type CisternFactory = (options: CisternClientOptions) => Cistern;

/** Whom inventories wake. */
export interface InventoriesListener {
  /** Another view of these machines of a Cloud may be had than before. */
  machinesChanged(cloud: string, machines: readonly Resource[]): void;
  /** Something else is to be reported of the inventory of a Cloud. */
  healthChanged(cloud: string): void;
}

/** What {@link Inventories} works with. */
export interface InventoriesTools {
  readonly makeCistern: CisternFactory;
  readonly records: Pick<Records, 'get' | 'ofCloud' | 'virtualMachinesBoundTo'>;
  readonly listener: InventoriesListener;
  readonly environment: Environment;
  readonly log: Logger;
}

interface Entry {
  readonly cistern: Cistern;
  readonly inventory: CisternInventory;
  readonly target: string;
  readonly madeFrom: string;
  /** Stops looking, and frees the client. */
  close(): Promise<void>;
}

/** How the inventory of a machine's Cloud is reached. */
type Way = Exclude<Sight, { kind: 'connected' }> | { readonly kind: 'connected'; readonly entry: Entry };

type Found =
  | { readonly kind: 'undeclared' }
  | { readonly kind: 'unlisted'; readonly why: string }
  | { readonly kind: 'listed'; readonly entry: Entry; readonly node: CisternNode };

/** However short an interval is declared, an inventory is not looked at more often. */
const SHORTEST_INTERVAL_MS = 100;

/**
 * The inventories of the Clouds that name one, by the Cloud's name: one client and one shared view each.
 * Whether a Cloud names one is read from its record: it is known before the Cloud was connected, and when it cannot be.
 */
export class Inventories implements InventoryPort {
  readonly #entries = new Map<string, Entry>();

  constructor(private readonly tools: InventoriesTools) {}

  /**
   * Looks at the inventory that a Cloud names, or takes over what has changed of it; at none if it names none. Another endpoint, cloud or
   * token makes a new view, in which nothing is known until its first look. @throws CisternError `InvalidEndpoint`
   */
  ensure(cloud: string, spec: CisternSpec | undefined, token: string | undefined): void {
    if (!spec) {
      this.drop(cloud);
      return;
    }
    const madeFrom = createHash('sha256')
      .update(JSON.stringify([targetOf(cloud, spec), token]))
      .digest('hex');
    const known = this.#entries.get(cloud);
    if (known?.madeFrom === madeFrom) {
      known.inventory.configure(settingsOf(spec));
      return;
    }
    const entry = this.#connect(cloud, spec, token, madeFrom);
    this.#end(cloud);
    this.#entries.set(cloud, entry);
    this.#allChanged(cloud);
  }

  /** How the inventory of a Cloud is, or undefined if none is looked at. */
  observation(cloud: string): Extract<InventoryObservation, { kind: 'connected' }> | undefined {
    const inventory = this.#entries.get(cloud)?.inventory;
    if (!inventory) return undefined;
    const nodes = inventory.nodes();
    return {
      kind: 'connected',
      health: inventory.health,
      stale: inventory.stale(this.tools.environment.now()),
      nodes: nodes.length,
      free: nodes.filter(isFree).length,
      faulty: nodes.filter(({ faulty }) => faulty).length,
    };
  }

  view(vm: VirtualMachine): InventoryView {
    return viewOf(vm, this.#sight(vm));
  }

  /** @throws CisternError: `Refused`, also for a machine that is not listed; `Unreachable`, also while that is not known. */
  async assign(vm: VirtualMachine, { user, application }: { user: string; application: string }, signal: AbortSignal) {
    const found = this.#find(vm);
    if (found.kind === 'undeclared') return;
    if (found.kind === 'unlisted') throw new CisternError('Refused', found.why);
    const { cistern } = found.entry;
    try {
      await this.#change(vm, found, (hostname) => cistern.assign({ hostname, user, vmType: application }, signal));
    } catch (error) {
      // It may have done it, or never heard of it: nobody has the machine, and nobody else is given it, until a look tells.
      if (isCisternError(error) && CISTERN_ERRORS[error.code].outcome === 'unknown')
        this.#inventoryOf(vm, found.entry)?.doubt(found.node.serverId);
      throw error;
    }
    this.#note(vm, found, (node) => ({ ...withoutUser(node), user, application }));
  }

  /** Nothing happens for a machine that is not listed. @throws CisternError: `Unreachable` also while that is not known. */
  async release(vm: VirtualMachine, signal: AbortSignal) {
    const found = this.#find(vm);
    if (found.kind !== 'listed') return;
    const { cistern } = found.entry;
    await this.#change(vm, found, (hostname) => cistern.release(hostname, signal));
    // Nobody has it: whether that makes it free is the inventory's to say.
    this.#note(vm, found, withoutUser)?.lookNow();
  }

  /** Looks at the inventory of a Cloud no more. */
  drop(cloud: string): void {
    if (!this.#entries.has(cloud)) return;
    this.#end(cloud);
    this.#allChanged(cloud);
  }

  /** Ends all. Calls in hand fail. */
  async close(): Promise<void> {
    const all = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.allSettled(all.map((entry) => entry.close()));
  }

  #connect(cloud: string, spec: CisternSpec, token: string | undefined, madeFrom: string): Entry {
    const { environment, makeCistern, records, listener } = this.tools;
    const log = this.tools.log.child({ cloud });
    const cistern = makeCistern({ endpoint: spec.endpoint, cloud: spec.cloud ?? cloud, token, environment });
    const stop = new AbortController();
    let stale = true;
    let failing = false;
    const inventory: CisternInventory = new CisternInventory(cistern, settingsOf(spec), environment, log, {
      nodesChanged: (ids) =>
        listener.machinesChanged(
          cloud,
          ids.flatMap((id) => records.virtualMachinesBoundTo(cloud, id)),
        ),
      healthChanged: () => {
        listener.healthChanged(cloud);
        const before = { stale, failing };
        stale = inventory.stale(environment.now());
        failing = inventory.health.error !== undefined;
        // What failed may have grown stale between two looks, when nobody was told.
        if (stale !== before.stale || failing !== before.failing) this.#allChanged(cloud);
      },
    });
    const running = inventory.run(stop.signal);
    return {
      cistern,
      inventory,
      target: targetOf(cloud, spec),
      madeFrom,
      close: async () => {
        stop.abort();
        await running;
        cistern.close();
      },
    };
  }

  #end(cloud: string): void {
    const known = this.#entries.get(cloud);
    this.#entries.delete(cloud);
    known
      ?.close()
      .catch((error: unknown) => this.tools.log.warn({ err: error, cloud }, 'closing the client of an inventory failed'));
  }

  #way(vm: VirtualMachine): Way {
    const cloud = vm.spec.cloudRef.name;
    const record = this.tools.records.get({ kind: 'Cloud', namespace: '', name: cloud });
    if (!record) return { kind: 'unconnected', why: `there is no Cloud ${cloud}` };
    const declared = declaredBy(record);
    if (declared === undefined) return { kind: 'undeclared' };
    const entry = this.#entries.get(cloud);
    // What another inventory said until the record was changed says nothing of this one.
    if (entry && declared !== 'unreadable' && entry.target === targetOf(cloud, declared)) return { kind: 'connected', entry };
    return { kind: 'unconnected', why: `the inventory of Cloud ${cloud} is not connected: see its condition InventoryReady` };
  }

  #sight(vm: VirtualMachine, way = this.#way(vm)): Sight {
    if (way.kind !== 'connected') return way;
    const { inventory } = way.entry;
    const node = vm.status?.id === undefined ? undefined : inventory.node(vm.status.id);
    const stale = inventory.stale(this.tools.environment.now());
    const doubted = node !== undefined && inventory.isDoubted(node.serverId);
    return { kind: 'connected', node, observedAt: inventory.health.observedAt, stale, doubted };
  }

  /** @throws CisternError `Unreachable` if it is not known whether the machine is listed. */
  #find(vm: VirtualMachine): Found {
    const way = this.#way(vm);
    if (way.kind === 'undeclared') return way;
    const sight = this.#sight(vm, way);
    if (way.kind === 'connected' && sight.kind === 'connected' && sight.node)
      return { kind: 'listed', entry: way.entry, node: sight.node };
    const why = `VirtualMachine ${vm.metadata.namespace}/${vm.metadata.name}: ${whyUnseen(vm, sight)}`;
    const known = sight.kind === 'connected' && sight.observedAt !== undefined && !sight.stale;
    if (known || vm.status?.id === undefined) return { kind: 'unlisted', why };
    throw new CisternError('Unreachable', why);
  }

  async #change(
    vm: VirtualMachine,
    { entry, node }: Extract<Found, { kind: 'listed' }>,
    call: (hostname: string) => Promise<CisternReceipt>,
  ): Promise<void> {
    try {
      const { serverId } = await call(addressOf(node, entry.inventory.nodes()));
      if (serverId === '' || serverId === node.serverId) return;
      const what = `the inventory of Cloud ${vm.spec.cloudRef.name} answered for its node ${node.hostname} with server ${serverId}`;
      throw new CisternError('InvalidAnswer', `${what}, not ${node.serverId}`);
    } catch (error) {
      // Refused, or of unknown outcome: either way something else may hold there than is known here.
      this.#inventoryOf(vm, entry)?.lookNow();
      throw error;
    }
  }

  /** Takes in what a call has done to a node, as that is known now. @returns where. */
  #note(
    vm: VirtualMachine,
    { entry, node }: Extract<Found, { kind: 'listed' }>,
    change: (node: CisternNode) => CisternNode,
  ): CisternInventory | undefined {
    const inventory = this.#inventoryOf(vm, entry);
    inventory?.note(change(inventory.node(node.serverId) ?? node));
    return inventory;
  }

  /** The present view of those nodes that a call was about: another one than before it, if the token was changed meanwhile. */
  #inventoryOf(vm: VirtualMachine, { target }: Entry): CisternInventory | undefined {
    const present = this.#entries.get(vm.spec.cloudRef.name);
    return present?.target === target ? present.inventory : undefined;
  }

  #allChanged(cloud: string): void {
    this.tools.listener.machinesChanged(cloud, this.tools.records.ofCloud('VirtualMachine', cloud));
  }
}

/** Which nodes are meant: knowledge of others is none of these. */
function targetOf(cloud: string, { endpoint, cloud: name = cloud }: CisternSpec): string {
  return JSON.stringify([endpoint, name]);
}

/** An inventory's settings with the defaults that the Cloud's schema tells. */
function settingsOf({ interval }: CisternSpec): { intervalMs: number } {
  return { intervalMs: Math.max(milliseconds(interval ?? '5s'), SHORTEST_INTERVAL_MS) };
}

/** What a node is called in a call: its hostname, or where that names several or none, its server. */
function addressOf({ serverId, hostname }: CisternNode, nodes: readonly CisternNode[]): string {
  return nodes.filter((other) => other.hostname === hostname).length === 1 && hostname !== '' ? hostname : serverId;
}

function withoutUser({ lastActivity: _seen, application: _run, ...node }: CisternNode): CisternNode {
  return { ...node, user: '' };
}

/** Every pass over every machine asks: each version of a Cloud is read once. */
const readings = new WeakMap<Resource, { readonly cistern: CisternSpec | 'unreadable' | undefined }>();

/** The inventory that a Cloud's record names; `unreadable` for a row that was written by hand and is not valid. */
function declaredBy(record: Resource): CisternSpec | 'unreadable' | undefined {
  const known = readings.get(record);
  if (known) return known.cistern;
  const { spec } = record;
  const value: unknown = typeof spec === 'object' && spec !== null ? Reflect.get(spec, 'cistern') : undefined;
  const parsed = cloudSpecSchema.shape.cistern.safeParse(value);
  const cistern = parsed.success ? parsed.data : 'unreadable';
  readings.set(record, { cistern });
  return cistern;
}
