import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { CallReport } from './clouds/driver.js';
import type { Resource } from './resources/metadata.js';

/** Seconds from a millisecond to an hour: cloud calls at the low end, time to ready at the high one. */
const CALL_BUCKETS = [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const READY_BUCKETS = [0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600];

/** What Dispatcher counts beside its engine, under `dispatcher_`. One per Registry. */
export class DispatcherMetrics {
  readonly #calls: Counter<'cloud' | 'operation' | 'result'>;
  readonly #seconds: Histogram<'cloud' | 'operation'>;
  readonly #timeToReady: Histogram;
  /** Uids of VirtualMachines whose first time to be Ready is still to come. */
  readonly #awaited = new Set<string>();

  /** @param observations the clouds and when the last complete observation of each began. */
  constructor(registry: Registry, observations: () => Iterable<readonly [cloud: string, completeAt: Date]>) {
    const registers = [registry];
    this.#calls = new Counter({
      name: 'dispatcher_cloud_calls_total',
      help: 'Calls to clouds by operation and result: ok, or the code of the error',
      labelNames: ['cloud', 'operation', 'result'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'dispatcher_cloud_call_seconds',
      help: 'How long calls to clouds took, without the waiting in the limiter',
      labelNames: ['cloud', 'operation'],
      buckets: CALL_BUCKETS,
      registers,
    });
    this.#timeToReady = new Histogram({
      name: 'dispatcher_virtual_machine_time_to_ready_seconds',
      help: 'From the declaration of a VirtualMachine to the first time that it was Ready',
      buckets: READY_BUCKETS,
      registers,
    });
    new Gauge({
      name: 'dispatcher_cloud_observation_timestamp_seconds',
      help: 'When the last complete observation of a cloud began: drift is not older than now minus this',
      labelNames: ['cloud'],
      registers,
      collect() {
        this.reset();
        for (const [cloud, completeAt] of observations()) this.set({ cloud }, completeAt.getTime() / 1000);
      },
    });
  }

  /** Counts a call. */
  called(cloud: string, { operation, error, durationMs }: CallReport): void {
    this.#calls.inc({ cloud, operation, result: error ?? 'ok' });
    this.#seconds.observe({ cloud, operation }, durationMs / 1000);
  }

  /**
   * Takes note of a VirtualMachine's change: the first time that it is Ready counts, wherever its first attempt began.
   * @param leading whether this process acts: of several replicas, one counts.
   */
  virtualMachineChanged(previous: Resource | undefined, current: Resource | undefined, leading: boolean): void {
    const { uid, creationTimestamp } = (current ?? previous)?.metadata ?? { uid: '', creationTimestamp: '' };
    if (current && !previous && isNew(current)) this.#awaited.add(uid);
    if (!this.#awaited.has(uid) || (current && !isReady(current))) return;
    this.#awaited.delete(uid);
    const readyAt = Date.parse(String(fieldOf(current?.status, 'observedAt')));
    if (leading && !Number.isNaN(readyAt)) this.#timeToReady.observe((readyAt - Date.parse(creationTimestamp)) / 1000);
  }
}

/** Whether no server of a VirtualMachine was ever built, as far as its status tells. */
function isNew({ status }: Resource): boolean {
  const attempt = fieldOf(fieldOf(status, 'ledger'), 'attempt') ?? 1;
  return attempt === 1 && fieldOf(status, 'builtAt') === undefined;
}

/** Whether a resource's condition Ready is True. Anything at all may stand in its status. */
export function isReady(resource: Resource): boolean {
  const conditions = fieldOf(resource.status, 'conditions');
  if (!Array.isArray(conditions)) return false;
  return conditions.some((one) => fieldOf(one, 'type') === 'Ready' && fieldOf(one, 'status') === 'True');
}

function fieldOf(value: unknown, field: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, field) : undefined;
}
