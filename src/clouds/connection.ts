import type { Logger } from 'pino';
import type { Environment } from '../environment.js';
import { Catalog } from './catalog.js';
import type { CloudDriver, CloudKeyPair, Named } from './driver.js';
import { CloudObserver, type ObserverListener, type ObserverSettings } from './observer.js';
import { SharedList } from './shared-list.js';

/** What a cloud's owner may set, live. */
export interface ConnectionSettings extends ObserverSettings {
  /** How long after an attempt of unknown outcome its server may still appear. */
  readonly settleMs: number;
  readonly buildTimeoutMs: number;
  /** Servers of one installation at most; undefined: no limit. */
  readonly serverLimit: number | undefined;
}

/** One cloud, connected: its driver, and what is shared by all that use it. */
export class Connection {
  readonly observer: CloudObserver;
  readonly catalog: Catalog;
  readonly keyPairs: SharedList<CloudKeyPair>;
  readonly projects: SharedList<Named>;
  /** Keys and uids of resources whose server is asked for, and may not be in the observation yet. */
  readonly #reserved = new Map<string, string>();
  readonly #stop = new AbortController();
  #settings: ConnectionSettings;
  #running: Promise<void> | undefined;

  constructor(
    readonly driver: CloudDriver,
    settings: ConnectionSettings,
    environment: Environment,
    log: Logger,
    listener: ObserverListener,
  ) {
    this.#settings = settings;
    this.observer = new CloudObserver(driver, settings, environment, log, listener);
    this.catalog = new Catalog(driver, environment);
    this.keyPairs = new SharedList(() => driver.listKeyPairs(), environment);
    this.projects = new SharedList(() => driver.listProjects(), environment);
  }

  get settings(): ConnectionSettings {
    return this.#settings;
  }

  /** Takes over new settings at once. */
  configure(settings: ConnectionSettings): void {
    this.#settings = settings;
    this.observer.configure(settings);
  }

  /** Starts observing. */
  start(): void {
    this.#running ??= this.observer.run(this.#stop.signal);
  }

  /** True if the server limit leaves room for one of an installation's resource, those counted that others have reserved. */
  hasRoomFor(installation: string, uid: string): boolean {
    const { serverLimit } = this.#settings;
    if (serverLimit === undefined) return true;
    const unseen = [...this.#reserved.values()].filter(
      (other) => other !== uid && this.observer.ownedBy(installation, other).length === 0,
    );
    return this.observer.ownerCount(installation) + unseen.length < serverLimit;
  }

  /** Counts a server of a resource towards the limit, from before it is asked for until {@link free}. */
  reserve(key: string, uid: string): void {
    this.#reserved.set(key, uid);
  }

  /** Takes {@link reserve} back: the server is observed, or none will come. */
  free(key: string): void {
    this.#reserved.delete(key);
  }

  /** Expects nothing more for a resource that is gone. */
  forget(key: string): void {
    this.observer.setMoving(key, false);
    this.free(key);
  }

  /** Stops observing and frees the driver. Calls in hand end first. */
  async close(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.driver.close();
  }
}
