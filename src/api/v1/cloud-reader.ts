/** Something with an id and a name. */
export interface Named {
  readonly id: string;
  readonly name: string;
}

/** A flavor of a cloud. */
export interface SeenFlavor extends Named {
  readonly ramMiB: number;
  readonly cpus: number;
  readonly diskGiB: number;
}

/** A server as it is known. */
export interface SeenServer extends Named {
  /** One of the states of src/clouds/driver.ts: `Building`, `Running`, ... */
  readonly state: string;
  readonly addresses: readonly { readonly address: string; readonly type: 'Fixed' | 'Floating' }[];
  readonly imageId?: string;
  readonly flavorId?: string;
  readonly keyName?: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** RFC 3339. */
  readonly createdAt?: string;
  readonly updatedAt?: string;
}

/**
 * What v1 reads of clouds, each by the name of its Cloud. Lists serve many askers: they are some seconds old at most.
 * Every method throws {@link CloudUnavailable} if it cannot tell.
 */
export interface CloudReader {
  /** The servers of the project as last seen, with the time at which the last complete observation began. */
  servers(cloud: string): { readonly servers: readonly SeenServer[]; readonly observedAt: Date };
  images(cloud: string): Promise<readonly Named[]>;
  flavors(cloud: string): Promise<readonly SeenFlavor[]>;
  projects(cloud: string): Promise<readonly Named[]>;
  /** True if there is an image or flavor of that id; a name does not count. */
  has(cloud: string, what: 'image' | 'flavor', id: string): Promise<boolean>;
}

/** A cloud cannot be asked, here or now. The message is for callers. */
export class CloudUnavailable extends Error {
  override readonly name = 'CloudUnavailable';
}
