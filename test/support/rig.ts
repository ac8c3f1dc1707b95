import { type Dispatcher, type DispatcherOptions, startDispatcher } from '../../src/dispatcher.js';
import type { CloudSpec } from '../../src/resources/cloud.js';
import { conditionSchema } from '../../src/resources/conditions.js';
import { type Event, eventSchema } from '../../src/resources/core.js';
import type { Resource } from '../../src/resources/metadata.js';
import { type VirtualMachineStatus, virtualMachineStatusSchema } from '../../src/resources/virtual-machine.js';
import { FaultyStore, type StoreFaults } from './faulty-store.js';
import { captureLog } from './log.js';
import { MemoryStore } from './memory-store.js';
import { vmDraft } from './resources.js';
import { ScriptedCloud } from './scripted-cloud.js';
import { VirtualEnvironment, VirtualProcess } from './virtual-environment.js';

/** The installation id of a {@link Rig}. */
export const INSTALLATION = 'installation-1';

/**
 * A whole dispatcher over a store in memory, a scripted cloud and virtual time: what a test does is all that happens.
 * The Cloud `lab` is polled every 2 s while anything moves and audited every 60 s; its settle time is 30 s.
 */
export class Rig {
  readonly world = new VirtualEnvironment(1);
  readonly store = new MemoryStore(this.world);
  readonly cloud = new ScriptedCloud(this.world);
  /** Writes of dispatchers to the store, when they have happened, and calls to the cloud, when they arrive. */
  readonly journal: string[] = [];
  readonly log = captureLog();
  /** What happens on the dispatchers' way to the store; may be changed at any time. */
  faults: StoreFaults = {};
  /** How the driver of a Cloud is made. */
  makeDriver: DispatcherOptions['makeDriver'] = (_name, _spec, _credentials, onCall) => {
    this.cloud.onReport = onCall;
    return this.cloud;
  };
  readonly #running: { readonly dispatcher: Dispatcher; readonly process: VirtualProcess }[] = [];

  constructor() {
    this.cloud.onCall = (call) => this.journal.push(`cloud: ${call}`);
  }

  /** Starts a dispatcher, in a process of its own. With a holder it leads only while it has the lease. */
  start({ holder, ...options }: Partial<DispatcherOptions> & { readonly holder?: string } = {}): {
    readonly dispatcher: Dispatcher;
    readonly process: VirtualProcess;
  } {
    const process = new VirtualProcess(this.world);
    const store = new FaultyStore(this.store, process, {
      beforeRead: async (operation, key) => {
        await this.faults.beforeRead?.(operation, key);
        if (!process.alive) await new Promise(() => undefined);
      },
      beforeWrite: async (operation, key) => {
        if (!process.alive) await new Promise(() => undefined);
        await this.faults.beforeWrite?.(operation, key);
      },
      afterWrite: async (operation, key) => {
        this.journal.push(`store: ${operation} ${key.kind} ${key.name}`);
        await this.faults.afterWrite?.(operation, key);
        if (!process.alive) await new Promise(() => undefined);
      },
    });
    const dispatcher = startDispatcher({
      store,
      environment: process,
      log: this.log.log,
      installation: INSTALLATION,
      makeDriver: (...given) => this.makeDriver(...given),
      ...(holder === undefined ? {} : { election: { leases: store.leases, name: 'dispatcher', holder } }),
      ...options,
    });
    const running = { dispatcher, process };
    this.#running.push(running);
    return running;
  }

  /** Stops whatever runs. To be called after each test. */
  async stop(): Promise<void> {
    const alive = this.#running.splice(0).filter(({ process }) => process.alive);
    await this.world.settle(Promise.all(alive.map(({ dispatcher }) => dispatcher.stop())));
  }

  /** Declares the Cloud `lab`, or another. */
  async declareCloud(spec: Partial<CloudSpec> = {}, name = 'lab'): Promise<Resource> {
    const observe = { interval: '2s', auditInterval: '60s', settleTime: '30s' };
    return this.store.create({
      apiVersion: 'dispatcher.dev/v1alpha1',
      kind: 'Cloud',
      metadata: { name },
      spec: { engine: 'simulator', observe, ...spec },
    });
  }

  /** Declares a VirtualMachine in the namespace `default`. */
  async declare(name: string, spec: Record<string, unknown> = {}): Promise<Resource> {
    return this.store.create(vmDraft(name, {}, spec));
  }

