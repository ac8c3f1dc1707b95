import type { Named, OwnerTag } from './identity.js';
import type { NetworkDriver } from './network-driver.js';
import type { VolumeDriver } from './volume-driver.js';

export type { Named, OwnerTag } from './identity.js';

/** What a server is doing, in words that hold for every cloud. */
export type ServerState =
  | 'Building'
  | 'Running'
  | 'Stopped'
  | 'Paused'
  | 'Suspended'
  | 'Rebooting'
  | 'Rebuilding'
  | 'Resizing'
  /** Resized, and waiting to be told to keep it ({@link CloudDriver.confirmResize}). */
  | 'AwaitingConfirmation'
  | 'Error'
  | 'Deleting'
  | 'Deleted'
  | 'Unknown';

/** One address of a server. */
export interface ServerAddress {
  readonly network: string;
  readonly address: string;
  readonly type: 'Fixed' | 'Floating';
}

/** A server as a cloud reports it. */
export interface Server {
  readonly id: string;
  readonly name: string;
  readonly state: ServerState;
  /** The cloud's own name of what it is doing to it just now (`powering-off`); absent when nothing. */
  readonly task?: string;
  readonly owner?: OwnerTag;
  readonly imageId?: string;
  /** Clouds tell one of the two, or both. */
  readonly flavorId?: string;
  readonly flavorName?: string;
  readonly keyName?: string;
  /** Without the owner tag's keys. A driver that cannot know it (a deleted server) gives {}. */
  readonly metadata: Readonly<Record<string, string>>;
  /** Without the owner tag's. Absent where the cloud has no tags. */
  readonly tags?: readonly string[];
  /** False if a part of the owner tag is missing or not where this driver writes it: to be written again. */
  readonly ownerTagWhole: boolean;
  readonly addresses: readonly ServerAddress[];
  /** RFC 3339, by the cloud's clock. */
  readonly createdAt: string;
  readonly updatedAt?: string;
  /** Why it is in Error, in the cloud's words, where it says. */
  readonly fault?: string;
}

/** A point in a cloud's own time, to ask for changes since. Opaque; made by a driver, understood by it alone. */
export type Watermark = string & { readonly watermark: unique symbol };

/** What a list gave. */
export interface ServerListing {
  readonly servers: readonly Server[];
  /** Changes since this have not been told, or will be told again. */
  readonly watermark: Watermark;
}

/** What a new server is made from; all ids as the cloud knows them. */
export interface CreateServerRequest {
  readonly name: string;
  readonly imageId: string;
  readonly flavorId: string;
  readonly keyName?: string;
  /** Plain text; the driver encodes it. */
  readonly userData?: string;
  /** 'none': no network at all; undefined: the cloud chooses; else network ids, or ports that no server has yet. */
  readonly networks?: 'none' | readonly string[] | { readonly portIds: readonly string[] };
  /** The security groups of the ports that the cloud makes for it. Undefined: the project's default group. */
  readonly groupIds?: readonly string[];
  readonly metadata: Readonly<Record<string, string>>;
  readonly tags: readonly string[];
}

/** An image. */
export interface Image extends Named {
  /** False: it cannot be booted now. */
  readonly usable: boolean;
}

/** A flavor. */
export interface Flavor extends Named {
  readonly ramMiB: number;
  readonly cpus: number;
  readonly diskGiB: number;
}

/** A key pair in the cloud. */
export interface CloudKeyPair {
  readonly name: string;
  readonly publicKey: string;
  readonly fingerprint: string;
}

/** What a project may have, and has; -1 is no limit. */
export interface Quota {
  readonly instances: number;
  readonly instancesUsed: number;
  readonly cores: number;
  readonly coresUsed: number;
  readonly ramMiB: number;
  readonly ramUsedMiB: number;
}

/**
 * One cloud's client. Every method:
 * - MAY throw any {@link CloudError}; MUST throw nothing else;
 * - MUST bound its time; a call with an effect that was given up MUST throw UnknownOutcome;
 * - MUST obey its limiter, and stop waiting in it (never in the middle of an effect) when `signal` is aborted;
 * - MUST NOT retry a call with an effect whose outcome is unknown.
 * A driver knows no resource of Dispatcher.
 */
