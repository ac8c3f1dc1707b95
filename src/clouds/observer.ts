import type { Logger } from 'pino';
import { type Environment, sleep } from '../environment.js';
import type { CloudDriver, Server, Watermark } from './driver.js';
import { CloudError } from './errors.js';

/** How often a cloud is looked at. Milliseconds. */
export interface ObserverSettings {
  /** Between delta polls while something moves; five times that while nothing does. */
  readonly intervalMs: number;
  /** Between full audits. */
  readonly auditIntervalMs: number;
}

/** Whom an observer wakes. Called after the snapshot holds what is told. */
export interface ObserverListener {
  /** Servers that differ from what was known of them: new, changed or gone. Never empty. */
  serversChanged(servers: readonly Server[]): void;
  /** Keys that waited for a complete observation (see {@link CloudObserver.wantComplete}). */
  completed(keys: readonly string[]): void;
  /** An audit ended or failed: what {@link CloudObserver.health} says may be new. */
  healthChanged(): void;
}

/** Whether the cloud answers. `error` is the last failure, and is there while it has not answered since. */
export interface CloudHealth {
  /** When the last complete observation began; undefined before the first. */
  readonly completeAt: Date | undefined;
  readonly error: { readonly at: Date; readonly error: CloudError } | undefined;
}

/** What is known of one server: `server` was true at `asOf` or later. */
export interface Sighting {
  readonly server: Server;
  readonly asOf: Date;
}

const LONGEST_BACKOFF_MS = 30_000;
/** While nothing is expected to move, delta polls are so many times rarer: what others change is seen within seconds all the same. */
const IDLE_FACTOR = 5;
/** How long a deletion is remembered: longer than any list that began before it can take. */
const GONE_MEMORY_MS = 600_000;

/**
 * The shared, batched view of one cloud: all objects read it, and it alone lists servers.
 *
 * A full audit runs every `auditIntervalMs`; delta polls run every `intervalMs` while any key is marked moving, and five times as rarely
 * when none is; one call at a time.
 * A delta says what changed, never what is absent; only an audit removes what it does not list. Each answer holds for the time at
 * which its call began: what was noted later than that is kept. An audit that fails changes nothing and is tried again.
 */
export class CloudObserver {
  readonly #entries = new Map<string, Sighting>();
  /** Installation -> uid of the resource -> ids of its servers. */
  readonly #byOwner = new Map<string, Map<string, Set<string>>>();
  readonly #gone = new Map<string, Date>();
  readonly #moving = new Set<string>();
  readonly #waiting = new Map<string, Date>();
  #settings: ObserverSettings;
  #watermark: Watermark | undefined;
  #completeAt: Date | undefined;
  #error: CloudHealth['error'];
  #failures = 0;
  #auditDue: Date;
  /** When the last answer came. */
  #lookedAt: Date;
  /** After a failure: no look is taken before, whoever asks for one. */
  #notBefore: Date;
  #wake: AbortController = new AbortController();

  constructor(
    private readonly driver: Pick<CloudDriver, 'listServers' | 'listChanges'>,
    settings: ObserverSettings,
    private readonly environment: Environment,
    private readonly log: Logger,
    private readonly listener: ObserverListener,
  ) {
    this.#settings = settings;
    this.#auditDue = environment.now();
    this.#lookedAt = environment.now();
    this.#notBefore = environment.now();
  }

