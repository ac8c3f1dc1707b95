import { Counter, Gauge, Histogram, type Registry } from 'prom-client';
import type { Lane, QueueObserver } from './queue.js';

/** How a call of a reconciler ended, in controller-runtime's words. */
export type ReconcileResult = 'success' | 'error' | 'requeue_after';

/** controller-runtime's own buckets. Seconds. */
const RECONCILE_BUCKETS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const QUEUE_BUCKETS = [0.0001, 0.001, 0.005, 0.01, 0.025, 0.1, 0.5, 1, 5, 10, 60, 300, 1000];

/**
 * What the engine counts, under the names that controller-runtime uses, so that dashboards made for it work. One per
 * Registry. The label `controller` or `name` is the name of the controller; lanes of a queue are its `priority`.
 */
export class EngineMetrics {
  readonly #reconciles: Counter<'controller' | 'result'>;
  readonly #errors: Counter<'controller'>;
  readonly #seconds: Histogram<'controller'>;
  readonly #active: Gauge<'controller'>;
  readonly #workers: Gauge<'controller'>;
  readonly #adds: Counter<'name'>;
  readonly #waited: Histogram<'name'>;
  readonly #worked: Histogram<'name'>;
  readonly #retries: Counter<'name'>;
  readonly #leading: Gauge<'name'>;
  readonly #depths = new Map<string, () => Readonly<Record<Lane, number>>>();

  constructor(registry: Registry) {
    const registers = [registry];
    const controller = { registers, labelNames: ['controller'] as const };
    const queue = { registers, labelNames: ['name'] as const };
    this.#reconciles = new Counter({
      name: 'controller_runtime_reconcile_total',
      help: 'Total number of reconciliations per controller',
      labelNames: ['controller', 'result'],
      registers,
    });
    this.#errors = new Counter({
      ...controller,
      name: 'controller_runtime_reconcile_errors_total',
      help: 'Total number of reconciliation errors per controller',
    });
    this.#seconds = new Histogram({
      ...controller,
      name: 'controller_runtime_reconcile_time_seconds',
      help: 'Length of time per reconciliation per controller',
      buckets: RECONCILE_BUCKETS,
    });
    this.#active = new Gauge({
      ...controller,
      name: 'controller_runtime_active_workers',
      help: 'Number of currently used workers per controller',
    });
    this.#workers = new Gauge({
      ...controller,
      name: 'controller_runtime_max_concurrent_reconciles',
      help: 'Maximum number of concurrent reconciles per controller',
    });
    this.#adds = new Counter({ ...queue, name: 'workqueue_adds_total', help: 'Total number of adds handled by workqueue' });
    this.#waited = new Histogram({
      ...queue,
      name: 'workqueue_queue_duration_seconds',
      help: 'How long in seconds an item stays in workqueue before being requested',
      buckets: QUEUE_BUCKETS,
    });
    this.#worked = new Histogram({
      ...queue,
      name: 'workqueue_work_duration_seconds',
      help: 'How long in seconds processing an item from workqueue takes',
      buckets: QUEUE_BUCKETS,
    });
    this.#retries = new Counter({
      ...queue,
      name: 'workqueue_retries_total',
      help: 'Total number of retries handled by workqueue',
    });
    this.#leading = new Gauge({
      ...queue,
      name: 'leader_election_master_status',
      help: 'Whether this process leads: 1, or is a backup: 0. The label is the name of the lease',
    });
    const depths = this.#depths;
    new Gauge({
      name: 'workqueue_depth',
      help: 'Current depth of workqueue',
      labelNames: ['name', 'priority'],
      registers,
      collect() {
        for (const [name, depth] of depths) {
          for (const [priority, value] of Object.entries(depth())) this.set({ name, priority }, value);
        }
      },
    });
  }

  /** The queue of a controller: hand it to that queue. */
  queue(name: string): QueueObserver {
    const adds = this.#adds.labels(name);
    const waited = this.#waited.labels(name);
    const worked = this.#worked.labels(name);
    const retries = this.#retries.labels(name);
    return {
      added: () => adds.inc(),
      taken: (ms) => waited.observe(ms / 1000),
      done: (ms) => worked.observe(ms / 1000),
      retried: () => retries.inc(),
    };
  }

  /** From now on the depth of that queue is read when metrics are. */
  depth(name: string, read: () => Readonly<Record<Lane, number>>): void {
    this.#depths.set(name, read);
  }

  workers(controller: string, count: number): void {
    this.#workers.set({ controller }, count);
    this.#active.set({ controller }, 0);
    for (const result of ['success', 'error', 'requeue_after']) this.#reconciles.inc({ controller, result }, 0);
    this.#errors.inc({ controller }, 0);
  }

  /** A worker begins. */
  began(controller: string): void {
    this.#active.inc({ controller });
  }

  /** A worker is done, after that many milliseconds. */
  ended(controller: string, result: ReconcileResult, ms: number): void {
    this.#active.dec({ controller });
    this.#seconds.observe({ controller }, ms / 1000);
    this.#reconciles.inc({ controller, result });
    if (result === 'error') this.#errors.inc({ controller });
  }

  /** Whether this process holds the lease of that name. */
  leading(lease: string, leads: boolean): void {
    this.#leading.set({ name: lease }, leads ? 1 : 0);
  }
}
