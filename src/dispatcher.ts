import type { Logger } from 'pino';
import type { Registry } from 'prom-client';
import { CisternClient } from './cistern/client.js';
import type { Connection, ConnectionListener } from './clouds/connection.js';
import type { Cache, Change } from './controllers/cache.js';
import { Controller } from './controllers/controller.js';
import { EventRecorder } from './controllers/events.js';
import { batched, followOwnKind, isSameWish, laneOf, STATUS_DELAY_MS, unlessOwn, unlessStatus } from './controllers/following.js';
import { Manager, type ManagerOptions, type Runnable } from './controllers/manager.js';
import { EngineMetrics } from './controllers/metrics.js';
import type { Reconciler } from './controllers/reconciler.js';
import { resync } from './controllers/resync.js';
import type { Environment } from './environment.js';
import { DispatcherMetrics, isReady } from './metrics.js';
import { assignmentOfRule } from './reconcilers/assignment/ports.js';
import { AssignmentReconciler } from './reconcilers/assignment/reconciler.js';
import { Stock } from './reconcilers/assignment/stock.js';
import { makeCaches } from './reconcilers/caches.js';
import { CloudConnections, type DriverFactory } from './reconcilers/cloud/connections.js';
import { CloudReconciler } from './reconcilers/cloud/reconciler.js';
import {
  assignmentOf,
  cloudOf,
  credentialsOf,
  keysOfPort,
  keysOfServer,
  keysOfVolume,
  machineOf,
  parseKey,
  poolKeys,
  recipeKeys,
  volumesOfServer,
} from './reconcilers/concerned.js';
import { Firewall } from './reconcilers/firewall/firewall.js';
import { FirewallReconciler } from './reconcilers/firewall/reconciler.js';
import { type CisternFactory, Inventories } from './reconcilers/inventory/inventories.js';
import { KeyPairReconciler } from './reconcilers/key-pair/reconciler.js';
import { recipesOf } from './reconcilers/pool/observe.js';
import { PoolReconciler } from './reconcilers/pool/reconciler.js';
import { RecipeReconciler } from './reconcilers/recipe/reconciler.js';
import { INDEXES, Records } from './reconcilers/records.js';
import { SecretReconciler } from './reconcilers/secret/reconciler.js';
import { VirtualMachineReconciler } from './reconcilers/virtual-machine/reconciler.js';
import { VolumeReconciler } from './reconcilers/volume/reconciler.js';
import { fieldOf } from './resources/field-of.js';
import { keyOf, type Resource, type ResourceKey } from './resources/metadata.js';
import { sameJson } from './resources/same-json.js';
import type { VirtualMachine } from './resources/virtual-machine.js';
import type { Store } from './store/store.js';

/** What a dispatcher is made of. */
export interface DispatcherOptions {
  readonly store: Store;
  readonly environment: Environment;
  readonly log: Logger;
  /** This installation's id: part of every owner tag, the same for all replicas and for ever. */
  readonly installation: string;
  readonly makeDriver: DriverFactory;
  /** Default: makes clients that speak HTTP to the Cisterns that Clouds name. */
  readonly makeCistern?: CisternFactory;
  /** VirtualMachines worked on at once. Default 64. */
  readonly concurrency?: number;
  readonly metrics?: Registry;
  /** Without one, this process always leads. */
  readonly election?: ManagerOptions['election'];
}

/** A dispatcher at work. */
export interface Dispatcher {
  /** True once everything declared is known. */
  readonly synced: boolean;
  /** True while this process acts. */
  readonly leading: boolean;
  /** The resources of a kind as last seen. */
  list(kind: 'Cloud' | 'VirtualMachine' | 'KeyPair'): readonly Resource[];
  /** The connection to a Cloud, by its name: while this process leads, and the Cloud can be connected. */
  connection(cloud: string): Connection | undefined;
  /** Drains: takes nothing new, finishes the steps in hand, writes the last events, gives up the lease. */
  stop(): Promise<void>;
}

/** Changes in one look at a cloud beyond which they are a flood (the first look), and yield to single changes. */
const FLOOD = 256;
/** The kinds that decide who is offered which machine. */
const STOCK_KINDS = ['VirtualMachine', 'VirtualMachinePool', 'VirtualMachineAssignment', 'Recipe', 'Volume'] as const;
const RESYNC_MS = 600_000;
const PLACE_DELAY_MS = 500;
const DEFAULT_CONCURRENCY = 64;

