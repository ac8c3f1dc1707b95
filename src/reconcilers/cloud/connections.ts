import { createHash } from 'node:crypto';
import type { Logger } from 'pino';
import { Connection, type ConnectionListener, type ConnectionSettings } from '../../clouds/connection.js';
import type { CallReport, CloudDriver } from '../../clouds/driver.js';
import type { Environment } from '../../environment.js';
import type { CloudSpec } from '../../resources/cloud.js';
import { milliseconds } from '../../resources/duration.js';

/**
 * Makes the driver of a Cloud. MUST NOT call the cloud yet.
 * @param credentials the values of the Secret that credentialsRef names; undefined where the Cloud names none.
 * @throws Error with a sentence that names what is missing or wrong, never a value of a Secret.
 */
export type DriverFactory = (
  name: string,
  spec: CloudSpec,
  credentials: Readonly<Record<string, string>> | undefined,
  onCall: (report: CallReport) => void,
) => CloudDriver;

/** Calls made since the process started. */
export interface CallCounts {
  total: number;
  failed: number;
  throttled: number;
}

interface Entry {
  readonly connection: Connection;
  readonly madeFrom: string;
  readonly calls: CallCounts;
}

/** The connections to the clouds that are declared, by the Cloud's name. One driver and one observer each, shared by all. */
export class CloudConnections {
  readonly #entries = new Map<string, Entry>();

  constructor(
    private readonly makeDriver: DriverFactory,
    private readonly listenerOf: (cloud: string) => ConnectionListener,
    private readonly onCall: (cloud: string, report: CallReport) => void,
    private readonly environment: Environment,
    private readonly log: Logger,
  ) {}

  /** The connection of a Cloud, if it has one. */
  get(name: string): Connection | undefined {
    return this.#entries.get(name)?.connection;
  }

  /** The calls made for a Cloud. */
  calls(name: string): Readonly<CallCounts> | undefined {
    return this.#entries.get(name)?.calls;
  }

  /**
   * Connects a Cloud, or takes over what has changed of it. A change of who and where makes a new connection, whose first observation
   * everything then waits for; the old one ends when its calls have. @throws as the DriverFactory does.
   */
  ensure(name: string, spec: CloudSpec, credentials: Readonly<Record<string, string>> | undefined): Connection {
    const { engine, endpoint, region, project, limits, requestTimeout } = spec;
    const madeFrom = digest([
      engine,
      endpoint,
      region,
      project,
      limits?.inFlight,
      limits?.requestsPerSecond,
      requestTimeout,
      credentials,
    ]);
    const known = this.#entries.get(name);
    if (known?.madeFrom === madeFrom) {
      known.connection.configure(settingsOf(spec));
      return known.connection;
    }
    const calls: CallCounts = { total: 0, failed: 0, throttled: 0 };
    const driver = this.makeDriver(name, spec, credentials, (report) => {
      calls.total += 1;
      if (report.error !== undefined) calls.failed += 1;
      if (report.status === 429) calls.throttled += 1;
      this.onCall(name, report);
    });
    const log = this.log.child({ cloud: name });
    const connection = new Connection(driver, settingsOf(spec), this.environment, log, this.listenerOf(name));
    this.drop(name);
    this.#entries.set(name, { connection, madeFrom, calls });
    connection.start();
    return connection;
  }

  /** Has no connection expect anything more for a resource that is gone, whichever Cloud it was in. */
  forget(key: string): void {
    for (const { connection } of this.#entries.values()) connection.forget(key);
  }

  /** Ends the connection of a Cloud, in the background. */
  drop(name: string): void {
    const known = this.#entries.get(name);
    this.#entries.delete(name);
    known?.connection
      .close()
      .catch((error: unknown) => this.log.warn({ err: error, cloud: name }, 'closing a connection failed'));
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    const all = [...this.#entries.values()];
    this.#entries.clear();
    await Promise.allSettled(all.map(({ connection }) => connection.close()));
  }
}

/** However short an interval is declared, a cloud is not looked at more often. */
const SHORTEST_INTERVAL_MS = 100;

/** A Cloud's settings with the defaults that its schema tells. */
function settingsOf({ observe, buildTimeout, limits }: CloudSpec): ConnectionSettings {
  return {
    intervalMs: Math.max(milliseconds(observe?.interval ?? '2s'), SHORTEST_INTERVAL_MS),
    auditIntervalMs: Math.max(milliseconds(observe?.auditInterval ?? '60s'), SHORTEST_INTERVAL_MS),
    settleMs: milliseconds(observe?.settleTime ?? '30s'),
    buildTimeoutMs: milliseconds(buildTimeout ?? '10m'),
    serverLimit: limits?.servers,
  };
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('hex');
}
