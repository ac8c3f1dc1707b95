import type { Logger } from 'pino';
import { type Environment, sleep } from '../environment.js';
import type { CisternClient } from './client.js';
import { CisternError, isCisternError } from './errors.js';
import type { CisternNode } from './protocol.js';

/** Whom an inventory wakes. Called after it holds what is told. */
export interface CisternListener {
  /** The cloud's ids of the servers of which something else is known than before: new, changed or gone. Never empty. */
  nodesChanged(serverIds: readonly string[]): void;
  /** Cistern was seen for the first time, began or ceased to fail, fails in another way, or what is known has become stale. */
  healthChanged(): void;
}

/** Whether Cistern answers. `error` is the last failure, and is there while it has not answered since; `at`: when that look began. */
export interface CisternHealth {
  /** When the last complete look began; undefined before the first. */
  readonly observedAt: Date | undefined;
  readonly error: { readonly at: Date; readonly error: CisternError } | undefined;
}

const INTERVAL_MS = 5_000;
const LONGEST_BACKOFF_MS = 30_000;
/** Beside three intervals: room for the pause after a failure. */
const STALE_MARGIN_MS = 30_000;

interface Entry {
  readonly node: CisternNode;
  /** The number of looks begun when it was noted or doubted; undefined if a look told it. */
  readonly noted?: number;
  /** See {@link CisternInventory.doubt}. */
  readonly doubted?: true;
}

/**
 * The shared, batched view of one cloud in one Cistern: all who want to know of a node read it, and it alone lists nodes.
 *
 * One look at a time, every `intervalMs`. Only a look that succeeds says what is absent; one that fails changes nothing but
 * {@link health}, and is tried again with growing pauses. What was noted since a look began outlives that look.
 */
export class CisternInventory {
  readonly #entries = new Map<string, Entry>();
  #intervalMs: number;
  #looks = 0;
  #wanted = false;
  #due: Date;
  /** After a failure: no look is taken before, whoever asks for one. */
  #notBefore: Date;
  #failures = 0;
  #health: CisternHealth = { observedAt: undefined, error: undefined };
  /** What the listener was last told of the health. */
  #told = '';
  #wake = new AbortController();

  /** @param settings `intervalMs`: milliseconds between the beginnings of two looks, default 5 s */
  constructor(
    private readonly client: Pick<CisternClient, 'nodes'>,
    { intervalMs = INTERVAL_MS }: { readonly intervalMs?: number },
    private readonly environment: Environment,
    private readonly log: Logger,
    private readonly listener: CisternListener,
  ) {
    this.#intervalMs = intervalMs;
    this.#due = environment.now();
    this.#notBefore = environment.now();
  }

  /** Looks until `signal` is aborted. Never rejects. To be called once. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake.abort(), { once: true });
    while (!signal.aborted) {
      const now = this.environment.now();
      const due = this.#wanted || this.#due < this.#notBefore ? this.#notBefore : this.#due;
      if (due > now) {
        this.#wake = new AbortController();
        await sleep(this.environment, due.getTime() - now.getTime(), this.#wake.signal).catch(() => undefined);
        continue;
      }
      await this.#look(now, signal);
    }
  }

  /** What is known of the node with that server, or undefined if none is known. */
  node(serverId: string): CisternNode | undefined {
    return this.#entries.get(serverId)?.node;
  }

  /** True if it is not known whether what is known of that node still holds: see {@link doubt}. */
  isDoubted(serverId: string): boolean {
    return this.#entries.get(serverId)?.doubted ?? false;
  }