/** Starts the reconcilers over a store. Returns at once; {@link Dispatcher.synced} says when all is known. */
export function startDispatcher(options: DispatcherOptions): Dispatcher {
  const { store, environment, log, installation, concurrency = DEFAULT_CONCURRENCY } = options;
  const caches = makeCaches(options);
  const records = new Records(caches, store);
  const engineMetrics = options.metrics && new EngineMetrics(options.metrics);
  const events = new EventRecorder({ store, environment, log, component: 'dispatcher', instance: environment.id() });
  const connections: CloudConnections = new CloudConnections(
    options.makeDriver,
    (cloud) => listener(cloud),
    (cloud, report) => metrics?.called(cloud, report),
    environment,
    log,
  );
  const metrics = options.metrics && new DispatcherMetrics(options.metrics, () => observations(caches.Cloud, connections));
  const inventories = new Inventories({
    makeCistern: options.makeCistern ?? ((given) => new CisternClient(given)),
    records,
    listener: {
      machinesChanged: inventoryChanged,
      healthChanged: (cloud) => clouds.enqueue({ kind: 'Cloud', namespace: '', name: cloud }),
    },
    environment,
    log,
  });
  const connection = (cloud: string) => connections.get(cloud);
  const controller = (name: string, reconciler: Reconciler, workers: number) =>
    new Controller({ name, reconciler, workers, environment, log, ...(engineMetrics ? { metrics: engineMetrics } : {}) });

  const tools = { store, records, connection, events, environment, installation, log };
  const firewall = new Firewall(records, installation);
  const machines = controller(
    'virtualmachine',
    new VirtualMachineReconciler({
      ...tools,
      firewall,
      forget: (key) => connections.forget(key),
    }),
    concurrency,
  );
  const clouds = controller('cloud', new CloudReconciler({ ...tools, connections, inventories }), 4);
  const keyPairs = controller('keypair', new KeyPairReconciler(tools), 4);
  const secrets = controller('secret', new SecretReconciler({ records }), 2);
  const sight = { ...tools, opinion: (machine: VirtualMachine) => inventories.view(machine).opinion };
  const stock = new Stock({ records, inventories, environment, digestOf: (pool) => recipesOf(pool, sight).making?.digest });
  const assignments = controller(
    'virtualmachineassignment',
    new AssignmentReconciler({ ...tools, stock, inventories }),
    concurrency,
  );
  const pools = controller(
    'virtualmachinepool',
    new PoolReconciler({ ...sight, release: (machine, signal) => inventories.release(machine, signal) }),
    4,
  );
  const firewalls = controller(
    'firewall',
    new FirewallReconciler({
      ...tools,
      firewall,
      wake: (keys) => {
        for (const key of keys) machines.enqueue(key);
      },
    }),
    4,
  );
  const volumes = controller('volume', new VolumeReconciler({ ...tools, forget: (key) => connections.forget(key) }), 16);
  const recipes = controller('recipe', new RecipeReconciler(tools), 2);
  const byKind: Partial<Record<keyof typeof caches, Controller>> = {
    VirtualMachine: machines,
    VirtualMachineAssignment: assignments,
    Cloud: clouds,
    KeyPair: keyPairs,
    Volume: volumes,
    Secret: secrets,
    VirtualMachinePool: pools,
    Recipe: recipes,
  };

  const told = new WeakMap<object, { readonly observed: boolean; readonly failing: boolean }>();
  function listener(cloud: string): ConnectionListener {
    const healthChanged = () => cloudChanged(cloud);
    return {
      servers: {
        serversChanged: (servers) => {
          const lane = servers.length > FLOOD ? 'resync' : 'change';
          for (const key of servers.flatMap((server) => keysOfServer(records, cloud, server))) machines.enqueue(key, lane);
          for (const key of servers.flatMap((server) => volumesOfServer(records, cloud, server))) volumes.enqueue(key, lane);
        },
        completed: wake,
        healthChanged,
      },
      ports: {
        changed: (changes) => {
          wakeFirewall(cloud);
          const lane = changes.length > FLOOD ? 'resync' : 'change';
          const concerned = changes.flatMap(({ previous, current }) => [previous, current].flatMap((port) => port ?? []));
          for (const key of concerned.flatMap((port) => keysOfPort(records, cloud, port))) machines.enqueue(key, lane);
        },
        completed: wake,
        healthChanged: () => {
          wakeFirewall(cloud);
          for (const resource of records.ofCloud('VirtualMachine', cloud))
            if (!isReady(resource)) machines.enqueue(keyOf(resource), 'resync');
        },
      },
      groups: {
        changed: (changes) => {
          wakeFirewall(cloud);
          const ids = changes.flatMap(({ previous, current }) => (current ?? previous)?.id ?? []);
          const wearing = ids.flatMap((id) => connections.get(cloud)?.ports.by(`group/${id}`) ?? []);
          for (const key of wearing.flatMap((port) => keysOfPort(records, cloud, port))) machines.enqueue(key, 'resync');
        },
        completed: wake,
        healthChanged: () => wakeFirewall(cloud),
      },
      volumes: {
        changed: (changes) => {
          const concerned = changes.flatMap(({ previous, current }) => [previous, current].flatMap((volume) => volume ?? []));
          for (const key of concerned.flatMap((volume) => keysOfVolume(records, cloud, volume))) volumes.enqueue(key);
        },
        completed: wake,
        healthChanged: () => {
          for (const resource of records.ofCloud('Volume', cloud)) volumes.enqueue(keyOf(resource), 'resync');
        },
      },
    };
  }

  /** Those who waited for a complete observation. */
  function wake(keys: readonly string[]): void {
    for (const key of keys.map(parseKey)) {
      if (key.kind === 'Cloud') wakeFirewall(key.name);
      else
        Object.entries(byKind)
          .find(([kind]) => kind === key.kind)?.[1]
          .enqueue(key);
    }
  }

  function cloudChanged(cloud: string): void {
    clouds.enqueue({ kind: 'Cloud', namespace: '', name: cloud });
    const observer = connections.get(cloud)?.observer;
    if (!observer) return;
    const { completeAt, error } = observer.health;
    const state = { observed: completeAt !== undefined, failing: error !== undefined };
    const before = told.get(observer);
    if (before?.observed === state.observed && before.failing === state.failing) return;
    told.set(observer, state);
    // Only now can the absence of a server be known: a machine that was left Ready may have lost its own.
    const first = state.observed && !before?.observed;
    for (const resource of records.ofCloud('VirtualMachine', cloud)) {
      if (first || !isReady(resource)) machines.enqueue(keyOf(resource), laneOf(resource));
    }
    for (const resource of records.ofCloud('KeyPair', cloud)) if (!isReady(resource)) keyPairs.enqueue(keyOf(resource), 'resync');
    for (const resource of records.ofCloud('Volume', cloud))
      if (first || !isReady(resource)) volumes.enqueue(keyOf(resource), 'resync');
    wakeFirewall(cloud);
  }

  /** What the inventory of a Cloud says of these machines is another thing than before. */
  function inventoryChanged(_cloud: string, machines: readonly Resource[]): void {
    stock.inventoryChanged();
    for (const machine of machines) {
      for (const key of assignmentOf(machine)) assignments.enqueue(key);
      for (const key of poolKeys(machine)) pools.enqueue(key);
      wakeQueue(machine);
    }
  }

  const wakeFirewall = batched(environment, (cloud) => {
    // Without a rule there may still be a group that one has left.
    if (records.ofCloud('FirewallRule', cloud).length > 0 || connection(cloud)?.groups.health.completeAt)
      firewalls.enqueue({ kind: 'Cloud', namespace: '', name: cloud });
  });

  // First of all: whoever is woken by a change must not see what followed from the state before it.
  for (const kind of STOCK_KINDS) caches[kind].onChange(() => stock.changed());
  for (const kind of ['VirtualMachinePool', 'Recipe'] as const)
    caches[kind].onChange((change) => {
      if (!isSameWish(change)) stock.poolsChanged();
    });
  for (const [kind, cache] of Object.entries(caches)) {
    const own = Object.entries(byKind).find(([name]) => name === kind)?.[1];
    if (own) cache.onChange((change) => followOwnKind(own, change));
  }
  volumes.follow(
    caches.Cloud,
    unlessOwn(({ metadata }) => records.ofCloud('Volume', metadata.name).map(keyOf)),
    'resync',
  );
  for (const cache of [caches.VirtualMachine, caches.VirtualMachineAssignment])
    volumes.follow(cache, ({ previous, current }) =>
      [previous, current].flatMap((resource) => (resource ? records.volumesConcerned(resource).map(keyOf) : [])),
    );
  caches.FirewallRule.onChange((change) => {
    const { previous, current, own } = change;
    for (const cloud of [previous, current].flatMap((rule) => (rule ? INDEXES.cloud(rule) : []))) {
      if (!isSameWish(change)) wakeFirewall(cloud);
      // As any status that somebody else wrote: two who differ must not race.
      else if (!own) firewalls.enqueueAfter({ kind: 'Cloud', namespace: '', name: cloud }, STATUS_DELAY_MS);
    }
  });
  caches.VirtualMachine.onChange((change) => {
    const { previous, current } = change;
    const sameServer = fieldOf(previous?.status, 'id') === fieldOf(current?.status, 'id');
    const sameLabels = sameJson(previous?.metadata.labels ?? {}, current?.metadata.labels ?? {});
    if (isSameWish(change) && sameServer && sameLabels) return;
    for (const cloud of [previous, current].flatMap((machine) => (machine ? INDEXES.cloud(machine) : []))) wakeFirewall(cloud);
  });
  // A rule may be for whatever machine an assignment has, in any Cloud.
  caches.VirtualMachineAssignment.onChange(({ previous, current }) => {
    const machines = [previous, current].flatMap(machineOf).flatMap((key) => records.get(key) ?? []);
    for (const cloud of machines.flatMap((machine) => INDEXES.cloud(machine))) wakeFirewall(cloud);
    const { namespace = '' } = (current ?? previous)?.metadata ?? {};
    if (!previous || !current)
      for (const rule of records.inNamespace('FirewallRule', namespace))
        for (const cloud of INDEXES.cloud(rule)) wakeFirewall(cloud);
  });
  caches.Cloud.onChange((change) => {
    const { name } = (change.current ?? change.previous)?.metadata ?? {};
    if (name !== undefined && !isSameWish(change)) wakeFirewall(name);
  });
  machines.follow(
    caches.Cloud,
    unlessOwn(({ metadata }) => records.ofCloud('VirtualMachine', metadata.name).map(keyOf)),
    'resync',
  );
  keyPairs.follow(
    caches.Cloud,
    unlessOwn(({ metadata }) => records.ofCloud('KeyPair', metadata.name).map(keyOf)),
    'resync',
  );
  const wakeNamespace = batched(environment, (namespace) => {
    const { offered, moved } = stock.concerned(namespace);
    for (const assignment of offered) assignments.enqueue(keyOf(assignment));
    // In a while: a place is news, and two who see different queues must not race to tell it.
    for (const assignment of moved) assignments.enqueueAfter(keyOf(assignment), PLACE_DELAY_MS);
  });
  /** Who waits may be offered something else now. */
  function wakeQueue(changed: Resource | undefined): void {
    const { namespace = '' } = changed?.metadata ?? {};
    if (manager.leading && records.inNamespace('VirtualMachineAssignment', namespace).length > 0) wakeNamespace(namespace);
  }
  for (const kind of STOCK_KINDS) caches[kind].onChange(({ previous, current }) => wakeQueue(current ?? previous));
  // Where nothing can be had at all, it is another reason that changes, and no place.
  const waitingBeside: (change: Change) => ResourceKey[] = ({ previous, current }) =>
    stock.waiting((current ?? previous)?.metadata.namespace ?? '').map(keyOf);
  assignments.follow(caches.VirtualMachinePool, unlessStatus(waitingBeside), 'resync');
  assignments.follow(caches.Recipe, unlessStatus(waitingBeside), 'resync');
  assignments.follow(caches.VirtualMachine, ({ previous, current }) => [previous, current].flatMap(assignmentOf));
  assignments.follow(caches.FirewallRule, ({ previous, current }) => {
    const rule = current ?? previous;
    return rule ? assignmentOfRule(rule) : [];
  });
  machines.follow(caches.VirtualMachineAssignment, ({ previous, current }) => [previous, current].flatMap(machineOf));
  machines.follow(
    caches.Secret,
    unlessOwn(({ metadata }) => records.virtualMachinesWithUserData(metadata.namespace ?? '', metadata.name).map(keyOf)),
  );
  clouds.follow(
    caches.Secret,
    unlessOwn(({ metadata }) => records.cloudsWithCredentials(metadata.namespace ?? '', metadata.name).map(keyOf)),
  );
  secrets.follow(caches.Cloud, ({ previous, current }) => [previous, current].flatMap(credentialsOf));
  for (const cache of [caches.VirtualMachine, caches.KeyPair, caches.FirewallRule, caches.Volume])
    clouds.follow(cache, ({ previous, current }) => (previous && !current ? cloudOf(previous) : []));
  // A create that a missing key pair made fail is not tried again by itself.
  machines.follow(caches.KeyPair, ({ previous, current }) => {
    if (!current || !isReady(current) || (previous && isReady(previous))) return [];
    return records.virtualMachinesWithKeyPair(current).flatMap((machine) => (isReady(machine) ? [] : [keyOf(machine)]));
  });
  pools.follow(caches.VirtualMachine, ({ previous, current }) => [previous, current].flatMap(poolKeys));
  pools.follow(
    caches.Recipe,
    unlessOwn(({ metadata }) => records.poolsWithRecipe(metadata.namespace ?? '', metadata.name).map(keyOf)),
  );
  pools.follow(
    caches.Cloud,
    unlessOwn(({ metadata }) => records.ofCloud('VirtualMachinePool', metadata.name).map(keyOf)),
    'resync',
  );
  // An assignment gives its machine back itself. One that was torn away does not.
  pools.follow(caches.VirtualMachineAssignment, ({ previous, current }) =>
    previous && !current ? records.virtualMachinesClaimedBy(previous.metadata.uid).flatMap(poolKeys) : [],
  );
  recipes.follow(caches.VirtualMachinePool, ({ previous, current }) => recipeKeys(previous, current));
  if (metrics)
    caches.VirtualMachine.onChange(({ previous, current }) => metrics.virtualMachineChanged(previous, current, manager.leading));

  const reconcilers: Runnable = {
    name: 'reconcilers',
    run: async (signal) => {
      const running = Promise.all([...Object.values(byKind), firewalls].map((each) => each.run(signal)));
      for (const [kind, own] of Object.entries(byKind)) {
        for (const resource of listOf(caches, kind)) own.enqueue(keyOf(resource), laneOf(resource));
      }
      await running;
      await Promise.all([connections.close(), inventories.close()]);
    },
  };
  const examining: Runnable = {
    name: 'resync',
    run: (signal) =>
      resync(
        {
          keys: () => [...caches.VirtualMachine.list(), ...caches.KeyPair.list(), ...caches.Volume.list()].map(keyOf),
          enqueue: (key) => (({ KeyPair: keyPairs, Volume: volumes })[key.kind] ?? machines).enqueue(key, 'resync'),
          intervalMs: RESYNC_MS,
          environment,
        },
        signal,
      ),
  };
  const manager = new Manager({
    caches: Object.values(caches),
    runnables: [reconcilers, examining],
    recorder: events,
    environment,
    log,
    ...(options.election ? { election: options.election } : {}),
    ...(engineMetrics ? { metrics: engineMetrics } : {}),
  });
  const stopping = new AbortController();
  const running = manager.run(stopping.signal);
  running.catch((error: unknown) => log.error({ err: error }, 'the engine ended'));
  return {
    get synced() {
      return manager.synced;
    },
    get leading() {
      return manager.leading;
    },
    list: (kind) => caches[kind].list(),
    connection,
    stop: async () => {
      stopping.abort();
      await running;
    },
  };
}

function listOf(caches: Readonly<Record<string, Cache>>, kind: string): Resource[] {
  return caches[kind]?.list() ?? [];
}

function* observations(clouds: Cache, connections: CloudConnections): Iterable<readonly [string, Date]> {
  for (const { metadata } of clouds.list()) {
    const completeAt = connections.get(metadata.name)?.observer.health.completeAt;
    if (completeAt) yield [metadata.name, completeAt];
  }
}
