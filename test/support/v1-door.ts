import express from 'express';
import { z } from 'zod';
import { type Listening, serveHttp } from '../../src/api/serve.js';
import { v1Api } from '../../src/api/v1/app.js';
import { ownCallers } from '../../src/api/v1/own-callers.js';
import { systemEnvironment as environment } from '../../src/environment.js';
import type { Resource } from '../../src/resources/metadata.js';
import { StoreError } from '../../src/store/errors.js';
import { silentLog } from './log.js';
import { MemoryStore } from './memory-store.js';
import { type V1Client, v1Client } from './v1-client.js';
import { v1Cloud } from './v1-world.js';

const specSchema = z.looseObject({});

/** What somebody does with a resource that was just written through v1, in the place of its reconciler. */
export type Reaction = (resource: Resource) => Promise<void> | void;

/** v1 over declarations in memory, which anybody may change as an agent of `default`, and of which nobody takes care but the test. */
export class V1Door {
  readonly store = new MemoryStore(environment);
  readonly client: V1Client;
  /** The attempts to change a declaration: `create FirewallRule 201`. */
  readonly mutations: string[] = [];
  /** What becomes of each resource that is created or updated. Default: nothing. */
  react: Reaction = () => undefined;

  private constructor(
    private readonly server: () => Listening,
    url: string,
  ) {
    this.client = v1Client(url);
  }

  /** Opens one with the Cloud `lab`. @param waitMs how long a request waits for what nobody does. */
  static async open(waitMs = 60): Promise<V1Door> {
    let server: Listening | undefined;
    const listening = () => {
      if (!server) throw new Error('the door is not open');
      return server;
    };
    const app = express();
    server = await serveHttp(app, { host: '127.0.0.1', port: 0 });
    const door = new V1Door(listening, server.url);
    const { store } = door;
    await store.create(v1Cloud({ engine: 'simulator' }));
    const v1 = v1Api({
      callers: ownCallers({ store, tokens: { find: async () => undefined }, environment, open: true }),
      clouds: {
        servers: () => ({ servers: [], observedAt: new Date(0) }),
        images: async () => [],
        flavors: async () => [],
        projects: async () => [],
        has: async () => true,
      },
      login: { logIn: () => Promise.reject(new StoreError('Unavailable', 'nobody logs in here')) },
      environment,
      log: silentLog,
      version: '0.0.0-test',
      waitMs,
      resourceApiUrl: () => 'https://127.0.0.1:5443',
      onMutation: ({ verb, key, code }) => {
        door.mutations.push(`${verb} ${key.kind} ${code}`);
        void store.get(key).then((resource) => resource && door.react(resource));
      },
    });
    app.use('/api/v1', v1);
    return door;
  }

  /** Declares something in `default`. */
  declare(kind: string, name: string, spec: object, metadata: object = {}): Promise<Resource> {
    const apiVersion = 'dispatcher.dev/v1alpha1';
    return this.store.create({ apiVersion, kind, metadata: { name, namespace: 'default', ...metadata }, spec: { ...spec } });
  }

  /** A machine in the Cloud whose server is `s-NAME`. */
  async machine(name: string, metadata: object = {}, status: object = {}): Promise<Resource> {
    const machine = await this.declare('VirtualMachine', name, { cloudRef: { name: 'lab' }, image: 'i', flavor: 'f' }, metadata);
    return this.store.updateStatus({ ...machine, status: { id: `s-${name}`, state: 'Running', ...status } });
  }

  /** Reports on a resource as it stands. */
  async report(resource: Resource, conditions: Readonly<Record<string, string>>, status: object = {}): Promise<void> {
    const { generation } = resource.metadata;
    const all = Object.entries(conditions).map(([type, value]) => ({
      type,
      status: value,
      reason: 'Tested',
      message: `${type} is ${value}`,
      lastTransitionTime: '2026-01-01T00:00:00Z',
      observedGeneration: generation,
    }));
    await this.store.updateStatus({ ...resource, status: { ...status, observedGeneration: generation, conditions: all } });
  }

  /** The specs of all of a kind, by name. */
  async specs(kind: string): Promise<Record<string, Record<string, unknown>>> {
    const { items } = await this.store.list(kind);
    return Object.fromEntries(items.map(({ metadata, spec }) => [metadata.name, specSchema.parse(spec)]));
  }

  close(): Promise<void> {
    return this.server().close(0);
  }
}
