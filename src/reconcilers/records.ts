import type { Cache } from '../controllers/cache.js';
import type { Secret } from '../resources/core.js';
import { poolOf } from '../resources/machine-facts.js';
import { keyOf, type Resource, type ResourceKey } from '../resources/metadata.js';
import { isStoreError } from '../store/errors.js';
import type { Draft, Store, WriteOptions } from '../store/store.js';

/**
 * The annotation `INSTALLATION/UID`: under which owner tag the server of a VirtualMachine is known in the cloud. Written with the
 * finalizer. It travels with the manifest, so that a record that is moved to another installation finds its server there.
 */
export const OWNER_ANNOTATION = 'dispatcher.dev/owner-tag';

/** The indexes over the caches: which value of a resource each is by. */
export const INDEXES = {
  /** VirtualMachines and Volumes by `cloud/id` of the server or volume that they are bound to. */
  boundServer: (resource: Resource): string[] => {
    const cloud = textAt(resource.spec, 'cloudRef', 'name');
    const id = textAt(resource.status, 'id');
    return cloud !== undefined && id !== undefined ? [`${cloud}/${id}`] : [];
  },
  /** VirtualMachines and Volumes by uid: the owner tag's part. */
  uid: (resource: Resource): string[] => [resource.metadata.uid],
  /** Volumes by `namespace/kind/name` of the resource that they are declared to follow. */
  attachTo: ({ metadata, spec }: Resource): string[] =>
    (
      [
        ['VirtualMachine', 'virtualMachineRef'],
        ['VirtualMachineAssignment', 'assignmentRef'],
      ] as const
    ).flatMap(([kind, field]) => {
      const name = textAt(spec, 'attachTo', field, 'name');
      return name === undefined ? [] : [`${metadata.namespace}/${kind}/${name}`];
    }),
  /** Volumes by `cloud/server id` that they say they are attached to, or are about to be. */
  attachedServer: (resource: Resource): string[] => {
    const cloud = textAt(resource.spec, 'cloudRef', 'name');
    const id = textAt(resource.status, 'attachment', 'serverId');
    return cloud !== undefined && id !== undefined ? [`${cloud}/${id}`] : [];
  },
  /** VirtualMachines that were declared elsewhere before, by the `installation/uid` that they had there. */
  formerOwner: (resource: Resource): string[] => {
    const owner = resource.metadata.annotations?.[OWNER_ANNOTATION];
    return owner === undefined || owner.endsWith(`/${resource.metadata.uid}`) ? [] : [owner];
  },
  /** VirtualMachines by the uid of the VirtualMachinePool that they belong to. */
  pool: (resource: Resource): string[] => {
    const owner = poolOf(resource);
    return owner ? [owner.uid] : [];
  },
  /** VirtualMachines by the uid of the VirtualMachineAssignment that claims them. */
  claim: (resource: Resource): string[] => {
    const uid = textAt(resource.spec, 'claimRef', 'uid');
    return uid === undefined ? [] : [uid];
  },
  /** VirtualMachines by the name of the assignment that claims them. */
  claimName: (resource: Resource): string[] => {
    const name = textAt(resource.spec, 'claimRef', 'name');
    return name === undefined ? [] : [name];
  },
  /** Assignments by the name of the machine that they say they have. */
  boundMachine: (resource: Resource): string[] => {
    const name = textAt(resource.status, 'virtualMachine', 'name');
    return name === undefined ? [] : [name];
  },
  /** Pools by `namespace/Recipe` that they use. */
  recipe: (resource: Resource): string[] => {
    const name = textAt(resource.spec, 'recipeRef', 'name');
    return name === undefined ? [] : [`${resource.metadata.namespace}/${name}`];
  },
  /** Resources by their namespace. */
  namespace: ({ metadata }: Resource): string[] => [metadata.namespace ?? ''],
  /** VirtualMachines, pools, firewall rules, volumes and KeyPairs by the Cloud that they name. */
  cloud: (resource: Resource): string[] => {
    const cloud = textAt(resource.spec, 'cloudRef', 'name');
    return cloud === undefined ? [] : [cloud];
  },
  /** VirtualMachines by `cloud/key pair` that they boot with. */
  keyName: (resource: Resource): string[] => {
    const cloud = textAt(resource.spec, 'cloudRef', 'name');
    const name = textAt(resource.spec, 'keyName');
    return cloud !== undefined && name !== undefined ? [`${cloud}/${name}`] : [];
  },
  /** VirtualMachines by `namespace/Secret` that their user data is from. */
  userDataSecret: (resource: Resource): string[] => {
    const name = textAt(resource.spec, 'userDataFrom', 'secretRef', 'name');
    return name === undefined ? [] : [`${resource.metadata.namespace}/${name}`];
  },
  /** Clouds by `namespace/Secret` of their credentials, and of their inventory's. */
  credentials: (resource: Resource): string[] =>
    [[], ['cistern']].flatMap((path) => {
      const namespace = textAt(resource.spec, ...path, 'credentialsRef', 'namespace');
      const name = textAt(resource.spec, ...path, 'credentialsRef', 'name');
      return name === undefined ? [] : [`${namespace}/${name}`];
    }),
} as const;