  /** Looks until `signal` is aborted. Never rejects. To be called once. */
  async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener('abort', () => this.#wake.abort(), { once: true });
    while (!signal.aborted) {
      const now = this.environment.now();
      const due = this.#nextDue();
      if (due > now) {
        this.#wake = new AbortController();
        await sleep(this.environment, due.getTime() - now.getTime(), this.#wake.signal).catch(() => undefined);
        continue;
      }
      await this.#look(this.#auditDue <= now, signal);
    }
  }

  /** What is known now of a server, or undefined if it is not known to be there. */
  sighting(id: string): Sighting | undefined {
    return this.#entries.get(id);
  }

  /** True if the server is known to be deleted, by the cloud's own word. Never forgets sooner than ten minutes. */
  isGone(id: string): boolean {
    return this.#gone.has(id);
  }

  /** The servers that bear the owner tag of an installation's resource. */
  ownedBy(installation: string, uid: string): readonly Server[] {
    return [...(this.#byOwner.get(installation)?.get(uid) ?? [])].flatMap((id) => this.#entries.get(id)?.server ?? []);
  }

  /** How many resources of an installation have known servers. */
  ownerCount(installation: string): number {
    return this.#byOwner.get(installation)?.size ?? 0;
  }

  /** All servers known. */
  *servers(): Iterable<Server> {
    for (const { server } of this.#entries.values()) yield server;
  }

  /** See {@link CloudHealth}. */
  get health(): CloudHealth {
    return { completeAt: this.#completeAt, error: this.#error };
  }

  /** Takes in what a call of ours has just told: the answer to a create, a get, or what a call has set going. */
  note(server: Server): void {
    this.#tell(this.#take(server, this.environment.now()));
  }

  /** Takes in that the cloud has answered NotFound for a server. */
  noteGone(id: string): void {
    const known = this.#entries.get(id);
    this.#remove(id, this.environment.now());
    if (known) this.listener.serversChanged([{ ...known.server, state: 'Deleted' }]);
  }

  /** Marks whether `key` expects something to change soon: delta polls run while any key does. */
  setMoving(key: string, moving: boolean): void {
    if (moving === this.#moving.has(key)) return;
    if (!moving) {
      this.#moving.delete(key);
      return;
    }
    this.#moving.add(key);
    this.#wake.abort();
  }

  /** Asks for a complete observation that begins at `after` or later; the listener is told when there is one. */
  wantComplete(key: string, after: Date): void {
    if (this.#completeAt && this.#completeAt >= after) {
      this.listener.completed([key]);
      return;
    }
    this.#waiting.set(key, after);
    const soonest = new Date((this.#completeAt?.getTime() ?? 0) + this.#settings.intervalMs);
    const due = after > soonest ? after : soonest;
    if (due >= this.#auditDue) return;
    this.#auditDue = due;
    this.#wake.abort();
  }

  /** Takes over new settings at once: what is due sooner by them comes sooner. */
  configure(settings: ObserverSettings): void {
    if (settings.auditIntervalMs === this.#settings.auditIntervalMs && settings.intervalMs === this.#settings.intervalMs) return;
    this.#settings = settings;
    const due = new Date(this.environment.now().getTime() + settings.auditIntervalMs);
    if (due < this.#auditDue) this.#auditDue = due;
    this.#wake.abort();
  }

  #nextDue(): Date {
    const pollMs = this.#settings.intervalMs * (this.#moving.size > 0 ? 1 : IDLE_FACTOR);
    const pollDue = new Date(this.#lookedAt.getTime() + pollMs);
    const due = this.#watermark !== undefined && pollDue < this.#auditDue ? pollDue : this.#auditDue;
    return due > this.#notBefore ? due : this.#notBefore;
  }

  async #look(audit: boolean, signal: AbortSignal): Promise<void> {
    const began = this.environment.now();
    try {
      if (audit || this.#watermark === undefined) {
        const { servers, watermark } = await this.driver.listServers(signal);
        this.#watermark = watermark;
        this.#completeAt = began;
        this.#auditDue = new Date(began.getTime() + this.#settings.auditIntervalMs);
        for (const after of this.#waiting.values()) {
          if (after > began && after < this.#auditDue) this.#auditDue = after;
        }
        this.#tell(this.#replaceAll(servers, began));
      } else {
        const { servers, watermark } = await this.driver.listChanges(this.#watermark, signal);
        this.#watermark = watermark;
        this.#tell(servers.flatMap((server) => this.#take(server, began)));
      }
      this.#lookedAt = this.environment.now();
      const recovered = this.#error !== undefined;
      this.#error = undefined;
      this.#failures = 0;
      if (recovered || this.#completeAt === began) this.listener.healthChanged();
      if (this.#completeAt === began) this.#tellCompleted(began);
    } catch (error) {
      if (signal.aborted) return;
      const known =
        error instanceof CloudError
          ? error
          : new CloudError('Unavailable', `listing servers failed: ${String(error)}`, { cause: error });
      this.#failures += 1;
      this.#error = { at: began, error: known };
      const backoff = Math.min(this.#settings.intervalMs * 2 ** Math.min(this.#failures, 10), LONGEST_BACKOFF_MS);
      this.#notBefore = new Date(this.environment.now().getTime() + Math.max(known.retryAfterMs ?? 0, backoff));
      this.log.warn({ err: known, audit, failures: this.#failures }, 'observing failed');
      this.listener.healthChanged();
    }
  }

  #tell(changed: readonly Server[]): void {
    if (changed.length > 0) this.listener.serversChanged(changed);
  }

  #tellCompleted(began: Date): void {
    const keys = [...this.#waiting].filter(([, after]) => after <= began).map(([key]) => key);
    for (const key of keys) this.#waiting.delete(key);
    if (keys.length > 0) this.listener.completed(keys);
  }

  #replaceAll(servers: readonly Server[], began: Date): Server[] {
    const changed = servers.filter((server) => this.#put(server, began));
    const listed = new Set(servers.map((server) => server.id));
    for (const [id, { server, asOf }] of this.#entries) {
      if (listed.has(id) || asOf > began) continue;
      this.#drop(id);
      changed.push({ ...server, state: 'Deleted' });
    }
    for (const [id, at] of this.#gone) {
      if (began.getTime() - at.getTime() > GONE_MEMORY_MS) this.#gone.delete(id);
    }
    return changed;
  }

  /** @returns what is to be told of it: of one that is deleted, what was known, since clouds then no longer say whose it was. */
  #take(server: Server, asOf: Date): Server[] {
    const known = this.#entries.get(server.id)?.server;
    if (!this.#put(server, asOf)) return [];
    return [known && server.state === 'Deleted' ? { ...known, state: 'Deleted' } : server];
  }

  /** @returns whether something new was learned. */
  #put(server: Server, asOf: Date): boolean {
    const known = this.#entries.get(server.id);
    if (server.state === 'Deleted') {
      const news = known !== undefined || !this.#gone.has(server.id);
      this.#remove(server.id, asOf);
      return news;
    }
    const gone = this.#gone.get(server.id);
    if ((known && known.asOf > asOf) || (gone && gone >= asOf)) return false;
    this.#gone.delete(server.id);
    this.#entries.set(server.id, { server, asOf });
    if (known?.server.owner?.uid !== server.owner?.uid || known?.server.owner?.installation !== server.owner?.installation) {
      this.#forgetOwner(known?.server);
      this.#rememberOwner(server);
    }
    return !known || !sameServer(known.server, server);
  }

  #remove(id: string, asOf: Date): void {
    this.#drop(id);
    this.#gone.set(id, asOf);
  }

  #drop(id: string): void {
    this.#forgetOwner(this.#entries.get(id)?.server);
    this.#entries.delete(id);
  }

  #rememberOwner({ id, owner }: Server): void {
    if (!owner) return;
    const byUid = this.#byOwner.get(owner.installation) ?? new Map<string, Set<string>>();
    byUid.set(owner.uid, (byUid.get(owner.uid) ?? new Set()).add(id));
    this.#byOwner.set(owner.installation, byUid);
  }

  #forgetOwner(server: Server | undefined): void {
    if (!server?.owner) return;
    const { installation, uid } = server.owner;
    const byUid = this.#byOwner.get(installation);
    const ids = byUid?.get(uid);
    ids?.delete(server.id);
    if (ids?.size === 0) byUid?.delete(uid);
    if (byUid?.size === 0) this.#byOwner.delete(installation);
  }
}

/** Equal in all that a driver reports but the time of the last change; the order of metadata and tags does not count. */
function sameServer(a: Server, b: Server): boolean {
  return (
    a === b ||
    (a.state === b.state &&
      a.task === b.task &&
      a.name === b.name &&
      a.owner?.uid === b.owner?.uid &&
      a.owner?.attempt === b.owner?.attempt &&
      a.owner?.installation === b.owner?.installation &&
      a.ownerTagWhole === b.ownerTagWhole &&
      a.imageId === b.imageId &&
      a.flavorId === b.flavorId &&
      a.flavorName === b.flavorName &&
      a.keyName === b.keyName &&
      a.fault === b.fault &&
      sameAddresses(a.addresses, b.addresses) &&
      sameEntries(a.metadata, b.metadata) &&
      sameTags(a.tags, b.tags))
  );
}

function sameAddresses(a: Server['addresses'], b: Server['addresses']): boolean {
  if (a.length !== b.length) return false;
  return a.every(({ network, address, type }, index) => {
    const other = b[index];
    return network === other?.network && address === other.address && type === other.type;
  });
}

function sameEntries(a: Server['metadata'], b: Server['metadata']): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

function sameTags(a: Server['tags'], b: Server['tags']): boolean {
  if (a === undefined || b === undefined) return a === b;
  return a.length === b.length && (a.length === 0 || a.toSorted().join() === b.toSorted().join());
}