  async declareSecret(name: string, values: Readonly<Record<string, string>>): Promise<Resource> {
    const data = Object.fromEntries(Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString('base64')]));
    return this.store.create({ apiVersion: 'v1', kind: 'Secret', metadata: { name, namespace: 'default' }, data });
  }

  /** Changes fields of a resource's spec; undefined takes one away. */
  async edit(kind: string, name: string, change: Record<string, unknown>): Promise<Resource> {
    const resource = this.get(kind, name);
    const spec = Object.entries({ ...asObject(resource.spec), ...change }).filter(([, value]) => value !== undefined);
    return this.store.update({ ...resource, spec: Object.fromEntries(spec) });
  }

  /** Asks for a resource's deletion, as a person does. */
  async remove(kind: string, name: string): Promise<void> {
    const { metadata } = this.get(kind, name);
    await this.store.delete({ kind, namespace: metadata.namespace ?? '', name });
  }

  /** The resource as it stands in the store, or undefined. */
  find(kind: string, name: string): Resource | undefined {
    return this.store.everything(kind).find(({ metadata }) => metadata.name === name);
  }

  /** The resource as it stands in the store. */
  get(kind: string, name: string): Resource {
    const found = this.find(kind, name);
    if (!found) throw new Error(`there is no ${kind} ${name} in the store`);
    return found;
  }

  /** The status of a VirtualMachine. */
  status(name: string): VirtualMachineStatus {
    return virtualMachineStatusSchema.parse(this.get('VirtualMachine', name).status ?? {});
  }

  /** What a resource says of itself: `{ Ready: 'False Quota', Reconciling: 'True Quota' }`. */
  said(kind: string, name: string): Record<string, string> {
    return Object.fromEntries(this.#conditions(kind, name).map(({ type, status, reason }) => [type, `${status} ${reason}`]));
  }

  /** The message of a resource's condition. */
  message(kind: string, name: string, type = 'Ready'): string {
    return this.#conditions(kind, name).find((one) => one.type === type)?.message ?? '';
  }

  /** The events that a resource was told of, in the order in which each came first: `Normal Created`, `Warning Quota x2`. */
  events(name: string): string[] {
    return this.#eventsOf(name).map(({ type, reason, count = 1 }) => `${type} ${reason}${count > 1 ? ` x${count}` : ''}`);
  }

  /** The messages of those events. */
  eventMessages(name: string): string[] {
    return this.#eventsOf(name).map(({ message }) => message ?? '');
  }

  /** Lets that many milliseconds go by. */
  async pass(ms: number): Promise<void> {
    await this.world.run(() => false, ms);
  }

  /** Lets time go by until something is true. @throws Error if it is not within an hour, or that many milliseconds. */
  async until(what: string, check: () => boolean, maxMs = 3_600_000): Promise<void> {
    if (!(await this.world.run(check, maxMs))) throw new Error(`still not so after ${maxMs} ms: ${what}`);
  }

  /** A Cloud `lab` and a VirtualMachine that is Ready with its server `s1`, in a dispatcher that is at rest. */
  async withReadyMachine(name = 'web-1', spec: Record<string, unknown> = {}): Promise<void> {
    await this.declareCloud();
    this.start();
    await this.declare(name, spec);
    await this.until(`${name} is bound`, () => this.find('VirtualMachine', name)?.status !== undefined && !!this.status(name).id);
    this.cloud.put('s1', { state: 'Running' });
    await this.until(`${name} is Ready`, () => this.said('VirtualMachine', name).Ready === 'True Running');
    await this.pass(5_000);
  }

  #conditions(kind: string, name: string) {
    const { conditions } = asObject(this.get(kind, name).status);
    return Array.isArray(conditions) ? conditions.map((one) => conditionSchema.parse(one)) : [];
  }

  #eventsOf(name: string): Event[] {
    return this.store
      .everything('Event')
      .map((resource) => ({ ...resource, ...eventSchema.parse(eventFields(resource)) }))
      .filter(({ involvedObject }) => involvedObject.name === name);
  }
}

function eventFields({ apiVersion: _version, kind: _kind, metadata: _metadata, ...fields }: Resource): Record<string, unknown> {
  return fields;
}

function asObject(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? { ...value } : {};
}