/** Whose a server is, whichever attempt made it. */
export interface Owner {
  readonly installation: string;
  readonly uid: string;
}

/** The kinds that are kept in memory. */
export type CachedKind =
  | 'Cloud'
  | 'VirtualMachine'
  | 'VirtualMachinePool'
  | 'VirtualMachineAssignment'
  | 'FirewallRule'
  | 'Volume'
  | 'Recipe'
  | 'KeyPair'
  | 'Secret';

/** What reconcilers read: the caches, by the questions they ask; and how they write, so that the caches know of it at once. */
export class Records {
  constructor(
    private readonly caches: Readonly<Record<CachedKind, Cache>>,
    private readonly store: Pick<Store, 'create' | 'update' | 'updateStatus' | 'delete'>,
  ) {}

  /** The resource as last seen. */
  get(key: ResourceKey): Resource | undefined {
    return this.#cache(key.kind).get(key);
  }

  /** Creates, as {@link Store.create} does. The draft MUST bear its name. */
  create(draft: Draft & { readonly metadata: { readonly name: string; readonly namespace: string } }): Promise<Resource> {
    const { kind, metadata } = draft;
    return this.#cache(kind).writing({ kind, namespace: metadata.namespace, name: metadata.name }, () =>
      this.store.create(draft),
    );
  }

  /**
   * Deletes the resource as it was last seen, as {@link Store.delete} does. One that is gone already is no failure.
   * @throws StoreError Conflict if it has changed since.
   */
  async delete(resource: Resource): Promise<void> {
    const { uid, resourceVersion } = resource.metadata;
    try {
      const left = await this.store.delete(keyOf(resource), { uid, resourceVersion });
      // What waits for its finalizers is known to do so at once; that one is gone is for the watch to tell.
      if (left.metadata.deletionTimestamp) this.#cache(resource.kind).write(left);
    } catch (error) {
      if (!isStoreError(error, 'NotFound')) throw error;
    }
  }

  /** Writes all but the status, as {@link Store.update} does. */
  update(resource: Resource, options?: Pick<WriteOptions, 'urgent'>): Promise<Resource> {
    return this.#cache(resource.kind).writing(keyOf(resource), () => this.store.update(resource, options));
  }

  /** Writes the status, as {@link Store.updateStatus} does. */
  updateStatus(resource: Resource, options?: Pick<WriteOptions, 'urgent'>): Promise<Resource> {
    return this.#cache(resource.kind).writing(keyOf(resource), () => this.store.updateStatus(resource, options));
  }

  /** All Clouds. */
  clouds(): readonly Resource[] {
    return this.caches.Cloud.list();
  }

  /** All FirewallRules. */
  firewallRules(): readonly Resource[] {
    return this.caches.FirewallRule.list();
  }

  /** A Secret as last seen. */
  secret(namespace: string, name: string): Secret | undefined {
    return this.caches.Secret.get({ kind: 'Secret', namespace, name });
  }

  /** The VirtualMachines of a Cloud that are bound to a server. More than one is a fault that is shown. */
  virtualMachinesBoundTo(cloud: string, id: string): readonly Resource[] {
    return this.caches.VirtualMachine.byIndex('boundServer', `${cloud}/${id}`);
  }

  /** The VirtualMachine with that uid. */
  virtualMachineWithUid(uid: string): Resource | undefined {
    return this.caches.VirtualMachine.byIndex('uid', uid)[0];
  }

  /** The Volume with that uid. */
  volumeWithUid(uid: string): Resource | undefined {
    return this.caches.Volume.byIndex('uid', uid)[0];
  }

  /** The Volumes of a Cloud that are bound to a volume. More than one is a fault that is shown. */
  volumesBoundTo(cloud: string, id: string): readonly Resource[] {
    return this.caches.Volume.byIndex('boundServer', `${cloud}/${id}`);
  }

  /** The Volumes that are attached to a server of a Cloud, or are about to be. */
  volumesAttachedTo(cloud: string, serverId: string): readonly Resource[] {
    return this.caches.Volume.byIndex('attachedServer', `${cloud}/${serverId}`);
  }

  /** The Volumes that a change of a VirtualMachine or VirtualMachineAssignment concerns. */
  volumesConcerned(resource: Resource): readonly Resource[] {
    const { kind, metadata } = resource;
    const following = (of: string, name: string) => this.caches.Volume.byIndex('attachTo', `${metadata.namespace}/${of}/${name}`);
    const claimed = INDEXES.claimName(resource).flatMap((name) => following('VirtualMachineAssignment', name));
    const attached = INDEXES.boundServer(resource).flatMap((path) => this.caches.Volume.byIndex('attachedServer', path));
    return [...following(kind, metadata.name), ...claimed, ...attached];
  }

  /** The VirtualMachines whose server bears that owner tag, or bore it where they were declared before. */
  virtualMachinesOfOwner({ installation, uid }: Owner): readonly Resource[] {
    const own = this.virtualMachineWithUid(uid);
    return [...(own ? [own] : []), ...this.caches.VirtualMachine.byIndex('formerOwner', `${installation}/${uid}`)];
  }

  /** The resources of a kind that name a Cloud. */
  ofCloud(
    kind: 'VirtualMachine' | 'VirtualMachinePool' | 'FirewallRule' | 'Volume' | 'KeyPair',
    cloud: string,
  ): readonly Resource[] {
    return this.caches[kind].byIndex('cloud', cloud);
  }

  /** The Clouds whose credentials a Secret holds. */
  cloudsWithCredentials(namespace: string, name: string): readonly Resource[] {
    return this.caches.Cloud.byIndex('credentials', `${namespace}/${name}`);
  }

  /** The VirtualMachines that boot with a KeyPair. */
  virtualMachinesWithKeyPair(keyPair: Resource): readonly Resource[] {
    const cloud = textAt(keyPair.spec, 'cloudRef', 'name');
    return this.caches.VirtualMachine.byIndex('keyName', `${cloud}/${keyPair.metadata.name}`);
  }

  /** The VirtualMachines whose user data a Secret holds. */
  virtualMachinesWithUserData(namespace: string, name: string): readonly Resource[] {
    return this.caches.VirtualMachine.byIndex('userDataSecret', `${namespace}/${name}`);
  }

  /** The VirtualMachines of a pool, by its uid. */
  virtualMachinesOfPool(uid: string): readonly Resource[] {
    return this.caches.VirtualMachine.byIndex('pool', uid);
  }

  /** The VirtualMachines that an assignment claims, by its uid. */
  virtualMachinesClaimedBy(uid: string): readonly Resource[] {
    return this.caches.VirtualMachine.byIndex('claim', uid);
  }

  /** The pools that are made from a Recipe. */
  poolsWithRecipe(namespace: string, name: string): readonly Resource[] {
    return this.caches.VirtualMachinePool.byIndex('recipe', `${namespace}/${name}`);
  }

  /** The resources of a kind in a namespace. */
  inNamespace(
    kind: 'VirtualMachine' | 'VirtualMachinePool' | 'VirtualMachineAssignment' | 'FirewallRule' | 'Volume',
    namespace: string,
  ): readonly Resource[] {
    return this.caches[kind].byIndex('namespace', namespace);
  }

  #cache(kind: string): Cache {
    const cache = Object.entries(this.caches).find(([name]) => name === kind)?.[1];
    if (!cache) throw new RangeError(`no cache holds ${kind}`);
    return cache;
  }
}

/** The text at a path of an unchecked value: rows written by hand may hold anything. */
function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  const found = path.reduce<unknown>(
    (inner, part) => (typeof inner === 'object' && inner !== null ? Reflect.get(inner, part) : undefined),
    value,
  );
  return typeof found === 'string' ? found : undefined;
}