  /** All nodes known, in no order. */
  nodes(): readonly CisternNode[] {
    return [...this.#entries.values()].map(({ node }) => node);
  }

  /** See {@link CisternHealth}. */
  get health(): CisternHealth {
    return this.#health;
  }

  /** True if Cistern has not been seen for longer than three intervals and 30 s, or never: nothing is to be decided by what is known. */
  stale(now: Date): boolean {
    const { observedAt } = this.#health;
    return !observedAt || now.getTime() - observedAt.getTime() > 3 * this.#intervalMs + STALE_MARGIN_MS;
  }

  /** Takes over another interval at once: the next look is due that long after the last one began. */
  configure({ intervalMs }: { readonly intervalMs: number }): void {
    if (intervalMs === this.#intervalMs) return;
    if (this.#looks > 0) this.#due = new Date(this.#due.getTime() - this.#intervalMs + intervalMs);
    this.#intervalMs = intervalMs;
    this.#wake.abort();
  }

  /** Asks for a look that begins after this call, as soon as may be: not while another is under way, nor in the pause after a failure. */
  lookNow(): void {
    this.#wanted = true;
    this.#wake.abort();
  }

  /** Takes in what an assign or a release has just told: it holds until a look that begins later says otherwise. */
  note(node: CisternNode): void {
    const known = this.#entries.get(node.serverId);
    this.#entries.set(node.serverId, { node, noted: this.#looks });
    if (!known || tellsAnew(known, node)) this.#tell(() => this.listener.nodesChanged([node.serverId]));
  }

  /** To be told when a call about a known node had no known outcome: that node is doubted until {@link note}, or a look that begins later. */
  doubt(serverId: string): void {
    const known = this.#entries.get(serverId);
    if (!known) return;
    this.#entries.set(serverId, { node: known.node, noted: this.#looks, doubted: true });
    if (!known.doubted) this.#tell(() => this.listener.nodesChanged([serverId]));
  }

  async #look(began: Date, signal: AbortSignal): Promise<void> {
    this.#wanted = false;
    this.#looks += 1;
    this.#due = new Date(began.getTime() + this.#intervalMs);
    try {
      const nodes = await this.client.nodes(signal);
      if (signal.aborted) return;
      this.#failures = 0;
      this.#health = { observedAt: began, error: undefined };
      const changed = this.#replace(nodes);
      if (changed.length > 0) this.#tell(() => this.listener.nodesChanged(changed));
    } catch (failure) {
      if (signal.aborted) return;
      const error = isCisternError(failure)
        ? failure
        : new CisternError('Unreachable', `listing the nodes of Cistern failed: ${String(failure)}`, { cause: failure });
      this.#failures += 1;
      this.#health = { ...this.#health, error: { at: began, error } };
      const pauseMs = Math.min(this.#intervalMs * 2 ** Math.min(this.#failures, 10), LONGEST_BACKOFF_MS);
      this.#notBefore = new Date(this.environment.now().getTime() + pauseMs);
      this.log.warn({ err: error, failures: this.#failures }, 'looking at Cistern failed');
    }
    this.#tellHealth();
  }

  /** @returns the servers of which something else is known now. */
  #replace(nodes: readonly CisternNode[]): string[] {
    const changed: string[] = [];
    const listed = new Set(nodes.map(({ serverId }) => serverId));
    for (const [serverId, { noted }] of this.#entries) {
      if (listed.has(serverId) || noted === this.#looks) continue;
      this.#entries.delete(serverId);
      changed.push(serverId);
    }
    for (const node of nodes) {
      const known = this.#entries.get(node.serverId);
      if (known?.noted === this.#looks) continue;
      this.#entries.set(node.serverId, { node });
      if (!known || tellsAnew(known, node)) changed.push(node.serverId);
    }
    return changed;
  }

  #tellHealth(): void {
    const { error } = this.#health;
    const state = JSON.stringify([this.stale(this.environment.now()), error?.error.code, error?.error.message]);
    if (state === this.#told) return;
    this.#told = state;
    this.#tell(() => this.listener.healthChanged());
  }

  #tell(call: () => void): void {
    try {
      call();
    } catch (error) {
      this.log.error({ err: error }, 'a listener of Cistern failed');
    }
  }
}

function tellsAnew(known: Entry, node: CisternNode): boolean {
  return known.doubted === true || !sameNode(known.node, node);
}

function sameNode(a: CisternNode, b: CisternNode): boolean {
  return (
    a.id === b.id &&
    a.hostname === b.hostname &&
    a.user === b.user &&
    a.recipe === b.recipe &&
    a.application === b.application &&
    a.status === b.status &&
    a.faulty === b.faulty &&
    a.lastActivity?.getTime() === b.lastActivity?.getTime()
  );
}
