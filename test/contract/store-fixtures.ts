import { afterEach, beforeEach, expect } from '@jest/globals';
import type { Resource, ResourceKey } from '../../src/resources/metadata.js';
import { isStoreError, type StoreErrorCode } from '../../src/store/errors.js';
import type { Draft, Selection, Store, WatchEvent } from '../../src/store/store.js';
import type { StoreSubject } from './store.js';

/** One test's room in a plane: a namespace that goes with the test. */
export interface Room {
  readonly subject: StoreSubject;
  readonly store: Store;
  readonly namespace: string;
  /** A VirtualMachine, valid and complete, in this room. */
  vm(name: string, metadata?: Draft['metadata'], spec?: Record<string, unknown>): Draft;
  key(name: string, kind?: string): ResourceKey;
  /** Begins to watch the VirtualMachines of this room (or another selection); stopped with the test. */
  follow(from: string | undefined, selection?: Selection): Follower;
  /** The version of a list made now. */
  version(): Promise<string>;
}

/** Gives each test of the surrounding describe its room. */
export function useRoom(get: () => StoreSubject): () => Room {
  let room: Room | undefined;
  const followers: Follower[] = [];
  beforeEach(async () => {
    const subject = get();
    const { store } = subject;
    const made = await store.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { generateName: 'contract-' } });
    const namespace = made.metadata.name;
    room = {
      subject,
      store,
      namespace,
      vm: (name, metadata = {}, spec = {}) => ({
        apiVersion: 'dispatcher.dev/v1alpha1',
        kind: 'VirtualMachine',
        metadata: { name, namespace, ...metadata },
        spec: { cloudRef: { name: 'lab' }, image: 'cirros', flavor: 'm1.tiny', ...spec },
      }),
      key: (name, kind = 'VirtualMachine') => ({ kind, namespace, name }),
      follow: (from, selection = { namespace }) => {
        const follower = new Follower(store, from, selection);
        followers.push(follower);
        return follower;
      },
      version: async () => (await store.list('VirtualMachine', { namespace })).resourceVersion,
    };
  });
  afterEach(async () => {
    await Promise.all(followers.splice(0).map((follower) => follower.stop()));
    if (room) await clear(room);
  });
  return () => {
    if (!room) throw new Error('the room of this test could not be made');
    return room;
  };
}

async function clear({ store, namespace }: Room): Promise<void> {
  for (const { metadata, ...held } of (await store.list('VirtualMachine', { namespace })).items) {
    if (!metadata.finalizers?.length) continue;
    const { finalizers: _held, resourceVersion: _version, ...rest } = metadata;
    await store.update({ ...held, metadata: rest });
  }
  await store.delete({ kind: 'Namespace', namespace: '', name: namespace });
}

/** A watch, read as fast as it tells. */
export class Follower {
  /** All that was told, but for bookmarks. */
  readonly events: Array<Exclude<WatchEvent, { type: 'Bookmark' }>> = [];
  /** The last version that was told, by a change or a bookmark. */
  version: string | undefined;
  /** What it ended with; undefined while it goes on, and when it ended well. */
  failure: unknown;
  readonly #stop = new AbortController();
  /** Resolves when it has ended, well or not. */
  readonly ended: Promise<void>;

  constructor(store: Store, from: string | undefined, selection: Selection) {
    this.version = from;
    this.ended = this.#read(store.watch('VirtualMachine', from, this.#stop.signal, selection));
  }

  async stop(): Promise<void> {
    this.#stop.abort(new Error('the test is over'));
    await this.ended;
  }

  /** The last state of each resource as the events alone tell it; `Deleted` ones are not in it. */
  state(): Map<string, Resource> {
    const resources = new Map<string, Resource>();
    for (const { type, object } of this.events) {
      if (type === 'Deleted') resources.delete(object.metadata.name);
      else resources.set(object.metadata.name, object);
    }
    return resources;
  }

  /** `Added a`, `Deleted b`, and so on. */
  told(): string[] {
    return this.events.map(({ type, object }) => `${type} ${object.metadata.name}`);
  }

  async #read(events: AsyncIterable<WatchEvent>): Promise<void> {
    try {
      for await (const event of events) {
        this.version = event.type === 'Bookmark' ? event.resourceVersion : event.object.metadata.resourceVersion;
        if (event.type !== 'Bookmark') this.events.push(event);
      }
    } catch (error) {
      this.failure = error;
    }
  }
}

/** Expects a StoreError of that code. */
export async function expectFailure(call: Promise<unknown>, code: StoreErrorCode): Promise<void> {
  const failure = await call.then(
    () => 'no failure',
    (error: unknown) => (isStoreError(error) ? error.code : error),
  );
  expect(failure).toBe(code);
}
