import type { Named, OwnerTag } from './identity.js';

/** What a volume is doing, in words that hold for every cloud. */
export type VolumeState =
  | 'Creating'
  | 'Available'
  | 'Attaching'
  | 'InUse'
  | 'Detaching'
  /** Growing, or being worked on otherwise: it takes no other change now. */
  | 'Changing'
  | 'Deleting'
  | 'Error'
  | 'Unknown';

/** Where a volume is attached. */
export interface VolumeAttachment {
  readonly serverId: string;
  readonly device?: string;
}

/** A volume as a cloud reports it. */
export interface CloudVolume {
  readonly id: string;
  readonly name: string;
  readonly state: VolumeState;
  readonly sizeGiB: number;
  readonly type?: string;
  readonly owner?: OwnerTag;
  /** Without the owner tag's keys. */
  readonly metadata: Readonly<Record<string, string>>;
  /** More than one only where a cloud lets servers share a volume. */
  readonly attachments: readonly VolumeAttachment[];
  /** RFC 3339, by the cloud's clock. */
  readonly createdAt: string;
}

/** What a new volume is made from. */
export interface CreateVolumeRequest {
  readonly name: string;
  readonly sizeGiB: number;
  /** The type's name or id. Undefined: the cloud's own. */
  readonly type?: string;
}

/**
 * The part of a cloud's client that is about volumes. As {@link CloudDriver} has it for every method; and every method of a cloud that
 * has no such service MUST throw Unsupported.
 */
export interface VolumeDriver {
  /** Every volume of the project. MUST follow all pages; throws rather than give a part. */
  listVolumes(signal?: AbortSignal): Promise<readonly CloudVolume[]>;
  /** Volumes with exactly this name, asked of the cloud now. MUST NOT miss one that was accepted before the call began. */
  findVolumesByName(name: string, signal?: AbortSignal): Promise<readonly CloudVolume[]>;
  /** @throws CloudError NotFound. */
  getVolume(id: string, signal?: AbortSignal): Promise<CloudVolume>;
  /** Asks for an empty volume. MUST carry the owner tag in the same request. A refusal (Invalid: an unknown type; Quota) means that nothing was made. */
  createVolume(request: CreateVolumeRequest, owner: OwnerTag, signal?: AbortSignal): Promise<CloudVolume>;
  /** Asks for its deletion. That it is under way or done is success. MUST NOT delete one that is attached: @throws CloudError Conflict. */
  deleteVolume(id: string, signal?: AbortSignal): Promise<void>;
  /**
   * Makes it larger. @throws CloudError Conflict in a state that does not allow it; Invalid if it is as large already; Unsupported if this
   * cloud cannot while it is in use (`inUse` says that it is).
   */
  extendVolume(id: string, sizeGiB: number, inUse: boolean, signal?: AbortSignal): Promise<void>;
  renameVolume(id: string, name: string, signal?: AbortSignal): Promise<void>;
  /** Writes the owner tag beside other metadata; with `undefined`, takes it off. @throws CloudError NotFound. */
  setVolumeOwner(id: string, owner: OwnerTag | undefined, signal?: AbortSignal): Promise<void>;
  /**
   * Asks a server to take a volume. That it has it already is success. @throws CloudError Conflict if one of the two is in no state for
   * it, or another server has it; NotFound if one is not there.
   */
  attachVolume(serverId: string, volumeId: string, signal?: AbortSignal): Promise<void>;
  /**
   * Asks a server to let a volume go. That this is under way, or that it does not have it, is success. @throws CloudError Conflict if one of
   * the two is in no state for it.
   */
  detachVolume(serverId: string, volumeId: string, signal?: AbortSignal): Promise<void>;
  listVolumeTypes(signal?: AbortSignal): Promise<readonly Named[]>;
}