export interface CloudDriver extends NetworkDriver, VolumeDriver {
  /**
   * Every server of the project. MUST follow all pages and MUST NOT miss a server that was accepted before the call began,
   * even while others are being built; deleted ones are left out. Throws rather than give a part.
   */
  listServers(signal?: AbortSignal): Promise<ServerListing>;
  /**
   * Servers changed since a watermark, deleted ones (state Deleted, owner and metadata absent) among them.
   * Says nothing by leaving one out. A change MAY be told more than once.
   */
  listChanges(since: Watermark, signal?: AbortSignal): Promise<ServerListing>;
  /** Servers with exactly this name, asked of the cloud now. MUST NOT miss one that was accepted before the call began. */
  findServersByName(name: string, signal?: AbortSignal): Promise<readonly Server[]>;
  /** @throws CloudError NotFound. */
  getServer(id: string, signal?: AbortSignal): Promise<Server>;
  /**
   * Asks for a server. MUST carry the owner tag in the same request; MUST be one call with an effect, and the last one that can fail.
   * The answer need not be complete: id, name, owner and state Building are. A refusal (Invalid, Quota, ...) means that nothing was made.
   * With a port that another server has: Conflict. While that one has only just been asked for, both MAY be accepted: then one ends in
   * Error, and the port may end with neither (seen on OpenStack), so look at it once more.
   */
  createServer(request: CreateServerRequest, owner: OwnerTag, signal?: AbortSignal): Promise<Server>;
  /** Asks for its deletion. NotFound is success. */
  deleteServer(id: string, signal?: AbortSignal): Promise<void>;
  /** The following throw NotFound, and Conflict in a state that does not allow them. */
  startServer(id: string, signal?: AbortSignal): Promise<void>;
  stopServer(id: string, signal?: AbortSignal): Promise<void>;
  rebootServer(id: string, how: 'Soft' | 'Hard', signal?: AbortSignal): Promise<void>;
  rebuildServer(id: string, imageId: string, signal?: AbortSignal): Promise<void>;
  resizeServer(id: string, flavorId: string, signal?: AbortSignal): Promise<void>;
  confirmResize(id: string, signal?: AbortSignal): Promise<void>;
  /** Brings Paused and Suspended servers back to Running. */
  resumeServer(id: string, from: 'Paused' | 'Suspended', signal?: AbortSignal): Promise<void>;
  renameServer(id: string, name: string, signal?: AbortSignal): Promise<void>;
  /** Makes metadata exactly this, and the owner tag beside it; with `undefined` for an owner, no owner tag. */
  setServerMetadata(
    id: string,
    metadata: Readonly<Record<string, string>>,
    owner: OwnerTag | undefined,
    signal?: AbortSignal,
  ): Promise<void>;
  /** Makes tags exactly these, and the owner tag's beside them; with `undefined` for an owner, none. */
  setServerTags(id: string, tags: readonly string[], owner: OwnerTag | undefined, signal?: AbortSignal): Promise<void>;

  listImages(signal?: AbortSignal): Promise<readonly Image[]>;
  listFlavors(signal?: AbortSignal): Promise<readonly Flavor[]>;
  listNetworks(signal?: AbortSignal): Promise<readonly Named[]>;
  listProjects(signal?: AbortSignal): Promise<readonly Named[]>;
  getQuota(signal?: AbortSignal): Promise<Quota>;

  listKeyPairs(signal?: AbortSignal): Promise<readonly CloudKeyPair[]>;
  /** @throws CloudError Conflict if one of that name is there. */
  createKeyPair(name: string, publicKey: string, signal?: AbortSignal): Promise<CloudKeyPair>;
  /** NotFound is success. */
  deleteKeyPair(name: string, signal?: AbortSignal): Promise<void>;

  /** Frees connections. Calls in hand are finished or fail. */
  close(): Promise<void>;
}

/** What a driver says of each call, for metrics, the Cloud's status and tests. `effect`: it changes something. */
export interface CallReport {
  readonly operation: string;
  readonly effect: boolean;
  readonly status: number | undefined;
  readonly error: string | undefined;
  readonly startedAt: Date;
  readonly durationMs: number;
}
