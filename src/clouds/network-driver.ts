/** Whose something in the network is: written into it by the create itself, so that it is never without. */
export interface NetworkOwner {
  /** This installation of Dispatcher: two of them may share a project. Without colon and white space. */
  readonly installation: string;
  /** Of a port: the uid of the VirtualMachine. Of a security group: what it stands for, a digest of its target. Without white space. */
  readonly key: string;
}

/** An address on a network, and the server that has it. */
export interface Port {
  readonly id: string;
  readonly networkId: string;
  /** IPv4 and IPv6, without prefixes. */
  readonly addresses: readonly string[];
  /** Absent while no server (nor anything else) has it. */
  readonly serverId?: string;
  /** In no order. */
  readonly groupIds: readonly string[];
  readonly owner?: NetworkOwner;
  /** False: the network does not look at security groups on this port, and it can have none. */
  readonly secured: boolean;
  /** Another one after each change, where the cloud counts them: see {@link NetworkDriver.setPortGroups}. */
  readonly revision?: string;
}

/**
 * What a rule of a security group allows. Of those that a driver tells, two that allow the same are equal in all fields, however they were
 * written; one that was asked for in the form described here comes back in it.
 */
export interface SecurityGroupTraffic {
  readonly direction: 'Ingress' | 'Egress';
  readonly family: 'IPv4' | 'IPv6';
  /** In lower case as IANA names it (`tcp`, `udp`, of IPv4 `icmp`, of IPv6 `ipv6-icmp`), else its number. Absent: any. */
  readonly protocol?: string;
  /** The first and the last port; of ICMP the type and the code. Absent: all (never 1 to 65535). */
  readonly from?: number;
  readonly to?: number;
  /**
   * The other side: a network as `readCidr` of src/resources writes it, or the members of a group. Anybody is `0.0.0.0/0` or `::/0`: a
   * driver always tells it so. Asked for without either, it is anybody too.
   */
  readonly cidr?: string;
  readonly groupId?: string;
}

/** One rule of a security group. */
export interface SecurityGroupRule extends SecurityGroupTraffic {
  readonly id: string;
  /** The other side is one of a kind that Dispatcher does not make (an address group): in words. */
  readonly other?: string;
}

/** A security group: what it allows is allowed on every port that has it, whatever the others say. */
export interface SecurityGroup {
  readonly id: string;
  readonly name: string;
  readonly owner?: NetworkOwner;
  readonly rules: readonly SecurityGroupRule[];
  /** The one that ports get for which nobody says otherwise. */
  readonly isDefault: boolean;
}

/** What a new port is made from. */
export interface CreatePortRequest {
  readonly name: string;
  readonly networkId: string;
  /** Undefined: the project's default group. */
  readonly groupIds?: readonly string[];
  readonly owner: NetworkOwner;
}

/** What a new security group is made from. */
export interface CreateSecurityGroupRequest {
  readonly name: string;
  readonly description: string;
  readonly owner: NetworkOwner;
}

/**
 * The part of a cloud's client that is about ports and security groups. As {@link CloudDriver} has it for every method; and every method
 * of a cloud that has no such service MUST throw Unsupported. Bulk methods make all or nothing, and answer in the order asked.
 */
export interface NetworkDriver {
  /** Every port of the project. MUST follow all pages; throws rather than give a part. */
  listPorts(signal?: AbortSignal): Promise<readonly Port[]>;
  /**
   * Makes ports in one call; each bears its owner tag from the first moment. No server has them yet.
   * @throws CloudError Invalid if a network or group is not there; Capacity if a network has no address left; Quota.
   */
  createPorts(requests: readonly CreatePortRequest[], signal?: AbortSignal): Promise<readonly Port[]>;
  /**
   * Replaces all groups of a port in one call. @throws CloudError NotFound; Conflict if a group is not there, or the port is not as it was
   * seen, by its revision: what others have changed meanwhile is not overwritten, and a request that arrives late has no effect.
   */
  setPortGroups(port: Pick<Port, 'id' | 'revision'>, groupIds: readonly string[], signal?: AbortSignal): Promise<Port>;
  /** Takes the owner tag off a port, and leaves it. NotFound is success. */
  disownPort(id: string, signal?: AbortSignal): Promise<void>;
  /** NotFound is success. A server that has it loses the address. */
  deletePort(id: string, signal?: AbortSignal): Promise<void>;
  /**
   * Gives a server a port that no server has. @throws CloudError Conflict if one has it (this one, too), or if the server is in no state
   * for it; NotFound if either is not there.
   */
  attachPort(serverId: string, portId: string, signal?: AbortSignal): Promise<void>;

  /** Every security group that the project has, with all its rules. MUST follow all pages; throws rather than give a part. */
  listSecurityGroups(signal?: AbortSignal): Promise<readonly SecurityGroup[]>;
  /** Makes groups in one call. What a cloud puts into a new one (rules for egress) is in the answer. */
  createSecurityGroups(requests: readonly CreateSecurityGroupRequest[], signal?: AbortSignal): Promise<readonly SecurityGroup[]>;
  /** NotFound is success. @throws CloudError Conflict while a port has it. */
  deleteSecurityGroup(id: string, signal?: AbortSignal): Promise<void>;
  /**
   * Makes rules in one call, which MUST all be of one group: clouds refuse others. @throws CloudError Conflict if one that allows the same
   * is there already, or is asked for twice; Invalid if a group is not there; Quota.
   */
  createSecurityGroupRules(
    rules: readonly (SecurityGroupTraffic & { readonly inGroup: string })[],
    signal?: AbortSignal,
  ): Promise<readonly (SecurityGroupRule & { readonly inGroup: string })[]>;
  /** NotFound is success. */
  deleteSecurityGroupRule(id: string, signal?: AbortSignal): Promise<void>;
}
